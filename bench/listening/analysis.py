"""A listening test analysed: means and medians, paired differences, and what the test could tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ldmbench.compare.paired import holm
from ldmbench.errors import BenchError
from ldmbench.listening.components import Components, variance_components
from ldmbench.listening.crossed import Crossed, Scores, crossed, cube
from ldmbench.listening.votes import Ratings, Role

#: What a difference says of itself where no listener rated both systems on one item, as in MUSHRA 1S.
UNPAIRED = "different listeners: over items alone"

#: Up to so many listeners Wilcoxon's p is exact also with ties, as in scipy.
_EXACT = 13

#: Fewest listeners for which tests over listener means are made.
_FEWEST = 3


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
class Pair:
    """Two systems, by the ratings that the same listeners gave both on the same items.

    Attributes:
        first: One system.
        second: The other.
        difference: Mean of first minus second, over listeners and items.
        adjusted: Holm's p of it, over all pairs.
        effect: The difference in standard deviations of a single listener's differences.
        wilcoxon: p of the signed-rank test over listener means: it holds for these items only.
        wilcoxon_adjusted: Holm's p of it, over all pairs.
        rank_biserial: Its effect size, -1 to 1.
    """

    first: str
    second: str
    difference: Crossed
    adjusted: float | None
    effect: float | None
    wilcoxon: float | None
    wilcoxon_adjusted: float | None
    rank_biserial: float | None


@dataclass(frozen=True)
class Friedman:
    """Friedman's test over listener means: whether the systems differ at all, for these items only.

    Attributes:
        statistic: Chi-squared.
        freedom: Systems less one.
        p: Its p.
        concordance: Kendall's W, 0 to 1: how far listeners agree in the order.
        listeners: Those with a mean for every system.
    """

    statistic: float
    freedom: int
    p: float
    concordance: float
    listeners: int


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
    return Part(name, listeners, items, tuple(summaries), _pairs(compared, systems), _friedman(compared))


def _rated(scores: Scores) -> NDArray[np.bool_]:
    """``[listeners, items]``: whether the listener rated anything of the item."""
    rated: NDArray[np.bool_] = ~np.all(np.isnan(scores), axis=2)
    return rated


def _clipped(mean: Crossed, low: float, high: float) -> Crossed:
    """A mean whose interval does not leave the scale."""
    if mean.low is None or mean.high is None:
        return mean
    return replace(mean, low=max(mean.low, low), high=min(mean.high, high))


def _pairs(scores: Scores, systems: Sequence[str]) -> tuple[Pair, ...]:
    from scipy.stats import rankdata, wilcoxon

    pairs = []
    for first, second in combinations(range(len(systems)), 2):
        cells = scores[:, :, first] - scores[:, :, second]
        difference = crossed(cells)
        if difference.value is None:
            cells = _by_item(scores[:, :, first]) - _by_item(scores[:, :, second])
            difference = replace(crossed(cells), note=UNPAIRED)
        if difference.value is None:
            continue
        spread = float(np.nanstd(cells, ddof=1)) if difference.cells > 1 else 0.0
        own = cells[~np.isnan(cells).all(axis=1)]
        means = np.nanmean(own, axis=1)
        moved = means[means != 0]
        p = biserial = None
        if len(means) >= _FEWEST and len(moved):
            ranks = rankdata(np.abs(moved))
            p = _signed_rank(ranks, moved) if len(moved) <= _EXACT else float(wilcoxon(means).pvalue)
            biserial = float((ranks * np.sign(moved)).sum() / ranks.sum())
        effect = difference.value / spread if spread else None
        pairs.append(Pair(systems[first], systems[second], difference, None, effect, p, None, biserial))
    crossed_p = _holm([pair.difference.p for pair in pairs])
    these_items = _holm([pair.wilcoxon for pair in pairs])
    return tuple(
        replace(pair, adjusted=one, wilcoxon_adjusted=other)
        for pair, one, other in zip(pairs, crossed_p, these_items, strict=True)
    )


def _signed_rank(ranks: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Wilcoxon's exact two-sided p, ties included, by counting all signs; scipy draws them one by one for seconds.

    Args:
        ranks: ``[n]`` mean ranks of absolute values, none of which is 0.
        values: ``[n]``, of which the signs count.
    """
    # Mean ranks are multiples of a half.
    doubled = np.rint(2 * ranks).astype(int)
    ways = np.zeros(doubled.sum() + 1)
    ways[0] = 1
    for rank in doubled:
        ways[rank:] = ways[rank:] + ways[:-rank]
    positive = int(doubled[values > 0].sum())
    tail = min(ways[: positive + 1].sum(), ways[positive:].sum()) / ways.sum()
    return float(min(1.0, 2 * tail))


def _by_item(scores: Scores) -> Scores:
    """``[1, items]``: the mean over listeners."""
    there = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        means: Scores = np.where(there, scores, 0.0).sum(axis=0, keepdims=True) / there.sum(axis=0, keepdims=True)
    return means


def _holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's p of those tests that were made; one that was not is no test."""
    adjusted = iter(holm([value for value in values if value is not None]))
    return [None if value is None else next(adjusted) for value in values]


def _friedman(scores: Scores) -> Friedman | None:
    from scipy.stats import friedmanchisquare

    rated = scores[~np.isnan(scores).all(axis=(1, 2))]
    complete = [row for row in rated if not np.isnan(row).all(axis=0).any()]
    count = scores.shape[2]
    if len(complete) < _FEWEST or count < 3:
        return None
    means = np.array([np.nanmean(row, axis=0) for row in complete])
    if not np.ptp(means, axis=1).any():
        return None
    result = friedmanchisquare(*means.T)
    statistic = float(result.statistic)
    return Friedman(statistic, count - 1, float(result.pvalue), statistic / (len(means) * (count - 1)), len(means))


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
