"""A process of its own for code that may crash, hang or leave: asked for one thing at a time, it ends with us.

It is a fresh interpreter and no fork, and does not run the caller's script again, as ``multiprocessing`` would.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ldmbench.errors import describe
from ldmbench.host.homes import absolute_homes
from ldmbench.host.orphans import adopt_orphans, end_tree

#: Empty, unless this process may end without harm to a run.
_expendable: list[bool] = []

#: Seconds between two looks at whether the process is still there.
_LOOK = 0.5

#: How threads of OpenMP, which torch has, wait for each other there: libgomp lets them spin for milliseconds
#: on a core that somebody else wants. This is what it takes itself where it knows that there are too few cores.
_SPIN = ("GOMP_SPINCOUNT", "1000")


def is_expendable() -> bool:
    """Whether this process is one of those that code of others may end."""
    return bool(_expendable)


def make_expendable() -> None:
    """Say that this process is one."""
    _expendable.append(True)


class ChildEndedError(RuntimeError):
    """The process ended, or was ended, before it had answered.

    Attributes:
        from_outside: Whether it was killed as the system or a person does it (SIGKILL, SIGTERM): that need not be the
            doing of what ran in it, so that another try may succeed.
    """

    def __init__(self, text: str, from_outside: bool = False) -> None:
        super().__init__(text)
        self.from_outside = from_outside


class Child:
    """Runs module-level generator functions in another process; use as a context manager.

    What the functions keep in their modules stays there from one call to the next, until the process ends. Its
    standard output goes to our standard error stream.

    Args:
        environment: Variables of its own.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._lifeline = -1
        self._ending = threading.Lock()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(
        self,
        function: Callable[..., Iterator[Any]],
        *args: Any,
        timeout: float | None = None,
        each: bool = False,
    ) -> Generator[Any, None, None]:
        """Yield what ``function(*args)`` yields there; closed before its end, it ends the process.

        Args:
            function: A generator function that the process can import.
            args: Picklable arguments.
            timeout: Seconds for all of it; None for no limit.
            each: Whether every answer may take so long, from when it is waited for.

        Raises:
            ChildEndedError: If the process ended before it was done, or took too long and was ended.
            RuntimeError: If the function raised, with the kind and message of what it raised.
        """
        connection, process = self._start()
        deadline = None if timeout is None else time.monotonic() + timeout
        done = False
        try:
            try:
                connection.send((function, args))
            except OSError:
                raise self._ended(process) from None
            while True:
                if each and timeout is not None:
                    deadline = time.monotonic() + timeout
                kind, value = self._receive(connection, process, deadline, timeout)
                if kind == "end":
                    done = True
                    return
                if kind == "raised":
                    done = True
                    raise RuntimeError(value)
                yield value
        finally:
            if not done:  # Also where the caller is interrupted: an answer half read is of no use to the next.
                self.end()

    @property
    def started(self) -> bool:
        """Whether there is a process, with what was asked of it before."""
        return self._process is not None

    def end(self) -> None:
        """End the process with everything it started, from any thread; the next question starts another."""
        with self._ending:
            process, connection = self._process, self._connection
            self._process = self._connection = None
            if process is not None:
                end_tree(process.pid)
                process.wait()
            if connection is not None:
                connection.close()
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1

    def _start(self) -> tuple[Connection, subprocess.Popen[bytes]]:
        if self._process is not None and self._connection is not None:
            return self._connection, self._process
        ours, theirs = multiprocessing.Pipe()
        read, self._lifeline = os.pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from ldmbench.host.child import serve; serve({theirs.fileno()}, {read})"
        )
        sys.stderr.flush()
        try:
            # A session of its own: Ctrl-C reaches us alone, and whatever it starts ends with it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=(theirs.fileno(), read),
                env={**_waiting(), **os.environ, **absolute_homes(), **self._environment},
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(read)
        self._connection = ours
        return ours, self._process

    def _receive(
        self, connection: Connection, process: subprocess.Popen[bytes], deadline: float | None, timeout: float | None
    ) -> tuple[str, Any]:
        while True:
            left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
            try:
                if connection.poll(max(left, 0)):
                    answer: tuple[str, Any] = connection.recv()
                    return answer
            except Exception:  # Closed, or written to by something else than us.
                raise self._ended(process) from None
            # A process that it forked may hold the connection open after its end.
            if process.poll() is not None and not connection.poll(0):
                raise self._ended(process)
            if deadline is not None and time.monotonic() >= deadline:
                raise ChildEndedError(f"took longer than {timeout:g} s and was ended")

    @staticmethod
    def _ended(process: subprocess.Popen[bytes]) -> ChildEndedError:
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:
            return ChildEndedError("the connection to its process broke")
        if code >= 0:
            return ChildEndedError(f"ended its process with exit code {code}")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        outside = -code in (signal.SIGKILL, signal.SIGTERM)
        return ChildEndedError(f"its process was killed by {name}" + (" (out of memory?)" if outside else ""), outside)


def _waiting() -> dict[str, str]:
    """How threads wait, where nobody has said it."""
    return {} if "OMP_WAIT_POLICY" in os.environ else dict([_SPIN])


def serve(connection: int, lifeline: int) -> None:
    """In the other process: answer until the parent hangs up or ends.

    Args:
        connection: File descriptor of the connection.
        lifeline: File descriptor of a pipe that only the parent holds open.
    """
    make_expendable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent alone decides what Ctrl-C means.
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()
    adopt_orphans()
    ours, folder = os.getpid(), Path.cwd()
    channel = Connection(connection)
    while True:
        answer = _answered(channel, ours)
        with contextlib.suppress(OSError):
            os.chdir(folder)
        _send(channel, ours, answer)


def _answered(channel: Connection, owner: int) -> tuple[str, Any]:
    """Answer a question, of which nothing is held once it is done; how it ended."""
    try:
        function, args = channel.recv()
    except EOFError:
        os._exit(0)
    except BaseException as error:
        return "raised", describe(error)
    try:
        for item in function(*args):
            _send(channel, owner, ("item", item))
    except BaseException as error:
        return "raised", describe(error)
    return "end", None


def _send(channel: Connection, owner: int, answer: tuple[str, Any]) -> None:
    if os.getpid() != owner:
        os._exit(0)  # A fork that came back from the function: there is one answer.
    channel.send(answer)


def _watch(lifeline: int) -> None:
    """End this process, and what it started, when the parent is gone."""
    with contextlib.suppress(OSError):
        os.read(lifeline, 1)
    end_tree(os.getpid())
