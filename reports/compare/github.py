"""What GitHub Actions shows of a comparison: a step summary and annotations."""

from __future__ import annotations

import os
from pathlib import Path

from ldmbench.compare.records import Cell, Comparison
from ldmbench.errors import BenchError
from ldmbench.reports.compare.links import NO_LINKS, Links
from ldmbench.reports.compare.text import cell_name, cell_text, to_markdown, worst_lines


def announce(comparison: Comparison, links: Links = NO_LINKS) -> list[str]:
    """Append the step summary where ``GITHUB_STEP_SUMMARY`` names one; returns annotations where Actions runs.

    Source: docs.github.com, Workflow commands for GitHub Actions.
    """
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as handle:
                handle.write(to_markdown(comparison, links) + "\n")
        except OSError as error:
            raise BenchError(f"cannot write {summary}", error.strerror or str(error), exit_code=1) from None
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    return [line for cell in comparison.cells if (line := _annotation(comparison, cell, links))]


def _annotation(comparison: Comparison, cell: Cell, links: Links) -> str:
    if comparison.counts_against(cell) or cell.verdict == "not comparable":
        level = "error"
    elif cell.verdict == "undecided":
        level = "notice"
    else:
        return ""
    title = f"{cell.verdict}: {cell_name(cell)}"
    heard = [line for line in worst_lines(cell, links)[:1] if level == "error"]
    text = "; worst: ".join([cell_text(cell), *heard])
    return f"::{level} title={_escape(title, True)}::{_escape(text, False)}"


def _escape(text: str, inside_property: bool) -> str:
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(character, code)
    return text.replace(":", "%3A").replace(",", "%2C") if inside_property else text
