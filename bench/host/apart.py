"""Tasks one after the other in another process, which outlives them: what a task does there ends no run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ldmbench.host.child import Child, ChildEndedError
from ldmbench.host.executor import WorkerDiedError, portable

T = TypeVar("T")
R = TypeVar("R")


class Apart:
    """An ``Executor`` with one process, which keeps what it has loaded from task to task; use as a context manager.

    Unlike ``Processes`` it does not run the caller's script again.
    """

    def __init__(self) -> None:
        self._child = Child()
        self._ends = 0

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

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
        if not self._child.started and limit is not None:
            # The time it takes to start, and to import what the function needs, is not the task's.
            list(self._child.ask(_ready, function))
        ((result, error),) = self._child.ask(_answer, function, args, timeout=limit)
        if error is not None:
            raise error
        answer: R = result
        return answer


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
