"""How a LaTeX table is divided over floats where a page cannot hold it."""

from __future__ import annotations

from collections.abc import Sequence

#: Points for a table on a page: of ``article`` on A4, the lowest of the usual classes (598), less its caption.
ROOM_PT = 550.0

#: Points from line to line at each type size, in any of the classes.
_LINES = {"small": 11.0, "footnotesize": 9.5, "scriptsize": 8.0}

#: Points of the rules of a tabular, of the space below it, and of a letter of the notes.
_RULES_PT, _BELOW_PT, _LETTER_PT = 16.0, 4.0, 4.3

#: Lines of text in the head: datasets, and titles in two lines.
_HEAD = 3.4


def block_height(lines: float, size: str) -> float:
    """Points of a tabular with so many lines below its head, and of the space after it."""
    return (lines + _HEAD) * _LINES[size] + _RULES_PT + _BELOW_PT


def notes_height(text: str, width: float) -> float:
    """Points of the notes below a table, in ``footnotesize``."""
    return (1 + len(text) * _LETTER_PT // width) * _LINES["footnotesize"]


def in_pages(lines: Sequence[float], size: str) -> list[list[int]]:
    """Indices of rows, by how many lines each takes, in parts that a page can hold; of about equal length."""
    room = (ROOM_PT - _RULES_PT - _BELOW_PT) / _LINES[size] - _HEAD
    # A third of the room may go to headings of groups.
    count = 1 if sum(lines) <= room else -(-int(sum(lines)) // int(room * 0.75))
    size_of_part = -(-len(lines) // count) if lines else 1
    return [list(range(start, min(start + size_of_part, len(lines)))) for start in range(0, len(lines), size_of_part)]


def in_floats(heights: Sequence[float], notes: float) -> list[list[int]]:
    """Indices of parts, those of one float together, in order; the notes stand below the last of them.

    Args:
        heights: Points of each part.
        notes: Points of the notes.
    """
    floats: list[list[int]] = [[]]
    used = 0.0
    for index, height in enumerate(heights):
        if floats[-1] and used + height > ROOM_PT:
            floats.append([])
            used = 0.0
        floats[-1].append(index)
        used += height
    if len(floats[-1]) > 1 and used + notes > ROOM_PT:
        floats.append([floats[-1].pop()])
    return floats
