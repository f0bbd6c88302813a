"""Ctrl-C that is not lost: a library that is being loaded may swallow what Python raises for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pressed = threading.Event()


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed.

    A class of its own: once a ``KeyboardInterrupt`` itself has left code that ``exec`` runs from a text, as dataclasses
    and SciPy do, ``python -m`` ends by the signal, whatever exit code was asked for.
    """


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C raises ``Interrupted`` in the body, and ``check`` and the end of the body do from then on.

    Nothing changes in threads, which no signal reaches, and where Ctrl-C is ignored, as under ``nohup``.

    Raises:
        Interrupted: If Ctrl-C was pressed, whatever came of the body: an error may be its consequence.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _pressed.clear()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed = _pressed.is_set()
        _pressed.clear()
        if pressed:
            raise Interrupted


def check() -> None:
    """Raise ``Interrupted`` if Ctrl-C was pressed, whoever may have caught it.

    To be called before a result is stored: what was being loaded meanwhile may be half there, and the result wrong.

    Raises:
        Interrupted: If so.
    """
    if _pressed.is_set():
        raise Interrupted


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    _pressed.set()
    raise Interrupted
