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

from ldmbench.errors import describe
from ldmbench.host.child import make_expendable
from ldmbench.host.orphans import die_with_parent, end_tree

T = TypeVar("T")
R = TypeVar("R")

#: Libraries with thread pools of their own; one thread each, since the processes fill the cores.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

#: Times that workers which never take a task are started anew.
_TRIES = 3


class WorkerDiedError(RuntimeError):
    """A worker process ended without an answer, as after a segmentation fault or out of memory, or took too long."""


class Executor(Protocol):
    """Runs a function on tasks and yields ``(index, result or exception)`` in any order."""

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], limits: Sequence[float] | None = None
    ) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task; a task that fails does not stop the others.

        Args:
            function: What to do.
            tasks: To what.
            limits: Seconds that each task may take; only another process can be held to them.
        """
        ...


class Serial:
    """Runs the tasks here, one after the other."""

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], limits: Sequence[float] | None = None
    ) -> Iterator[tuple[int, R | Exception]]:
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

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], limits: Sequence[float] | None = None
    ) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task as it finishes.

        A task whose worker dies or takes longer than its limit is tried once more alone; if that happens again its
        result is ``WorkerDiedError`` and the others go on. Only a few tasks are in flight at a time, so memory does not
        grow with their number.
        """
        waiting = deque(range(len(tasks)))
        in_vain = 0
        while waiting:
            before = len(waiting)
            suspects, late = yield from self._until_broken(function, tasks, limits, waiting)
            in_vain = in_vain + 1 if len(waiting) == before else 0
            if in_vain == _TRIES:
                raise WorkerDiedError("worker processes end as soon as they are started")
            if late and len(suspects) == 1 and limits is not None:
                yield suspects[0], _too_late(limits[suspects[0]])
                continue
            for index in suspects:
                lone = deque([index])
                dead, late = yield from Processes(1)._until_broken(function, tasks, limits, lone)
                if dead and late and limits is not None:
                    yield index, _too_late(limits[index])
                elif dead:
                    yield index, WorkerDiedError("the worker process died (segmentation fault or out of memory)")

    def _until_broken(
        self, function: Callable[[T], R], tasks: Sequence[T], limits: Sequence[float] | None, waiting: deque[int]
    ) -> Generator[tuple[int, R | Exception], None, tuple[list[int], bool]]:
        """Work ``waiting`` off; if a worker dies or all are late, return what was in flight, and which it was."""
        pending: dict[Future[R], int] = {}
        # A single worker has a single task: if it dies, there is no doubt about whose doing it was.
        in_flight = 2 * self.jobs if self.jobs > 1 else 1
        ready: list[Future[None]] = []
        with _one_thread_each(), _pool(self.jobs) as pool:
            try:
                if limits is not None:
                    # The time it takes to start is not the tasks'.
                    ready = [pool.submit(_ready, function) for _ in range(min(self.jobs, len(waiting)))]
                    wait(ready, return_when=FIRST_COMPLETED)
                while waiting or pending:
                    while waiting and len(pending) < in_flight:
                        pending[pool.submit(_call, function, tasks[waiting[0]])] = waiting[0]
                        waiting.popleft()
                    # Who finishes takes the next task: while something finishes within the longest limit, at least
                    # one worker is well, and the others are looked at when it has nothing left to do.
                    limit = None if limits is None else max(limits[index] for index in pending.values())
                    finished = wait(pending, limit, FIRST_COMPLETED).done
                    if not finished:
                        _end_workers(pool)
                        return sorted(pending.values()), True
                    for future in finished:
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
                return sorted(pending.values()), False
        return [], False


def _too_late(limit: float) -> WorkerDiedError:
    return WorkerDiedError(f"took longer than {limit:g} s and was ended")


def _ready(function: Callable[[T], R]) -> None:
    """In the worker: nothing, once it has started and what the function needs is imported."""


def _call(function: Callable[[T], R], task: T) -> R:
    """In the worker: the function, with errors that survive the way back."""
    try:
        return function(task)
    except BaseException as error:
        lasting = portable(error)
        if lasting is error:
            raise
        raise lasting from None


def portable(error: BaseException) -> Exception:
    """An exception as another process can have it: itself, or what it says in a ``RuntimeError``."""
    if not isinstance(error, Exception):
        # No keyboard reaches a worker; what only a process may raise is its task's error here.
        return RuntimeError(describe(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        # An exception that cannot be unpickled would look like a dead worker to the parent.
        return RuntimeError(describe(error))
    return error


def executor(jobs: int, tasks: int, alone: Executor | None = None) -> Executor:
    """Processes where there are several jobs and more than one task, otherwise ``alone``, or else this process."""
    jobs = min(jobs, tasks)
    return Processes(jobs) if jobs > 1 else alone or Serial()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    import multiprocessing

    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        yield pool
    except (KeyboardInterrupt, GeneratorExit):
        # Whoever interrupts does not want to wait for the longest task in flight.
        _end_workers(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_workers(pool: ProcessPoolExecutor) -> None:
    """Kill the workers of a pool with all they started; a worker that hangs hears no milder signal."""
    for pid in list(pool._processes or ()):
        end_tree(pid)


def _begin() -> None:
    """In a worker: it ends with the parent, and what it prints is no part of a table.

    Ctrl-C reaches the whole process group; the parent alone decides what happens.
    """
    import signal
    import sys

    die_with_parent()
    make_expendable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    sys.stdout = sys.stderr


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Environment that children inherit; libraries read it when they are loaded, so it must be there before."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
