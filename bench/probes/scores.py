"""Scores of predictions as hear-eval-kit defines them, and how far each example moves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real
from ldmbench.errors import Unscored
from ldmbench.probes.examples import Index

#: How good probabilities ``[examples, classes]`` are for targets ``[examples]``; the higher the better.
Score = Callable[[Real, Index], float]

#: The score of one class, and its derivative by the weight of each example: from a column of probabilities and a mask
#: of the class's own examples.
OfClass = Callable[[Real, NDArray[np.bool_]], tuple[float, Real]]


def top1(scores: Real, targets: Index) -> float:
    """Share of examples whose most probable class is theirs."""
    return float((scores.argmax(axis=1) == targets).mean())


def chroma(scores: Real, targets: Index) -> float:
    """As ``top1``, for indices modulo 12."""
    return float((scores.argmax(axis=1) % 12 == targets % 12).mean())


def average_precision(column: Real, own: NDArray[np.bool_]) -> tuple[float, Real]:
    """Mean over a class's examples of the precision among all that are at least as probable.

    Source: scikit-learn, ``average_precision_score``: no interpolation, ties fall together.
    """
    thresholds = np.sort(column[own])
    count = len(thresholds)
    above = len(column) - np.searchsorted(np.sort(column), thresholds, "left")
    precision = (count - np.searchsorted(thresholds, thresholds, "left")) / above
    value = float(precision.mean())
    # An example counts in every threshold that it reaches: as right if it is of the class, in any case among all.
    reached = np.searchsorted(thresholds, column, "right")
    counted, right = (np.concatenate([[0.0], np.cumsum(item / above)]) for item in (np.ones(count), precision))
    moves = own * counted[reached] - right[reached]
    moves[own] += precision[np.searchsorted(thresholds, column[own], "left")] - value
    return value, moves / count


def area(column: Real, own: NDArray[np.bool_]) -> tuple[float, Real]:
    """Area under the ROC curve: how often an example of a class is more probable than another; ties count half."""
    moves = np.empty(len(column))
    inside, outside = np.sort(column[own]), np.sort(column[~own])
    moves[own] = _below(outside, column[own])
    moves[~own] = 1 - _below(inside, column[~own])
    value = float(moves[own].mean())
    moves -= value
    moves[own] /= len(inside)
    moves[~own] /= len(outside)
    return value, moves


def d_prime(column: Real, own: NDArray[np.bool_]) -> tuple[float, Real]:
    """Normal quantile of the area under the ROC curve, times the root of 2.

    Raises:
        Unscored: If the class is told without an error, or always taken for another: it is infinite.
    """
    from scipy.stats import norm

    value, moves = area(column, own)
    if value in (0.0, 1.0):
        raise Unscored(f"a class has an area of {value:g} under its ROC curve: its d-prime is infinite")
    quantile = float(norm.ppf(value))
    return 2**0.5 * quantile, moves * (2**0.5 / float(norm.pdf(quantile)))


def over_classes(of_class: OfClass, scores: Real, targets: Index) -> tuple[float, Real]:
    """The mean of the classes' scores, each counting the same, and a number for each example whose mean is that.

    The numbers are the score and so many times its derivative by the example's weight: their spread is that of the
    score over other examples like these, to first order (the infinitesimal jackknife).

    Source: hear-eval-kit 2021.1.3, ``score.py``: ``average="macro"``. Classes without an example, of which it says NaN
    or 0, do not count.

    Raises:
        Unscored: If all examples are of one class.
    """
    classes = np.unique(targets)
    if len(classes) < 2:
        raise Unscored("all clips of a test split have one label")
    total, moves = 0.0, np.zeros(len(targets))
    for number in classes:
        value, own = of_class(np.ascontiguousarray(scores[:, number]), targets == number)
        total += value / len(classes)
        moves += own / len(classes)
    return total, total + len(targets) * moves


def _macro(of_class: OfClass, scores: Real, targets: Index) -> float:
    try:
        return over_classes(of_class, scores, targets)[0]
    except Unscored:
        # hear-eval-kit has NaN here: never better than another.
        return -np.inf


#: HEAR's names of the scores by which a task may stop and choose.
SCORES: Mapping[str, Score] = {
    "top1_acc": top1,
    "pitch_acc": top1,
    "chroma_acc": chroma,
    "mAP": partial(_macro, average_precision),
    "aucroc": partial(_macro, area),
}


def _below(others: Real, values: Real) -> Real:
    """Share of sorted others that are less than each value; equal ones count half."""
    less, most = (np.searchsorted(others, values, side) for side in ("left", "right"))
    return np.asarray((less + most) / (2 * len(others)), np.float64)
