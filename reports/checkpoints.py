"""Of checkpoints of one training: which is the best by each metric, and which cannot be told from it."""

from __future__ import annotations

from collections.abc import Sequence

from ldmbench.compare.judge import numbers_of_clips
from ldmbench.compare.paired import ALPHA, FEWEST, holm
from ldmbench.compare.pairs import obstacle, pair
from ldmbench.metrics._base import MetricFacts
from ldmbench.names import show, some
from ldmbench.reports.cells import Column, number
from ldmbench.reports.curves import sweep_of
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate
from ldmbench.system.card import WEIGHTS


def best_checkpoints(runs: Sequence[Run], columns: Sequence[Column]) -> list[str]:
    """A line for each training and column: the best checkpoint with its interval, and those as good as it.

    A checkpoint that failed on a clip on which another did not is not the best of them. Checkpoints are told apart
    clip by clip, by the paired test of ``ldmbench compare`` with Holm's adjustment over the others.
    """
    lines = []
    trainings: dict[str, list[Run]] = {}
    for index, (line, _) in sweep_of(runs, WEIGHTS):
        trainings.setdefault(line, []).append(runs[index])
    for line, members in trainings.items():
        for column in columns:
            facts = column.facts
            if facts.better == "neither" or facts.timed or not column.ranked:
                continue
            if text := _best(members, facts, column.dataset):
                lines.append(f"Best of {line} by {facts.title} on {column.dataset}: {text}")
    return lines


def _best(runs: Sequence[Run], facts: MetricFacts, dataset: str) -> str:
    """The best of some runs in words, or nothing where fewer than two of them compare."""
    estimates = [(run, run.estimate(facts.name, dataset)) for run in runs]
    valued = [(run, item) for run, item in estimates if item is not None and item.value is not None and item.n]
    fullest = max((item.n for _, item in valued), default=0)
    whole = [(run, item) for run, item in valued if item.n == fullest and item.value is not None]
    if len(whole) < 2:
        return ""
    sign = 1 if facts.better == "higher" else -1
    winner, estimate = max(whole, key=lambda entry: sign * (entry[1].value or 0.0))
    others = [run for run, _ in whole if run is not winner]
    return f"{_name(winner)}, {_shown(estimate, facts)}{_apart(winner, others, facts, dataset)}"


def _shown(estimate: Estimate, facts: MetricFacts) -> str:
    text = number(estimate.value or 0.0, facts.digits)
    if estimate.low is not None and estimate.high is not None:
        text += f" [{number(estimate.low, facts.digits)}, {number(estimate.high, facts.digits)}]"
    return text


def _apart(winner: Run, others: Sequence[Run], facts: MetricFacts, dataset: str) -> str:
    """Which of the others may be as good."""
    if facts.kind not in ("mean", "ratio"):
        return ""  # A metric over sets has no value of a clip.
    clips = [clip for clip in winner.info.clips if clip.dataset == dataset]
    p: dict[str, float] = {}
    for run in others:
        pairs = pair(winner, run, facts, clips)
        if obstacle(winner, run, facts, dataset) or pairs.weights_differ():
            continue
        if test := numbers_of_clips(pairs, facts, 0.0).test:
            p[_name(run)] = test.p
    if not p:
        return f"; {FEWEST} clips are needed to tell it from the others"
    worse = {name for name, value in zip(p, holm(list(p.values())), strict=True) if value <= ALPHA}
    alike = [name for name in map(_name, others) if name not in worse]
    return f"; not told from {some(alike)}" if alike else "; better than each of the others (Holm, 5 %)"


def _name(run: Run) -> str:
    return show(run.info.name.settings.get(WEIGHTS, run.info.settings.get(WEIGHTS, run.info.system)))
