"""Pieces of GitHub Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def escape(text: str) -> str:
    """Text in one line that shows as it is, in a table's cell too."""
    for character in "\\`*_[]<>|#~":
        text = text.replace(
            character, f"\\{character}" if character not in "<>" else {"<": "&lt;", ">": "&gt;"}[character]
        )
    return " ".join(text.split())


def row(cells: Iterable[str]) -> str:
    """A line of a table, from cells that are escaped."""
    return f"| {' | '.join(cells)} |"
