"""The errors a user meets: what is wrong, what was found, how to fix it."""

from __future__ import annotations


class BenchError(Exception):
    """A problem the user can act on; printed as one line, without a traceback.

    Args:
        what: What is wrong, naming the file, clip, system or metric.
        found: What was found instead of what was expected.
        fix: What the user can do about it.
        exit_code: Process exit code when this error ends a command: 1 something failed, 2 usage or
            preflight.
    """

    def __init__(self, what: str, found: str = "", fix: str = "", exit_code: int = 2) -> None:
        self.what = _one_line(what)
        self.found = _one_line(found)
        self.fix = _one_line(fix)
        self.exit_code = exit_code
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.what
        if self.found:
            text += f": {self.found}"
        if self.fix:
            text += f" (fix: {self.fix})"
        return text

    def __reduce__(self) -> tuple[type[BenchError], tuple[str, str, str, int]]:
        # Exceptions cross process borders by their constructor's arguments, not by their message.
        return type(self), (self.what, self.found, self.fix, self.exit_code)


class Unscored(Exception):  # noqa: N818 - a status, not an error
    """A metric has no value for this clip, and that is not a fault: the reason says why.

    Raised inside ``Metric.measure``, for example for a silent reference; the row gets the status
    ``unscored``, stays out of the mean and is counted.
    """


def _one_line(text: str) -> str:
    return " ".join(str(text).split())
