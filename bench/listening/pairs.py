"""Pairs of systems: differences for other listeners and items, and the tests that hold for these items only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ldmbench.compare.paired import holm
from ldmbench.listening.crossed import Crossed, Scores, crossed

#: What a difference says of itself where no listener rated both systems on one item, as in MUSHRA 1S.
UNPAIRED = "different listeners: over items alone"

#: Up to so many listeners Wilcoxon's p is exact also with ties, as in scipy.
_EXACT = 13

#: Fewest listeners for which tests over listener means are made.
_FEWEST = 3


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


def pairs_of(scores: Scores, systems: Sequence[str]) -> tuple[Pair, ...]:
    """Every pair of systems.

    Args:
        scores: ``[listeners, items, systems]``, NaN where a listener did not rate a sound.
        systems: Their names.
    """
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


def friedman_of(scores: Scores) -> Friedman | None:
    """Friedman's test over listener means; None for fewer than three systems or listeners who rated all of them."""
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
