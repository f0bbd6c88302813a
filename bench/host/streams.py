"""The standard output for answers alone: what code of others prints meanwhile goes to the error stream."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def no_noise() -> Iterator[None]:
    """In the body, whatever is printed, by Python or by a library of C, goes to the standard error stream."""
    sys.stdout.flush()
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
        os.dup2(kept, 1)
        os.close(kept)
