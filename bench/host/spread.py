"""Items worked off by several workers at once, each in a thread that waits for it; answers come as they are ready."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")

#: Seconds between two looks at whether anybody still wants the answers.
_LOOK_S = 0.05


class Answers(Generic[A]):
    """A short queue from threads to the one that started them: who is ahead of it waits.

    Args:
        room: Answers that may wait.
    """

    def __init__(self, room: int) -> None:
        self._queue: queue.Queue[A | BaseException] = queue.Queue(room)
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether nobody wants answers any more."""
        return self._closed.is_set()

    def put(self, answer: A | BaseException) -> None:
        """Hand an answer over, or an exception that ends it all.

        Raises:
            InterruptedError: If nobody wants it any more.
        """
        while not self.closed:
            try:
                self._queue.put(answer, timeout=_LOOK_S)
                return
            except queue.Full:
                continue
        raise InterruptedError("nobody waits for the answer")

    def until(self, threads: Sequence[threading.Thread]) -> Iterator[A]:
        """What the threads hand over until all of them have ended; an exception among it is raised."""
        try:
            while True:
                running = any(thread.is_alive() for thread in threads)
                try:
                    answer = self._queue.get(timeout=_LOOK_S if running else 0.0)
                except queue.Empty:
                    if not running:
                        return
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                yield answer
        finally:
            self._closed.set()


def spread(workers: Sequence[Callable[[T], R]], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Yield each item with what a worker made of it, as it comes.

    Args:
        workers: Each works on one item at a time; a single one in this thread.
        items: Taken as workers become free.

    Raises:
        Exception: What a worker raised; nothing more is begun then.
    """
    if len(workers) == 1:
        yield from ((item, workers[0](item)) for item in items)
        return
    answers: Answers[tuple[T, R]] = Answers(2 * len(workers))
    source, lock = iter(items), threading.Lock()

    def work(worker: Callable[[T], R]) -> None:
        try:
            while not answers.closed:
                with lock:
                    item = next(source, answers)
                if isinstance(item, Answers):
                    return
                answers.put((item, worker(item)))
        except InterruptedError:
            return
        except BaseException as error:
            if not answers.closed:
                answers.put(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    yield from answers.until(threads)
