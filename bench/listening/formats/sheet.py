"""Rating sheets that a listener filled in, as CSV or as a spreadsheet."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.listening.formats.table import Read, header_of, lines_of, number, text_of
from ldmbench.listening.votes import Vote

_FILE = ("file name", "file", "filename")
_LISTENER = ("listener", "your name or number", "participant")
#: Columns of a sheet that are read by the listener and hold no scores.
_TEXTS = ("text description", "text", "prompt", "caption", "description", "comment", "remarks")

#: How papers call what they ask -> the short name of its column in their tables.
_SCALES = {"overall impression": "ovl", "overall quality": "ovl", "relation to the text description": "rel"}


def is_sheet(text: str) -> bool:
    """Whether the first column names files and another one is to be filled with scores."""
    return _is_header(header_of(text))


def read_sheet(path: Path) -> Read:
    """Read a filled sheet in CSV; every column of numbers is a scale."""
    text = text_of(path)
    delimiter = ";" if not is_sheet(text) else ","
    return _read(path, lines_of(text, delimiter))


def read_xlsx(path: Path) -> Read:
    """Read the first sheet of a spreadsheet.

    Raises:
        BenchError: If it is no spreadsheet, or openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise BenchError(f"{path} needs openpyxl", fix="pip install 'ldmbench[listening]'") from None
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # zipfile's, openpyxl's and xml's errors have no common kind
        raise BenchError(f"{path} is no spreadsheet", str(error), "save it as .xlsx or .csv") from None
    rows = (
        (line, ["" if cell is None else str(cell) for cell in cells])
        for line, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), 1)
    )
    return _read(path, (row for row in rows if any(field.strip() for field in row[1])))


def _is_header(fields: Sequence[str]) -> bool:
    return bool(fields) and fields[0].strip().lower() in _FILE and len(fields) > 1


def _read(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Read:
    """Scores by file; a file is both item and condition until a key says what it was."""
    header: list[str] = next((fields for _, fields in rows if _is_header(fields)), [])
    if not header:
        raise BenchError(f"{path} is no rating sheet", "no column 'File name'", "name a sheet as it was handed out")
    columns = [name.strip() for name in header]
    signed = any(name.lower() in _LISTENER for name in columns)
    read = Read(named_by=None if signed else path, methods={"sheet"})
    empty = 0
    for line, fields in rows:
        record = dict(zip(columns, (field.strip() for field in fields), strict=False))
        sound = record[columns[0]]
        listener = next((record[name] for name in columns if name.lower() in _LISTENER and record.get(name)), path.stem)
        for position, name in enumerate(columns):
            if position == 0 or not name or name.lower() in (*_LISTENER, *_TEXTS):
                continue
            text = record.get(name, "")
            score = number(text)
            if not text:
                empty += 1
            elif math.isnan(score):
                read.broken.append(f"line {line}, {name}: {text[:20]!r}")
            else:
                stem = Path(sound).stem
                scale = scale_of(name)
                read.rows.append(Vote(listener, path.stem, stem, stem, score, scale, sound=sound, source=path.name))
    if empty:
        read.notes.append(f"{path.name}: {empty} cells are empty")
    return read.finish(path)


def scale_of(heading: str) -> str:
    """The short name of a column: without the range that stands in brackets behind it.

    Example:
        >>> scale_of("Overall impression (1-100)"), scale_of("AQ")
        ('ovl', 'aq')
    """
    name = re.sub(r"\(.*?\)", "", heading).strip().lower()
    return _SCALES.get(name, re.sub(r"\W+", "_", name))
