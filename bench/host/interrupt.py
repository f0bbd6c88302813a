"""Ctrl-C and SIGTERM that are not lost: a library that is being loaded may swallow what Python raises for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_pressed = threading.Event()

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers

#: Signals that end a run in an orderly way, with what Python does about them.
_DEFAULTS: dict[signal.Signals, _Handler] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed, or the process told to end (SIGTERM).

    A class of its own: once a ``KeyboardInterrupt`` itself has left code that ``exec`` runs from a text, as dataclasses
    and SciPy do, ``python -m`` ends by the signal, whatever exit code was asked for.
    """


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise ``Interrupted`` in the body, and ``check`` and the end of the body do from then on.

    Nothing changes in threads, which no signal reaches, and for a signal that is ignored, as Ctrl-C is under ``nohup``,
    or handled by somebody else.

    Raises:
        Interrupted: If Ctrl-C was pressed, whatever came of the body: an error may be its consequence.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number, default in _DEFAULTS.items() if main and signal.getsignal(number) == default]
    if not ours:
        yield
        return
    _pressed.clear()
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, _DEFAULTS[number])
        pressed = _pressed.is_set()
        _pressed.clear()
        if pressed:
            raise Interrupted


def check() -> None:
    """Raise ``Interrupted`` if there was a signal, whoever may have caught it.

    To be called before a result is stored: what was being loaded meanwhile may be half there, and the result wrong.

    Raises:
        Interrupted: If so.
    """
    if _pressed.is_set():
        raise Interrupted


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    _pressed.set()
    raise Interrupted


def from_keyboard(error: BaseException) -> bool:
    """Whether an exception is Ctrl-C; where Ctrl-C is ignored, as in workers, code that raises it means no keyboard."""
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
