"""The paired test of one cell: differences of clips against a margin, and what it could have detected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ldmbench.stats import all_equal, hall, reach, spread

#: One-sided error of "worse"; intervals cover 1 - 2 * ALPHA.
ALPHA = 0.05

#: Below so many pairs nothing is tested.
FEWEST = 6

#: Below so many clips no metric over sets is tested: below it, no level was measured.
FEWEST_OF_SET = 20

#: Draws of signs behind a test of a metric over sets.
FLIPS = 9999

_SEED, _BLOCK = 20_261_128, 500

#: Power at which the smallest detectable difference is stated.
POWER = 0.8


@dataclass(frozen=True)
class PairedTest:
    """What paired differences say; positive is better.

    Attributes:
        n: Pairs.
        mean: Mean difference.
        low: Lower end of the two-sided 90 % interval; its one-sided error is ``ALPHA``.
        high: Upper end.
        p: Of "not worse than the margin": small where the mean is below minus the margin.
        sd: Standard deviation of the differences, over n - 1.
    """

    n: int
    mean: float
    low: float
    high: float
    p: float
    sd: float


def paired(differences: ArrayLike, margin: float = 0.0) -> PairedTest | None:
    """Test whether the mean difference is below ``-margin``; None below ``FEWEST`` pairs.

    Both Student's test and Hall's, whose cubic transform follows the skewness, have to say so: Student's alone fires
    on skewness, Hall's alone on few symmetric values. The interval is the wider one at each end, so that ``p`` is
    below ``ALPHA`` exactly where ``high`` is below ``-margin``. Where all differences are equal there is no spread
    to judge by; then the signs decide: of n equal signs, ``p = 2 ** -n``.

    Args:
        differences: ``[n]``, NEW minus BASE, signed so that positive is better.
        margin: How much worse is still fine, at least 0.

    Source: Student, Biometrika 6 (1908); Hall, On the removal of skewness by transformation, J. R. Statist. Soc. B
    54 (1992), with quantiles of t in place of the normal ones.

    Example:
        >>> test = paired([-0.4, -0.5, -0.3, -0.6, -0.4, -0.5, -0.45, -0.35])
        >>> test.high < 0, test.p < 0.001
        (True, True)
    """
    from scipy.special import stdtr, stdtrit

    values = np.asarray(differences, np.float64)
    n = values.size
    if n < FEWEST:
        return None
    mean = float(values.mean())
    if all_equal(values):
        return PairedTest(n, mean, mean, mean, 0.5**n if mean < -margin else 1.0, 0.0)
    sd, skewness = spread(values)
    error = sd / math.sqrt(n)
    ratio = (mean + margin) / error
    p = float(max(stdtr(n - 1, ratio), stdtr(n - 1, hall(ratio, skewness, n))))
    below, above = reach(float(stdtrit(n - 1, 1 - ALPHA)), skewness, n)
    return PairedTest(n, mean, mean - below * error, mean + above * error, p, sd)


def by_signs(differences: ArrayLike, value: float, margin: float = 0.0) -> PairedTest | None:
    """Test by random signs, for numbers whose signs are exchangeable where nothing changed.

    ``p`` is the share of ``FLIPS`` seeded draws of signs whose sum is as far down as the observed one, which is counted
    among them: a set against itself has p = 1.

    Args:
        differences: ``[n]``, what each clip adds to the difference of two sets, signed so that positive is better.
        value: The difference itself, which the mean of ``differences`` is to first order.
        margin: How much worse is still fine.

    Returns:
        The test, None below ``FEWEST_OF_SET`` numbers.

    Source: Fisher, The Design of Experiments (1935), section 21; the count: Phipson and Smyth, Stat. Appl. Genet. Mol.
    Biol. 9 (2010).
    """
    from scipy.special import stdtrit

    values = np.asarray(differences, np.float64)
    n = values.size
    if n < FEWEST_OF_SET:
        return None
    shifted = values + margin
    limit = float(shifted.sum()) + 1e-9 * float(np.abs(shifted).sum())
    random, counted = np.random.default_rng(_SEED), 1
    # Drawn in blocks: all signs of 10,000 clips at once would be 800 MB.
    for start in range(0, FLIPS, _BLOCK):
        signs = random.integers(0, 2, (min(_BLOCK, FLIPS - start), n), np.int8)
        counted += int((shifted.sum() - 2 * (signs @ shifted) <= limit).sum())
    sd = float(values.std(ddof=1))
    half = float(stdtrit(n - 1, 1 - ALPHA)) * sd / math.sqrt(n)
    return PairedTest(n, value, value - half, value + half, counted / (FLIPS + 1), sd)


def smallest_detectable(sd: float, n: int, margin: float = 0.0, cells: int = 1) -> float:
    """How much worse the truth must be for "worse" to be found four times in five, Holm's first step included.

    Args:
        sd: Standard deviation of the differences.
        n: Pairs.
        margin: The margin of the test.
        cells: Cells that are tested together.

    Source: Lehmann and Romano, Testing Statistical Hypotheses (2005), section 5.2, with the shift approximation.
    """
    from scipy.special import stdtrit

    quantiles = stdtrit(n - 1, 1 - ALPHA / cells) + stdtrit(n - 1, POWER)
    return margin + float(quantiles) * sd / math.sqrt(n)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order of ``p``.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p)), key=lambda index: p[index])
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def at_least(count: int, n: int) -> float:
    """The share of all clips that ``count`` of ``n`` show with 95 % confidence (Clopper and Pearson, one-sided).

    Example:
        >>> at_least(0, 20), round(at_least(5, 20), 3)
        (0.0, 0.104)
    """
    from scipy.special import betaincinv

    return float(betaincinv(count, n - count + 1, ALPHA)) if count else 0.0
