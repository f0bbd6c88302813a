"""Estimates with 95 % intervals in closed form: no seed, and none where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Coverage that the intervals aim at.
LEVEL = 0.95

#: Below so many clips there is no interval; below ``MARKED`` there is one, and it is marked.
FEWEST, MARKED = 3, 5

#: Why there is no interval.
TOO_FEW, ALL_EQUAL, ALL_ZERO = "too few clips", "all equal", "all zero"

#: What an interval of fewer than ``MARKED`` clips says of itself.
FEW = "few clips"

#: Values whose spread is below so much of their size differ by rounding alone.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A number in a table: its value, its interval, and how many clips stand behind it.

    Attributes:
        value: The estimate, None where no clip was scored.
        low: Lower end of the 95 % interval, None where there is none; ``note`` then says why.
        high: Upper end.
        n: Clips that were scored.
        failed: Clips whose output or score failed.
        unscored: Clips for which the metric has no value.
        note: Why there is no interval, or ``few clips`` where it is one to be careful with.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    failed: int = 0
    unscored: int = 0
    note: str = ""


def mean(values: ArrayLike, low: float | None = None, high: float | None = None) -> Estimate:
    """Arithmetic mean over clips with the interval of ``around``.

    Args:
        values: A number for each clip.
        low: Smallest value that the quantity can have, below which no interval reaches; None where there is none.
        high: Largest value that it can have.

    Example:
        >>> estimate = mean([3.0, 4.0, 5.0, 4.5, 3.5])
        >>> estimate.value, estimate.n, round(estimate.low, 2), round(estimate.high, 2)
        (4.0, 5, 3.02, 4.98)
    """
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return Estimate(None)
    return around(float(array.mean()), array, low, high)


def around(value: float, values: ArrayLike, low: float | None = None, high: float | None = None) -> Estimate:
    """An estimate that is, exactly or to first order, the mean of ``values``, with its interval.

    The lower of two lower ends and the higher of two upper ends: Student's, and Hall's, whose cubic transform
    follows the skewness of the values. Either alone covers too little where the other does not (normal values,
    skewed values); their coverage at each number of clips is in ``docs/intervals.md``.

    Args:
        value: The estimate; its interval is that of the mean, shifted to it.
        values: ``[n]``, one for each clip.
        low: Smallest value that the quantity can have.
        high: Largest value that it can have.

    Returns:
        The estimate; without an interval below ``FEWEST`` clips and where all values are equal, with a note below
        ``MARKED`` clips.

    Source: Student, Biometrika 6 (1908); Hall, On the removal of skewness by transformation, J. R. Statist. Soc. B
    54 (1992), with quantiles of t in place of the normal ones.
    """
    array = np.asarray(values, np.float64)
    n = array.size
    if n < FEWEST:
        return Estimate(value, n=n, note=TOO_FEW)
    if all_equal(array):
        return Estimate(value, n=n, note=ALL_EQUAL)
    deviation, skewness = spread(array)
    error = deviation / math.sqrt(n)
    below, above = reach(_student(n - 1), skewness, n)
    return _estimate(value, value - below * error, value + above * error, n, (low, high), FEW if n < MARKED else "")


def mean_of_means(groups: Sequence[Sequence[float]], low: float | None = None, high: float | None = None) -> Estimate:
    """Mean over groups of each group's mean, with Student's interval for means of unequal variances.

    Where a group has fewer than 4 clips, the degrees of freedom are those of the smallest group: Satterthwaite's
    are then themselves estimated too badly.

    Args:
        groups: Values of the clips of each group; a group without any leaves no value.
        low: Smallest value that the quantity can have.
        high: Largest value that it can have.

    Source: Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 2
    (1946), equation 17.
    """
    arrays = [np.asarray(group, np.float64) for group in groups]
    n = sum(array.size for array in arrays)
    if not arrays or not all(array.size for array in arrays):
        return Estimate(None, n=n)
    value = float(np.mean([array.mean() for array in arrays]))
    smallest = min(array.size for array in arrays)
    if smallest < 2:
        return Estimate(value, n=n, note=TOO_FEW)
    if all(map(all_equal, arrays)):
        return Estimate(value, n=n, note=ALL_EQUAL)
    parts = np.array([0.0 if all_equal(array) else array.var(ddof=1) / array.size for array in arrays])
    shares = parts / parts.max()
    freedom = shares.sum() ** 2 / (shares**2 / [array.size - 1 for array in arrays]).sum()
    if smallest < 4:
        freedom = smallest - 1
    half = _student(float(freedom)) * math.sqrt(parts.sum()) / len(arrays)
    return _estimate(value, value - half, value + half, n, (low, high), FEW if smallest < MARKED else "")


def largest(values: Sequence[float]) -> Estimate:
    """The largest value; of the largest there could be, the values say nothing that an interval could hold."""
    return Estimate(float(max(values)) if len(values) else None, n=len(values), note="a largest value")


def ratio(pairs: ArrayLike, low: float | None = None, high: float | None = None) -> Estimate:
    """Sum of numerators over sum of denominators (corpus WER, kbps), with the interval of its linear terms.

    A clip moves the ratio R by (e - R w) / mean(w), e and w its numerator and denominator; the interval is that
    of the mean of these. Where every numerator is 0 there is none: of n clips without an error nothing can be said
    but that at most ``1 - 0.05 ** (1 / n)`` of all clips have one (Clopper and Pearson, one-sided).

    Args:
        pairs: ``[n, 2]`` numerators and denominators.
        low: Smallest value that the ratio can have.
        high: Largest value that it can have.

    Source: Cochran, Sampling Techniques (1977), chapter 6.
    """
    array = np.asarray(pairs, np.float64).reshape(-1, 2)
    if len(array) == 0 or array[:, 1].sum() == 0:
        return Estimate(None, n=0)
    value = float(array[:, 0].sum() / array[:, 1].sum())
    if len(array) >= FEWEST and not array[:, 0].any():
        return Estimate(value, n=len(array), note=ALL_ZERO)
    return around(value, ratio_terms(array), low, high)


def ratio_terms(pairs: ArrayLike) -> NDArray[np.float64]:
    """A number for each clip whose mean is the ratio of sums, and which move it as the clips do, to first order.

    Args:
        pairs: ``[n, 2]`` numerators and denominators, whose sum is not 0.
    """
    numerators, weights = np.asarray(pairs, np.float64).reshape(-1, 2).T
    value = numerators.sum() / weights.sum()
    return np.asarray(value + (numerators - value * weights) / weights.mean(), np.float64)


def all_equal(values: NDArray[np.float64]) -> bool:
    """Whether values differ by rounding alone, so that their spread says nothing."""
    return bool(np.ptp(values) <= _ROUNDING * np.abs(values).max())


def spread(values: NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviation (over n - 1) and skewness (of the moments over n) of values that are not all equal."""
    deviations = values - values.mean()
    # Scaled to about 1, so that no power of them leaves the range of floats.
    scale = float(np.abs(deviations).max())
    deviations = deviations / scale
    skewness = float((deviations**3).mean() / (deviations**2).mean() ** 1.5)
    return scale * float(deviations.std(ddof=1)), skewness


def reach(t: float, skewness: float, n: int) -> tuple[float, float]:
    """How many standard errors below and above a mean the wider of Student's and Hall's intervals ends.

    Args:
        t: The quantile of Student's distribution that leaves the interval's error at one end.
        skewness: Of the values.
        n: How many values there are.
    """
    return max(t, _hall_inverse(t, skewness, n)), max(t, -_hall_inverse(-t, skewness, n))


def hall(t: float, skewness: float, n: int) -> float:
    """Hall's cubic transform of a mean in standard errors, which takes the skewness of the values out of it."""
    root = math.sqrt(n)
    return t + skewness * t * t / (3 * root) + skewness**2 * t**3 / (27 * n) + skewness / (6 * root)


def _hall_inverse(y: float, skewness: float, n: int) -> float:
    """The mean in standard errors whose transform is ``y``."""
    if abs(skewness) < 1e-6:
        return y
    root = math.sqrt(n)
    return float(np.cbrt(1 + skewness / root * (y - skewness / (6 * root))) - 1) * 3 * root / skewness


def _student(freedom: float) -> float:
    """The quantile of Student's distribution that leaves half of the error at each end."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + LEVEL / 2))


def _estimate(
    value: float, low: float, high: float, n: int, limits: tuple[float | None, float | None], note: str
) -> Estimate:
    """The estimate, its ends cut to what the quantity can be; they hold the value even where that lies outside."""
    low = low if limits[0] is None else max(low, limits[0])
    high = high if limits[1] is None else min(high, limits[1])
    return Estimate(value, min(value, low), max(value, high), n, note=note)
