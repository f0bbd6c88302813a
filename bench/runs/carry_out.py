"""Plans carried out: what is missing is generated, what is missing is measured, and the runs are read back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.apart import Apart
from ldmbench.metrics._base import load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.metrics.tokens import changes_of
from ldmbench.probes.embedder import build_embedder
from ldmbench.runs.crew import crew_of
from ldmbench.runs.estimate import took_of
from ldmbench.runs.generate import generate
from ldmbench.runs.identity import embedding_id
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.measure import measure, takes_several
from ldmbench.runs.plan import Plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.shard import Shard
from ldmbench.runs.shard_writer import open_writer
from ldmbench.runs.store import rows_in
from ldmbench.runs.writer import RunWriter
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Adapter
from ldmbench.system.registry import load_system

#: Clips at once at least, where embeddings are asked for.
BATCH = 16


def carry_out(
    plan: Plan, options: Options, part: Sequence[Clip] | None = None, build: Adapter = load_system
) -> list[Run]:
    """Generate and measure what a plan asks for; what earlier runs with the same IDs have done is not done again.

    Args:
        plan: What to do.
        options: How; device and weights are those that the plan's systems were resolved with.
        part: Planned clips to do now, in this order; all of them where None.
        build: How a spec becomes a system, in another process; of a suite that embeds this is given.

    Returns:
        The runs as they now are on disk, in the plan's order.

    Raises:
        BenchError: If a system was planned for another device or other weights, or a run folder cannot be written.
    """
    for spec in plan.specs:
        _refuse_other("device", spec, spec.device, options.device)
        if not spec.own_weights:
            _refuse_other("weights", spec, spec.weights, options.weights)
    options = replace(options, batch=_batch(plan.suite.task, options))
    if options.part is not None:
        part = options.part.part(plan.clips if part is None else part, options.batch)
    before, start = [rows_in(_journals(path, options)) for path in plan.paths], time.perf_counter()
    if plan.suite.task == "embed":
        build = partial(
            build_embedder, {spec.label: embedding_id(spec) for spec in plan.specs}, changes_of(plan.metrics)
        )
    broken: dict[Path, str] = {}
    with ExitStack() as stack:
        crew = stack.enter_context(crew_of(options))
        apart = stack.enter_context(Apart())
        problems = dict(generate(plan, options, build, isolate=True, part=part, crew=crew, apart=apart))
        generated = time.perf_counter()
        if takes_several(len(plan.paths) * len(plan.clips) * len(plan.metrics), options):
            # Others are started as it is: what systems have loaded need not lie beside what metrics load.
            apart.child.end()
        writers = []
        for path, info in zip(plan.paths, plan.runs, strict=True):
            try:
                writers.append(stack.enter_context(open_writer(path, info, options.part, options.batch)))
            except BrokenRunError as error:
                broken[path] = str(error)
        clips = plan.clips if part is None else part
        # A probe learns from whole datasets: it waits until the shards are joined.
        metrics = [name for name in plan.metrics if not (options.part and isinstance(load_metric(name), ProbeMetric))]
        measure([writer.path for writer in writers], clips, metrics, options, writers, apart, crew)
        _record_time(writers, options, dict(zip(plan.paths, before, strict=True)), start, generated)
    runs = []
    for path, info in zip(plan.paths, plan.runs, strict=True):
        done = Run(path, info, {}, {}, broken[path]) if path in broken else open_run(path)
        runs.append(replace(done, problem=done.problem or problems.get(info.system, "")))
    return runs


def part_of(run: Run, shard: Shard, options: Options) -> Run:
    """A run as if the clips of a shard were all of it."""
    clips = tuple(shard.part(run.info.clips, _batch(run.info.task, options)))
    ids = {clip.id for clip in clips}
    outputs = {clip: row for clip, row in run.outputs.items() if clip in ids}
    scores = {key: row for key, row in run.scores.items() if key[0] in ids}
    return replace(run, info=replace(run.info, clips=clips), outputs=outputs, scores=scores)


def _batch(task: str, options: Options) -> int:
    # Embeddings are not timed, since what is in the cache costs nothing; more at once costs fewer questions.
    return max(options.batch, BATCH) if task == "embed" else options.batch


def _journals(path: Path, options: Options) -> Path:
    """The folder whose journals are written."""
    return path if options.part is None else options.part.folder(path)


def _record_time(
    writers: Sequence[RunWriter],
    options: Options,
    before: Mapping[Path, tuple[int, int]],
    start: float,
    generated: float,
) -> None:
    """Record what each run took: its share, by rows, of the time of all."""
    now = time.perf_counter()
    after = {writer.path: rows_in(_journals(writer.path, options)) for writer in writers}
    made = sum(after[path][0] - before[path][0] for path in after)
    scored = sum(after[path][1] - before[path][1] for path in after)
    for writer in writers:
        (outputs, scores), (more_outputs, more_scores) = before[writer.path], after[writer.path]
        generate_s = (generated - start) * (more_outputs - outputs) / (made or 1)
        score_s = (now - generated) * (more_scores - scores) / (scored or 1)
        writer.add_took(took_of((outputs, scores), (more_outputs, more_scores), generate_s, score_s))


def _refuse_other(what: str, spec: SystemSpec, planned: object, wanted: object) -> None:
    """Raise ``BenchError`` where scoring would not happen as generating was planned."""
    if planned != wanted:
        found = f"{planned or 'the weights home'} in the plan, {wanted or 'the weights home'} in the options"
        raise BenchError(f"{spec.label}: plan and options differ in {what}", found, "prepare it with the same options")
