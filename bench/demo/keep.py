"""How much of what visitors made is kept: of too much, the oldest runs go, and inputs that no run needs any more."""

from __future__ import annotations

import shutil
from pathlib import Path

from ldmbench.demo.home import size_of
from ldmbench.demo.inputs import INPUTS

#: Suites of the page, with the folder or the prompts in place of their datasets.
_SUITES = "demo-*+*"


def bound(out: Path, most_mb: float) -> int:
    """Remove the oldest of the page's runs until all take at most ``most_mb`` MB; how many were removed.

    Only runs of the page's own suites are touched. 0 keeps everything.
    """
    if not most_mb:
        return 0
    runs = sorted(out.glob(f"{_SUITES}/*/*/run.json"), key=lambda path: path.stat().st_mtime)
    folders = [path.parent for path in runs]
    inputs = out / INPUTS
    total = sum(map(size_of, folders)) + (size_of(inputs) if inputs.is_dir() else 0)
    removed = 0
    for folder in folders[:-1]:  # The newest is being listened to.
        if total <= most_mb * 1e6:
            break
        total -= size_of(folder)
        shutil.rmtree(folder, ignore_errors=True)
        removed += 1
        suite = folder.parents[1]
        _remove_empty(folder.parent)
        _remove_empty(suite)
        source = inputs / suite.name.partition("+")[2]
        if not any(out.glob(f"demo-*+{source.name}")) and source.is_dir():
            total -= size_of(source)
            shutil.rmtree(source, ignore_errors=True)
    return removed


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
