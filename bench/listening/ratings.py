"""Ratings as a tidy table: one row for each score, with columns that every part of the bench agrees on."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ldmbench.clips.table import read_table
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.listening.pack import TRAINING, Key
from ldmbench.names import spreadsheet_safe


@dataclass(frozen=True)
class Rating:
    """One score of one stimulus; a row of the table, whose columns are these fields in this order.

    Attributes:
        test: Id of the pack.
        method: ``mushra``, ``mushra-1s``, ``acr``, ``dcr``, ``ab`` or ``sheet``.
        listener: Who rated, as the link or the test named them.
        session: Opaque; one listener has one session.
        block: Which block the session had.
        page: Opaque id of the page.
        item: Clip id; empty until the key is joined, as are the next three.
        group: Group of the clip.
        system: What was rated: a system's label, ``reference``, ``anchor35`` or ``anchor70``.
        role: ``system``, ``reference`` or ``anchor``.
        repeat: 0, or 1 for the second of two equal pages.
        stimulus: Opaque key of the stimulus.
        criterion: What was asked: ``quality``, ``preference``, ``ovl``, ``rel``, ``ogl``, ``aq``.
        score: The score. Of ``preference``: 1 for the chosen one of two, 0 for the other, 0.5 for no preference.
        rating_time_ms: Time on the page, the same in all its rows.
        page_position: Which page of the session it was, from 1.
        order_shown: Which place the stimulus had on the page, from 1.
        played_ms: For how long it was heard.
        touched: Whether the listener set the score.
        saved: UTC time, ISO 8601.
        complete: Whether the session came to its end.
    """

    test: str
    method: str
    listener: str
    session: str
    block: str
    page: str
    item: str
    group: str
    system: str
    role: str
    repeat: int
    stimulus: str
    criterion: str
    score: float
    rating_time_ms: int
    page_position: int
    order_shown: int
    played_ms: int
    touched: bool
    saved: str
    complete: bool


COLUMNS = tuple(field.name for field in fields(Rating))


def joined(ratings: Iterable[Rating], key: Key) -> list[Rating]:
    """Ratings with what the key says of their pages and stimuli; the training page is left out.

    Raises:
        BenchError: If a rating is of something that the key does not know.
    """
    rows = []
    for rating in ratings:
        if rating.page == TRAINING:
            continue
        page = key.pages.get(rating.page)
        stimulus = None if page is None else page.stimuli.get(rating.stimulus)
        if page is None or stimulus is None:
            raise BenchError(
                f"the key of {key.pack} knows no stimulus {rating.stimulus!r} on page {rating.page!r}",
                fix="use the key of the pack that was rated",
            )
        rows.append(
            replace(
                rating, item=page.item, group=page.group, repeat=page.repeat, system=stimulus.system, role=stimulus.role
            )
        )
    return rows


def to_csv(ratings: Iterable[Rating]) -> str:
    """The table as CSV; texts that a spreadsheet would take for a formula get an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rating in ratings:
        writer.writerow([_cell(getattr(rating, name)) for name in COLUMNS])
    return text.getvalue()


def write_ratings(path: Path, ratings: Iterable[Rating]) -> None:
    """Write the table as CSV in UTF-8, whole or not at all."""
    with replacing(path) as handle:
        handle.write(to_csv(ratings).encode())


def is_ratings(columns: Iterable[str]) -> bool:
    """Whether a table with these columns is one of ours."""
    return set(COLUMNS) <= set(columns)


def read_ratings(path: Path) -> list[Rating]:
    """Read a table that ``write_ratings`` wrote; further columns are passed over.

    Raises:
        BenchError: If the file is no such table, or a cell is not what its column holds.
    """
    columns, rows = read_table(path, "name an existing table of ratings", "name each column once")
    absent = [name for name in COLUMNS if name not in columns]
    if absent:
        raise BenchError(f"{path} is no table of ratings", f"without {', '.join(absent)}", "use mushra results")
    return [_rating(path, number, row) for number, row in enumerate(rows, 2)]


def _cell(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return f"'{value}" if value.startswith("'") else spreadsheet_safe(value)
    return str(value)


def _rating(path: Path, number: int, row: Mapping[str, str]) -> Rating:
    values: dict[str, str | int | float | bool] = {}
    for field in fields(Rating):
        text = row[field.name]
        try:
            values[field.name] = _READ[str(field.type)](text)
        except (ValueError, KeyError):
            raise BenchError(f"{path} line {number}: {field.name} is not a {field.type}", repr(text)) from None
    return Rating(**values)  # type: ignore[arg-type]


def _text(text: str) -> str:
    """A text without the apostrophe that keeps a spreadsheet from computing it."""
    return text.removeprefix("'")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_READ: dict[str, Callable[[str], str | int | float | bool]] = {
    "str": _text,
    "int": int,
    "float": _number,
    "bool": {"true": True, "false": False}.__getitem__,
}
