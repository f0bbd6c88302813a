"""Two sets of outputs under a metric over sets: one number for each clip, whose mean is what separates the sets.

Every number is taken at the pooled set of both outputs. Exchanging a clip's two outputs then only changes the sign of
its number, so that the test by signs is exact where nothing changed, and terms of even order cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ldmbench.audio.arrays import Real, Rows
from ldmbench.errors import Unscored
from ldmbench.metrics import _frechet as frechet

#: Rows of a kernel that are computed at once.
_BLOCK = 1024

Sides = Sequence[Rows]


def frechet_differences(reference: Sides, base: Sides, new: Sides) -> Real:
    """What each clip adds to FD(new) - FD(base), to first order; the mean is the difference.

    Args:
        reference: Rows ``[frames, dim]`` of each clip's reference.
        base: Of its first output.
        new: Of its second.

    Source: von Mises' derivative of the distance at the pooled set (``_frechet.frechet``'s pulls).
    """
    x = np.concatenate(reference)
    rows = np.concatenate([*base, *new])
    pulls = frechet.pulls_of_output(x, rows) * len(rows)
    return _by_clip(pulls, base, new)


def frechet_differences_to(reference: frechet.Moments, base: Sides, new: Sides) -> Real:
    """``frechet_differences`` from a reference that is known by its moments only."""
    rows = np.concatenate([*base, *new])
    return _by_clip(frechet.pulls_of_output(reference, rows) * len(rows), base, new)


def inception_differences(base: Sides, new: Sides) -> Real:
    """What each clip adds to IS(new) - IS(base), both without splits, to first order.

    A row's divergence from the mean softmax of all rows, times the score of the pooled set.
    """
    from scipy.special import log_softmax

    log_p = log_softmax(np.concatenate([*base, *new]), axis=1)
    p = np.exp(log_p)
    divergence = (p * (log_p - np.log(p.mean(axis=0)))).sum(axis=1)
    return float(np.exp(divergence.mean())) * _by_clip(divergence, base, new)


def kernel_differences(reference: Sides, base: Sides, new: Sides, scale: float = 100.0) -> Real:
    """What each clip adds to KAD(new) - KAD(base), at the reference's bandwidth: exact, as the distance is bilinear.

    Raises:
        Unscored: If the outputs of a clip have different numbers of rows, or the reference has no bandwidth.
    """
    if any(len(first) != len(second) for first, second in zip(base, new, strict=True)):
        raise Unscored("the outputs of a clip differ in length, and the kernel distance has no test for that")
    x, y, z = (np.concatenate(side) for side in (reference, base, new))
    sigma = frechet.median_distance(x)
    if sigma == 0:
        raise Unscored("more than half of the reference embeddings are equal, the kernel has no width")
    gamma = 1.0 / (2.0 * sigma**2 + 1e-8)
    n = len(y)
    # A row is left out of its own sum: the kernel of equal rows is 1 on both sides, and cancels.
    within = _sums(z, z, gamma) - _sums(y, y, gamma) + _sums(z, y, gamma) - _sums(y, z, gamma)
    across = _sums(z, x, gamma) - _sums(y, x, gamma)
    per_row = scale * (within / (n * (n - 1)) - 2 * across / (n * len(x)))
    owner = np.repeat(np.arange(len(base)), [len(rows) for rows in base])
    return np.asarray(len(base) * np.bincount(owner, per_row, len(base)), np.float64)


def of_kernel(name: str, bandwidth: object) -> Callable[..., Real] | str:
    """``kernel_differences`` where two runs share the reference's bandwidth, or why they have no common scale."""
    if bandwidth == "reference":
        return kernel_differences
    return f"each run has a bandwidth of its own; score {name} with bandwidth=reference to compare"


def _by_clip(scores: Real, base: Sides, new: Sides) -> Real:
    """Mean score of the new rows minus that of the base rows, split by clip and times the number of clips."""
    clips = len(base)
    parts = []
    for side, values in ((base, scores[: sum(map(len, base))]), (new, scores[-sum(map(len, new)) :])):
        owner = np.repeat(np.arange(clips), [len(rows) for rows in side])
        parts.append(np.bincount(owner, values, clips) / len(values))
    return np.asarray(clips * (parts[1] - parts[0]), np.float64)


def _sums(a: Rows, b: Rows, gamma: float) -> Real:
    """For each row of ``a`` the sum of its kernel with all rows of ``b``."""
    squares = (b * b).sum(axis=1)
    sums = []
    for start in range(0, len(a), _BLOCK):
        block = a[start : start + _BLOCK]
        distances = (block * block).sum(axis=1)[:, None] + squares - 2 * block @ b.T
        sums.append(np.exp(-gamma * np.maximum(distances, 0)).sum(axis=1))
    return np.concatenate(sums)
