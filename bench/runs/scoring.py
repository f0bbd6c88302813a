"""In whichever process it is asked for: metrics turn a clip and its outputs into rows of the journal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldmbench.audio import sound as audio_io
from ldmbench.audio.arrays import Real
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored, describe, one_line
from ldmbench.host import interrupt
from ldmbench.host.executor import WorkerDiedError
from ldmbench.metrics._base import DeviceMetric, Metric, Value, import_home, load_metric
from ldmbench.runs.records import OutputRow, ScoreRow
from ldmbench.runs.store import read_tokens
from ldmbench.system.protocol import Cost, Output
from ldmbench.weights.record import CheckpointError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Task:
    """The jobs of one clip, which share the clip's decoded and resampled reference.

    Attributes:
        clip: The clip.
        jobs: What is to be computed.
        modules: Modules and files that must be imported first, since they register metrics.
    """

    clip: Clip
    jobs: tuple[Job, ...]
    modules: tuple[str, ...] = ()

    def parts(self) -> list[Task]:
        """A task for each score."""
        singles = [replace(job, metrics=(name,)) for job in self.jobs for name in job.metrics]
        return [replace(self, jobs=(job,)) for job in singles]


@dataclass(frozen=True)
class Absent:
    """What a metric needs is not here, a package or a checkpoint: no clip is to blame, and nothing is to be stored.

    Attributes:
        metric: Name of the metric.
        message: What is not here.
    """

    metric: str
    message: str


@dataclass(frozen=True)
class ModelTask:
    """A metric with a model, and outputs that it hears together.

    Attributes:
        metric: Name of the metric.
        items: Clips, each with a job for one output; only the first of its metrics counts.
        device: Where the model runs.
        weights: Folder of checkpoints, None for the weights home.
        modules: Modules and files that must be imported first, since they register the metric.
    """

    metric: str
    items: tuple[tuple[Clip, Job], ...]
    device: str
    weights: Path | None
    modules: tuple[str, ...] = ()

    def parts(self) -> list[ModelTask]:
        """A task for each output."""
        return [replace(self, items=(item,)) for item in self.items]


#: A row of the run at a position, and the vector that is to be stored with it.
Scored = tuple[int, ScoreRow | Absent, Real | None]


def score(task: Task) -> list[Scored]:
    """Score the outputs of one clip: a row for every job and metric."""
    import_metrics(task.modules)
    rows: list[Scored] = []
    # One thread, here as in worker processes: the number of threads can change the last digit of a sum.
    with _thread_pools(len(sys.modules)).limit(limits=1):
        clip = task.clip.load() if task.clip.path is not None else task.clip
        digest = clip.loaded.digest() if clip.loaded is not None else ""
        for job in task.jobs:
            try:
                job.refuse_other_reference(digest)
                output = job.output()
            except BenchError as error:
                rows += all_failed(Task(clip, (job,)), error)
                continue
            for name in job.metrics:
                rows.append(_score_one(metric_of(name), clip, output, job))
    return rows


def score_with_model(task: ModelTask) -> list[Scored]:
    """Score outputs together: a row for each.

    Raises:
        BenchError: If the metric cannot be configured.
    """
    import_metrics(task.modules)
    metric = _model(task.metric, task.device, task.weights)
    loaded = {id(job): _Loaded.of(clip, job) for clip, job in task.items}
    _kept.clear()
    _kept.update({item.key: item for item in loaded.values()})
    ready = [item for item in loaded.values() if item.error is None]
    values: dict[int, Value | BaseException]
    values = {id(item.job): value for item, value in zip(ready, _values(metric, ready), strict=True)}
    values |= {id(item.job): item.error for item in loaded.values() if item.error is not None}
    return [_row(metric, clip, job, values[id(job)]) for clip, job in task.items]


@lru_cache(maxsize=1)
def _thread_pools(_modules: int) -> ThreadpoolController:
    """The thread pools of the libraries that are loaded; looked for anew, which takes milliseconds, after imports."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def all_failed(task: Task | ModelTask, error: Exception) -> Iterator[Scored]:
    """Rows for a task that ended without an answer, for a reference or output file that went missing, say."""
    if isinstance(task, ModelTask):
        pairs = [(clip, job, task.metric) for clip, job in task.items]
    else:
        pairs = [(task.clip, job, name) for job in task.jobs for name in job.metrics]
    for clip, job, name in pairs:
        yield _without_value(metric_of(name), clip, job, error)


def _needs_tokens(name: str) -> bool:
    return "tokens" in metric_of(name).facts.needs


#: What ``import_metrics`` imported last: module -> itself, and a user's file -> that with the digest of its content.
_imported: dict[str, str] = {}


@cache
def metric_of(name: str) -> Metric:
    """A metric, the same object on every call."""
    return load_metric(name)


@cache
def _model(name: str, device: str, weights: Path | None) -> DeviceMetric:
    """A metric with a model, configured once."""
    metric = metric_of(name)
    assert isinstance(metric, DeviceMetric), "facts.device says so"
    metric.configure(device, weights)
    return metric


def forget_metrics() -> None:
    """Build and configure metrics anew from now on."""
    metric_of.cache_clear()
    _model.cache_clear()
    _kept.clear()


def import_metrics(modules: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Import what registers metrics; where a user's file has another content than before, its metrics are built anew.

    Returns:
        The same; None where that could not be imported in every process.

    Raises:
        BenchError: If such a file is not the one it was when it was asked for.
    """
    for module in modules or ():
        file, hash_, _ = module.rpartition("#")
        if _imported.get(file or module) != module:
            import_home(module)
            _imported[file or module] = module
            if hash_:
                forget_metrics()
    return modules


def _score_one(metric: Metric, clip: Clip, output: Output, job: Job) -> Scored:
    try:
        value: Value | BaseException = metric.measure(clip, output)
    except BaseException as error:
        if interrupt.from_keyboard(error):
            raise
        value = error
    return _row(metric, clip, job, value)


def _row(metric: Metric, clip: Clip, job: Job, value: Value | BaseException) -> Scored:
    """The row of a value, which goes into the row itself unless it is one of a set; or of what was raised."""
    facts = metric.facts
    if isinstance(value, BaseException):
        return _without_value(metric, clip, job, value)
    try:
        stored = _plain(value, facts.kind)
        # What a metric of sets keeps of a clip is many numbers: it goes beside the journal.
        vector = np.array(value, np.float64) if facts.kind == "set" else None
    except Exception as error:
        return _without_value(metric, clip, job, error)
    row = ScoreRow(clip.id, facts.name, facts.version, "ok", stored if vector is None else None)
    return job.position, replace(row, output=job.row.digest), vector


def _without_value(metric: Metric, clip: Clip, job: Job, error: BaseException) -> Scored:
    facts = metric.facts
    if _of_environment(error):
        return job.position, Absent(facts.name, str(error) if isinstance(error, BenchError) else describe(error)), None
    row = ScoreRow(clip.id, facts.name, facts.version, "failed", output=job.row.digest)
    if isinstance(error, Unscored):
        return job.position, replace(row, status="unscored", message=one_line(error)), None
    logging.getLogger(__name__).debug("%s of %s failed", facts.name, clip.id, exc_info=error)
    message = str(error) if isinstance(error, BenchError | WorkerDiedError) else describe(error)
    return job.position, replace(row, message=message), None


def _of_environment(error: BaseException) -> bool:
    """Whether a package or a checkpoint is to blame, and not the clip."""
    return isinstance(error, ImportError | CheckpointError)


def _plain(value: Value, kind: str) -> float | list[float]:
    """A value as the journal holds it; another shape, or a number that is not finite, is a fault of the metric."""
    array = np.asarray(value, np.float64)
    if array.shape != {"mean": (), "largest": (), "ratio": (2,)}.get(kind, (array.size,)):
        raise ValueError(f"the metric returned an array {array.shape} as its {kind} value")
    if not np.isfinite(array).all():
        raise ValueError(f"the metric returned {value}")
    return float(array) if array.ndim == 0 else [float(number) for number in array]


@dataclass(frozen=True)
class _Loaded:
    """A clip and an output in memory, or why one of them is not."""

    clip: Clip
    job: Job
    output: Output | None
    error: Exception | None = None
    key: tuple[object, ...] = ()

    @classmethod
    def of(cls, clip: Clip, job: Job) -> _Loaded:
        """Those of the last task again, or read."""
        key = (clip.id, clip.path, job.position, job.audio, job.row.digest)
        if key in _kept:
            return replace(_kept[key], job=job)
        try:
            ready = clip.load() if clip.path is not None else clip
            if ready.loaded is not None:
                job.refuse_other_reference(ready.loaded.digest())
            return cls(ready, job, job.output(), key=key)
        except BenchError as error:
            return cls(clip, job, None, error, key)


#: Sounds of the last task of a metric with a model: the next one is often another metric of the same.
_kept: dict[tuple[object, ...], _Loaded] = {}


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
        if len(items) == 1 or _of_environment(error):
            return [error] * len(items)
        return [_values(metric, [item])[0] for item in items]
    return values
