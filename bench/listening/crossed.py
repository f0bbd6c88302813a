"""Means over listeners and items at once: both are samples, and an interval over one of them alone is too narrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldmbench.listening.votes import Ratings
from ldmbench.stats import ALL_EQUAL, LEVEL, TOO_FEW, all_equal

#: ``[listeners, items]`` or ``[listeners, items, conditions]``; NaN where a listener did not rate a sound.
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Crossed:
    """A mean over listeners and items.

    Attributes:
        value: The mean over all cells, None where there is none.
        low: Lower end of the 95 % interval for other listeners and other items, None where there is none.
        high: Upper end.
        p: Two-sided, of a mean of 0.
        error: Standard error.
        freedom: Degrees of freedom.
        cells: How many ratings (or differences) it is the mean of.
        listeners: Listeners in it.
        items: Items in it.
        note: Why there is no interval, or what it does not cover.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    error: float | None = None
    freedom: float | None = None
    cells: int = 0
    listeners: int = 0
    items: int = 0
    note: str = ""


def cube(ratings: Ratings, conditions: Sequence[str]) -> Scores:
    """Ratings as ``[listeners, items, conditions]``, in the orders in which they first occur.

    Repetitions put in on purpose are left out: they tell how reliable listeners are.
    """
    row_of = {name: index for index, name in enumerate(ratings.listeners)}
    column_of = {name: index for index, name in enumerate(ratings.items)}
    layer_of = {name: index for index, name in enumerate(conditions)}
    scores = np.full((len(row_of), len(column_of), len(layer_of)), np.nan)
    for vote in ratings.rows:
        if vote.system in layer_of and not vote.repeat:
            scores[row_of[vote.listener], column_of[vote.item], layer_of[vote.system]] = vote.score
    return scores


def crossed(scores: Scores) -> Crossed:
    """The mean of ``[listeners, items]`` with its interval over both.

    Where every listener rated every item, from the mean squares of listeners, items and residual, with Satterthwaite's
    degrees of freedom; else from the sums of residuals of each listener and item, with the smaller number of the two
    less one. Where there is one listener (or only means over listeners), over items alone; where there is one item,
    over listeners alone.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946); Cameron, Gelbach and Miller, Robust inference with multiway
    clustering, J. Bus. Econ. Stat. 29 (2011).
    """
    from scipy.special import stdtr, stdtrit

    scores = scores[~np.isnan(scores).all(axis=1)]
    scores = scores[:, ~np.isnan(scores).all(axis=0)]
    listeners, items = scores.shape
    there = ~np.isnan(scores)
    cells = int(there.sum())
    if not cells:
        return Crossed(None, note=TOO_FEW)
    values = scores[there]
    value = float(values.mean())
    if listeners < 2 and items < 2:
        return Crossed(value, cells=cells, listeners=listeners, items=items, note=TOO_FEW)
    if all_equal(values):
        return Crossed(value, cells=cells, listeners=listeners, items=items, note=ALL_EQUAL)
    note = ""
    if listeners < 2 or items < 2:
        variance, freedom = float(values.var(ddof=1)) / cells, float(cells - 1)
        note = "over items alone" if listeners < 2 else "over listeners alone"
    elif cells == listeners * items:
        variance, freedom = _complete(scores)
    else:
        variance, freedom = _incomplete(scores - value)
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * error
    p = float(2 * stdtr(freedom, -abs(value) / error)) if error else None
    return Crossed(value, value - half, value + half, p, error, freedom, cells, listeners, items, note)


def _complete(scores: Scores) -> tuple[float, float]:
    """Variance of the mean and its degrees of freedom, where no cell is empty."""
    listeners, items = scores.shape
    of_listeners = items * float(scores.mean(axis=1).var(ddof=1))
    of_items = listeners * float(scores.mean(axis=0).var(ddof=1))
    residuals = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0, keepdims=True) + scores.mean()
    freedom = (listeners - 1) * (items - 1)
    residual = float((residuals**2).sum()) / freedom
    both = of_listeners + of_items - residual
    largest = max(both, of_listeners, of_items)
    if largest == of_listeners:
        degrees = float(listeners - 1)
    elif largest == of_items:
        degrees = float(items - 1)
    else:
        squares = (of_listeners**2 / (listeners - 1), of_items**2 / (items - 1), residual**2 / freedom)
        degrees = both**2 / sum(squares)
    return largest / scores.size, degrees


def _incomplete(residuals: Scores) -> tuple[float, float]:
    """The same where cells are empty."""
    listeners, items = residuals.shape
    cells = int((~np.isnan(residuals)).sum())
    of_listeners = listeners / (listeners - 1) * float((np.nansum(residuals, axis=1) ** 2).sum())
    of_items = items / (items - 1) * float((np.nansum(residuals, axis=0) ** 2).sum())
    each = cells / (cells - 1) * float(np.nansum(residuals**2))
    largest = max(of_listeners + of_items - each, of_listeners, of_items)
    return largest / cells**2, float(min(listeners, items) - 1)
