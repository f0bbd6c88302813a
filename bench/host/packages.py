"""Folders that installed packages offer under an entry point: where their cards and suites lie."""

from __future__ import annotations

import importlib.util
import logging
from importlib.machinery import PathFinder
from pathlib import Path

_log = logging.getLogger(__name__)


def registered_folders(group: str) -> list[Path]:
    """Folders of the packages that are registered under ``group``, by the names of the packages.

    A package that is not there is named in a warning.
    """
    from importlib.metadata import entry_points

    folders = []
    for package in sorted({point.value for point in entry_points(group=group)}):
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
