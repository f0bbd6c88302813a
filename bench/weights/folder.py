"""Where official checkpoint files lie, and how they get there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ldmbench.errors import BenchError
from ldmbench.host.download import Progress, download, snapshot
from ldmbench.host.files import absent
from ldmbench.host.homes import file_digest, weights_home
from ldmbench.names import some

if TYPE_CHECKING:
    from ldmbench.system.card import SystemCard, SystemSpec


def fetch_weights(card: SystemCard, progress: Progress | None = None, variant: str = "") -> Path:
    """Bring all checkpoint files of a system (a variant, by default the default one) to its folder and check them.

    Raises:
        BenchError: If the system has no weights, an address cannot be read, or a checksum is wrong.
    """
    variant = variant or card.default
    folder = official_folder(card, variant)
    if not card.weights:
        raise BenchError(f"{card.name} has no weights to fetch", fix="run it as it is")
    for weights in card.weights_of(variant).values():
        for name, url in weights.urls.items():
            download(url, folder / _inside(name), weights.files.get(name, ""), progress)
        if weights.repo:
            snapshot(weights.repo, weights.revision, "model", folder, sorted(set(weights.files) - set(weights.urls)))
        _check(folder, weights.files)
    return folder


def official_folder(card: SystemCard, variant: str) -> Path:
    """Where a variant's checkpoint files are fetched to: the folder its weights name, or ``weights_home()/NAME``."""
    named = [weights.folder for weights in card.weights_of(variant).values() if weights.folder]
    return weights_home() / (named[0] if named else card.name)


def weights_folder(spec: SystemSpec) -> Path:
    """The folder with a system's checkpoint files: the one they are fetched to, or the one asked for.

    The one asked for may hold the files itself, or be laid out as the weights home is.

    Raises:
        BenchError: If files are missing, naming them and the command that fetches them.
    """
    folder = official_folder(spec.card, spec.name.variant)
    if spec.weights:
        inside = spec.weights / folder.relative_to(weights_home())
        folder = inside if inside.is_dir() else spec.weights
    entries = spec.card.weights_of(spec.name.variant).values()
    wanted = {name for weights in entries for name in (*weights.files, *weights.urls)}
    lacking = absent(folder, wanted) if wanted else ([] if folder.is_dir() else ["everything"])
    if lacking:
        raise BenchError(
            f"weights of {spec.label} are not in {folder}", f"missing {some(lacking)}",
            f"ldmbench fetch {spec.card.name}{f'@{spec.name.variant}' if spec.name.variant else ''}"
            + (", or correct --weights" if spec.weights else ""),
        )  # fmt: skip
    return folder


def _check(folder: Path, files: Mapping[str, str]) -> None:
    """Raise ``BenchError`` unless all files are there with their checksums."""
    if lacking := absent(folder, files):
        raise BenchError(f"{folder} is incomplete after fetching", f"missing {some(lacking)}", "correct the card")
    for name, expected in files.items():
        found = file_digest(folder / name)
        if expected and found != expected.lower():
            raise BenchError(
                f"{folder / name} is not the file that was pinned",
                f"SHA-256 {found}, expected {expected.lower()}",
                "remove it and fetch again",
            )


def _inside(name: str) -> str:
    """``name`` if it is a relative path that stays inside its folder."""
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise BenchError(f"{name!r} does not stay inside the weights folder", fix="correct the card")
    return name
