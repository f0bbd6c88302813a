"""Looks at a run that is not finished: in what order its clips are heard, and what a p value is worth at each look.

A test that is read five times at 5 % is wrong in 10 to 14 % of runs in which nothing changed. The error is spent as it
is in clinical trials: next to nothing at the first look, nearly all of it at the last, 5 % in all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ldmbench.audio.arrays import Real, Signal64
from ldmbench.runs.records import ClipInfo

#: Looks at a run, at equal shares of its clips.
LOOKS = 5

#: Clips that a cell needs to be tested before the last look: with fewer, skewed differences are worse too often.
EARLIEST = 20

_SEED = 20_261_128

#: Nodes of the integrals over the paths that have not been stopped, and how far down they reach.
_NODES, _LOWEST = 192, 8.0

#: Levels at which bounds are computed, as normal quantiles: 50 % to 3e-14. Between them bounds are interpolated.
_QUANTILES = np.linspace(0.0, 7.5, 76)


@dataclass(frozen=True)
class Look:
    """A look at a run.

    Attributes:
        number: Which, from 1 on.
        clips: Ids of the clips that are heard by then.
        of: How many looks there are.
        planned: Clips of the whole run.
    """

    number: int
    clips: frozenset[str]
    planned: int
    of: int = LOOKS

    @property
    def last(self) -> bool:
        """Whether the run is complete."""
        return self.number == self.of

    def tests(self, n: int) -> bool:
        """Whether a cell with ``n`` pairs is tested at this look."""
        return self.last or n >= EARLIEST

    def p(self, p: float) -> float:
        """What the p value of a test is worth at this look, all looks considered."""
        return overall(p, self.number, self.of)


def interleaved(clips: Sequence[ClipInfo]) -> list[ClipInfo]:
    """Clips in a seeded order in which every beginning holds about the same share of each dataset, group and language.

    The order depends on the clips alone, not on how they are listed, how long they are, or which is done first.
    """
    strata: dict[tuple[str, str, str], list[ClipInfo]] = {}
    for clip in sorted(clips, key=lambda item: item.id):
        strata.setdefault((clip.dataset, clip.group, clip.language), []).append(clip)
    random = np.random.default_rng(_SEED)
    keyed = []
    for _, members in sorted(strata.items()):
        places = (random.permutation(len(members)) + random.random(len(members))) / len(members)
        keyed += [(float(place), clip.id, clip) for place, clip in zip(places, members, strict=True)]
    return [clip for _, _, clip in sorted(keyed, key=lambda entry: entry[:2])]


def looks(clips: Sequence[ClipInfo], count: int = LOOKS) -> list[Look]:
    """The looks at a run of these clips; fewer where there are fewer clips than looks."""
    order = [clip.id for clip in interleaved(clips)]
    sizes = sorted({math.ceil(len(order) * share / count) for share in range(1, count + 1)})
    return [Look(number, frozenset(order[:size]), len(order), len(sizes)) for number, size in enumerate(sizes, 1)]


def overall(p: float, look: int, count: int = LOOKS) -> float:
    """The smallest error of all looks together at which a test with ``p`` at ``look`` would stop; 1 above 0.5.

    Example:
        >>> round(overall(0.0409, 5), 3), round(overall(0.0108, 3), 3)
        (0.05, 0.05)
    """
    from scipy.special import ndtr, ndtri

    if count == 1:
        return p
    quantile = -float(ndtri(p))
    bounds = _table(count)[:, look - 1]
    if not quantile >= bounds[0]:
        return 1.0
    return float(ndtr(-np.interp(quantile, bounds, _QUANTILES)))


@cache
def _table(count: int) -> Real:
    """Bounds ``[level, look]`` at all levels, as quantiles; they rise with the level's quantile."""
    from scipy.special import ndtr

    return np.array([stop_at(float(ndtr(-quantile)), count) for quantile in _QUANTILES])


def stop_at(alpha: float, count: int = LOOKS) -> Signal64:
    """Bounds ``[look]`` on the normal quantile of a one-sided test at equal shares of the data.

    Source: Lan and DeMets, Biometrika 70 (1983), with their spending function of O'Brien and Fleming's type,
    a(u) = 2 (1 - Phi(z(1 - alpha/2) / sqrt(u))); the integrals as Armitage, McPherson and Rowe, J. R. Statist. Soc. A
    132 (1969), by Gauss and Legendre's rule.
    """
    from scipy.special import ndtr, ndtri

    shares = np.arange(1, count + 1) / count
    spent = 2 * ndtr(float(ndtri(alpha / 2)) / np.sqrt(shares))
    step = math.sqrt(1 / count)
    bounds = [-float(ndtri(spent[0]))]
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    paths, mass = np.zeros(1), np.ones(1)  # The sum of the data so far, and the mass that is still on the way.
    for number in range(1, count):
        # Sums after look ``number`` that have not been stopped: from far below up to its bound.
        low, high = -_LOWEST * math.sqrt(shares[number - 1]), bounds[-1] * math.sqrt(shares[number - 1])
        sums = low + (high - low) * (nodes + 1) / 2
        density = np.exp(-(((sums[:, None] - paths) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        paths, mass = sums, (density @ mass) * weights * (high - low) / 2
        bounds.append(_bound(paths, mass, step, math.sqrt(shares[number]), float(spent[number] - spent[number - 1])))
    return np.array(bounds)


def _bound(paths: Signal64, mass: Signal64, step: float, root: float, error: float) -> float:
    """The quantile that paths cross at the next look with probability ``error``."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, logsumexp

    def excess(quantile: float) -> float:
        # In logarithms: at small levels the first looks spend less than the smallest float above 0 holds exactly.
        return float(logsumexp(log_ndtr((paths - quantile * root) / step), b=mass)) - math.log(error)

    return float(brentq(excess, -1.0, 40.0, xtol=1e-10))
