"""A comparison as a terminal table, Markdown, JSON, JUnit XML, and what GitHub shows of it."""

from __future__ import annotations

from pathlib import Path

from ldmbench.compare.records import Comparison
from ldmbench.errors import BenchError
from ldmbench.reports.compare.github import announce
from ldmbench.reports.compare.junit import to_junit
from ldmbench.reports.compare.links import NO_LINKS, Links
from ldmbench.reports.compare.text import to_json, to_markdown, to_terminal

__all__ = ["NO_LINKS", "to_json", "to_junit", "to_markdown", "to_terminal", "write"]


def write(comparison: Comparison, markdown: Path | None, junit: Path | None, links: Links = NO_LINKS) -> list[str]:
    """Write the files asked for, and what GitHub Actions reads where it runs; returns lines for the error stream.

    Args:
        comparison: What was found.
        markdown: File for a pull request's comment.
        junit: File of JUnit XML.
        links: To the clips on a page.

    Raises:
        BenchError: If a file cannot be written.
    """
    lines = []
    for path, make in ((markdown, to_markdown), (junit, to_junit)):
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make(comparison, links), encoding="utf-8")
        except OSError as error:
            raise BenchError(f"cannot write {path}", error.strerror or str(error), exit_code=1) from None
        lines.append(f"wrote {path}")
    return lines + announce(comparison, links)
