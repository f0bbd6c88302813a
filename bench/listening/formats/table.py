"""What all readers of ratings share: tables read as they were written, numbers, and what is wrong with a line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.listening.votes import Role, Vote
from ldmbench.names import some


@dataclass
class Read:
    """What a file of ratings holds.

    Attributes:
        rows: The ratings.
        groups: Item -> group, where the file says it.
        references: Item -> file of its reference, where the file says it.
        roles: Condition -> what it is there for, where the file says it.
        clips: Item -> clip of the runs, where the file says it.
        methods: How was rated, where the file says it.
        named_by: The file, where its name is all that tells whose ratings it holds.
        notes: What a user should hear about the file.
        broken: Lines that could not be read, each with the reason; they are left out and named.
    """

    rows: list[Vote] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    clips: dict[str, str] = field(default_factory=dict)
    methods: set[str] = field(default_factory=set)
    named_by: Path | None = None
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def finish(self, path: Path) -> Read:
        """Put the broken lines among the notes.

        Raises:
            BenchError: If there is no rating.
        """
        if self.broken:
            self.notes.append(f"{path.name}: {len(self.broken)} broken, left out: {some(self.broken)}")
        if not self.rows:
            raise BenchError(f"{path} holds no ratings", "; ".join(self.notes), "name a file of ratings")
        return self


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark.

    Raises:
        BenchError: If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not text in UTF-8", str(error), "save it as CSV in UTF-8") from None


def lines_of(text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every line that is not blank; a field may hold line breaks.

    Raises:
        csv.Error: If it is no CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for fields in reader:
        if any(field.strip() for field in fields):
            yield reader.line_num, fields


def header_of(text: str, delimiter: str = ",") -> list[str]:
    """The fields of the first line that is not blank, empty where there is none."""
    return next((fields for _, fields in lines_of(text, delimiter)), [])


def number(text: str) -> float:
    """A finite number, written with a point; NaN for everything else, ``nan`` and ``1_000`` among them."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and "_" not in text else math.nan


def whole(text: str) -> int | None:
    """A whole number, None for everything else."""
    value = number(text)
    return int(value) if value == value and value == int(value) else None


def milliseconds(text: str) -> float | None:
    """Milliseconds as seconds, None where there are none."""
    value = number(text)
    return value / 1000 if value >= 0 else None


def yes(text: str) -> bool | None:
    """Whether a cell says yes, None where it says nothing."""
    word = text.strip().lower()
    return True if word in ("1", "true", "yes") else False if word in ("0", "false", "no") else None


def looks_numeric(names: Sequence[str]) -> list[str]:
    """Names that a program which casts texts may have changed: ``007`` becomes 7, ``12e4`` becomes 120000.0."""
    return sorted({name for name in names if number(name) == number(name) or name.lower() in ("true", "nan", "inf")})
