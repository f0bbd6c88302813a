"""The first stage of a run: systems turn clips into audio on disk, one journal row for each clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from ldmbench.clips.clip import Clip
from ldmbench.host import interrupt
from ldmbench.host.apart import Apart
from ldmbench.host.progress import Advance, progress
from ldmbench.host.together import Together
from ldmbench.metrics.tokens import changes_of
from ldmbench.probes import embedder
from ldmbench.runs.crew import Crew
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.keep import held, keep
from ldmbench.runs.overlap import Pending, make_in_lanes
from ldmbench.runs.plan import Plan
from ldmbench.runs.produce import Made
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.runs.shard_writer import open_writer
from ldmbench.runs.store import is_run
from ldmbench.runs.studio import Here, NotReadyError, Studio
from ldmbench.runs.verify import changed_outputs
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
    crew: Crew | None = None,
    apart: Apart | None = None,
) -> list[tuple[str, str]]:
    """Produce every output that is not in the journal yet.

    Time and memory are recorded only at a batch of 1, where they belong to one clip.

    Args:
        plan: What to do, and where each system runs.
        options: How many clips a system gets at once, and whether those that failed are tried again.
        build: How a spec becomes a system.
        isolate: Let systems work in another process, which may crash, hang or leave; ``build`` must be importable.
        part: Planned clips to produce now, in this order; all of them where None. Systems are set up with all.
        crew: Who works where systems are isolated and work at several places; None for one after the other here.
        apart: Whose process isolated systems may have.

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
                writer = stack.enter_context(open_writer(path, info, options.part, options.batch))
                if clips := pending(path, wanted, options.retry_failed, changes):
                    jobs.append(Pending(spec, writer, clips))
                else:
                    writer.set_problem("")
            except BrokenRunError as error:
                not_started.append((spec.label, str(error)))
        advance = stack.enter_context(progress("generate", sum(len(job.clips) for job in jobs), options.quiet))
        if crew is not None and isolate:
            return not_started + make_in_lanes(plan, jobs, options, build, crew, advance)
        if not isolate:
            return not_started + _one_by_one(Here(plan.clips, build), jobs, options, advance)
        child = None if apart is None else apart.child
        studio = stack.enter_context(Studio(plan.clips, build, options.timeout, child))
        return not_started + _one_by_one(studio, jobs, options, advance)


def _one_by_one(
    studio: Here | Studio, jobs: Sequence[Pending], options: Options, advance: Advance
) -> list[tuple[str, str]]:
    """Make what is pending, one system after the other; (system, message) of those that could not be set up."""
    not_started = []
    for job in jobs:
        label, rest = job.spec.label, len(job.clips)
        try:
            job.writer.set_parameters(studio.start(job.spec))
            job.writer.set_problem("")
            with Together(partial(keep, job.writer, job.spec), held) as storing:
                for made in _made(studio, job.clips, options.batch):
                    interrupt.check()
                    storing.put(made)
                    advance(1, label)
                    rest -= 1
        except NotReadyError as error:
            job.writer.set_problem(str(error))
            not_started.append((label, str(error)))
            advance(rest, label)
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


def _made(studio: Here | Studio, clips: Sequence[Clip], batch: int) -> Iterator[Made]:
    """What becomes of clips that a system gets in batches; many batches of one are asked for with one question."""
    size = batch if batch > 1 else _ONE_BY_ONE
    for start in range(0, len(clips), size):
        yield from studio.process(clips[start : start + size], batch == 1)
