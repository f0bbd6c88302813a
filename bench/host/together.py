"""Items handed to a thread that works off whatever waits: while a disk is busy with some, more come together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

#: Items that are worked off at once, at most.
MOST = 64


class Together(Generic[T]):
    """Calls a function with what waits, in a thread of its own, in the order of ``put``; use as a context manager.

    The end of the block waits until everything is worked off, also where it ends with an error.

    Args:
        work: Called with one item or more, never from two threads at once.
        size: Bytes that an item holds while it waits.
        room: Bytes that may wait together; a larger item waits alone.

    Raises:
        Exception: What ``work`` raised, from the next ``put`` or from the end of the block; nothing is worked off
            after that.
    """

    def __init__(self, work: Callable[[list[T]], object], size: Callable[[T], int], room: int = 16 << 20) -> None:
        self._work, self._size, self._room = work, size, room
        self._changed = threading.Condition()
        self._waiting: list[T] = []
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Together[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        try:
            self._thread.join()
        except BaseException:  # Ctrl-C: what was handed over is worked off all the same.
            self._thread.join()
            raise
        if self._error is not None and error is not self._error:
            raise self._error

    def put(self, item: T) -> None:
        """Hand an item over, as soon as there is room."""
        size = self._size(item)
        with self._changed:
            while self._error is None and self._bytes and self._bytes + size > self._room:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            self._waiting.append(item)
            self._bytes += size
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait()
                if not self._waiting:
                    return
                items, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                self._work(items)
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._bytes -= sum(map(self._size, items))
                self._changed.notify_all()
