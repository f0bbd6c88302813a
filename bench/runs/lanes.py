"""Systems at work beside each other: a lane for each device or worker, to which batches are handed out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from ldmbench.clips.clip import Clip
from ldmbench.host.cluster import LostError
from ldmbench.host.spread import Answers
from ldmbench.runs.produce import Made
from ldmbench.runs.records import OutputRow
from ldmbench.runs.studio import NotReadyError, Studio
from ldmbench.system.card import SystemSpec

#: Times that clips may lose the lane they are in, together and then each alone.
_LOSSES = 3

#: Clips of a system that gets one at a time, that are handed to a lane together at most.
_ONE_BY_ONE = 16


class Lane(Protocol):
    """Where one system at a time works."""

    def ready(self, unneeded: Callable[[], bool]) -> bool:
        """Wait until it can be used; False as soon as nobody needs it any more."""
        ...

    def start(self, spec: SystemSpec) -> int | None:
        """Get a system ready; see ``Studio.start``."""
        ...

    def process(self, run: Path, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        """See ``Studio.process``; what is a file of the run folder already comes without its sound.

        Raises:
            LostError: If it is gone with what it worked on.
        """
        ...

    def end(self) -> None:
        """End it at once, from any thread."""
        ...


class NearLane:
    """A device of this machine, with a process for what works on it."""

    def __init__(self, studio: Studio, device: str) -> None:
        self._studio, self._device = studio, device

    def ready(self, unneeded: Callable[[], bool]) -> bool:
        """At once."""
        return not unneeded()

    def start(self, spec: SystemSpec) -> int | None:
        """Get a system ready on the device."""
        return self._studio.start(replace(spec, device=self._device))

    def process(self, run: Path, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        """Rows and sounds."""
        return self._studio.process(clips, alone)

    def end(self) -> None:
        """End the process."""
        self._studio.close()


@dataclass(frozen=True)
class Work:
    """Clips that a system gets together, or one by one.

    Attributes:
        position: Which system.
        clips: The clips.
        losses: How often their lane was lost.
    """

    position: int
    clips: tuple[Clip, ...]
    losses: int = 0


class Ready(NamedTuple):
    """A system is ready: how many learned parameters it has."""

    position: int
    parameters: int | None


class Problem(NamedTuple):
    """A system cannot be set up: why."""

    position: int
    message: str


class Output(NamedTuple):
    """What became of a clip."""

    position: int
    made: Made


Answer = Ready | Problem | Output


class Board:
    """What is still to be done, and what is being done; lanes take from it what fits what they have loaded."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._waiting: dict[int, deque[Work]] = {}
        for work in works:
            self._waiting.setdefault(work.position, deque()).append(work)
        self._holders: dict[int, int] = {}
        self._under_way = 0
        self._changed = threading.Condition()
        self._closed = False

    def is_finished(self) -> bool:
        """Whether nothing is left to do, nor may come back."""
        with self._changed:
            return self._closed or (not self._under_way and not any(self._waiting.values()))

    def take(self, current: int | None) -> Work | None:
        """Something to do, of the system ``current`` if there is; waits for what may come back, None at the end."""
        with self._changed:
            while True:
                open_ = [position for position, works in self._waiting.items() if works]
                if self._closed or (not open_ and not self._under_way):
                    return None
                if open_:
                    # Another system is one that fewest lanes have loaded.
                    fewest = min(open_, key=lambda position: (self._holders.get(position, 0), position))
                    chosen = current if current in open_ else fewest
                    if chosen != current:
                        self._let_go(current)
                        self._holders[chosen] = self._holders.get(chosen, 0) + 1
                    self._under_way += 1
                    return self._waiting[chosen].popleft()
                self._changed.wait(1.0)

    def done(self, back: Sequence[Work] = (), lost: int | None = None) -> None:
        """What was taken is done, but for what comes back; ``lost`` is the system that the lane does not hold now."""
        with self._changed:
            for work in back:
                self._waiting[work.position].appendleft(work)
            self._let_go(lost)
            self._under_way -= 1
            self._changed.notify_all()

    def drop(self, position: int) -> None:
        """Do nothing more of a system."""
        with self._changed:
            self._waiting[position].clear()

    def close(self) -> None:
        """Do nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _let_go(self, position: int | None) -> None:
        if position is not None and self._holders.get(position, 0):
            self._holders[position] -= 1


def works_of(pending: Sequence[Sequence[Clip]], batch: int, lanes: int) -> list[Work]:
    """The clips of each system in batches; of one by one so many together that all lanes end at about the same time."""
    works = []
    for position, clips in enumerate(pending):
        size = batch if batch > 1 else max(1, min(_ONE_BY_ONE, len(clips) // (4 * lanes)))
        works += [Work(position, tuple(clips[start : start + size])) for start in range(0, len(clips), size)]
    return works


def in_lanes(
    lanes: Sequence[Lane], works: Sequence[Work], specs: Sequence[SystemSpec], paths: Sequence[Path], alone: bool
) -> Iterator[Answer]:
    """Do all work in the lanes; what comes of it, as it comes.

    Args:
        lanes: Where; they are ended with the last answer.
        works: What.
        specs: The systems, by position.
        paths: Their run folders.
        alone: Whether clips go one by one.

    Raises:
        BenchError: If no lane can be had.
    """
    board = Board(works)
    answers: Answers[Answer] = Answers(4 * len(lanes))
    threads = [
        threading.Thread(target=_run, args=(lane, board, answers, specs, paths, alone), daemon=True) for lane in lanes
    ]
    for thread in threads:
        thread.start()
    try:
        yield from answers.until(threads)
    finally:
        board.close()
        for lane in lanes:
            lane.end()
        deadline = time.monotonic() + 5
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _run(
    lane: Lane,
    board: Board,
    answers: Answers[Answer],
    specs: Sequence[SystemSpec],
    paths: Sequence[Path],
    alone: bool,
) -> None:
    """In the thread of a lane: take work until there is none."""
    current: int | None = None
    try:
        while lane.ready(board.is_finished) and (work := board.take(current)) is not None:
            left = {clip.id: clip for clip in work.clips}
            lost, back = None, list[Work]()
            try:
                if work.position != current:
                    current = work.position
                    answers.put(Ready(current, lane.start(specs[current])))
                for made in lane.process(paths[current], work.clips, alone):
                    del left[made.row.clip]
                    answers.put(Output(current, made))
            except NotReadyError as error:
                answers.put(Problem(work.position, str(error)))
                board.drop(work.position)
                lost, current = current, None
            except LostError as error:
                lost, current = current, None
                back = _again(work, tuple(left.values()))
                if not back:
                    message = f"{specs[work.position].label}: its worker was lost {work.losses + 1} times ({error})"
                    answers.put(Output(work.position, Made(OutputRow(work.clips[0].id, "failed", message))))
            board.done(back, lost)
    except InterruptedError:
        pass
    except BaseException as error:
        if not answers.closed:
            answers.put(error)


def _again(work: Work, left: tuple[Clip, ...]) -> list[Work]:
    """What is tried again of work whose lane was lost: all, then each clip alone, then nothing."""
    if work.losses + 1 < _LOSSES:
        return [replace(work, clips=left, losses=work.losses + 1)]
    return [replace(work, clips=(clip,), losses=0) for clip in left] if len(work.clips) > 1 else []
