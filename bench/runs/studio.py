"""Where systems work: in this process, or in one of their own, in which whatever they do leaves a row for each clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ldmbench.clips.clip import Clip
from ldmbench.clips.packed import PackedClips
from ldmbench.errors import BenchError
from ldmbench.host.child import Child, ChildEndedError
from ldmbench.runs import produce
from ldmbench.runs.produce import Made, Producer
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import SETUP_S
from ldmbench.system import beside
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Adapter


class NotReadyError(Exception):
    """A system cannot be set up; the message says why."""


class Here:
    """Systems in this process.

    Args:
        clips: Every planned clip, for setting systems up.
        build: How a spec becomes a system.
    """

    def __init__(self, clips: Sequence[Clip], build: Adapter) -> None:
        self._clips, self._build = clips, build
        self._producer: Producer | None = None

    def start(self, spec: SystemSpec) -> int | None:
        """Get a system ready; returns the number of its learned parameters."""
        self._producer = None  # Its memory is free before the next one needs some.
        try:
            self._producer = Producer(spec, self._build, self._clips)
        except BenchError as error:
            raise NotReadyError(str(error)) from None
        return self._producer.parameters

    def process(self, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        """Rows and sounds of a batch, or of clips one by one."""
        assert self._producer is not None, "start comes first"
        for batch in [[clip] for clip in clips] if alone else [clips]:
            yield from self._producer.process(batch, alone)


class Studio:
    """Systems in another process: whatever one of them does there, each of its clips has a row.

    Systems that come with ldmbench and load no weights share one process, which saves the start of another; every
    other system has its own, with the memory of its device to itself.

    Args:
        clips: Every planned clip, for setting systems up.
        build: How a spec becomes a system; importable.
        timeout: Seconds that a clip may take.
        child: A process to work in, which outlives a system that others may follow; one of its own where None.
    """

    def __init__(self, clips: Sequence[Clip], build: Adapter, timeout: float, child: Child | None = None) -> None:
        # Few systems look at all of them, and each is sent them anew.
        self._clips, self._build, self._timeout = PackedClips(clips), build, timeout
        self._child, self._lent = child or Child(), child is not None
        self._spec: SystemSpec | None = None
        self._closed = False

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lent and self._spec is not None and _shares(self._spec):
            return
        self.close()

    def close(self) -> None:
        """End the process for good, from any thread: what waits for it is interrupted."""
        self._closed = True
        self._child.end()

    def start(self, spec: SystemSpec) -> int | None:
        """Get a system ready, again if its process is killed from outside; returns the number of its parameters."""
        if self._spec is not None and not (_shares(self._spec) and _shares(spec)):
            self._child.end()
        self._spec = spec
        try:
            try:
                problem, parameters = self._set_up(spec)
            except ChildEndedError as error:
                if not error.from_outside:
                    raise
                problem, parameters = self._set_up(spec)
        except (RuntimeError, ValueError) as error:
            raise NotReadyError(f"{spec.label} while being set up: {error}") from None
        if problem:
            raise NotReadyError(problem)
        return parameters

    def _set_up(self, spec: SystemSpec) -> tuple[str, int | None]:
        """Why the system cannot be set up, or nothing, and the number of its learned parameters."""
        self._refuse_when_closed()
        question = (produce.start, spec, self._build, self._clips, beside.looked_into())
        answers: list[tuple[str, int | None]] = list(self._child.ask(*question, timeout=max(self._timeout, SETUP_S)))
        (answer,) = answers
        return answer

    def process(self, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        """Rows and sounds of a batch, or of clips one by one.

        After a crash in a batch each clip that has no row is tried alone; of clips that go one by one it is the first.
        """
        left = {clip.id: clip for clip in clips}
        while left:
            try:
                for made in self._ask(list(left.values()), alone):
                    del left[made[0].clip]
                    yield made
                return
            except RuntimeError as error:
                first = next(iter(left.values()))
                if alone or len(clips) == 1:
                    del left[first.id]
                    yield self._once_more(first, alone, error)
                    continue
            for clip in left.values():
                yield from self.process([clip], alone=False)
            return

    def _once_more(self, clip: Clip, alone: bool, error: RuntimeError) -> Made:
        """A clip whose process was killed from outside is tried again; another crash is the system's failure."""
        label = self._spec.label if self._spec else ""
        if isinstance(error, ChildEndedError) and error.from_outside:
            try:
                (made,) = self._ask([clip], alone)
            except RuntimeError as again:
                error = again
            else:
                return made
        return Made(OutputRow(clip.id, "failed", f"{label}: {error}"))

    def _ask(self, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        self._refuse_when_closed()
        if not self._child.started and self._spec is not None:
            self.start(self._spec)
        timeout = self._timeout * (1 if alone else len(clips))
        yield from self._child.ask(produce.process, clips, alone, timeout=timeout, each=alone)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise InterruptedError("closed")


def _shares(spec: SystemSpec) -> bool:
    """Whether a system may have another one's process after it."""
    # A folder of outputs has neither a module nor a program.
    ours = bool(spec.card.command) or not spec.card.module or spec.card.module.startswith("ldmbench.")
    return ours and not spec.card.weights
