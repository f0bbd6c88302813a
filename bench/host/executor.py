"""One ``map`` over independent tasks: in this process, or in processes of their own."""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: Libraries with thread pools of their own; one thread each, since the processes fill the cores.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerDiedError(RuntimeError):
    """A worker process ended without an answer, as after a segmentation fault or out of memory."""


class Executor(Protocol):
    """Runs a function on tasks and yields ``(index, result or exception)`` in any order."""

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task; a task that fails does not stop the others."""
        ...


class Serial:
    """Runs the tasks here, one after the other."""

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task, in order."""
        for index, task in enumerate(tasks):
            try:
                yield index, function(task)
            except Exception as error:
                yield index, error


class Processes:
    """Runs the tasks in ``jobs`` freshly started processes (never forked: libgomp hangs in forked children)."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task as it finishes.

        A task whose worker dies is tried once more alone; if it dies again its result is ``WorkerDiedError`` and the
        others go on. Only a few tasks are in flight at a time, so memory does not grow with their number.
        """
        waiting = deque(range(len(tasks)))
        while waiting:
            suspects = yield from self._until_broken(function, tasks, waiting)
            for index in suspects:
                lone = deque([index])
                dead = yield from Processes(1)._until_broken(function, tasks, lone)
                if dead:
                    yield index, WorkerDiedError("the worker process died (segmentation fault or out of memory)")

    def _until_broken(
        self, function: Callable[[T], R], tasks: Sequence[T], waiting: deque[int]
    ) -> Generator[tuple[int, R | Exception], None, list[int]]:
        """Work ``waiting`` off; if a worker dies, return the tasks that were in flight."""
        pending: dict[Future[R], int] = {}
        with _one_thread_each(), _pool(self.jobs) as pool:
            try:
                while waiting or pending:
                    while waiting and len(pending) < 2 * self.jobs:
                        pending[pool.submit(_call, function, tasks[waiting[0]])] = waiting[0]
                        waiting.popleft()
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        error = future.exception()
                        if isinstance(error, BrokenProcessPool):
                            raise error
                        index = pending.pop(future)
                        if error is None:
                            yield index, future.result()
                        elif isinstance(error, Exception):
                            yield index, error
                        else:
                            raise error
            except BrokenProcessPool:
                return sorted(pending.values())
        return []


def _call(function: Callable[[T], R], task: T) -> R:
    """In the worker: the function, with errors that survive the way back."""
    try:
        return function(task)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            # An exception that cannot be unpickled would look like a dead worker to the parent.
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise


def executor(jobs: int, tasks: int) -> Executor:
    """Processes where there are several jobs and more than one task, otherwise this process."""
    jobs = min(jobs, tasks)
    return Processes(jobs) if jobs > 1 else Serial()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    import multiprocessing

    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupt)
    try:
        yield pool
    except (KeyboardInterrupt, GeneratorExit):
        # Whoever interrupts does not want to wait for the longest task in flight.
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches the whole process group; the parent alone decides what happens."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Environment that children inherit; libraries read it when they are loaded, so it must be there before."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
