"""How a metric agrees with listeners: correlations with intervals, and the errors of ITU-T P.1401."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real
from ldmbench.listening.crossed import Scores
from ldmbench.stats import LEVEL

#: Draws of listeners and items behind every interval.
DRAWS = 1000

_SEED = 20_261_128

#: Correlations are cut here, so that their transform is finite.
_LARGEST = 1 - 1e-9

#: Fewest cells, systems or items for which a correlation is computed.
FEWEST = 3

Correlation = Callable[[Real, Real], Real]


@dataclass(frozen=True)
class Agreement:
    """A correlation with its 95 % interval over items and listeners; None where there is no value."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Mapped:
    """Errors after the metric was mapped to the scale of the ratings.

    Attributes:
        rmse: Root mean square error in points.
        rmse_star: The same of what lies outside the interval of each sound's mean rating; None without intervals.
        outliers: Share of sounds outside that interval; None without intervals.
    """

    rmse: float
    rmse_star: float | None
    outliers: float | None


def pearson(x: Real, y: Real) -> Real:
    """Pearson's r along the last axis, of what is a number on both sides; NaN where there are too few or one is equal.

    Args:
        x: ``[..., n]``.
        y: ``[..., n]``.

    Returns:
        ``[...]``.
    """
    there = ~(np.isnan(x) | np.isnan(y))
    count = there.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = (_centred(side, there, count) for side in (x, y))
        sizes = [(side**2).sum(axis=-1) for side in (one, other)]
        r: Real = (one * other).sum(axis=-1) / np.sqrt(sizes[0] * sizes[1])
        largest = [np.abs(np.where(there, side, 0)).max(axis=-1) for side in (x, y)]
        flat = [size <= (1e-12 * top) ** 2 * count for size, top in zip(sizes, largest, strict=True)]
    return np.where((count < FEWEST) | flat[0] | flat[1], np.nan, r)


def _centred(values: Real, there: NDArray[np.bool_], count: NDArray[np.intp]) -> Real:
    kept = np.where(there, values, 0.0)
    centred: Real = np.where(there, kept - (kept.sum(axis=-1) / count)[..., None], 0.0)
    return centred


def spearman(x: Real, y: Real) -> Real:
    """Spearman's rho, as ``pearson``."""
    from scipy.stats import rankdata

    absent = np.isnan(x) | np.isnan(y)
    # What is no number comes last and moves no other rank.
    ranks = [rankdata(np.where(absent, np.inf, side), axis=-1) for side in (x, y)]
    return pearson(*(np.where(absent, np.nan, rank) for rank in ranks))


def kendall(x: Real, y: Real) -> Real:
    """Kendall's tau-b, as ``pearson``."""
    if x.ndim > 1:
        # Each row has a square of signs; together they would fill the memory.
        return np.array([kendall(one, other) for one, other in zip(x, y, strict=True)])
    there = ~(np.isnan(x) | np.isnan(y))
    x, y = x[there], y[there]
    signs = [np.sign(side[:, None] - side).astype(np.int8) for side in (x, y)]
    sizes = [int(np.count_nonzero(sign)) for sign in signs]
    if len(x) < FEWEST or not all(sizes):
        return np.array(np.nan)
    return np.array(int((signs[0] * signs[1]).sum(dtype=np.int64)) / math.sqrt(sizes[0] * sizes[1]))


def per_cell(correlation: Correlation, means: Real, values: Real) -> Real:
    """Over all sounds: ``[..., items, systems]`` mean ratings against values of a metric."""
    return correlation(*(array.reshape(*array.shape[:-2], -1) for array in (means, values)))


def per_system(correlation: Correlation, means: Real, values: Real) -> Real:
    """Over systems, each by its mean over the sounds that have both."""
    absent = np.isnan(means) | np.isnan(values)
    count = (~absent).sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        sides = [np.where(absent, 0, array).sum(axis=-2) / count for array in (means, values)]
    return correlation(*sides)


def within_items(correlation: Correlation, means: Real, values: Real) -> Real:
    """Over the systems of each item; the mean over items by Fisher's z."""
    each = np.arctanh(np.clip(correlation(means, values), -_LARGEST, _LARGEST))
    count = (~np.isnan(each)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Real = np.tanh(np.nansum(each, axis=-1) / count)
    return np.where(count > 0, mean, np.nan)


#: How cells are put together -> the function that does it.
LEVELS = {"sounds": per_cell, "systems": per_system, "within items": within_items}


class Draws:
    """Mean ratings under draws of listeners and items, the same for every metric.

    Args:
        scores: ``[listeners, items, systems]``, NaN where a listener did not rate a sound.
        count: How many draws.
    """

    def __init__(self, scores: Scores, count: int = DRAWS) -> None:
        listeners, items, systems = scores.shape
        random = np.random.default_rng(_SEED)
        self.items: NDArray[np.intp] = random.integers(0, items, (count, items))
        weights = random.multinomial(listeners, np.full(listeners, 1 / listeners), count).astype(np.float64)
        there = ~np.isnan(scores)
        flat = np.where(there, scores, 0.0).reshape(listeners, -1)
        with np.errstate(invalid="ignore"):
            drawn = (weights @ flat) / (weights @ there.reshape(listeners, -1))
        means = drawn.reshape(count, items, systems)
        self.means: Real = np.take_along_axis(means, self.items[:, :, None], axis=1)

    def statistics(self, statistic: Callable[[Real, Real], Real], values: Real) -> Real:
        """A statistic of mean ratings and a metric's values ``[items, systems]``, for every draw."""
        return statistic(self.means, values[self.items])


def interval(value: float, drawn: Real, items: int) -> Agreement:
    """The interval of a correlation in Fisher's z, by the spread of its draws and Student's t of the items.

    Source: coverage by simulation of listeners and items; Efron and Tibshirani, An Introduction to the Bootstrap
    (1993), section 13.3 on transformed intervals.
    """
    from scipy.special import stdtrit

    if math.isnan(value):
        return Agreement(None)
    error = _error(drawn, items)
    if error is None:
        return Agreement(value)
    half = float(stdtrit(items - 1, 0.5 + LEVEL / 2)) * error
    return Agreement(value, math.tanh(_z(value) - half), math.tanh(_z(value) + half))


def difference(first: float, second: float, drawn: tuple[Real, Real], items: int) -> tuple[float, float, float] | None:
    """Whether two correlations differ, by the same draws: z of the difference with its interval's half, and p.

    Returns:
        (difference of Fisher's z, half of its 95 % interval, two-sided p), None where it cannot be said.
    """
    from scipy.special import stdtr, stdtrit

    if math.isnan(first) or math.isnan(second):
        return None
    one, other = (np.arctanh(np.clip(draws, -_LARGEST, _LARGEST)) for draws in drawn)
    apart = one - other
    spread = apart[~np.isnan(apart)]
    if len(spread) < len(apart) // 2 or items < FEWEST:
        return None
    error = float(spread.std(ddof=1)) * math.sqrt(items / (items - 1))
    value = _z(first) - _z(second)
    if error < 1e-12:
        return value, 0.0, 1.0 if abs(value) < 1e-12 else 0.0
    p = float(2 * stdtr(items - 1, -abs(value) / error))
    return value, float(stdtrit(items - 1, 0.5 + LEVEL / 2)) * error, p


def _error(drawn: Real, items: int) -> float | None:
    usable = drawn[~np.isnan(drawn)]
    if len(usable) < len(drawn) // 2 or items < FEWEST:
        return None
    z = np.arctanh(np.clip(usable, -_LARGEST, _LARGEST))
    return float(z.std(ddof=1)) * math.sqrt(items / (items - 1))


def _z(value: float) -> float:
    return math.atanh(min(max(value, -_LARGEST), _LARGEST))


def mapped(means: Real, values: Real, halves: Real | None, cubic: bool = False) -> Mapped | None:
    """Errors of a metric after its best linear or monotone cubic mapping to the ratings.

    Args:
        means: ``[n]`` mean ratings.
        values: ``[n]`` values of the metric.
        halves: ``[n]`` half 95 % intervals of the mean ratings, None where they cannot be said.
        cubic: Map by a cubic that does not turn on the range of the values, in place of a line.

    Returns:
        The errors; None where there are no more sounds than coefficients, or the values are all equal.

    Source: ITU-T P.1401 (2020), clauses 7.5 and 8; degrees of freedom are those left by the mapping's coefficients.
    """
    freedom = 4 if cubic else 2
    if len(means) <= freedom or np.ptp(values) == 0:
        return None
    x = (values - values.mean()) / values.std()
    fitted = _monotone_cubic(x, means) if cubic else np.polyval(np.polyfit(x, means, 1), x)
    errors = np.abs(means - fitted)

    def root(sizes: Real) -> float:
        return math.sqrt(float((sizes**2).sum()) / (len(means) - freedom))

    if halves is None:
        return Mapped(root(errors), None, None)
    return Mapped(root(errors), root(np.maximum(errors - halves, 0)), float((errors > halves).mean()))


def _monotone_cubic(x: Real, y: Real) -> Real:
    """The least-squares cubic whose slope has one sign on the range of ``x``, whichever sign fits better."""
    from scipy.optimize import minimize

    grid = np.linspace(x.min(), x.max(), 50)
    basis, slope = np.vander(x, 4), np.column_stack([3 * grid**2, 2 * grid, np.ones_like(grid), np.zeros_like(grid)])
    scale = max(float(y.std()), 1e-9)
    best: tuple[float, Real] | None = None
    for sign in (1.0, -1.0):
        line = np.polyfit(x, y, 1)
        start = np.array(
            [0.0, 0.0, line[0] if line[0] * sign > 0 else 0.0, line[1] if line[0] * sign > 0 else y.mean()]
        )
        result = minimize(
            lambda c: float((((basis @ c) - y) ** 2).mean()) / scale**2,
            start,
            jac=lambda c: 2 * basis.T @ (basis @ c - y) / len(y) / scale**2,
            method="SLSQP",
            constraints={"type": "ineq", "fun": lambda c, s=sign: s * (slope @ c), "jac": lambda c, s=sign: s * slope},
            options={"maxiter": 200, "ftol": 1e-10},
        )
        if best is None or result.fun < best[0]:
            best = float(result.fun), basis @ result.x
    assert best is not None
    return best[1]
