"""Modules that lie beside a card named by its path: ``-s ./mycodec.toml`` finds ``mycodec.py`` without an install."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from ldmbench.errors import BenchError


class _Beside:
    """Looks into the folders of cards, after everything that is installed.

    Not ``sys.path``: there a mere folder ``datasets`` beside a card would be taken for the library of that name.
    """

    def __init__(self) -> None:
        self.folders: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module ``name`` in one of the folders; what lies in a package is found through the package."""
        return _in(name, self.folders) if path is None else None


_finder = _Beside()


def looked_into() -> tuple[str, ...]:
    """The folders of cards, for a process that shall find the same modules."""
    return tuple(_finder.folders)


def look_into(folders: Sequence[str]) -> None:
    """Let modules be found in these folders, after everything that is installed."""
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    _finder.folders += [folder for folder in folders if folder not in _finder.folders]


def make_importable(card: Path, module: str) -> None:
    """Let the module of a card, and what it imports, be found in the card's folder.

    Args:
        card: The TOML file.
        module: ``package.module:Class`` as the card has it.

    Raises:
        BenchError: If another module of that name comes first.
    """
    folder = str(card.resolve().parent)
    look_into([folder])
    name = module.partition(":")[0].partition(".")[0]
    own = _in(name, [folder])
    if own is None:
        return  # It is installed, or loading says that there is none.
    first = importlib.util.find_spec(name)
    if first is None or first.origin != own.origin:
        where = first.origin if first else "nothing"
        raise BenchError(f"{card} means the module {own.origin}", f"another {name} comes first: {where}", "rename it")


def lies_beside(name: str) -> bool:
    """Whether the module or package ``name`` is found in the folder of a card, and nowhere before it."""
    own = _finder.find_spec(name)
    if own is None:
        return False
    first = importlib.util.find_spec(name)
    return first is not None and first.origin == own.origin


def _in(name: str, folders: Sequence[str]) -> ModuleSpec | None:
    """The module in the folders; a folder without ``__init__.py`` is none."""
    spec = PathFinder.find_spec(name, folders)
    return spec if spec is not None and spec.origin else None
