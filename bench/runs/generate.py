"""The first stage of a run: systems turn clips into audio on disk, one journal row for each clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, describe
from ldmbench.host import interrupt
from ldmbench.host.child import Child, ChildEndedError
from ldmbench.host.progress import progress
from ldmbench.host.together import Together
from ldmbench.metrics.tokens import changes_of
from ldmbench.probes import embedder
from ldmbench.runs import produce
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.plan import Plan
from ldmbench.runs.produce import Made, Producer
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import SETUP_S, Options
from ldmbench.runs.results import open_run
from ldmbench.runs.shard_writer import open_writer
from ldmbench.runs.store import RunWriter, is_run
from ldmbench.runs.verify import changed_outputs
from ldmbench.system import beside
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Adapter
from ldmbench.system.registry import load_system

#: Clips of a system that gets one at a time, that are sent to its process together.
_ONE_BY_ONE = 64


def generate(
    plan: Plan,
    options: Options,
    build: Adapter = load_system,
    isolate: bool = False,
    part: Sequence[Clip] | None = None,
) -> list[tuple[str, str]]:
    """Produce every output that is not in the journal yet.

    Time and memory are recorded only at a batch of 1, where they belong to one clip.

    Args:
        plan: What to do, and where each system runs.
        options: How many clips a system gets at once, and whether those that failed are tried again.
        build: How a spec becomes a system.
        isolate: Let systems work in another process, which may crash, hang or leave; ``build`` must be importable.
        part: Planned clips to produce now, in this order; all of them where None. Systems are set up with all.

    Returns:
        (system, message) of every system that could not be set up, or whose run cannot be read; its clips stay
        pending and the others go on.

    Raises:
        BenchError: If a run folder cannot be written or is in use.
    """
    not_started = []
    wanted = plan.clips if part is None else part
    changes = changes_of(plan.metrics)
    with ExitStack() as stack:
        jobs = []
        for spec, path, info in zip(plan.specs, plan.paths, plan.runs, strict=True):
            try:
                # What is pending is read while nobody else writes.
                writer = stack.enter_context(open_writer(path, info, options.shard, options.batch))
                jobs.append((spec, writer, pending(path, wanted, options.retry_failed, changes)))
            except BrokenRunError as error:
                not_started.append((spec.label, str(error)))
        studio = stack.enter_context(_Apart(plan, build, options)) if isolate else _Here(plan, build)
        advance = stack.enter_context(progress("generate", sum(len(clips) for _, _, clips in jobs), options.quiet))
        for spec, writer, clips in jobs:
            if not clips:
                writer.set_problem("")
                continue
            rest = len(clips)
            try:
                writer.set_parameters(studio.start(spec))
                writer.set_problem("")
                with Together(partial(_store, writer, spec), _bytes) as storing:
                    for made in _made(studio, clips, options.batch):
                        interrupt.check()
                        storing.put(made)
                        advance(1, spec.label)
                        rest -= 1
            except _NotReadyError as error:
                writer.set_problem(str(error))
                not_started.append((spec.label, str(error)))
                advance(rest, spec.label)
    return not_started


def pending(
    path: Path, clips: Sequence[Clip], retry_failed: bool = False, changes: Sequence[tuple[str, float]] = ()
) -> list[Clip]:
    """The clips that have no output in the run at ``path``, or whose output is gone or is another sound now.

    With ``retry_failed`` also those that failed; with ``changes`` embeddings that were made without these.
    """
    if not is_run(path):
        return list(clips)
    run = open_run(path)
    names = {clip.id for clip in clips}
    # Other clips are other shards' affair.
    run = replace(run, outputs={clip: row for clip, row in run.outputs.items() if clip in names})
    again = changed_outputs(run)
    again |= {clip for clip, row in run.outputs.items() if embedder.is_lost(row.details, changes)}
    if retry_failed:
        again |= {clip for clip, row in run.outputs.items() if row.status == "failed"}
    return [clip for clip in clips if clip.id not in run.outputs or clip.id in again]


def _made(studio: _Here | _Apart, clips: Sequence[Clip], batch: int) -> Iterator[Made]:
    """What becomes of clips that a system gets in batches; many batches of one are asked for with one question."""
    size = batch if batch > 1 else _ONE_BY_ONE
    for start in range(0, len(clips), size):
        yield from studio.process(clips[start : start + size], batch == 1)


def _bytes(made: Made) -> int:
    sound = 0 if made.sound is None else made.sound.samples.nbytes
    return sound + (0 if made.tokens is None else made.tokens.nbytes)


def _store(writer: RunWriter, spec: SystemSpec, made: Sequence[Made]) -> None:
    """Store rows with their sounds; what no file or record can hold is the clip's failure."""
    try:
        writer.add_outputs(made)
    except Exception as error:
        if len(made) > 1:  # Nothing of them is in the journal: what comes before the one to blame is to be there.
            for one in made:
                _store(writer, spec, [one])
            return
        if isinstance(error, BenchError):
            raise
        message = f"{spec.card.name} returned an output that cannot be stored: {describe(error)}"
        writer.add_output(OutputRow(made[0].row.clip, "failed", message))


class _NotReadyError(Exception):
    """A system cannot be set up; the message says why."""


class _Here:
    """Systems in this process."""

    def __init__(self, plan: Plan, build: Adapter) -> None:
        self._plan, self._build = plan, build
        self._producer: Producer | None = None

    def start(self, spec: SystemSpec) -> int | None:
        """Get a system ready; returns the number of its learned parameters."""
        self._producer = None  # Its memory is free before the next one needs some.
        try:
            self._producer = Producer(spec, self._build, self._plan.clips)
        except BenchError as error:
            raise _NotReadyError(str(error)) from None
        return self._producer.parameters

    def process(self, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        """Rows and sounds of a batch, or of clips one by one."""
        assert self._producer is not None, "start comes first"
        for batch in [[clip] for clip in clips] if alone else [clips]:
            yield from self._producer.process(batch, alone)


class _Apart:
    """Systems in another process: whatever one of them does there, each of its clips has a row.

    Systems that come with ldmbench and load no weights share one process, which saves the start of another; every
    other system has its own, with the memory of its device to itself.
    """

    def __init__(self, plan: Plan, build: Adapter, options: Options) -> None:
        self._plan, self._build, self._timeout = plan, build, options.timeout
        self._child = Child()
        self._spec: SystemSpec | None = None

    def __enter__(self) -> _Apart:
        return self

    def __exit__(self, *_: object) -> None:
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
            raise _NotReadyError(f"{spec.label} while being set up: {error}") from None
        if problem:
            raise _NotReadyError(problem)
        return parameters

    def _set_up(self, spec: SystemSpec) -> tuple[str, int | None]:
        """Why the system cannot be set up, or nothing, and the number of its learned parameters."""
        question = (produce.start, spec, self._build, self._plan.clips, beside.looked_into())
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
        if not self._child.started and self._spec is not None:
            self.start(self._spec)
        timeout = self._timeout * (1 if alone else len(clips))
        yield from self._child.ask(produce.process, clips, alone, timeout=timeout, each=alone)


def _shares(spec: SystemSpec) -> bool:
    """Whether a system may have another one's process after it."""
    ours = bool(spec.card.command) or spec.card.module.startswith("ldmbench.")
    return ours and not spec.card.weights
