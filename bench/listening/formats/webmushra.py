"""webMUSHRA's ``mushra.csv``, and what pymushra makes of the same answers: CSV, JSON and its database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.listening.formats.table import Read, header_of, lines_of, looks_numeric, milliseconds, number, text_of
from ldmbench.listening.votes import Vote

#: The end of each line of ``mushra.csv``; before it stand the test and the answers to the questionnaire.
_TAIL = ("session_uuid", "trial_id", "rating_stimulus", "rating_score", "rating_time", "rating_comment")


def is_webmushra(text: str) -> bool:
    """Whether this is webMUSHRA's CSV."""
    return tuple(header_of(text)[-len(_TAIL) :]) == _TAIL


def read_webmushra(path: Path) -> Read:
    """Read ``mushra.csv`` as ``service/write.php`` writes it.

    The questionnaire's answers stand before the session, and a test that was changed under the same name has lines
    of another width than the header: lines are read from their end. Order of lines is order shown.
    """
    read = Read()
    text = text_of(path)
    width = len(header_of(text))
    pages: dict[str, dict[str, int]] = {}
    shown: dict[tuple[str, str], int] = {}
    others: set[int] = set()
    for line, fields in lines_of(text):
        if tuple(fields[-len(_TAIL) :]) == _TAIL:
            continue
        session, item, stimulus, score, time, _ = fields[-len(_TAIL) :] if len(fields) > len(_TAIL) else [""] * 6
        value = number(score)
        if not session or not item or not stimulus or value != value:
            read.broken.append(f"line {line}")
            continue
        if len(fields) != width:
            others.add(len(fields))
        page = pages.setdefault(session, {}).setdefault(item, len(pages[session]) + 1)
        shown[session, item] = shown.get((session, item), 0) + 1
        read.rows.append(
            Vote(
                session, session, item, stimulus, value, block=fields[0], page=page, position=shown[session, item],
                seconds=milliseconds(time), source=path.name,
            )
        )  # fmt: skip
    if others:
        read.notes.append(
            f"{path.name}: lines of {', '.join(map(str, sorted(others)))} fields under a header of {width}: the "
            "questionnaire was changed under one testId; ratings are read from the end of each line"
        )
    return read.finish(path)


def is_pymushra_csv(text: str) -> bool:
    """Whether this is pymushra's CSV, whose columns come in any order."""
    return {"responses_stimulus", "responses_score", "questionaire_uuid"} <= set(header_of(text, ";"))


def read_pymushra_csv(path: Path) -> Read:
    """Read the CSV that pymushra's administration page hands out."""
    rows = lines_of(text_of(path), ";")
    _, header = next(rows)
    return _pymushra(path, ((f"line {line}", dict(zip(header, fields, strict=False))) for line, fields in rows))


def is_pymushra_json(content: Any) -> bool:
    """Whether decoded JSON is pymushra's: the records it hands out, or its database of tests."""
    if isinstance(content, list):
        return bool(content) and isinstance(content[0], dict) and "responses_stimulus" in content[0]
    tables = list(content.values()) if isinstance(content, dict) else []
    return bool(tables) and all(isinstance(table, dict) for table in tables) and any(_trials(content))


def read_pymushra_json(path: Path) -> Read:
    """Read the JSON that pymushra's administration page hands out, or its database."""
    content = json.loads(text_of(path))
    if isinstance(content, list):
        return _pymushra(path, ((f"record {index + 1}", record) for index, record in enumerate(content)))
    records = (
        (
            f"trial {name}",
            {
                "questionaire_uuid": trial.get("questionaire", {}).get("uuid"),
                **{f"wm_{key}": value for key, value in trial.items() if isinstance(value, str | int | float)},
                **{f"responses_{key}": value for key, value in response.items()},
            },
        )
        for name, trial in _trials(content)
        for response in trial["responses"]
    )
    return _pymushra(path, records)


def _trials(content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for table in content.values():
        for name, trial in table.items() if isinstance(table, dict) else ():
            if isinstance(trial, dict) and isinstance(trial.get("responses"), list):
                yield name, trial


def _pymushra(path: Path, records: Iterator[tuple[str, Mapping[str, Any]]]) -> Read:
    """The ratings of flat records; names that look like numbers have been changed by pymushra."""
    read = Read()
    shown: dict[tuple[str, str], int] = {}
    for where, record in records:
        if str(record.get("wm_type") or "mushra") != "mushra":
            continue
        session, item, stimulus = (
            _text(record.get(key)) for key in ("questionaire_uuid", "wm_id", "responses_stimulus")
        )
        value = number(_text(record.get("responses_score")))
        if not session or not item or not stimulus or value != value:
            read.broken.append(where)
            continue
        # pymushra names the configuration, which is the block of a test in blocks.
        block = Path(_text(record.get("wm_config")) or _text(record.get("wm_testId"))).stem
        shown[session, item] = shown.get((session, item), 0) + 1
        read.rows.append(
            Vote(
                session, session, item, stimulus, value, block=block, position=shown[session, item],
                seconds=milliseconds(_text(record.get("responses_time"))), source=path.name,
            )
        )  # fmt: skip
    changed = looks_numeric([name for row in read.rows for name in (row.item, row.system)])
    if changed:
        read.notes.append(
            f"{path.name}: {', '.join(changed[:4])} may not be what the test called it: pymushra turns names that look "
            "like numbers into numbers"
        )
    return read.finish(path)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def decode(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        BenchError: If it is none.
    """
    try:
        return json.loads(text_of(path))
    except ValueError as error:
        raise BenchError(f"{path} is not JSON", str(error), "name the file as the program wrote it") from None
