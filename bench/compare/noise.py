"""Repeats of BASE: how far a run moves when only the seed or the machine changed, measured and not guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ldmbench.compare.judge import Draft, sign_of
from ldmbench.compare.paired import ALPHA, POWER
from ldmbench.compare.pairs import Pairs, obstacle
from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from ldmbench.runs.records import ScoreRow
from ldmbench.runs.results import Run
from ldmbench.stats import all_equal

#: Runs of BASE, itself among them, that noise is measured on at least.
FEWEST_RUNS = 3


def across_runs(means: Sequence[float], new: float, margin: float = 0.0) -> tuple[float, float] | None:
    """Test NEW's mean against the spread of repeats' means; None where they do not move at all.

    Args:
        means: Mean of each run of BASE, signed so that positive is better.
        new: That of NEW.
        margin: How much worse is still fine.

    Returns:
        The one-sided p value of "worse", and the smallest loss found four times in five.

    Source: the prediction interval of one further observation: Student's t with R - 1 degrees of freedom on
    (new - mean) / (s sqrt(1 + 1 / R)).
    """
    from scipy.special import stdtr, stdtrit

    values = np.asarray(means, np.float64)
    if all_equal(values):
        return None
    error = float(values.std(ddof=1)) * math.sqrt(1 + 1 / values.size)
    freedom = values.size - 1
    p = float(stdtr(freedom, (new - float(values.mean()) + margin) / error))
    smallest = margin + float(stdtrit(freedom, 1 - ALPHA) + stdtrit(freedom, POWER)) * error
    return p, smallest


def averaged(base: Run, repeats: Sequence[Run]) -> Run:
    """BASE with each clip's mean over BASE and the repeats that scored it; vectors stay BASE's own.

    Raises:
        BenchError: If there are fewer than ``FEWEST_RUNS`` runs, or one of them is there twice.
    """
    runs = (base, *repeats)
    if len(runs) < FEWEST_RUNS or len({run.info.id for run in runs}) < len(runs):
        names = ", ".join(run.info.id for run in runs)
        raise BenchError(f"noise needs {FEWEST_RUNS} different runs of BASE", names, "run it with other seeds")
    return replace(base, scores={key: _mean_row([run.scores.get(key) for run in runs], row)
                                 for key, row in base.scores.items()})  # fmt: skip


def with_noise(item: Draft, runs: Sequence[Run], new: Run, pairs: Pairs) -> Draft:
    """A draft whose ``worse`` also has to stand out among the runs of BASE.

    The paired test sees the seed of each clip and not what shifts a whole run (machine, batch, library); the test
    across runs sees both. ``worse`` is what both say: the larger p value, and the larger smallest loss.

    Args:
        item: The draft of BASE's clips, averaged over its runs, against NEW's.
        runs: BASE and its repeats.
        new: The run that is judged.
        pairs: The pairs of the cell.
    """
    cell, test = item.cell, item.test
    if test is None or item.settled:
        return item
    for run in runs[1:]:
        if problem := obstacle(runs[0], run, cell.facts, cell.dataset):
            reason = f"repeat {run.info.id}: {problem.replace('NEW', 'the repeat')}"
            return Draft(replace(cell, verdict="not comparable", reason=reason))
    sign = sign_of(cell.facts)
    means = []
    for run in (*runs, new):
        mean = _mean(run, cell.metric, pairs)
        if mean is None:
            reason = f"run {run.info.id}: no value on these clips, so that its noise is unknown"
            return Draft(replace(cell, verdict="not comparable", reason=reason))
        means.append(sign * mean)
    outcome = across_runs(means[:-1], means[-1], cell.margin)
    if outcome is None:
        return item
    p = max(outcome[0], test.p)
    return replace(item, cell=replace(cell, p=p), test=replace(test, p=p), smallest=outcome[1])


def _mean(run: Run, metric: str, pairs: Pairs) -> float | None:
    """A run's estimate over the paired clips that it scored."""
    rows = [run.scores.get((clip.id, metric)) for clip in pairs.clips]
    values = [row.value for row in rows if row is not None and row.status == "ok"]
    return (
        load_metric(metric)
        .aggregate([run.vector(value) if isinstance(value, str) else value for value in values if value is not None])
        .value
    )


def _mean_row(rows: Sequence[ScoreRow | None], own: ScoreRow) -> ScoreRow:
    """A clip's score with the mean of its values; as it is where BASE has none, or has a vector."""
    values = [row.value for row in rows if row is not None and row.status == "ok" and row.version == own.version]
    if own.status != "ok" or own.value is None or isinstance(own.value, str):
        return own
    # The mean of what each differs by, so that equal values have exactly themselves as their mean.
    first = np.asarray(own.value, np.float64)
    mean = first + (np.asarray(values, np.float64) - first).mean(axis=0)
    return replace(own, value=mean.tolist() if isinstance(own.value, list) else float(mean))
