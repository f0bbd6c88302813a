"""What ``ldmbench fetch`` can bring for extractors: names, their official checkpoints, and the download."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from ldmbench.names import unknown
from ldmbench.weights.checkpoint import Checkpoint


def fetchable() -> dict[str, tuple[Checkpoint, ...]]:
    """Name -> official files, from ``FETCHABLE`` of every module of ``ldmbench.extractors`` that has one."""
    package = importlib.import_module("ldmbench.extractors")
    found: dict[str, tuple[Checkpoint, ...]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        own: Mapping[str, tuple[Checkpoint, ...]] = getattr(
            importlib.import_module(f"ldmbench.extractors.{module.name}"), "FETCHABLE", {}
        )
        found |= own
    return dict(sorted(found.items()))


def fetch_extractor(name: str) -> Path:
    """Download the official checkpoints of an extractor into the weights home, and verify them.

    Returns:
        The folder with the files.

    Raises:
        BenchError: If there is no such extractor, or a download fails or has another SHA-256.
    """
    known = fetchable()
    if name not in known:
        raise unknown("extractor", name, known)
    paths = [checkpoint.fetch() for checkpoint in known[name]]
    return paths[0].parent
