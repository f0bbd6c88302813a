"""Where official checkpoint files lie, and whether they are the official ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ldmbench.host.files import absent
from ldmbench.host.homes import file_digest, weights_home
from ldmbench.names import some
from ldmbench.weights.record import Checkpoint, CheckpointError


def home_folder(checkpoint: Checkpoint) -> Path:
    """Where a checkpoint's files are fetched to."""
    return weights_home() / checkpoint.folder


def find_folder(checkpoints: Sequence[Checkpoint], weights: Path | None = None) -> Path:
    """The folder that holds all files of checkpoints that share one.

    Args:
        checkpoints: At least one, all with the same ``folder``.
        weights: A folder that holds the files itself or is laid out as the weights home is, or a file beside which
            they lie; None for the weights home.

    Raises:
        CheckpointError: If files are missing, naming them and the command that fetches them.
    """
    (below,) = {checkpoint.folder for checkpoint in checkpoints}
    names = sorted({name for checkpoint in checkpoints for name in checkpoint.names})
    if weights is None:
        folders = [weights_home() / below]
    else:
        root = weights.parent if weights.is_file() else weights
        folders = [root / below, root]
    there = [folder for folder in folders if folder.is_dir()]
    for folder in there:
        if not absent(folder, names):
            return folder
    nearest = there[0] if there else folders[-1]
    lacking = absent(nearest, names) or ["everything"]
    size = sum(checkpoint.size for checkpoint in checkpoints)
    raise CheckpointError(
        f"weights of {checkpoints[0].title} are not in {nearest}",
        f"missing {some(lacking)}" + (f" ({size / 1e6:.0f} MB)" if size else ""),
        f"{obtain(checkpoints[0])}, or {'correct' if weights else 'name their folder with'} --weights",
    )


def find_file(checkpoint: Checkpoint, weights: Path | None = None) -> Path:
    """The file of a checkpoint that has but one: ``weights`` itself if that is a file, else as ``find_folder``.

    Raises:
        CheckpointError: If it is missing.
    """
    if weights is not None and weights.is_file():
        return weights
    return find_folder([checkpoint], weights) / checkpoint.file


def find_all(checkpoints: Sequence[Checkpoint], weights: Path | None = None) -> list[Path]:
    """What an extractor needs: the file of its first checkpoint, and the folders of the others.

    Raises:
        CheckpointError: If one is missing.
    """
    first, *others = checkpoints
    return [find_file(first, weights), *(find_folder([other], weights) for other in others)]


def verify(checkpoint: Checkpoint, path: Path, official: bool = True) -> str:
    """SHA-256 (hex) of a checkpoint's files, one after the other: what tells it from every other.

    Args:
        checkpoint: The record.
        path: The file of a checkpoint that has but one, or the folder of its files.
        official: Insist on the official files.

    Raises:
        CheckpointError: If a file is not the official one, and ``official`` insists on that.
    """
    expected = dict(checkpoint.files)
    paths = [path / name for name in expected] if path.is_dir() else [path]
    digests = [file_digest(file) for file in paths]
    for file, digest, right in zip(paths, digests, expected.values(), strict=True):
        if official and not digest.startswith(right):
            raise CheckpointError(
                f"{file} is not the official checkpoint of {checkpoint.title}",
                f"SHA-256 {digest[:12]}, not {right[:12]}",
                f"remove it, then {obtain(checkpoint)}; a metric takes another checkpoint with :official=false",
            )
    return "".join(digests)


def choose(
    checkpoint: Checkpoint, weights: Path | None, untrained: bool = False, official: bool = True
) -> tuple[str, Path | None]:
    """What tells an extractor's weights from all others, and their file: ``seed 0`` and None for random ones.

    Args:
        checkpoint: A record of one file.
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Take seeded random weights instead.
        official: Insist on the official file.

    Raises:
        CheckpointError: If the file is missing or not the official one.
    """
    if untrained:
        return "seed 0", None
    path = find_file(checkpoint, weights)
    return verify(checkpoint, path, official), path


def obtain(checkpoint: Checkpoint) -> str:
    """How to get a checkpoint: the command, or what has to be done by hand."""
    if checkpoint.manual:
        return checkpoint.manual
    if checkpoint.name:
        return f"ldmbench fetch {checkpoint.name}"
    return f"put {' and '.join(checkpoint.urls.values())} there"
