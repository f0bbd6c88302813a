"""How far a loop inside a clip is, for whoever started the process and wants to show it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeVar

#: Names the file in which loops say how far they are; without it they say nothing.
STEPS = "LDMBENCH_STEPS"

T = TypeVar("T")


def counted(items: Collection[T], what: str) -> Iterator[T]:
    """The items one by one; before each, where somebody asked for it, what is done and how much of it."""
    path = os.environ.get(STEPS)
    for index, item in enumerate(items):
        if path:
            _say(path, f"{what} {index} of {len(items)}")
        yield item
    if path:
        _say(path, f"{what} {len(items)} of {len(items)}")


def said(path: Path) -> str:
    """What was last said in a file, empty where nothing was."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _say(path: str, text: str) -> None:
    # What cannot be shown is no reason to stop.
    with contextlib.suppress(OSError):
        Path(path).write_text(text, encoding="utf-8")
