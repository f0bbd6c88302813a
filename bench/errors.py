"""The errors a user meets: what is wrong, what was found, how to fix it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

#: What a terminal obeys: control sequences, titles and other strings, and two-character escapes (ECMA-48).
_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")

#: Characters of a message; a longer one is cut.
_LONGEST = 2000


def one_line(text: object) -> str:
    r"""``text`` on one line of at most 2,000 characters, without anything that a terminal obeys or no file can hold.

    Example:
        >>> one_line("\x1b[31mout of\n  memory\x1b[0m \ud800")
        'out of memory ?'
    """
    plain = _ESCAPES.sub("", str(text)).encode("utf-8", "replace").decode()
    line = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def describe(error: BaseException) -> str:
    """The kind and the message of an exception on one line, also where its message cannot be had."""
    try:
        text = one_line(error)
    except Exception as fault:
        text = f"its message cannot be read ({type(fault).__name__})"
    return one_line(f"{type(error).__name__}: {text}")


class BenchError(Exception):
    """A problem the user can act on; printed as one line, without a traceback.

    Args:
        what: What is wrong, naming the file, clip, system or metric.
        found: What was found instead of what was expected.
        fix: What the user can do about it.
        exit_code: Process exit code when this error ends a command: 1 something failed, 2 usage or
            preflight.
        details: What a machine is told beside that: plain values, such as the findings of a preflight.
    """

    def __init__(
        self, what: str, found: str = "", fix: str = "", exit_code: int = 2, details: Sequence[Any] = ()
    ) -> None:
        self.what = one_line(what)
        self.found = one_line(found)
        self.fix = one_line(fix)
        self.exit_code = exit_code
        self.details = tuple(details)
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.what
        if self.found:
            text += f": {self.found}"
        if self.fix:
            text += f" (fix: {self.fix})"
        return text

    def __reduce__(self) -> tuple[type[BenchError], tuple[Any, ...]]:
        # Exceptions cross process borders by their constructor's arguments, not by their message.
        return type(self), (self.what, self.found, self.fix, self.exit_code, self.details)


class Unscored(Exception):  # noqa: N818 - a status, not an error
    """A metric has no value for this clip, and that is not a fault: the reason says why.

    Raised inside ``Metric.measure``, for example for a silent reference; the row gets the status
    ``unscored``, stays out of the mean and is counted.
    """
