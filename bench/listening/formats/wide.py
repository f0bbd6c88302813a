"""Tables with several scores in a line: DAC's, ReSEval's, and those with aligned lists of listeners and ratings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.listening.formats.table import Read, header_of, lines_of, number, text_of, whole
from ldmbench.listening.votes import Vote

_RESEVAL = {"Stem", "Participant", "Response"}


def is_dac(text: str) -> bool:
    """Whether this is the table of DAC's ``scripts/mushra.py``: ``sample,user`` and a column for each condition."""
    header = header_of(text)
    return {"sample", "user"} <= set(header) and len(header) > 3


def read_dac(path: Path) -> Read:
    """Read DAC's table: a line is a page, sliders start at 50."""
    read = Read()
    rows = lines_of(text_of(path))
    _, header = next(rows)
    pages: dict[str, int] = {}
    for line, fields in rows:
        record = dict(zip(header, fields, strict=False))
        if len(fields) != len(header) or not record["sample"] or not record["user"]:
            read.broken.append(f"line {line}")
            continue
        user = record["user"]
        pages[user] = pages.get(user, 0) + 1
        for name in header:
            if name in ("sample", "user"):
                continue
            value = number(record[name])
            if value != value:
                read.broken.append(f"line {line}, {name}")
                continue
            read.rows.append(Vote(user, user, record["sample"], name, value, page=pages[user], source=path.name))
    return read.finish(path)


def is_reseval(text: str) -> bool:
    """Whether this is ReSEval's ``tables/responses.csv``."""
    return set(header_of(text)) >= _RESEVAL


def read_reseval(path: Path, conditions: Sequence[str]) -> Read:
    """Read ReSEval's table, in which a page's scores are one text of three digits for each condition.

    Args:
        path: ``tables/responses.csv``.
        conditions: The names of the test's conditions, which the table does not hold; ReSEval packs the scores in
            their alphabetical order.

    Raises:
        BenchError: If the conditions are not named.
    """
    if not conditions:
        raise BenchError(
            f"{path} does not say what its conditions are",
            "ReSEval packs three digits for each, in alphabetical order",
            "name them: --conditions A,B,C",
        )
    read = Read()
    rows = lines_of(text_of(path))
    _, header = next(rows)
    restored = 0
    for line, fields in rows:
        record = dict(zip(header, fields, strict=False))
        packed, who = record.get("Response", "").strip(), record.get("Participant", "")
        width = 3 * len(conditions)
        # A spreadsheet takes the text for a number and drops zeros at its start.
        restored += 0 < len(packed) < width
        packed = packed.zfill(width) if packed else ""
        if len(packed) != width or not packed.isdigit() or not who or not record.get("Stem"):
            read.broken.append(f"line {line}")
            continue
        for index, name in enumerate(sorted(conditions)):
            score = float(packed[3 * index : 3 * index + 3])
            order = whole(record.get("OrderAsked", ""))
            read.rows.append(
                Vote(who, who, record["Stem"], name, score, page=None if order is None else order + 1, source=path.name)
            )
    if restored:
        read.notes.append(f"{path.name}: zeros at the start of {restored} responses were lost and are put back")
    return read.finish(path)


def is_lists(text: str) -> bool:
    """Whether a line holds all ratings of a sound, as two lists in brackets."""
    return {"ratings", "participant_ids", "condition"} <= set(header_of(text))


def read_lists(path: Path) -> Read:
    """Read ``signal,condition,ratings,participant_ids[,file]``: the n-th rating is that of the n-th listener."""
    read = Read()
    rows = lines_of(text_of(path))
    _, header = next(rows)
    for line, fields in rows:
        record = dict(zip(header, fields, strict=False))
        try:
            scores, who = (json.loads(record[name]) for name in ("ratings", "participant_ids"))
        except (ValueError, KeyError):
            read.broken.append(f"line {line}")
            continue
        if len(scores) != len(who) or not record.get("signal"):
            read.broken.append(f"line {line}: {len(scores)} ratings, {len(who)} listeners")
            continue
        for listener, score in zip(map(str, who), scores, strict=True):
            read.rows.append(
                Vote(
                    listener, listener, record["signal"], record["condition"], float(score),
                    sound=record.get("file", ""), source=path.name,
                )
            )  # fmt: skip
    return read.finish(path)
