"""Estimates with seeded 95 % bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Bootstrap resamples behind every interval.
RESAMPLES = 2000

#: Coverage of the intervals.
LEVEL = 0.95

_SEED = 20_240_501


@dataclass(frozen=True)
class Estimate:
    """A number in a table: its value, its interval, and how many clips stand behind it.

    Attributes:
        value: The estimate, None where no clip was scored.
        low: Lower end of the 95 % interval, None where fewer than two clips were scored.
        high: Upper end.
        n: Clips that were scored.
        failed: Clips whose output or score failed.
        unscored: Clips for which the metric has no value.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    failed: int = 0
    unscored: int = 0


def mean(values: Sequence[float]) -> Estimate:
    """Arithmetic mean over clips, with a percentile bootstrap interval.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.

    Example:
        >>> estimate = mean([3.0, 4.0, 5.0])
        >>> estimate.value, estimate.n, estimate.low < 4 < estimate.high
        (4.0, 3, True)
    """
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return Estimate(None)
    value = float(array.mean())
    if array.size == 1:
        return Estimate(value, n=1)
    return _with_interval(value, array[_draws(array.size)].mean(axis=1), array.size)


def mean_of_means(groups: Sequence[Sequence[float]]) -> Estimate:
    """Mean over groups of each group's mean, clips resampled within their groups.

    Args:
        groups: Values of the clips of each group; a group without any leaves no value.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 8.3 (several samples).
    """
    arrays = [np.asarray(group, np.float64) for group in groups]
    n = sum(array.size for array in arrays)
    if not arrays or not all(array.size for array in arrays):
        return Estimate(None, n=n)
    value = float(np.mean([array.mean() for array in arrays]))
    if any(array.size == 1 for array in arrays):
        return Estimate(value, n=n)
    # Each group has draws of its own: groups of equal size would else be resampled alike.
    resampled = [array[_draws(array.size, index)].mean(axis=1) for index, array in enumerate(arrays)]
    return _with_interval(value, np.mean(resampled, axis=0), n)


def largest(values: Sequence[float]) -> Estimate:
    """The largest value; it has no bootstrap interval worth showing."""
    return Estimate(float(max(values)) if len(values) else None, n=len(values))


def ratio(pairs: Sequence[Sequence[float]]) -> Estimate:
    """Sum of numerators over sum of denominators (corpus WER, kbps), clips resampled as pairs.

    Args:
        pairs: ``[n, 2]`` numerators and denominators.
    """
    array = np.asarray(pairs, np.float64).reshape(-1, 2)
    if len(array) == 0 or array[:, 1].sum() == 0:
        return Estimate(None, n=0)
    value = float(array[:, 0].sum() / array[:, 1].sum())
    if len(array) == 1:
        return Estimate(value, n=1)
    sums = array[_draws(len(array))].sum(axis=1)
    return _with_interval(value, sums[:, 0] / np.where(sums[:, 1] == 0, np.nan, sums[:, 1]), len(array))


def _draws(n: int, group: int = 0) -> NDArray[np.int64]:
    """Resampled row numbers ``[RESAMPLES, n]``: the same for equal n, so intervals never change between calls."""
    return np.random.default_rng(_SEED + group).integers(0, n, (RESAMPLES, n))


def _with_interval(value: float, resampled: NDArray[np.float64], n: int) -> Estimate:
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(resampled, (tail, 1 - tail))
    return Estimate(value, float(low), float(high), n)
