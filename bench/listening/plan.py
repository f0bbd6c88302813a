"""How many listeners and items a test needs before it can see a difference, computed before anything is exported."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from ldmbench.errors import BenchError
from ldmbench.listening.components import Components, variance_components
from ldmbench.listening.crossed import cube

#: Those of a real MUSHRA test of seven neural codecs: 21 listeners, 16 items, 8 of them each.
#: Source: Stahl et al. 2024 (BenjSta/bernoulli-var-speech-codec, CC BY 4.0), by restricted maximum likelihood.
DEFAULTS = Components(listener=12.5, item=3.6, item_system=9.9, listener_system=6.0, residual=17.3)

#: Sizes that a table shows.
LISTENERS = (8, 12, 16, 20, 30, 40, 60)
ITEMS = (4, 6, 8, 10, 15, 20, 30)

#: More listeners than these nobody finds.
_MOST = 400

#: Differences beyond any scale, points.
_LARGEST = 10_000.0

#: Quantiles over which a power is a mean: exact to 0.0005.
_STEPS = 2000


@dataclass(frozen=True)
class Design:
    """A size of a test, and what it can see.

    Attributes:
        listeners: How many rate.
        items: How many items there are.
        pages: How many of them a listener rates.
        half_width: Half of the 95 % interval of a difference of two systems, points.
        power: Chance to find the difference asked for, after Holm's adjustment.
        smallest: Difference that is found with the chance asked for.
    """

    listeners: int
    items: int
    pages: int
    half_width: float
    power: float
    smallest: float


@dataclass(frozen=True)
class Plan:
    """What a test needs.

    Attributes:
        components: Standard deviations it is reckoned with.
        source: Where they come from.
        difference: Points that should be found.
        chance: With which probability.
        pairs: Comparisons that share the level.
        level: Level of one of them.
        wilcoxon: Fewest listeners with which an exact Wilcoxon test can reach that level at all.
        table: Designs of usual sizes.
        least: The smallest design of those with each number of items that finds the difference; none where none does.
    """

    components: Components
    source: str
    difference: float
    chance: float
    pairs: int
    level: float
    wilcoxon: int
    table: tuple[Design, ...]
    least: tuple[Design, ...]


def fewest_for_wilcoxon(level: float) -> int:
    """The smallest n at which the exact two-sided signed-rank test has a p value of at most ``level``: 2^(1-n).

    Example:
        >>> fewest_for_wilcoxon(0.05), fewest_for_wilcoxon(0.05 / 10), fewest_for_wilcoxon(0.05 / 28)
        (6, 9, 11)
    """
    n = 1
    while 2.0 ** (1 - n) > level:
        n += 1
    return n


class CrossedTest:
    """The test that the analysis will make of a difference of two systems, at a size and a level.

    The variance of a mean difference over listeners and items crossed is the sum of the shares of listeners, items and
    residual; degrees of freedom are Satterthwaite's over the three, or, where listeners rate a part of the items each,
    the smaller number of the two less one, as the analysis has it.

    Source: Westfall, Kenny and Judd, Statistical power and optimal design in experiments in which samples of
    participants respond to samples of stimuli, J. Exp. Psychol. Gen. 143 (2014).

    Attributes:
        error: Standard error of the difference, points.
    """

    def __init__(self, components: Components, listeners: int, items: int, pages: int, level: float) -> None:
        from scipy.stats import chi2, t

        shares = [
            2 * components.listener_system**2 / listeners,
            2 * components.item_system**2 / items,
            2 * components.residual**2 / (listeners * pages),
        ]
        self.error = math.sqrt(sum(shares))
        self.possible = min(listeners, items) > 1
        if not self.possible or not self.error:
            return
        freedom = float(min(listeners, items) - 1)
        if pages >= items:
            # Mean squares estimate sums of shares: listeners with residual, items with residual, residual.
            own, other, rest = shares[0] + shares[2], shares[1] + shares[2], shares[2]
            freedom = sum(shares) ** 2 / (
                own**2 / (listeners - 1) + other**2 / (items - 1) + rest**2 / ((listeners - 1) * (items - 1))
            )
        # The noncentral t distribution as a mixture over estimated standard errors: stable at any distance.
        steps = (np.arange(_STEPS) + 0.5) / _STEPS
        self._bounds = float(t.ppf(1 - level / 2, freedom)) * np.sqrt(chi2.ppf(steps, freedom) / freedom)

    def power(self, difference: float) -> float:
        """The chance to find a difference of so many points."""
        from scipy.special import ndtr

        if not self.possible or not self.error:
            return float(self.possible and difference > 0)
        beyond = difference / self.error
        return float(np.mean(ndtr(beyond - self._bounds) + ndtr(-beyond - self._bounds)))

    def smallest(self, chance: float) -> float:
        """The difference that is found with a chance, to 0.01 points; infinity where none is."""
        low, high = 0.0, 1.0
        while self.power(high) < chance:
            low, high = high, 2 * high
            if high > _LARGEST:
                return math.inf
        while high - low > 0.01:
            middle = (low + high) / 2
            low, high = (low, middle) if self.power(middle) >= chance else (middle, high)
        return high


def make_plan(
    systems: int,
    difference: float,
    chance: float = 0.8,
    level: float = 0.05,
    components: Components = DEFAULTS,
    source: str = "a real test of seven neural codecs (Stahl et al. 2024)",
    against_one: bool = False,
    per_listener: int = 0,
) -> Plan:
    """What it takes to find a difference between systems.

    Args:
        systems: Systems under test, without reference and anchors.
        difference: Points on the scale of 100 that should be found.
        chance: With which probability, for a pair that differs by so much.
        level: Of all comparisons together (Holm; the first step, level over the number of pairs, is what is reckoned).
        components: Standard deviations of the effects in a rating.
        source: Where they come from.
        against_one: Compare one system with each other, and not all pairs.
        per_listener: Most items that one listener rates; 0 for all of them.

    Raises:
        BenchError: If a number is out of its range.
    """
    if systems < 2 or not 0 < difference <= 100 or not 0 < chance < 1 or not 0 < level < 1:
        raise BenchError(
            "such a test cannot be planned",
            f"{systems} systems, {difference:g} points, chance {chance:g}, level {level:g}",
            "two systems or more, a difference of up to 100, chance and level between 0 and 1",
        )
    pairs = systems - 1 if against_one else systems * (systems - 1) // 2
    share = level / pairs

    def design(listeners: int, items: int) -> Design:
        pages = min(items, per_listener or items)
        test = CrossedTest(components, listeners, items, pages, share)
        half = components.half_width(listeners, items, pages)
        return Design(listeners, items, pages, half, test.power(difference), test.smallest(chance))

    table = tuple(design(listeners, items) for listeners, items in product(LISTENERS, ITEMS))
    least = []
    for items in ITEMS:
        pages = min(items, per_listener or items)
        enough = _fewest(
            lambda n, i=items, p=pages: CrossedTest(components, n, i, p, share).power(difference) >= chance  # type: ignore[misc]
        )
        if enough is not None:
            least.append(design(enough, items))
    return Plan(components, source, difference, chance, pairs, share, fewest_for_wilcoxon(share), table, tuple(least))


def pilot(paths: Sequence[Path]) -> Components:
    """Standard deviations of the effects in the ratings of a test that was made.

    Raises:
        BenchError: If they cannot be told apart there.
    """
    from ldmbench.listening.read import HowToRead, read_ratings

    ratings = read_ratings(paths, HowToRead())
    found = variance_components(cube(ratings, ratings.systems))
    if found is None:
        raise BenchError(
            "the pilot is too small", f"{len(ratings.listeners)} listeners, {len(ratings.items)} items",
            "two listeners, items and systems are the least",
        )  # fmt: skip
    return found


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest number of listeners that is enough, None where none is."""
    if not enough(_MOST):
        return None
    low, high = 1, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high
