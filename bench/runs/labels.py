"""What folders of sounds are called in tables: by their names, and by more of their paths where others have these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePosixPath

from ldmbench.errors import BenchError
from ldmbench.runs.records import OutputRow, RunInfo
from ldmbench.runs.store import read_records, run_folders

#: Where a run of a folder of outputs records the folder: in its environment, since no sound depends on it.
FOLDER = "folder"


def reference_label(root: Path, suite: str, folder: Path) -> str:
    """A name for a folder of references, under which no run of the suite below ``root`` has another folder's clips.

    Args:
        root: Folder of all runs.
        suite: Name of the suite, without the folder's.
        folder: The folder.
    """
    folder = folder.resolve()

    def free(label: str) -> bool:
        used = (_reference_folder(info) for info, _ in _runs(root, f"{suite}+{label}"))
        return all(other in (None, folder) for other in used)

    return _first_free(folder, free)


def outputs_label(root: Path, suite: str, folder: Path, taken: Collection[str] = ()) -> str:
    """A name for a folder of outputs, that no other folder has among the runs of the suite below ``root``.

    Args:
        root: Folder of all runs.
        suite: Name of the suite, with that of the references.
        folder: The folder.
        taken: Names that it must not have either.
    """
    folder = folder.resolve()
    used = [(info.system, _outputs_folder(info, outputs)) for info, outputs in _runs(root, suite)]

    def free(label: str) -> bool:
        return label not in taken and all(name != label or other in (None, folder) for name, other in used)

    return _first_free(folder, free)


def _first_free(folder: Path, free: Callable[[str], bool]) -> str:
    return next(label for label in _labels(folder) if free(label))


def _labels(folder: Path) -> Iterator[str]:
    """``refs``, ``second-refs``, ``trial-second-refs``, ... and, past the root, numbers; one line each, printable."""
    parts = [_printable(part) for part in folder.parts if part != folder.anchor] or ["root"]
    for start in reversed(range(len(parts))):
        yield "-".join(parts[start:])
    for number in count(2):
        yield f"{parts[-1]}-{number}"


def _printable(text: str) -> str:
    """A name as it can be printed and stored: no line breaks, escape sequences, or bytes that are not UTF-8."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _runs(root: Path, suite: str) -> Iterator[tuple[RunInfo, dict[str, OutputRow]]]:
    """The runs of a suite; one that cannot be read has no name to keep."""
    for path in run_folders(root, suite):
        with suppress(BenchError):
            info, outputs, _ = read_records(path)
            yield info, outputs


def _reference_folder(info: RunInfo) -> Path | None:
    """Where the clips of a run of a folder lie; None where it has none on disk."""
    for clip in info.clips:
        if clip.path:
            return _above(clip.path, clip.id, clip.dataset)
    return None


def _outputs_folder(info: RunInfo, outputs: dict[str, OutputRow]) -> Path | None:
    """The folder of a run that was scored from one; runs that do not record it show it by their outputs."""
    if folder := info.environment.get(FOLDER):
        return Path(folder)
    datasets = {clip.id: clip.dataset for clip in info.clips}
    for row in outputs.values():
        if row.clip in datasets and row.audio and Path(row.audio).is_absolute():
            return _above(row.audio, row.clip, datasets[row.clip])
    return None


def _above(path: str, clip: str, dataset: str) -> Path:
    """The folder in which ``path`` is named as the clip is within its dataset."""
    depth = len(PurePosixPath(clip.removeprefix(f"{dataset}/")).parts)
    return Path(path).parents[depth - 1]
