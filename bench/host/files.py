"""Files: which of them are there, and the error for one that cannot be written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ldmbench.errors import BenchError


def absent(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of the files ``names`` (relative paths) that are not below ``folder``, sorted."""
    return sorted(name for name in names if not (folder / name).is_file())


def not_written(path: Path, error: OSError) -> BenchError:
    """The error for a file that could not be written, usually for want of space."""
    return BenchError(
        f"cannot write {path}", error.strerror or str(error), "free disk space or choose another --out", exit_code=1
    )
