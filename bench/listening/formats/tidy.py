"""One rating a line under named columns: this bench's own table, and those of published data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ldmbench.listening.formats.table import Read, header_of, lines_of, milliseconds, number, text_of, whole, yes
from ldmbench.listening.votes import QUALITY, Vote
from ldmbench.names import spreadsheet_safe

#: What a column is -> how it may be called, in lower case; the first is this bench's own name for it.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "listener": ("listener", "subject", "participant", "listener_id", "worker_id", "workerid", "user"),
    "item": ("item", "trial", "signal", "sample", "trial_id", "stem"),
    "system": ("system", "condition", "stimulus", "codec", "rating_stimulus"),
    "score": ("score", "rating", "ratingscore", "rating_score", "vote"),
}
_REQUIRED = tuple(_COLUMNS)


def _columns(header: list[str]) -> dict[str, str]:
    """What a column is -> its name in this file, for those that are there."""
    lower = {name.strip().lower(): name for name in reversed(header)}
    columns = {kind: next((lower[name] for name in names if name in lower), "") for kind, names in _COLUMNS.items()}
    return {kind: name for kind, name in columns.items() if name}


def is_tidy(text: str) -> bool:
    """Whether the columns name a listener, an item, a condition and a score."""
    return set(_columns(header_of(text))) == set(_REQUIRED)


def read_tidy(path: Path) -> Read:
    """Read one rating a line.

    Columns ``session``, ``block``, ``page``, ``order`` or ``position``, ``rating_time_ms`` or ``seconds``, ``played``,
    ``touched``, ``scale``, ``repeat``, ``group`` and ``sound`` are read where they are there. ODAQ's ``method`` is part
    of the item, as in the names of its folders, and its group.
    """
    read = Read()
    rows = lines_of(text_of(path))
    _, header = next(rows)
    columns = _columns(header)
    for line, fields in rows:
        record = {key.strip(): _plain(field.strip()) for key, field in zip(header, fields, strict=False)}
        listener, item, system = (record.get(columns[name], "") for name in ("listener", "item", "system"))
        score = number(record.get(columns["score"], ""))
        if len(fields) != len(header) or not (listener and item and system) or score != score:
            read.broken.append(f"line {line}")
            continue
        method = record.get("method", "") if columns["listener"] == "subject" else ""
        item = item if not method or item.startswith(f"{method}_") else f"{method}_{item}"
        if group := method or record.get("group", ""):
            read.groups[item] = group
        read.rows.append(
            Vote(
                listener,
                record.get("session") or listener,
                item,
                system,
                score,
                record.get("scale") or QUALITY,
                record.get("block", ""),
                whole(record.get("page", "")),
                whole(record.get("order") or record.get("position", "")),
                milliseconds(record.get("rating_time_ms", "")) or _seconds(record.get("seconds", "")),
                yes(record.get("played", "")),
                yes(record.get("touched", "")),
                whole(record.get("repeat", "")) or 0,
                record.get("sound", ""),
                path.name,
            )
        )
    return read.finish(path)


def _plain(text: str) -> str:
    """A text without the apostrophe that keeps a spreadsheet from computing it."""
    return text[1:] if text[:1] == "'" and spreadsheet_safe(text[1:]) == text else text


def _seconds(text: str) -> float | None:
    value = number(text)
    return value if value >= 0 else None
