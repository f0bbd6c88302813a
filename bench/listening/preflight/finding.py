"""One line of a preflight, as the commands print it."""

from __future__ import annotations

from ldmbench.runs.check import Finding


def ok(subject: str, text: str) -> Finding:
    """Something that is as it should be."""
    return Finding("ok", subject, text)


def warning(subject: str, text: str, fix: str = "") -> Finding:
    """Something that an organiser should know before anybody listens."""
    return Finding("warning", subject, text, fix)


def error(subject: str, text: str, fix: str = "") -> Finding:
    """Something that would cost sessions."""
    return Finding("error", subject, text, fix)
