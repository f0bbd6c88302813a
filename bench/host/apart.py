"""Tasks one after the other in another process, which outlives them: what a task does there ends no run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

from ldmbench.host.child import Child, ChildEndedError
from ldmbench.host.executor import ONE_THREAD, WorkerDiedError, portable
from ldmbench.host.spread import spread

T = TypeVar("T")
R = TypeVar("R")


class Apart:
    """An ``Executor`` with one process, which keeps what it has loaded from task to task; use as a context manager.

    Unlike ``Processes`` it does not run the caller's script again.

    Attributes:
        child: Its process, which others may ask as well as long as no task is under way.

    Args:
        environment: Variables of its process.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.child = Child(environment)
        self._ends = 0
        self._closed = False

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.child.end()

    @property
    def ends(self) -> int:
        """How often the process was ended before it had answered: what it had loaded is gone then."""
        return self._ends

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], limits: Sequence[float] | None = None
    ) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task, in order; ``WorkerDiedError`` for one that ended its process or took too long.

        Args:
            function: What to do; importable.
            tasks: To what.
            limits: Seconds that each task may take, without the start of the process.
        """
        for index, task in enumerate(tasks):
            try:
                yield index, self.call(function, task, limit=None if limits is None else limits[index])
            except Exception as error:
                yield index, error

    def call(self, function: Callable[..., R], *args: Any, limit: float | None = None) -> R:
        """``function(*args)`` there; tried once more where the process is killed from outside.

        Raises:
            WorkerDiedError: If the process ended before it had answered, or took longer than ``limit`` seconds.
            Exception: What the function raised.
        """
        try:
            return self._once(function, args, limit)
        except ChildEndedError as error:
            self._ends += 1
            if not error.from_outside:
                raise WorkerDiedError(str(error)) from None
        try:
            return self._once(function, args, limit)
        except ChildEndedError as error:
            self._ends += 1
            raise WorkerDiedError(str(error)) from None

    def _once(self, function: Callable[..., R], args: tuple[Any, ...], limit: float | None) -> R:
        if self._closed:  # In another thread: a task that was interrupted is not tried again.
            raise InterruptedError("closed")
        if not self.child.started and limit is not None:
            # The time it takes to start, and to import what the function needs, is not the task's.
            list(self.child.ask(_ready, function))
        ((result, error),) = self.child.ask(_answer, function, args, timeout=limit)
        if error is not None:
            raise error
        answer: R = result
        return answer


class Team:
    """An ``Executor`` with several such processes, each with one task at a time; use as a context manager.

    Args:
        first: One that is there already, and stays.
        size: How many there are to be with it; the others have one thread for each library.
    """

    def __init__(self, first: Apart, size: int) -> None:
        self._first, self._size = first, size
        self._stack = ExitStack()

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], limits: Sequence[float] | None = None
    ) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task, as it is done; see ``Apart.map``."""

        def asking(apart: Apart) -> Callable[[int], R | Exception]:
            def ask(index: int) -> R | Exception:
                try:
                    return apart.call(function, tasks[index], limit=None if limits is None else limits[index])
                except InterruptedError:
                    raise
                except Exception as error:
                    return error

            return ask

        more = min(self._size, len(tasks)) - 1
        others = [self._stack.enter_context(Apart(dict.fromkeys(ONE_THREAD, "1"))) for _ in range(more)]
        yield from spread([asking(apart) for apart in (self._first, *others)], range(len(tasks)))


def _ready(function: Callable[..., Any]) -> Iterator[None]:
    """In the other process: nothing, once it has started and the function is there."""
    yield from ()


def _answer(function: Callable[..., R], args: tuple[Any, ...]) -> Iterator[tuple[R | None, Exception | None]]:
    """In the other process: the result, or what was raised as it survives the way back."""
    try:
        result = function(*args)
    except BaseException as error:
        yield None, portable(error)
        return
    yield result, None
