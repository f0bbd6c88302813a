"""BeaqleJS: one JSON file for each session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ldmbench.listening.formats.table import Read, number
from ldmbench.listening.formats.webmushra import decode
from ldmbench.listening.votes import Vote


def is_beaqle(content: Any) -> bool:
    """Whether decoded JSON is a session of BeaqleJS's MUSHRA test."""
    return isinstance(content, list) and any(isinstance(item, dict) and "TestID" in item for item in content)


def read_beaqle(path: Path) -> Read:
    """Read a session: a list of test sets with the scores by file ID.

    The listener is called by the file: what they typed as their name or e-mail is not read. ``Runtime`` is in
    milliseconds. The paths of the sounds tell what the file IDs were.
    """
    read = Read(named_by=path)
    for index, page in enumerate(decode(path)):
        if not isinstance(page, dict) or "TestID" not in page:
            continue
        sounds = page.get("filename") or {}
        for position, (name, score) in enumerate((page.get("rating") or {}).items(), 1):
            value = number(str(score))
            if value != value:
                read.broken.append(f"{page['TestID']}, {name}")
                continue
            time = number(str(page.get("Runtime", "")))
            read.rows.append(
                Vote(
                    path.stem, path.stem, str(page["TestID"]), str(name), value, page=index + 1, position=position,
                    seconds=time / 1000 if time >= 0 else None, sound=str(sounds.get(name, "")), source=path.name,
                )
            )  # fmt: skip
    return read.finish(path)
