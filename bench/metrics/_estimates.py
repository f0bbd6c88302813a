"""Estimates from the embedded rows of all clips: distances of outputs to references, or to statistics of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real, Rows
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import _frechet as frechet
from ldmbench.metrics import _statistics as statistics
from ldmbench.metrics import _swaps as swaps
from ldmbench.metrics._facts import MetricFacts
from ldmbench.stats import Estimate

#: What the interval of a Frechet distance and of a kernel distance says.
OF_A_DISTANCE = "of the distance that this many clips give, which falls with their number; not of its limit"
OF_A_KERNEL = (
    "of the distance that this many clips give with their own references; below 0 where outputs are near these, "
    "down to -200 over the number of clips"
)


def pooled(side: Sequence[Rows]) -> tuple[Rows, NDArray[np.int64]]:
    """All rows of a side, and the clip of each."""
    return np.concatenate(side), np.repeat(np.arange(len(side)), [len(rows) for rows in side])


def frechet_estimate(reference: Sequence[Rows], output: Sequence[Rows]) -> Estimate:
    """Frechet distance of all rows, with its interval over clips; no value for fewer than two rows."""
    (x, own_x), (y, own_y) = pooled(reference), pooled(output)
    if min(len(x), len(y)) < 2:
        return Estimate(None)
    return frechet.interval(frechet.frechet(x, y, (own_x, own_y)))


def frechet_estimate_to(reference: str, output: Sequence[Rows]) -> Estimate:
    """``frechet_estimate`` from statistics.

    Raises:
        Unscored: If they are not here.
    """
    y, own = pooled(output)
    return Estimate(None) if len(y) < 2 else frechet.interval(frechet.frechet_to(_moments(reference), y, own))


def frechet_differences_to(reference: str, base: Sequence[Rows], new: Sequence[Rows]) -> Real:
    """``_swaps.frechet_differences`` from statistics.

    Raises:
        Unscored: If they are not here.
    """
    return swaps.frechet_differences_to(_moments(reference), base, new)


def infinity_estimate(
    reference: Sequence[Rows], output: Sequence[Rows], steps: int, smallest: int, seed: int, replacement: bool
) -> Estimate:
    """Frechet distance extrapolated to infinitely many rows, without an interval; no value for too few rows."""
    (x, _), (y, _) = pooled(reference), pooled(output)
    if len(x) < 2 or len(y) <= smallest:
        return Estimate(None)
    value = frechet.frechet_infinity(x, y, steps=steps, smallest=smallest, seed=seed, replacement=replacement)
    return Estimate(value, note="an extrapolation")


def infinity_estimate_to(
    reference: str, output: Sequence[Rows], steps: int, smallest: int, seed: int, replacement: bool
) -> Estimate:
    """``infinity_estimate`` from statistics.

    Raises:
        Unscored: If they are not here.
    """
    y, _ = pooled(output)
    if len(y) <= smallest:
        return Estimate(None)
    x = _moments(reference)
    value = frechet.frechet_infinity(x, y, steps=steps, smallest=smallest, seed=seed, replacement=replacement)
    return Estimate(value, note="an extrapolation")


def kernel_estimate(
    reference: Sequence[Rows], output: Sequence[Rows], bandwidth: Literal["output", "reference"]
) -> Estimate:
    """Kernel distance of all rows, with its interval; no value where most rows are equal or there is only one."""
    (x, own_x), (y, own_y) = pooled(reference), pooled(output)
    if min(len(x), len(y)) < 2 or frechet.median_distance(y if bandwidth == "output" else x) == 0:
        return Estimate(None)
    return frechet.kernel_distance(x, y, (own_x, own_y), bandwidth=bandwidth)


def against(facts: MetricFacts, name: str) -> MetricFacts:
    """The facts of a metric whose references are statistics."""
    interval = f"{facts.interval}; the statistics of the references are taken as they are" if facts.interval else ""
    return replace(facts, needs=("output",), reference=statistics.about(name), interval=interval)


def _moments(name: str) -> frechet.Moments:
    """Moments of statistics, which a reader of a run on another machine may lack: that is a fault of no clip."""
    try:
        return statistics.moments(name)
    except BenchError as error:
        raise Unscored(str(error)) from error
