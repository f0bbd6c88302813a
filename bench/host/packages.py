"""Folders that installed packages offer under an entry point: where their cards and suites lie."""

from __future__ import annotations

import importlib.util
import logging
import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_log = logging.getLogger(__name__)


def registered(group: str) -> list[EntryPoint]:
    """The entry points of installed packages in one of our groups, as ``importlib.metadata.entry_points`` has them."""
    return [point for point in _registered(tuple(sys.path)) if point.group == group]


@cache
def _registered(_path: tuple[str, ...]) -> list[EntryPoint]:
    """Our entry points of the packages on ``sys.path``; of hundreds only those are parsed that name a group of ours."""
    from importlib.metadata import distribution, distributions

    ours = [item for item in distributions() if "[ldmbench." in (item.read_text("entry_points.txt") or "")]
    names = dict.fromkeys(item.name for item in ours)
    # As Python has it, the first of a name on the path hides those that follow.
    return [point for name in names for point in distribution(name).entry_points]


def registered_folders(group: str) -> list[Path]:
    """Folders of the packages that are registered under ``group``, by the names of the packages.

    A package that is not there is named in a warning.
    """
    folders = []
    for package in sorted({point.value for point in registered(group)}):
        of_package = package_folders(package)
        folders += of_package
        if not of_package:
            kind = group.rpartition(".")[2]
            _log.warning("the %s of %s cannot be found: there is no such package", kind, package)
    return folders


def package_folders(package: str) -> list[Path]:
    """Where a package lies; nothing is imported, since a package's face may do anything."""
    first, *rest = package.split(".")
    spec = importlib.util.find_spec(first)
    name = first
    for part in rest:
        if spec is None:
            break
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations or []))
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
