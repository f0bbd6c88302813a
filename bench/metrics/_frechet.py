"""Distances between sets of embeddings (Frechet, its limit for many, kernel), inception score, and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ldmbench import stats
from ldmbench.audio.arrays import Rows
from ldmbench.stats import Estimate

Groups = NDArray[np.int64]

#: Rows of a kernel matrix that are held at once.
_BLOCK = 1024


class Distance(NamedTuple):
    """A distance, and how it moves when clips are drawn again.

    Attributes:
        value: The distance.
        pull: ``[clips]`` what one more copy of a clip adds to the distance, to first order; sums to 0.
    """

    value: float
    pull: Rows


class Moments(NamedTuple):
    """The Gaussian that stands for a set of rows.

    Attributes:
        mean: ``[d]``.
        root: ``[k, d]``, whose product ``root.T @ root`` is the covariance (n - 1 in the denominator).
    """

    mean: Rows
    root: Rows

    @classmethod
    def of(cls, mean: ArrayLike, covariance: ArrayLike) -> Moments:
        """Of a mean ``[d]`` and a covariance ``[d, d]``; what rounding took below zero of its variances counts as 0.

        Raises:
            ValueError: If they do not fit each other, or the covariance is not symmetric.
        """
        from scipy.linalg import eigh

        centre, matrix = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
        if centre.ndim != 1 or matrix.shape != (len(centre), len(centre)):
            raise ValueError(f"a mean [d] and a covariance [d, d] are needed, not {centre.shape} and {matrix.shape}")
        if not (np.isfinite(centre).all() and np.isfinite(matrix).all()):
            raise ValueError("mean or covariance are not finite")
        if not np.allclose(matrix, matrix.T, rtol=1e-3, atol=1e-6 * np.abs(matrix).max(initial=0)):
            raise ValueError("the covariance is not symmetric")
        variances, axes = eigh((matrix + matrix.T) / 2)
        if variances[0] < -1e-3 * max(variances[-1], 0):
            raise ValueError(f"the covariance has a negative variance, {variances[0]:g}")
        return cls(centre, np.ascontiguousarray((axes * np.sqrt(np.maximum(variances, 0))).T))


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Frechet distance between the Gaussians fitted to two sets of rows ``[n, d]`` and ``[m, d]``, in float64.

    The squared difference of the means, plus the traces of the covariances (n - 1 in the denominator), minus
    twice the trace of the square root of their product. That trace is the nuclear norm of the cross-Gram matrix
    of the centred rows over sqrt((n - 1)(m - 1)): a sum of singular values, where the root of a product of
    singular covariances would be the root of rounding noise.

    Raises:
        ValueError: If a set has fewer than two rows, or their widths differ.

    Source: Dowson and Landau, The Frechet distance between multivariate normal distributions, J. Multivariate
    Anal. 12 (1982), equation 4; Heusel et al., arXiv:1706.08500, equation 6.
    """
    x, y = _pair(first, second)
    return _frechet(x, y, pulls=False)[0]


def frechet(first: ArrayLike, second: ArrayLike, groups: tuple[ArrayLike, ArrayLike] | None = None) -> Distance:
    """``frechet_distance`` and the pull of every clip on it.

    Args:
        first: Reference rows ``[n, d]``.
        second: Output rows ``[m, d]``.
        groups: For each row of either set, the number of its clip, 0 to clips - 1; None where row i of both
            sets is clip i. A clip is drawn with its reference.

    Raises:
        ValueError: If a set has fewer than two rows, or their widths differ.

    Source: the derivative of the nuclear norm is the polar factor: Watson, Linear Algebra Appl. 170 (1992).
    """
    x, y = _pair(first, second)
    value, pull_x, pull_y = _frechet(x, y, pulls=True)
    owners, clips = _owners(groups, len(x), len(y))
    return Distance(value, _per_clip(owners[0], pull_x, clips) + _per_clip(owners[1], pull_y, clips))


def frechet_to(reference: Moments, output: ArrayLike, owner: ArrayLike) -> Distance:
    """``frechet`` from a reference that is known by its moments only, and is not drawn again with the clips.

    Args:
        reference: What stands for the reference rows.
        output: Rows ``[m, d]``.
        owner: The number of each row's clip.

    Raises:
        ValueError: If there are fewer than two rows, or they have another width.
    """
    y, own = np.asarray(output, np.float64), np.asarray(owner, np.int64)
    value, _, pull = _frechet(*_sides(reference, y), pulls=True)
    return Distance(value, _per_clip(own, pull, int(own.max()) + 1))


def interval(distance: Distance) -> Estimate:
    """The distance with its 95 % interval over clips.

    To first order the distance is the mean over clips of itself plus ``clips`` times each clip's pull, and the
    interval is that of such a mean (``ldmbench.stats.around``). Drawing clips again and computing the distance of
    each draw would mislead: a draw repeats clips, its covariances lose rank, and where there are fewer clips than
    dimensions the repeated distance lies far above the distance itself. The interval is about what this many clips
    give; the bias of a Frechet distance at a finite number of clips, which every published value has, is in both.

    Source: Davison and Hinkley, Bootstrap Methods and their Application (1997), section 2.7.2 (nonparametric
    delta method, empirical influence values).
    """
    clips = len(distance.pull)
    return stats.around(distance.value, distance.value + clips * distance.pull, low=0.0)


def pulls_of_output(reference: Rows | Moments, output: Rows) -> Rows:
    """The pull ``[m]`` of each output row on the distance: how it moves, to first order, where the row counts more."""
    return _frechet(*_sides(reference, output), pulls=True)[2]


def frechet_infinity(
    reference: ArrayLike | Moments,
    output: ArrayLike,
    *,
    steps: int = 25,
    smallest: int = 500,
    seed: int = 0,
    replacement: bool = False,
) -> float:
    """Frechet distance extrapolated to infinitely many output rows.

    The distance of the whole reference to ``steps`` seeded draws of outputs, of sizes equally spaced from
    ``smallest`` to all, is fitted by a line in 1 / size; the value is the line's intercept, which may be below 0.
    Draws are without replacement, so that the largest is all outputs.

    Args:
        reference: Rows ``[n, d]``, or their moments.
        output: Rows ``[m, d]``.
        steps: How many draws.
        smallest: Rows of the smallest draw.
        seed: Seed of the draws.
        replacement: Draw with replacement, as fadtk does (there without a seed): the repeated rows make every draw's
            distance larger, and with it the limit.

    Raises:
        ValueError: If there are not more than ``smallest`` outputs.

    Source: Chong and Forsyth, Effectively unbiased FID and Inception Score, arXiv:1911.07023, section 3; Gui et
    al., Adapting Frechet audio distance for generative music evaluation, arXiv:2311.01616; fadtk ec74b1f,
    ``fad.py``, ``score_inf``.
    """
    x, y = _sides(reference, output)
    if len(y) <= smallest:
        raise ValueError(f"{len(y)} outputs, more than {smallest} are needed")
    random = np.random.default_rng(seed)
    sizes = np.linspace(smallest, len(y), steps).astype(np.int64)
    draws = (random.choice(len(y), size, replace=replacement) for size in sizes)
    values = [_frechet(x, y[draw], pulls=False)[0] for draw in draws]
    return float(np.polyfit(1.0 / sizes, values, 1)[1])


def kernel_distance(
    reference: ArrayLike,
    output: ArrayLike,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    bandwidth: Literal["output", "reference"] = "output",
    scale: float = 100.0,
) -> Estimate:
    """Kernel audio distance: ``scale`` times the unbiased squared MMD with a Gaussian kernel, in float64.

    The kernel is exp(-distance^2 / (2 sigma^2 + 1e-8)); sigma is the median distance between two rows of the
    set named by ``bandwidth`` (the lower of two middle ones). Pairs of a row with itself are left out within a
    set; between the sets all pairs count, a clip's own reference among them. It may therefore be below 0: of n
    clips equal to their references, one row each, it is -200 / n times 1 minus the mean kernel within the set.
    The interval is that of the jackknife over clips, each left out with its reference, at this bandwidth.

    Args:
        reference: Rows ``[n, d]``.
        output: Rows ``[m, d]``.
        groups: The clip of each row, as in ``frechet``.
        bandwidth: kadtk takes the outputs' median, which changes from system to system; ``reference`` does not.
        scale: Factor of the result.

    Raises:
        ValueError: If a set has fewer than two rows, their widths differ, or sigma is 0.

    Source: Chung et al., KAD: No more FAD!, arXiv:2502.15602; kadtk 8bda71d, ``kad.py``,
    ``calc_kernel_audio_distance``; Gretton et al., A kernel two-sample test, JMLR 13 (2012), equation 3; the
    jackknife: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 11.5 (pseudo-values).
    """
    x, y = _pair(reference, output)
    owners, clips = _owners(groups, len(x), len(y))
    sigma = median_distance(y if bandwidth == "output" else x)
    if sigma == 0:
        raise ValueError(f"more than half of the {bandwidth} embeddings are equal, the kernel has no width")
    gamma = 1.0 / (2.0 * sigma**2 + 1e-8)
    sums = [
        _kernel_sums(x, x, owners[0], owners[0], clips, gamma, within=True),
        _kernel_sums(y, y, owners[1], owners[1], clips, gamma, within=True),
        _kernel_sums(x, y, owners[0], owners[1], clips, gamma, within=False),
    ]
    sizes = [np.bincount(owner, minlength=clips).astype(np.float64) for owner in owners]
    value = scale * _mmd([table.sum() for table in sums], [size.sum() for size in sizes])
    if clips < stats.FEWEST or any((size.sum() - size < 2).any() for size in sizes):
        return Estimate(float(value), n=clips, note=stats.TOO_FEW)
    # The same with each clip left out: its row and its column, in which its own pairs stand twice.
    rest = [table.sum() - table.sum(axis=0) - table.sum(axis=1) + np.diag(table) for table in sums]
    without = scale * _mmd(rest, [size.sum() - size for size in sizes])
    return stats.around(float(value), clips * value - (clips - 1) * without)


def median_distance(rows: Rows) -> float:
    """The median Euclidean distance between two different rows of ``[n, d]``, the lower of two middle ones."""
    from scipy.spatial.distance import pdist

    distances = pdist(rows)
    middle = (len(distances) - 1) // 2
    return float(np.partition(distances, middle)[middle])


def inception_scores(logits: ArrayLike, splits: int = 10, seed: int = 2020) -> Rows:
    """Inception scores ``[splits]`` of ``logits`` ``[clips, classes]``, permuted by a legacy NumPy generator.

    Split i holds the permuted rows ``i * clips // splits`` to ``(i + 1) * clips // splits``; its score is the
    exponential of the mean divergence of a clip's softmax from the split's mean softmax.

    Raises:
        ValueError: If there are fewer clips than splits.

    Source: Salimans et al., arXiv:1606.03498, section 4; audioldm_eval 8dc07ee, ``metrics/isc.py``.
    """
    from scipy.special import log_softmax

    array = np.asarray(logits, np.float64)
    clips = len(array)
    if clips < splits:
        raise ValueError(f"{clips} clips for {splits} splits")
    order = np.random.RandomState(seed).permutation(clips)
    log_p = log_softmax(array[order], axis=1)
    p = np.exp(log_p)
    scores = []
    for split in range(splits):
        rows = slice(split * clips // splits, (split + 1) * clips // splits)
        divergence = p[rows] * (log_p[rows] - np.log(p[rows].mean(axis=0)))
        scores.append(np.exp(divergence.sum(axis=1).mean()))
    return np.array(scores)


def _frechet(x: Rows | Moments, y: Rows, pulls: bool) -> tuple[float, Rows, Rows]:
    """The distance and the pulls of the rows; those of moments mean nothing."""
    from scipy.linalg import qr, svd, svdvals

    # A covariance is its root's products as they are, as if n - 1 were 1.
    centre, a, n = (x.mean, x.root, 2) if isinstance(x, Moments) else (x.mean(axis=0), x - x.mean(axis=0), len(x))
    m = len(y)
    shift = centre - y.mean(axis=0)
    b = y - y.mean(axis=0)
    norm = np.sqrt((n - 1.0) * (m - 1.0))
    if min(len(a), m) <= a.shape[1]:
        basis_a = basis_b = None
        cross = a @ b.T
    else:
        # The same singular values, from the triangles of either set: d x d instead of n x m.
        if pulls:
            basis_a, triangle_a = qr(a, mode="economic")
            basis_b, triangle_b = qr(b, mode="economic")
        else:
            basis_a = basis_b = None
            triangle_a, triangle_b = (qr(rows, mode="r")[0][: rows.shape[1]] for rows in (a, b))
        cross = triangle_a @ triangle_b.T
    if pulls:
        left, singular, right = svd(cross, full_matrices=False)
    else:
        singular = svdvals(cross)
    squares_a, squares_b = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    value = float(shift @ shift + squares_a.sum() / (n - 1) + squares_b.sum() / (m - 1) - 2 * singular.sum() / norm)
    value = max(0.0, value)
    if not pulls:
        return value, np.zeros(0), np.zeros(0)
    polar = left @ right
    if basis_a is None or basis_b is None:
        rows_a, rows_b = (cross * polar).sum(axis=1), (cross * polar).sum(axis=0)
    else:
        # Row sums of (a b^T) * (basis_a polar basis_b^T) without either n x m matrix.
        rows_a = np.einsum("ij,ij->i", a @ (triangle_b.T @ polar.T), basis_a)
        rows_b = np.einsum("ij,ij->i", b @ (triangle_a.T @ polar), basis_b)
    pull_a = 2 * (a @ shift) / n + squares_a / (n - 1) - rows_a / norm
    pull_b = -2 * (b @ shift) / m + squares_b / (m - 1) - rows_b / norm
    return value, pull_a - pull_a.mean(), pull_b - pull_b.mean()


def _mmd(sums: Sequence[Any], rows: Sequence[Any]) -> Any:
    """Unbiased squared MMD from sums of the kernel within the sets and between them, and the rows of either set."""
    (within_x, within_y, between), (n, m) = sums, rows
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)


def _kernel_sums(a: Rows, b: Rows, own_a: Groups, own_b: Groups, clips: int, gamma: float, within: bool) -> Rows:
    """Sums ``[clips, clips]`` of the kernel over the rows of two clips; within a set, no row with itself."""
    from scipy.sparse import csr_array

    squares_a, squares_b = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    members = csr_array((np.ones(len(b)), (np.arange(len(b)), own_b)), shape=(len(b), clips))
    sums = np.zeros((clips, clips))
    for start in range(0, len(a), _BLOCK):
        rows = slice(start, start + _BLOCK)
        distances = squares_a[rows, None] + squares_b - 2 * (a[rows] @ b.T)
        kernel = np.exp(-gamma * np.maximum(distances, 0.0))
        if within:
            inside = np.arange(len(kernel))
            kernel[inside, start + inside] = 0.0
        np.add.at(sums, own_a[rows], kernel @ members)
    return sums


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Rows, Rows]:
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"two sets of at least two rows of equal width are needed, not {x.shape} and {y.shape}")
    return x, y


def _sides(reference: ArrayLike | Moments, output: ArrayLike) -> tuple[Rows | Moments, Rows]:
    if not isinstance(reference, Moments):
        return _pair(reference, output)
    y = np.asarray(output, np.float64)
    if y.ndim != 2 or y.shape[1] != len(reference.mean) or len(y) < 2:
        raise ValueError(f"at least two rows of width {len(reference.mean)} are needed, not {y.shape}")
    return reference, y


def _owners(groups: tuple[ArrayLike, ArrayLike] | None, n: int, m: int) -> tuple[tuple[Groups, Groups], int]:
    if groups is None:
        if n != m:
            raise ValueError(f"{n} and {m} rows: which row belongs to which clip?")
        return (np.arange(n), np.arange(n)), n
    first, second = (np.asarray(group, np.int64) for group in groups)
    if first.shape != (n,) or second.shape != (m,):
        raise ValueError(f"{n} and {m} rows, but clips for {first.shape} and {second.shape}")
    return (first, second), int(max(first.max(), second.max())) + 1


def _per_clip(owner: Groups, pull: Rows, clips: int) -> Rows:
    return np.asarray(np.bincount(owner, pull, clips), np.float64)
