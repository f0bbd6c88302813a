"""Runs as series over training steps, which loggers draw: a line for each training, a single step for other systems."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ldmbench.metrics._base import MetricFacts, load_metric
from ldmbench.names import show
from ldmbench.reports.cells import marks_of
from ldmbench.reports.curves import sweep_of
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate
from ldmbench.system.card import WEIGHTS
from ldmbench.system.checkpoints import step_of


@dataclass(frozen=True)
class Series:
    """The checkpoints of one training, or one system.

    Attributes:
        suite: Suite of the runs.
        name: What the runs share of their labels: ``mycodec:weights=step_*``, with UNTRAINED and PARTIAL.
        steps: Training step and run, ascending; step 0 alone for a system without a step.
    """

    suite: str
    name: str
    steps: tuple[tuple[int, Run], ...]

    @property
    def id(self) -> str:
        """The same for the same runs."""
        return hashlib.sha256("".join(f"{step} {run.info.id};" for step, run in self.steps).encode()).hexdigest()[:16]


def series(runs: Sequence[Run]) -> list[Series]:
    """The series of some runs, in their order. Two runs of one step are two series, told apart by their IDs."""
    places = {index: (line, round(step)) for index, (line, step) in sweep_of(runs, WEIGHTS)}
    grouped: dict[tuple[str, str], list[tuple[int, Run]]] = {}
    for index, run in enumerate(runs):
        line, step = places.get(index) or (_label(run), _step(run))
        if any(step == other for other, _ in grouped.get((run.info.suite, line), ())):
            line = f"{line} ({run.info.id[:8]})"
        grouped.setdefault((run.info.suite, line), []).append((step, run))
    return [
        Series(suite, line, tuple(sorted(steps, key=lambda item: item[0]))) for (suite, line), steps in grouped.items()
    ]


def scores(run: Run) -> Iterator[tuple[str, MetricFacts, Estimate]]:
    """(dataset, facts of the metric, estimate) of everything in a run that has a value."""
    for dataset in run.info.datasets:
        for metric in run.info.metrics:
            estimate = run.estimate(metric, dataset.name)
            if estimate is not None and estimate.value is not None:
                yield dataset.name, load_metric(metric).facts, estimate


def _label(run: Run) -> str:
    return run.info.system + "".join(f" [{mark.upper()}]" for mark in marks_of(run))


def _step(run: Run) -> int:
    """The step in the name of a single checkpoint, else 0."""
    weights = run.info.name.settings.get(WEIGHTS)
    step = None if weights is None else step_of(show(weights))
    return 0 if step is None else round(step)
