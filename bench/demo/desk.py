"""The one place where trials are carried out: one at a time, each of which its visitor can cancel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from ldmbench.demo import trial
from ldmbench.demo.home import Served
from ldmbench.demo.settings import Settings
from ldmbench.demo.trial import Event
from ldmbench.host.child import Child
from ldmbench.runs.request import Request


class CancelledError(Exception):
    """A visitor cancelled a trial."""


class Desk:
    """Trials of all visitors; use as a context manager.

    Args:
        settings: What the server is told.
        home: Its folder.
    """

    def __init__(self, settings: Settings, home: Path) -> None:
        self.settings = settings
        self.home = home
        self.served = Served(home)
        self._child = Child()
        self._one_at_a_time = threading.Lock()
        self._cancelled: dict[str, threading.Event] = {}

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

    def begin(self, visitor: str) -> None:
        """A visitor asks for something; what he cancelled before is of no matter to it."""
        self._cancelled[visitor] = threading.Event()

    def cancel(self, visitor: str) -> None:
        """End a visitor's trial, now or as soon as its turn comes; also where he left, and nobody waits for it."""
        if (event := self._cancelled.get(visitor)) is not None:
            event.set()

    def carry_out(self, request: Request, visitor: str) -> Iterator[Event]:
        """What happens, as it happens.

        Raises:
            CancelledError: If the visitor cancelled it; what runs are finished stay.
            RuntimeError: If the process that works ended.
        """
        cancelled = self._cancelled.setdefault(visitor, threading.Event())
        with self._one_at_a_time:
            steps = str(self.home / "steps.txt")
            events = self._child.ask(trial.carry, request, self.settings.options, steps)
            try:
                while True:
                    if cancelled.is_set():
                        raise CancelledError
                    event = next(events, None)
                    if event is None:
                        return
                    yield event
            finally:
                # What is not read to its end is ended, with everything that it started.
                events.close()
                if self._cancelled.get(visitor) is cancelled and not cancelled.is_set():
                    del self._cancelled[visitor]
