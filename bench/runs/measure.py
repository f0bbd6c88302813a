"""The second stage of a run: metrics turn audio on disk into score rows, computing only what is missing."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from ldmbench.audio import sound as audio_io
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored, describe, one_line
from ldmbench.host import interrupt
from ldmbench.host.executor import Executor, Processes, WorkerDiedError, executor
from ldmbench.host.progress import progress
from ldmbench.metrics._base import DeviceMetric, Metric, Value, from_package, load_metric
from ldmbench.runs.records import OutputRow, ScoreRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.store import RunWriter, read_tokens
from ldmbench.system.protocol import Cost, Output

#: Outputs of one clip that are scored in one task: enough to share the reference's work between systems.
_OUTPUTS_PER_TASK = 8

#: Clips handed to a metric with a model at once.
_BATCH = 16


@dataclass(frozen=True)
class Job:
    """Metrics still to be computed for one output.

    Attributes:
        position: Position of the output's run in the list of runs.
        row: The output.
        audio: Its file, None where there is none.
        metrics: Names of the metrics.
        parameters: Learned parameters of the system.
        tokens: File of its tokens, None where there is none.
    """

    position: int
    row: OutputRow
    audio: Path | None
    metrics: tuple[str, ...]
    parameters: int | None
    tokens: Path | None = None

    def refuse_other_reference(self, digest: str) -> None:
        """Raise ``BenchError`` if the reference is not the one the output was made for."""
        if self.row.reference and digest and digest != self.row.reference:
            raise BenchError(
                f"the reference of {self.row.clip} changed since the output was made",
                f"{digest[:12]}, it was {self.row.reference[:12]}",
                "run the suite again",
            )

    def output(self) -> Output:
        """The output as the metrics see it, read back from disk.

        Raises:
            BenchError: If it is gone or is not what the system made.
        """
        sound = audio_io.read(self.audio) if self.audio else None
        if sound is not None and sound.digest() != self.row.digest:
            raise BenchError(
                f"the output of {self.row.clip} changed since it was made",
                f"{self.audio} has {sound.digest()[:12]}, it was {self.row.digest[:12]}",
                "run the suite again",
            )
        return Output(
            sound,
            self.row.bits,
            # Read only where a metric looks at them.
            read_tokens(self.tokens) if self.tokens and any(map(_needs_tokens, self.metrics)) else None,
            tuple(self.row.codebooks),
            self.row.side_bits,
            self.row.nominal_kbps,
            details={**self.row.details, "token_count": self.row.tokens},
            path=self.audio,
            cost=Cost(self.row.seconds, self.row.peak_memory, self.parameters),
        )


@dataclass(frozen=True)
class Task:
    """The jobs of one clip, which share the clip's decoded and resampled reference."""

    clip: Clip
    jobs: tuple[Job, ...]

    def parts(self) -> list[Task]:
        """A task for each score."""
        return [Task(self.clip, (replace(job, metrics=(name,)),)) for job in self.jobs for name in job.metrics]


def measure(
    paths: Sequence[Path], clips: Sequence[Clip], metrics: Sequence[str], options: Options, writers: Sequence[RunWriter]
) -> None:
    """Compute every missing score of the runs at ``paths`` and append it to their journals.

    Args:
        paths: Run folders.
        clips: The clips, as planned.
        metrics: Names of the metrics.
        options: Where and how.
        writers: Open writers of the same runs.
    """
    runs = [open_run(path) for path in paths]
    local = [name for name in metrics if not isinstance(load_metric(name), DeviceMetric)]
    tasks = missing(runs, clips, local, options.retry_failed)
    # The longest first: the last tasks to finish are then short ones, and no core waits for a long one.
    tasks.sort(key=_weight, reverse=True)
    total = sum(len(job.metrics) for task in tasks for job in task.jobs)
    apart = any(from_package(name) for name in local)
    with progress("score", total, options.quiet) as advance:
        for task, rows in _scored(executor(options.jobs, len(tasks), apart), tasks, options.timeout):
            interrupt.check()
            for position in {position for position, _ in rows}:
                writer = writers[position]
                writer.add_scores(_kept(writer, row) for owner, row in rows if owner == position)
            advance(len(rows), task.clip.id)
    _measure_on_device(runs, clips, [name for name in metrics if name not in local], options, writers)


def _scored(
    workers: Executor, tasks: Sequence[Task], timeout: float
) -> Iterator[tuple[Task, list[tuple[int, ScoreRow]]]]:
    """The rows of each task; one whose worker died is taken apart, so that only what kills or stalls it has failed.

    A task that takes longer than ``timeout`` is taken apart as well: each of its scores then has as long for itself.
    """
    limits = [timeout] * len(tasks)
    for index, result in workers.map(score, tasks, limits):
        task = tasks[index]
        parts = task.parts()
        if isinstance(result, WorkerDiedError) and len(parts) > 1:
            yield task, [row for _, rows in _scored(Processes(1), parts, timeout) for row in rows]
        else:
            yield task, list(_all_failed(task, result)) if isinstance(result, Exception) else result


def missing(
    runs: Sequence[Run], clips: Sequence[Clip], metrics: Sequence[str], retry_failed: bool = False
) -> list[Task]:
    """What is not in the journals yet, or was computed by another version of a metric, or for another output.

    With ``retry_failed`` also what failed.
    """
    tasks = []
    for clip in clips:
        jobs = []
        for position, run in enumerate(runs):
            row = run.outputs.get(clip.id)
            if row is None or row.status != "ok":
                continue
            names = tuple(name for name in metrics if _wanted(run, clip, name, retry_failed))
            if names:
                file = run.path / row.token_file if row.token_file else None
                jobs.append(Job(position, row, run.audio_path(clip.id), names, run.info.parameters, file))
        for start in range(0, len(jobs), _OUTPUTS_PER_TASK):
            tasks.append(Task(clip, tuple(jobs[start : start + _OUTPUTS_PER_TASK])))
    return tasks


def score(task: Task) -> list[tuple[int, ScoreRow]]:
    """Score the outputs of one clip; (position of the run, row) for every job and metric."""
    from threadpoolctl import threadpool_limits

    rows: list[tuple[int, ScoreRow]] = []
    # One thread, here as in worker processes: the number of threads can change the last digit of a sum.
    with threadpool_limits(1):
        clip = task.clip.load() if task.clip.path is not None else task.clip
        digest = clip.loaded.digest() if clip.loaded is not None else ""
        for job in task.jobs:
            try:
                job.refuse_other_reference(digest)
                output = job.output()
            except BenchError as error:
                rows += _all_failed(Task(clip, (job,)), error)
                continue
            for name in job.metrics:
                rows.append((job.position, _score_one(_metric(name), clip, output, job.row)))
    return rows


def _score_one(metric: Metric, clip: Clip, output: Output, row: OutputRow) -> ScoreRow:
    facts = metric.facts
    try:
        value = _plain(metric.measure(clip, output), facts.kind)
    except BaseException as error:
        if interrupt.from_keyboard(error):
            raise
        return _without_value(clip, facts.name, facts.version, row, error)
    return ScoreRow(clip.id, facts.name, facts.version, "ok", value, output=row.digest)


def _without_value(clip: Clip, name: str, version: int, row: OutputRow, error: BaseException) -> ScoreRow:
    if isinstance(error, Unscored):
        return ScoreRow(clip.id, name, version, "unscored", message=one_line(error), output=row.digest)
    message = str(error) if isinstance(error, BenchError | WorkerDiedError) else describe(error)
    logging.getLogger(__name__).debug("%s of %s failed", name, clip.id, exc_info=error)
    return ScoreRow(clip.id, name, version, "failed", message=message, output=row.digest)


def _plain(value: Value, kind: str) -> float | list[float]:
    """A value as the journal holds it; another shape, or a number that is not finite, is a fault of the metric."""
    array = np.asarray(value, np.float64)
    if array.shape != {"mean": (), "largest": (), "ratio": (2,)}.get(kind, (array.size,)):
        raise ValueError(f"the metric returned an array {array.shape} as its {kind} value")
    if not np.isfinite(array).all():
        raise ValueError(f"the metric returned {value}")
    return float(array) if array.ndim == 0 else [float(number) for number in array]


def _all_failed(task: Task, error: Exception) -> Iterator[tuple[int, ScoreRow]]:
    """Rows for a task that ended without an answer, for a reference or output file that went missing, say."""
    for job in task.jobs:
        for name in job.metrics:
            yield job.position, _without_value(task.clip, name, _metric(name).facts.version, job.row, error)


def _wanted(run: Run, clip: Clip, name: str, retry_failed: bool) -> bool:
    facts = _metric(name).facts
    if not facts.applies_to(clip.content):
        return False
    row = run.scores.get((clip.id, name))
    return row is None or row.version != facts.version or (retry_failed and row.status == "failed")


def _measure_on_device(
    runs: Sequence[Run], clips: Sequence[Clip], names: Sequence[str], options: Options, writers: Sequence[RunWriter]
) -> None:
    """Metrics with a model: in this process, in batches of similar length, each decoded once for all metrics."""
    jobs = [(task.clip, job) for task in missing(runs, clips, names, options.retry_failed) for job in task.jobs]
    if not jobs:
        return
    wanted = {name for _, job in jobs for name in job.metrics}
    loaded = {name: load_metric(name) for name in names if name in wanted}
    metrics = {name: metric for name, metric in loaded.items() if isinstance(metric, DeviceMetric)}
    for metric in metrics.values():
        metric.configure(options.device, options.weights)
    jobs.sort(key=lambda pair: pair[1].row.seconds_audio, reverse=True)
    with progress("score with models", sum(len(job.metrics) for _, job in jobs), options.quiet) as advance:
        for start in range(0, len(jobs), _BATCH):
            batch = [_Loaded.of(clip, job) for clip, job in jobs[start : start + _BATCH]]
            for name, metric in metrics.items():
                chosen = [item for item in batch if name in item.job.metrics]
                ready = [item for item in chosen if item.error is None]
                values = dict(zip(map(id, ready), _values(metric, ready), strict=True))
                values |= {id(item): item.error for item in chosen if item.error is not None}
                interrupt.check()
                for item in chosen:
                    row = _device_row(metric, item.clip, item.job, values[id(item)], writers[item.job.position])
                    writers[item.job.position].add_scores([row])
                advance(len(chosen), name)


@dataclass(frozen=True)
class _Loaded:
    """A clip and an output in memory, or why one of them is not."""

    clip: Clip
    job: Job
    output: Output | None
    error: Exception | None = None

    @classmethod
    def of(cls, clip: Clip, job: Job) -> _Loaded:
        try:
            ready = clip.load() if clip.path is not None else clip
            if ready.loaded is not None:
                job.refuse_other_reference(ready.loaded.digest())
            return cls(ready, job, job.output())
        except BenchError as error:
            return cls(clip, job, None, error)


def _values(metric: DeviceMetric, items: Sequence[_Loaded]) -> list[Value | BaseException]:
    """A value or an exception for each; a batch that fails as a whole is tried again one by one."""
    if not items:
        return []
    try:
        outputs = [item.output for item in items if item.output is not None]
        values: list[Value | BaseException] = list(metric.measure_batch([item.clip for item in items], outputs))
        if len(values) != len(items):
            raise ValueError(f"the metric returned {len(values)} values for {len(items)} clips")
    except BaseException as error:
        if interrupt.from_keyboard(error):
            raise
        return [error] if len(items) == 1 else [_values(metric, [item])[0] for item in items]
    return values


def _device_row(metric: Metric, clip: Clip, job: Job, value: Value | BaseException, writer: RunWriter) -> ScoreRow:
    facts = metric.facts
    if isinstance(value, BaseException):
        return _without_value(clip, facts.name, facts.version, job.row, value)
    stored: float | list[float] | str
    try:
        stored = _plain(value, facts.kind)
    except Exception as error:
        return _without_value(clip, facts.name, facts.version, job.row, error)
    if facts.kind == "set":
        stored = writer.store_vector(clip.id, facts.name, np.asarray(value, np.float64))
    return ScoreRow(clip.id, facts.name, facts.version, "ok", stored, output=job.row.digest)


def _weight(task: Task) -> float:
    seconds = max((job.row.seconds_audio for job in task.jobs), default=0.0)
    count = sum(len(job.metrics) for job in task.jobs)
    return seconds * count if math.isfinite(seconds) else 0.0


def _kept(writer: RunWriter, row: ScoreRow) -> ScoreRow:
    """A row as the journal holds it: the vector of a metric of sets lies in a file."""
    if not isinstance(row.value, list) or _metric(row.metric).facts.kind != "set":
        return row
    return replace(row, value=writer.store_vector(row.clip, row.metric, np.asarray(row.value, np.float64)))


def _needs_tokens(name: str) -> bool:
    return "tokens" in _metric(name).facts.needs


@cache
def _metric(name: str) -> Metric:
    return load_metric(name)
