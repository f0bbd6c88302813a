"""Bitrates that somebody states for a folder of outputs: one for all of them, or a file beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ldmbench.clips.table import read_table
from ldmbench.errors import BenchError
from ldmbench.names import some

#: Looked for in a folder of outputs.
BITRATE_CSV = "bitrate.csv"

_FIX = "write path,bits or path,kbps, a row for each file"


@dataclass(frozen=True)
class Stated:
    """The size of one coded clip, as its maker states it.

    Attributes:
        value: Bits, or kbit/s.
        per_second: Whether ``value`` is kbit/s.
    """

    value: float
    per_second: bool

    def bits(self, seconds: float) -> int:
        """Bits of a clip of so many seconds."""
        return round(self.value * 1000 * seconds if self.per_second else self.value)


def stated_bitrates(folder: Path, files: Mapping[str, Path], kbps: float | None = None) -> dict[str, Stated]:
    """What is stated for each of the files: ``kbps`` for all, or ``bitrate.csv`` in the folder; empty for neither.

    Args:
        folder: The folder of outputs.
        files: Clip id -> file in it.
        kbps: Bitrate in kbit/s of all of them.

    Raises:
        BenchError: If both are there, a number is not above 0, or the CSV is not valid or leaves a file out.
    """
    table = folder / BITRATE_CSV
    if kbps is not None:
        if table.exists():
            raise BenchError(f"two bitrates of {folder}", f"{kbps:g} kbps, and {BITRATE_CSV} in it", "keep one of them")
        return dict.fromkeys(files, Stated(_positive(str(kbps), f"the bitrate of {folder}"), True))
    if not table.exists():
        return {}
    columns, rows = read_table(table, _FIX, _FIX)
    if sorted(columns) not in (["bits", "path"], ["kbps", "path"]):
        raise BenchError(f"{table} has the wrong columns", ", ".join(columns) or "none", _FIX)
    column = "bits" if "bits" in columns else "kbps"
    rates = {
        (folder / row["path"]).resolve(): Stated(
            _positive(row[column], f"{table} line {line}: {column}"), column == "kbps"
        )
        for line, row in enumerate(rows, 2)
    }
    absent = [str(path.relative_to(folder.resolve())) for path in files.values() if path.resolve() not in rates]
    if absent:
        raise BenchError(f"{table} states no bitrate of {some(sorted(absent))}", fix=_FIX)
    return {clip: rates[path.resolve()] for clip, path in files.items()}


def _positive(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise BenchError(f"{what} is no number above 0", repr(text))
    return value
