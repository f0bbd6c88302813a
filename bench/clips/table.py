"""Tables in CSV, read strictly: what a stray quote or comma makes of a row is refused; and written safely."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.names import spreadsheet_safe


def read_table(
    path: Path, missing: str, columns: str, *, short_rows: bool = False
) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a CSV in UTF-8.

    Args:
        path: The file.
        missing: What to do where there is none.
        columns: What to do where a column is named twice.
        short_rows: Accept rows with fewer fields than columns, the others being empty.

    Raises:
        BenchError: If the file is not there, is no CSV in UTF-8, names a column twice, or has a row with another
            number of fields or with a field of several lines.
    """
    rows = []
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            names = list(reader.fieldnames or [])
            if len(set(names)) < len(names):
                raise BenchError(f"{path} names a column twice", ", ".join(names), columns)
            line = reader.line_num
            for row in reader:
                # DictReader files surplus fields under None and leaves missing ones None.
                if None in row or (None in row.values() and not short_rows):
                    raise BenchError(
                        f"{path} line {reader.line_num} has the wrong number of fields",
                        fix="quote texts that hold commas",
                    )
                if any("\n" in (value or "") for value in row.values()):
                    raise BenchError(
                        f"{path} line {line + 1} has a field that ends on line {reader.line_num}",
                        "a quote that nothing closes takes the rows behind it",
                        "close the quote, double it within a quoted text, or write the text on one line",
                    )
                rows.append({key: value or "" for key, value in row.items()})
                line = reader.line_num
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist", fix=missing) from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not a CSV in UTF-8", str(error)) from None
    except csv.Error as error:
        raise _broken(path, line + 1, str(error)) from None
    return names, rows


def _broken(path: Path, line: int, reason: str) -> BenchError:
    """What is wrong with a row, by what the reader says of it."""
    if "unexpected end of data" in reason or "field larger" in reason:
        what = f"{path} line {line} opens a quote that nothing closes"
        return BenchError(what, "it takes all rows behind it", "close the quote, or double it within a quoted text")
    if "expected after" in reason:
        what = f"{path} line {line} has text behind a closing quote"
        return BenchError(what, fix="double a quote within a quoted text, or leave out both quotes")
    return BenchError(f"{path} line {line} is no row of a CSV", reason)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV in UTF-8, whole or not at all, in which no text is taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([spreadsheet_safe(cell) if isinstance(cell, str) else cell for cell in row])
    with replacing(path) as handle:
        handle.write(text.getvalue().encode())
