"""Bjontegaard delta rate: how many percent more or fewer bits a system needs for the same quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.errors import BenchError, Unscored
from ldmbench.names import unknown
from ldmbench.reports.cells import unique
from ldmbench.reports.curves import RATE, Curve, Family

Method = Literal["pchip", "cubic"]

#: Rate-quality points a curve must have. Four define the cubic of VCEG-M33; a piecewise interpolation is defined from
#: two on, where it is the straight line of the logarithmic plot.
MIN_POINTS: dict[Method, int] = {"pchip": 2, "cubic": 4}

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class BdRate:
    """A delta rate, or why there is none.

    Attributes:
        dataset: Dataset with its condition.
        metric: The quality metric.
        family: The system family that was compared with the anchor.
        percent: Change of bitrate at equal quality; negative means fewer bits than the anchor.
        overlap: Share of the union of both quality ranges that both curves cover.
        reason: Why there is no number, empty where there is one.
    """

    dataset: str
    metric: str
    family: str
    percent: float | None
    overlap: float
    reason: str = ""


def bd_rate(anchor: Points, test: Points, method: Method = "pchip") -> float:
    """Mean change of the bitrate at equal quality, in percent of the anchor's.

    The logarithm of the rate is interpolated as a function of quality and averaged over the interval of quality
    that both curves cover; nothing is extrapolated.

    Args:
        anchor: (kbps, quality) pairs in any order, quality rising with rate; negate lower-is-better metrics.
        test: Those of the system that is compared.
        method: ``pchip``, a monotone piecewise cubic through all points as current JVET reporting uses it; or
            ``cubic``, one cubic polynomial (least squares above four points) as originally published.

    Raises:
        Unscored: If a curve has too few points or does not rise, or the curves share no interval of quality.

    Source: G. Bjontegaard, Calculation of average PSNR differences between RD-curves, ITU-T SG16 VCEG-M33 (2001);
        piecewise form: ITU-T HSTP-VID-WPOM (2020), clause 7; monotone interpolation: Fritsch and Butland (1984).

    Example:
        Half the bits for the same quality:

        >>> f"{bd_rate([(6, 2.0), (12, 3.0), (24, 4.0)], [(3, 2.0), (6, 3.0), (12, 4.0)]):.1f}"
        '-50.0'
    """
    first, second = _curve(anchor, method, "the anchor"), _curve(test, method, "the curve")
    low = max(first[0][0], second[0][0])
    high = min(first[0][-1], second[0][-1])
    if high <= low:
        raise Unscored("no common range of quality")
    means = [_integral(*curve, low, high, method) / (high - low) for curve in (first, second)]
    return float((10 ** (means[1] - means[0]) - 1) * 100)


def quality_overlap(anchor: Points, test: Points) -> float:
    """Length of the common interval of quality over that of the union, 0 to 1."""
    ranges = [(min(q for _, q in points), max(q for _, q in points)) for points in (anchor, test) if points]
    if len(ranges) < 2:
        return 0.0
    common = min(high for _, high in ranges) - max(low for low, _ in ranges)
    union = max(high for _, high in ranges) - min(low for low, _ in ranges)
    return max(0.0, common / union) if union > 0 else 0.0


def bd_table(curves: Sequence[Curve], anchor: str, method: Method = "pchip") -> tuple[BdRate, ...]:
    """The delta rate of every family against the anchor, on every dataset and metric.

    Raises:
        BenchError: If no curve holds the anchor family.
    """
    curves = [curve for curve in curves if curve.axis == RATE]
    names = unique(family.name for curve in curves for family in curve.families)
    if not names:
        raise BenchError("no system has a measured bitrate", fix="BD-rate needs codecs and the metric kbps")
    asked, anchor = anchor, find_anchor(curves, anchor)
    if not anchor:
        raise unknown("system family", asked, names)
    rows = []
    for curve in curves:
        families = {family.name: family for family in curve.families}
        for name in names:
            if name == anchor:
                continue
            percent, overlap, reason = None, 0.0, ""
            try:
                if anchor not in families or name not in families:
                    raise Unscored(f"{anchor if anchor not in families else name} has no point here")
                pairs = _points(families[anchor], curve), _points(families[name], curve)
                overlap = quality_overlap(*pairs)
                percent = bd_rate(*pairs, method)
            except Unscored as error:
                reason = str(error)
            rows.append(BdRate(curve.dataset, curve.facts.name, name, percent, overlap, reason))
    return tuple(rows)


def find_anchor(curves: Sequence[Curve], name: str) -> str:
    """The family of this name, with whatever marks its runs have; empty where there is none."""
    names = unique(family.name for curve in curves for family in curve.families)
    return next((family for family in names if family == name or family.startswith(f"{name} [")), "")


def choose_anchor(curves: Sequence[Curve]) -> str:
    """The family with the most points (the first of several), empty where there are fewer than two families."""
    counts: dict[str, int] = {}
    for curve in curves:
        for family in curve.families if curve.axis == RATE else ():
            counts[family.name] = max(counts.get(family.name, 0), len(family.points))
    return max(counts, key=lambda name: counts[name]) if len(counts) > 1 else ""


def _points(family: Family, curve: Curve) -> list[tuple[float, float]]:
    sign = -1 if curve.facts.better == "lower" else 1
    return [(point.x, sign * point.value) for point in family.points]


def _curve(points: Points, method: Method, who: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Qualities, rising, and the logarithms of their rates."""
    if len(points) < MIN_POINTS[method]:
        raise Unscored(f"{who} has {len(points)} points, {MIN_POINTS[method]} are needed")
    table = np.array(sorted(points), np.float64)
    if not np.isfinite(table).all() or (table[:, 0] <= 0).any():
        raise Unscored(f"{who} has a rate or quality that is no positive or no finite number")
    if (np.diff(table[:, 0]) <= 0).any() or (np.diff(table[:, 1]) <= 0).any():
        raise Unscored(f"the quality of {who} does not rise with its rate")
    return table[:, 1], np.log10(table[:, 0])


def _integral(
    quality: NDArray[np.float64], rate: NDArray[np.float64], low: float, high: float, method: Method
) -> float:
    if method == "cubic":
        # Centred, so that the fit stays well-conditioned for qualities such as 4.1 to 4.2.
        centre, spread = quality.mean(), np.ptp(quality)
        integral = np.polyint(np.polyfit((quality - centre) / spread, rate, 3))
        ends = np.polyval(integral, [(low - centre) / spread, (high - centre) / spread])
        return float((ends[1] - ends[0]) * spread)
    from scipy.interpolate import PchipInterpolator

    return float(PchipInterpolator(quality, rate).integrate(low, high))
