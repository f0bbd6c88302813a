"""The standard output for answers alone: what code of others prints meanwhile goes to the error stream."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def no_noise() -> Iterator[None]:
    """In the body, whatever is printed, by Python or by a library of C, goes to the standard error stream."""
    _flush()
    try:
        kept = os.dup(1)
    except OSError:  # There is no standard output.
        yield
        return
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """Write what Python and C hold back for the standard output: where that is no terminal, C does until the end."""
    sys.stdout.flush()
    if os.name == "posix":
        import ctypes

        ctypes.CDLL(None).fflush(None)
