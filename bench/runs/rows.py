"""Records as text and back: many lines are read at once, and no file twice that has not changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from ldmbench.host.homes import settled, state_of
from ldmbench.runs.journal import journal_lines, read_journal
from ldmbench.runs.records import RunInfo, ShardInfo, as_record, as_records

T = TypeVar("T")

#: Rows that are kept of files that were read before; the files read first are forgotten first.
_MOST = 500_000

_kept: dict[Path, tuple[dict[str, int], Sequence[Any]]] = {}


def rows_of(path: Path, kind: type[T]) -> Sequence[T]:
    """The rows of a journal, in order.

    Raises:
        BrokenRunError: If a line is not JSON.
        ValueError: If it is not such a row.
    """
    return unless_read(path, lambda: list(_parsed(path, kind)))


def _parsed(path: Path, kind: type[T]) -> Iterator[T]:
    """The rows; where one of many may be at fault, all over again, one by one."""
    try:
        rows = [row for lines in journal_lines(path) for row in as_records(kind, lines)]
    except ValueError:
        yield from (as_record(kind, line) for line in read_journal(path))
    else:
        yield from rows


def unless_read(path: Path, read: Callable[[], Sequence[T]]) -> Sequence[T]:
    """What ``read`` makes of a file, or made of it when it was last read, if it is still the same file.

    A file that was written to just now is read anew: a clock tick can hide a change.
    """
    try:
        facts = path.stat()
    except OSError:
        return read()
    state = state_of(facts)
    before = _kept.pop(path, None)
    if before is None or before[0] != state:
        before = (state, read())
    if settled(facts):
        _kept[path] = before
        while sum(len(rows) for _, rows in _kept.values()) > _MOST and len(_kept) > 1:
            del _kept[next(iter(_kept))]
    return cast(Sequence[T], before[1])


def flat(record: object) -> dict[str, Any]:
    """The fields of a record by their names, as they are; ``dataclasses.asdict`` copies whatever they hold."""
    return {name: getattr(record, name) for name in _names(cast(Hashable, type(record)))}


@cache
def _names(kind: Hashable) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cast(type[Any], kind)))


def record_text(record: RunInfo | ShardInfo) -> str:
    """A record as JSON, a line for each field, dataset and clip."""
    parts = []
    for name, value in flat(record).items():
        if name in ("datasets", "clips") and value:
            lines = ",\n  ".join(json.dumps(flat(item), ensure_ascii=False) for item in value)
            parts.append(f'"{name}": [\n  {lines}\n ]')
        else:
            parts.append(f'"{name}": {json.dumps(value, ensure_ascii=False, default=flat)}')
    return "{\n " + ",\n ".join(parts) + "\n}"
