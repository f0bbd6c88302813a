"""Objective metrics held against the listeners: which of them say what listeners say, and how far that is sure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.compare.paired import holm
from ldmbench.listening import agreement
from ldmbench.listening.agreement import Agreement, Draws, Mapped
from ldmbench.listening.crossed import Scores
from ldmbench.listening.matched import Matched, match, parts_of
from ldmbench.listening.votes import Ratings
from ldmbench.metrics._base import load_metric
from ldmbench.runs.results import Run
from ldmbench.stats import LEVEL

Level = Literal["sounds", "systems", "within items"]
Kind = Literal["pearson", "spearman", "kendall"]

KINDS: Mapping[Kind, agreement.Correlation] = {
    "pearson": agreement.pearson,
    "spearman": agreement.spearman,
    "kendall": agreement.kendall,
}

#: The correlations that are computed: level and kind. Within an item there are too few systems for ranks.
COMPUTED: tuple[tuple[Level, Kind], ...] = (
    *(("sounds", kind) for kind in KINDS),
    *(("systems", kind) for kind in KINDS),
    ("within items", "pearson"),
)


@dataclass(frozen=True)
class Row:
    """One metric on one part of the sounds.

    Attributes:
        metric: Its name.
        sounds: Sounds with a rating and a value.
        systems: Systems among them.
        items: Items among them.
        agreements: ``LEVEL KIND`` -> correlation, signed so that a metric on the listeners' side is positive whether
            higher or lower is better.
        linear: Errors after a linear mapping.
        cubic: Errors after a monotone cubic mapping.
    """

    metric: str
    sounds: int
    systems: int
    items: int
    agreements: dict[str, Agreement]
    linear: Mapped | None
    cubic: Mapped | None


@dataclass(frozen=True)
class Difference:
    """Whether one metric agrees better than another: Pearson's r over sounds, by the same draws.

    Attributes:
        first: One metric.
        second: The other.
        z: Difference of Fisher's z.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided.
        adjusted: Holm's p over all pairs of the part.
    """

    first: str
    second: str
    z: float
    low: float
    high: float
    p: float
    adjusted: float


@dataclass(frozen=True)
class Section:
    """All metrics on one part of the sounds: all of them, a kind of system, or a group of items."""

    name: str
    listeners: int
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Point:
    """One sound.

    Attributes:
        item: The item.
        system: The system.
        clip: The clip of the runs.
        score: Mean rating.
        half: Half of the 95 % interval of the mean over listeners, None where it cannot be said.
        values: Metric -> value, for those that have one.
    """

    item: str
    system: str
    clip: str
    score: float
    half: float | None
    values: dict[str, float]


@dataclass(frozen=True)
class Validation:
    """Metrics against listeners.

    Attributes:
        title: What the test is called.
        scale: The question that listeners answered.
        sections: Parts of the sounds, all of them first.
        points: All sounds.
        notes: What must be read beside the numbers.
    """

    title: str
    scale: str
    sections: tuple[Section, ...]
    points: tuple[Point, ...]
    notes: tuple[str, ...]


def validate(
    ratings: Ratings, runs: Sequence[Run], title: str, metrics: Sequence[str] = (), draws: int = agreement.DRAWS
) -> Validation:
    """Correlate every metric of runs with the mean ratings of the same sounds.

    Hidden reference and anchors are left out: that everything tells them from the systems would make every metric look
    good.

    Args:
        ratings: Of one scale, screened.
        runs: The systems; their labels are the ratings' names of systems.
        title: What the test is called.
        metrics: Metrics to look at; all that have a value for each clip where empty.
        draws: How many draws stand behind an interval.

    Raises:
        BenchError: If no sound has both a rating and a value.
    """
    data, clips, notes = match(ratings, runs, metrics)
    if len(data.systems) < 10:
        notes.append(
            f"Per system, r stands on {len(data.systems)} systems: mediocre metrics reach high ones, rank none by it"
        )
    sections = [_section(name, part, draws) for name, part in parts_of(data, ratings, runs)]
    return Validation(title, ratings.scales[0], tuple(sections), tuple(_points(data, clips)), tuple(notes))


def _section(name: str, data: Matched, draws: int) -> Section:
    drawn = Draws(data.scores, draws)
    means = _means(data.scores)
    halves = _halves(data.scores)
    rows = []
    pearson: dict[str, tuple[float, Real, int]] = {}
    for metric, values in data.values.items():
        both = ~(np.isnan(means) | np.isnan(values))
        items = int(both.any(axis=1).sum())
        agreements = {}
        for level, kind in COMPUTED:

            def statistic(one: Real, other: Real, level: Level = level, kind: Kind = kind) -> Real:
                return agreement.LEVELS[level](KINDS[kind], one, other)

            value = float(statistic(means, values))
            each = drawn.statistics(statistic, values) if not math.isnan(value) else np.empty(0)
            agreements[f"{level} {kind}"] = agreement.interval(value, each, items)
            if (level, kind) == ("sounds", "pearson"):
                pearson[metric] = value, each, items
        flat = means[both], values[both], None if halves is None else halves[both]
        rows.append(
            Row(
                metric, int(both.sum()), int(both.any(axis=0).sum()), items, agreements,
                agreement.mapped(*flat), agreement.mapped(*flat, cubic=True),
            )
        )  # fmt: skip
    return Section(name, data.scores.shape[0], tuple(rows), tuple(_differences(pearson)))


def _differences(pearson: Mapping[str, tuple[float, Real, int]]) -> list[Difference]:
    pairs = []
    for first, second in combinations(pearson, 2):
        (one, draws, items), (other, others, more) = pearson[first], pearson[second]
        if len(draws) != len(others):
            continue
        apart = agreement.difference(one, other, (draws, others), min(items, more))
        if apart is not None:
            z, half, p = apart
            pairs.append(Difference(first, second, z, z - half, z + half, p, p))
    adjusted = holm([item.p for item in pairs])
    return [replace(item, adjusted=p) for item, p in zip(pairs, adjusted, strict=True)]


def _means(scores: Scores) -> Real:
    there = ~np.isnan(scores)
    count = there.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means: Real = np.where(there, scores, 0).sum(axis=0) / count
    return means


def _halves(scores: Scores) -> Real | None:
    """Half 95 % intervals of the mean rating of each sound over listeners; None where a sound has fewer than two."""
    from scipy.special import stdtrit

    there = ~np.isnan(scores)
    count = there.sum(axis=0)
    if (count[count > 0] < 2).any():
        return None
    means = _means(scores)
    squares = np.where(there, (scores - means) ** 2, 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        halves: Real = stdtrit(count - 1, 0.5 + LEVEL / 2) * np.sqrt(squares / (count - 1) / count)
    return halves


def _points(data: Matched, clips: Mapping[str, str]) -> Iterator[Point]:
    means, halves = _means(data.scores), _halves(data.scores)
    sign = {name: -1.0 if load_metric(name).facts.better == "lower" else 1.0 for name in data.values}
    for row, item in enumerate(data.items):
        for column, system in enumerate(data.systems):
            if np.isnan(means[row, column]):
                continue
            values = {
                name: sign[name] * float(array[row, column])
                for name, array in data.values.items()
                if not np.isnan(array[row, column])
            }
            half = None if halves is None else float(halves[row, column])
            yield Point(item, system, clips[item], float(means[row, column]), half, values)
