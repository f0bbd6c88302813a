"""A listening test analysed: means and medians, paired differences, and what the test could tell apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ldmbench.errors import BenchError
from ldmbench.listening.components import Components, variance_components
from ldmbench.listening.crossed import Crossed, Scores, crossed, cube
from ldmbench.listening.pairs import Friedman, Pair, friedman_of, pairs_of
from ldmbench.listening.votes import Ratings, Role


@dataclass(frozen=True)
class Summary:
    """The scores of one condition.

    Attributes:
        name: The condition.
        role: What it is there for.
        mean: Over listeners and items.
        median: Of all its ratings.
        lower: First quartile of them.
        upper: Third quartile.
    """

    name: str
    role: Role
    mean: Crossed
    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Gain:
    """What a test of another size would tell apart: half of the 95 % interval of a difference, in points."""

    listeners: int
    items: int
    half_width: float


@dataclass(frozen=True)
class Reliability:
    """Repetitions put in on purpose: how far a second rating is from the first.

    Attributes:
        pairs: Repeated ratings.
        mean_difference: Mean absolute difference, in points.
        correlation: Pearson's r of first and second; None for fewer than three or equal ones.
    """

    pairs: int
    mean_difference: float
    correlation: float | None


@dataclass(frozen=True)
class Part:
    """The results of all items, or of one group of them."""

    name: str
    listeners: int
    items: int
    summaries: tuple[Summary, ...]
    pairs: tuple[Pair, ...]
    friedman: Friedman | None


@dataclass(frozen=True)
class Analysis:
    """The results of one scale of a test.

    Attributes:
        scale: The question.
        low: Lowest score of the scale.
        high: Highest.
        ratings: How many ratings there are.
        pages: Mean number of items that one listener rated.
        whole: All items.
        groups: Each group of items with at least two of them.
        components: Where ratings differ; None where it cannot be said.
        gains: What other sizes of the test would tell apart; the first is this one.
        reliability: None without repetitions.
    """

    scale: str
    low: float
    high: float
    ratings: int
    pages: float
    whole: Part
    groups: tuple[Part, ...]
    components: Components | None
    gains: tuple[Gain, ...]
    reliability: Reliability | None

    @property
    def best(self) -> Summary:
        """The system with the highest mean."""
        systems = [item for item in self.whole.summaries if item.role == "system" and item.mean.value is not None]
        return max(systems, key=lambda item: item.mean.value or 0.0)


def analyse(ratings: Ratings) -> Analysis:
    """Analyse the ratings of one scale; screening comes before.

    Raises:
        BenchError: If the ratings are of several scales, or there is no system.
    """
    if len(ratings.scales) != 1:
        raise BenchError("one scale is analysed at a time", ", ".join(ratings.scales))
    if not ratings.systems:
        raise BenchError("the test has no system", f"its conditions are {', '.join(ratings.conditions)}")
    names = list(dict.fromkeys(ratings.groups[item] for item in ratings.items if item in ratings.groups))
    of_group = {name: [item for item in ratings.items if ratings.groups.get(item) == name] for name in names}
    scores = cube(ratings, ratings.systems)
    components = variance_components(scores)
    rated = _rated(scores)
    pages = float(rated.sum()) / rated.shape[0]
    return Analysis(
        ratings.scales[0],
        ratings.low,
        ratings.high,
        len(ratings.rows),
        pages,
        part_of("all", ratings),
        tuple(part_of(name, ratings.of_items(items)) for name, items in of_group.items() if len(items) > 1)
        if len(names) > 1
        else (),
        components,
        _gains(components, scores.shape[0], scores.shape[1], pages) if components else (),
        _reliability(ratings),
    )


def part_of(name: str, ratings: Ratings) -> Part:
    """The results of these ratings of one scale, under a name."""
    conditions, systems = ratings.conditions, ratings.systems
    scores = cube(ratings, conditions)
    rated = _rated(scores)
    summaries = []
    for index, condition in enumerate(conditions):
        values = scores[:, :, index]
        lower, median, upper = np.nanpercentile(values, [25, 50, 75])
        mean = _clipped(crossed(values), ratings.low, ratings.high)
        summaries.append(
            Summary(condition, ratings.roles.get(condition, "system"), mean, float(median), float(lower), float(upper))
        )
    compared = scores[:, :, [conditions.index(system) for system in systems]]
    listeners, items = int(np.any(rated, axis=1).sum()), int(np.any(rated, axis=0).sum())
    return Part(name, listeners, items, tuple(summaries), pairs_of(compared, systems), friedman_of(compared))


def _rated(scores: Scores) -> NDArray[np.bool_]:
    """``[listeners, items]``: whether the listener rated anything of the item."""
    rated: NDArray[np.bool_] = ~np.all(np.isnan(scores), axis=2)
    return rated


def _clipped(mean: Crossed, low: float, high: float) -> Crossed:
    """A mean whose interval does not leave the scale."""
    if mean.low is None or mean.high is None:
        return mean
    return replace(mean, low=max(mean.low, low), high=min(mean.high, high))


def _gains(components: Components, listeners: int, items: int, pages: float) -> tuple[Gain, ...]:
    """This test, one with twice the listeners, one with twice the items, and one with both."""
    sizes = [(listeners, items), (2 * listeners, items), (listeners, 2 * items), (2 * listeners, 2 * items)]
    # Twice the items are twice as many pages only for a listener who rates all of them.
    share = pages / items
    return tuple(
        Gain(people, excerpts, components.half_width(people, excerpts, share * excerpts if share == 1 else pages))
        for people, excerpts in sizes
    )


def _reliability(ratings: Ratings) -> Reliability | None:
    first = {(vote.listener, vote.item, vote.system): vote.score for vote in ratings.rows if not vote.repeat}
    pairs = [
        (first[vote.listener, vote.item, vote.system], vote.score)
        for vote in ratings.rows
        if vote.repeat and (vote.listener, vote.item, vote.system) in first
    ]
    if not pairs:
        return None
    before, after = np.array(pairs).T
    usable = len(pairs) > 2 and np.ptp(before) > 0 and np.ptp(after) > 0
    correlation = float(np.corrcoef(before, after)[0, 1]) if usable else None
    return Reliability(len(pairs), float(np.abs(after - before).mean()), correlation)
