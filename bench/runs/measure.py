"""The second stage of a run: metrics turn audio on disk into score rows, computing only what is missing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ldmbench.audio.arrays import Real
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host import interrupt
from ldmbench.host.apart import Apart, Team
from ldmbench.host.executor import Executor, Processes, WorkerDiedError, executor
from ldmbench.host.progress import progress
from ldmbench.host.spread import spread
from ldmbench.host.together import Together
from ldmbench.metrics._base import DeviceMetric, homes, load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.names import some
from ldmbench.runs.crew import Crew
from ldmbench.runs.far import FarApart
from ldmbench.runs.probe import measure_probes
from ldmbench.runs.records import ScoreRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.runs.scoring import (
    Absent,
    ModelTask,
    Scored,
    Task,
    all_failed,
    import_metrics,
    score,
    score_with_model,
)
from ldmbench.runs.tasks import SCORE_S, Tasks, unscored
from ldmbench.runs.writer import RunWriter

#: What is worth another process for metrics without a model, whose start takes about a second: seconds of sound in all
#: scores, each of which takes about 10 ms on average over the metrics of a folder.
_WORTH = 200.0

#: Clips handed to a metric with a model at once.
_BATCH = 16

#: Seconds beyond its limit that a metric with a model may take for its first answer, before which it loads the model.
_LOADING_S = 600.0


def measure(
    paths: Sequence[Path],
    clips: Sequence[Clip],
    metrics: Sequence[str],
    options: Options,
    writers: Sequence[RunWriter],
    apart: Apart | None = None,
    crew: Crew | None = None,
) -> None:
    """Compute every missing score of the runs at ``paths`` and append it to their journals.

    Args:
        paths: Run folders.
        clips: The clips, as planned.
        metrics: Names of the metrics.
        options: Where and how.
        writers: Open writers of the same runs.
        apart: A process in which metrics may crash, hang or leave; None for this one. What cannot be imported there,
            as a metric that the calling script holds itself, is computed here all the same.
        crew: Who works where metrics work at several places; None for this machine alone.

    Raises:
        BenchError: If a metric lacks a package or a checkpoint; the others are computed and stored before that.
    """
    runs = [open_run(path) for path in paths]
    modules = import_metrics(homes(metrics))
    if modules is None:
        apart, crew, modules = None, None, ()
    probes = [name for name in metrics if isinstance(load_metric(name), ProbeMetric)]
    local = [name for name in metrics if not isinstance(load_metric(name), DeviceMetric | ProbeMetric)]
    # The longest first: the last tasks to finish are then short ones, and no core waits for a long one.
    tasks = unscored(runs, clips, local, options.retry_failed, modules=modules).heaviest_first()
    absent: dict[str, str] = {}
    with (
        progress("score", tasks.scores, options.quiet) as advance,
        storing(writers) as stored,
        _workers(apart, crew, options.jobs, tasks) as (workers, alone),
    ):
        for task, rows in scored(workers, alone, tasks, options.timeout):
            stored.put(present(rows, absent))
            advance(len(rows), task.clip.id)
    with_model = [name for name in metrics if name not in local and name not in probes]
    singles = unscored(runs, clips, with_model, options.retry_failed, together=1, modules=modules).longest_first()
    places = crew.models(math.ceil(len(singles) / _BATCH)) if crew else [(apart, options.local_device)]
    models = [_Models(place, device, options.timeout).rows for place, device in places]
    with progress("score with models", singles.scores, options.quiet) as advance, storing(writers) as stored:
        batches = (batch for batch in _batches(singles, with_model, options) if batch.metric not in absent)
        for batch, groups in spread(models, batches):
            for rows in groups:
                stored.put(present(rows, absent))
                advance(len(rows), batch.metric)
    measure_probes(runs, clips, probes, options, writers)
    _refuse_absent(absent)


def takes_several(scores: int, options: Options) -> bool:
    """Whether so many scores without a model are computed in several processes, however short the sounds are."""
    return options.jobs > 1 and scores * SCORE_S > _WORTH


def _refuse_absent(absent: Mapping[str, str]) -> None:
    """Raise ``BenchError`` where a metric lacks what it needs."""
    if absent:
        names = some(list(absent))
        raise BenchError(
            f"{names} cannot be computed here, and nothing is stored of {'it' if len(absent) == 1 else 'them'}",
            next(iter(absent.values())),
            "install or fetch what is not there, or leave the metric out; everything else is stored",
        )


@contextmanager
def _workers(apart: Apart | None, crew: Crew | None, jobs: int, tasks: Tasks) -> Iterator[tuple[Executor, Executor]]:
    """Who computes metrics without a model, and who computes alone what ended or stalled one of them."""
    if crew is not None:
        yield crew.scorers, crew.scorers
        return
    if apart is None:
        yield executor(jobs, len(tasks)), Processes(1)
        return
    # Metrics of others may take any time.
    if not tasks.modules:
        jobs = min(jobs, math.ceil(tasks.weight / _WORTH) or 1)
    with Team(apart, jobs) as team, Apart() as alone:
        yield team, alone


def present(rows: Sequence[Scored], absent: dict[str, str]) -> list[Scored]:
    """The rows that are to be stored; of a metric that lacks something only the reason is kept, in ``absent``."""
    interrupt.check()
    for _, row, _ in rows:
        if isinstance(row, Absent):
            absent.setdefault(row.metric, row.message)
    return [scored for scored in rows if not isinstance(scored[1], Absent)]


def storing(writers: Sequence[RunWriter]) -> Together[list[Scored]]:
    """Appends the rows that it is given to the journals of their runs, those that wait together in one flush."""

    def store(groups: Sequence[Sequence[Scored]]) -> None:
        by_run: dict[int, list[tuple[ScoreRow, Real | None]]] = {}
        for position, row, vector in itertools.chain(*groups):
            assert isinstance(row, ScoreRow), "what is absent was left out"
            by_run.setdefault(position, []).append((row, vector))
        for position, stored in by_run.items():
            writers[position].add_scores(stored)

    return Together(store, lambda rows: sum(vector.nbytes for _, _, vector in rows if vector is not None))


def scored(
    workers: Executor, alone: Executor, tasks: Sequence[Task], timeout: float
) -> Iterator[tuple[Task, list[Scored]]]:
    """The rows of each task; one whose worker died is taken apart, so that only what kills or stalls it has failed.

    A task that takes longer than ``timeout`` is taken apart as well: each of its scores then has as long for itself.
    """
    for index, result in workers.map(score, tasks, [timeout] * len(tasks)):
        task = tasks[index]
        parts = task.parts()
        if isinstance(result, WorkerDiedError) and len(parts) > 1:
            yield task, [row for _, rows in scored(alone, alone, parts, timeout) for row in rows]
        else:
            yield task, list(all_failed(task, result)) if isinstance(result, Exception) else result


def _batches(tasks: Tasks, names: Sequence[str], options: Options) -> Iterator[ModelTask]:
    """Outputs of similar length together, metric after metric, so that each is decoded once for all of them."""
    for start in range(0, len(tasks), _BATCH):
        jobs = [(task.clip, job) for task in tasks[start : start + _BATCH] for job in task.jobs]
        for name in names:
            items = tuple((clip, job) for clip, job in jobs if name in job.metrics)
            if items:
                yield ModelTask(name, items, options.device, options.weights, tasks.modules)


class _Models:
    """Metrics with a model at work, in a process of their own or in this one."""

    def __init__(self, apart: Apart | FarApart | None, device: str, timeout: float) -> None:
        self._apart, self._device, self._timeout = apart, device, timeout
        #: Metric -> which of the processes, by its number, had its last answer.
        self._loaded: dict[str, int] = {}

    def rows(self, task: ModelTask) -> list[list[Scored]]:
        """The rows of a batch; one in which the process ends or stalls is taken apart.

        Raises:
            BenchError: If the metric cannot be configured.
        """
        task = replace(task, device=self._device)
        if self._apart is None:
            return [score_with_model(task)]
        loading = 0.0 if self._loaded.get(task.metric) == self._apart.ends else _LOADING_S
        try:
            rows = self._apart.call(score_with_model, task, limit=self._timeout * len(task.items) + loading)
        except BenchError:
            raise
        except Exception as error:
            if isinstance(error, WorkerDiedError) and len(task.items) > 1:
                return [rows for part in task.parts() for rows in self.rows(part)]
            return [list(all_failed(task, error))]
        self._loaded[task.metric] = self._apart.ends
        return [rows]
