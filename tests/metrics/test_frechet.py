"""Distances against scipy, textbook sums and their own invariances; intervals against synthetic truth."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from ldmbench import stats
from ldmbench.metrics import _frechet as frechet
from tests.present import present, with_interval

SIZES = [(60, 50, 8), (500, 700, 20), (9, 8, 7), (20, 15, 40), (12, 90, 40), (41, 41, 40)]


def pair(n: int, m: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    mix = random.standard_normal((d, d)) / np.sqrt(d) + np.eye(d)
    return random.standard_normal((n, d)) @ mix, 1.2 * random.standard_normal((m, d)) + 0.3


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    """The distance as every peer writes it: the root of the product of the covariances."""
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(a @ b)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(root).real)


# ---- Frechet distance


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_frechet_equals_the_root_of_the_product(n: int, m: int, d: int) -> None:
    x, y = pair(n, m, d)
    # Below n = d the covariances are singular and sqrtm itself keeps about half of the digits.
    tolerance = 1e-9 if min(n, m) > d + 1 else 1e-5
    assert frechet.frechet_distance(x, y) == pytest.approx(textbook(x, y), rel=tolerance)


def test_frechet_of_known_gaussians_is_the_closed_form() -> None:
    random = np.random.default_rng(0)
    scales = np.array([0.5, 1.0, 3.0])
    white = random.standard_normal((40, 3))
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False)).T)
    x, y = white * scales, white[:, ::-1] * scales + np.array([1.0, 2.0, 2.0])
    assert frechet.frechet_distance(white, x) == pytest.approx(((scales - 1) ** 2).sum(), rel=1e-9)
    assert frechet.frechet_distance(x, y) == pytest.approx(9.0, rel=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_frechet_of_a_set_with_itself_is_zero_whatever_the_order(n: int, m: int, d: int) -> None:
    x, _ = pair(n, m, d)
    power = np.trace(np.cov(x, rowvar=False))
    shuffled = x[np.random.default_rng(1).permutation(n)]
    assert frechet.frechet_distance(x, x) <= 1e-12 * power
    assert frechet.frechet_distance(x, shuffled) <= 1e-11 * power


@settings(max_examples=25)
@given(st.sampled_from(SIZES), st.integers(0, 100), st.floats(1e-3, 1e3))
def test_frechet_is_invariant_to_order_rotation_and_shift_and_scales_with_the_square(
    sizes: tuple[int, int, int], seed: int, scale: float
) -> None:
    n, m, d = sizes
    x, y = pair(n, m, d, seed)
    value = frechet.frechet_distance(x, y)
    random = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(random.standard_normal((x.shape[1], x.shape[1])))
    assert frechet.frechet_distance(random.permutation(x), random.permutation(y)) == pytest.approx(value, rel=1e-9)
    assert frechet.frechet_distance(y, x) == pytest.approx(value, rel=1e-9)
    assert frechet.frechet_distance(x @ rotation, y @ rotation) == pytest.approx(value, rel=1e-9)
    assert frechet.frechet_distance(x + 5.0, y + 5.0) == pytest.approx(value, rel=1e-8)
    assert frechet.frechet_distance(scale * x, scale * y) == pytest.approx(scale**2 * value, rel=1e-9)


def test_frechet_of_rank_deficient_sets_counts_only_the_directions_they_have() -> None:
    x, y = pair(50, 60, 6)
    wide = np.zeros((6, 30))
    wide[:, :6] = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    expected = textbook(x, y)
    assert frechet.frechet_distance(x @ wide, y @ wide) == pytest.approx(expected, rel=1e-9)
    dead = np.hstack([x, np.zeros((50, 200))]), np.hstack([y, np.zeros((60, 200))])
    assert frechet.frechet_distance(*dead) == pytest.approx(expected, rel=1e-9)
    assert frechet.frechet(*dead, groups=(np.arange(50), np.arange(60))).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("first", "second"), [((1, 4), (5, 4)), ((5, 4), (5, 3)), ((5,), (5,))])
def test_frechet_refuses_sets_that_have_no_distance(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two rows"):
        frechet.frechet_distance(np.zeros(first), np.zeros(second))


# ---- pulls and intervals


@pytest.mark.parametrize(("n", "m", "d"), [(60, 50, 8), (20, 15, 40), (60, 60, 8)])
def test_pull_is_the_derivative_with_respect_to_a_clips_weight(n: int, m: int, d: int) -> None:
    x, y = pair(n, m, d)
    random = np.random.default_rng(0)
    own_x, own_y = np.sort(random.integers(0, 10, n)), np.sort(random.integers(0, 10, m))
    pull = frechet.frechet(x, y, (own_x, own_y)).pull
    assert pull.sum() == pytest.approx(0, abs=1e-9 * np.abs(pull).sum())

    def weighted(clip: int, step: float) -> float:
        """The distance with one clip's rows counted 1 + step times, by weighted moments."""
        parts = []
        for rows, own in ((x, own_x), (y, own_y)):
            weight = 1.0 + step * (own == clip)
            mean = weight @ rows / weight.sum()
            centred = (rows - mean) * np.sqrt(weight)[:, None]
            # n - 1 grows with the weight, as if rows were repeated; to first order in 1 / n it does not matter.
            parts.append((mean, centred / np.sqrt((len(rows) - 1) * weight.sum() / len(rows))))
        (mean_x, a), (mean_y, b) = parts
        nuclear = np.linalg.svd(a @ b.T, compute_uv=False).sum()
        return float(((mean_x - mean_y) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * nuclear)

    step = 1e-4
    slopes = [(weighted(clip, step) - weighted(clip, -step)) / (2 * step) for clip in range(10)]
    np.testing.assert_allclose(pull, slopes, rtol=1e-4, atol=1e-6 * np.abs(pull).max())


def test_interval_is_repeatable_holds_the_value_and_shrinks_with_clips() -> None:
    widths = []
    for n in (50, 200, 800):
        x, y = pair(n, n, 10)
        estimate = frechet.interval(frechet.frechet(x, y))
        assert estimate == frechet.interval(frechet.frechet(x, y))
        low, value, high = with_interval(estimate)
        assert low < value < high
        assert estimate.n == n
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]


def test_interval_of_one_clip_is_unknown_and_of_equal_sets_is_nothing() -> None:
    x, _ = pair(30, 30, 5)
    one = frechet.interval(frechet.frechet(x, x + 1, (np.zeros(30), np.zeros(30))))
    assert (one.low, one.high, one.n, one.note) == (None, None, 1, "too few clips")
    same = frechet.interval(frechet.frechet(x, x))
    assert same.low == 0.0 or same.note == "all equal"
    assert same.high is None or same.high == pytest.approx(0, abs=1e-10)


def coverage(n: int, d: int, correlation: float, shift: float, trials: int, draw: int = 2000) -> tuple[float, float]:
    """How often the interval holds the expected distance of n clips, and the largest gap that is chance."""
    random = np.random.default_rng(7)
    scale = np.linspace(0.3, 2.0, d)

    def sample() -> tuple[np.ndarray, np.ndarray]:
        white = random.standard_normal((n, d))
        other = correlation * white + np.sqrt(1 - correlation**2) * random.standard_normal((n, d))
        return white * scale, 1.15 * other * scale + shift

    truth = np.mean([frechet.frechet_distance(*sample()) for _ in range(draw)])
    held = [
        low <= truth <= high
        for low, _, high in (with_interval(frechet.interval(frechet.frechet(*sample()))) for _ in range(trials))
    ]
    return float(np.mean(held)), 3 * np.sqrt(0.95 * 0.05 / trials)


def test_interval_covers_the_truth_at_the_nominal_rate() -> None:
    rate, chance = coverage(n=300, d=4, correlation=0.5, shift=0.3, trials=400, draw=4000)
    assert rate == pytest.approx(0.95, abs=chance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "d", "correlation", "shift"), [(200, 16, 0.0, 0.2), (200, 16, 0.7, 0.1), (60, 128, 0.5, 0.0)]
)
def test_interval_never_covers_less_than_nominal_where_clips_are_few(
    n: int, d: int, correlation: float, shift: float
) -> None:
    rate, chance = coverage(n, d, correlation, shift, trials=300)
    assert rate >= 0.95 - chance


def test_bias_corrected_truth_of_many_clips_is_the_distance_of_the_distributions() -> None:
    random = np.random.default_rng(3)
    x, y = random.standard_normal((4000, 3)), 1.5 * random.standard_normal((4000, 3)) + 0.5
    low, _, high = with_interval(frechet.interval(frechet.frechet(x, y)))
    assert low <= 3 * 0.25 + 3 * 0.25 <= high


# ---- infinity


def test_infinity_is_nearer_to_the_truth_and_repeats() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((20_000, 24)), random.standard_normal((1500, 24))
    plain = frechet.frechet_distance(x, y)
    limit = frechet.frechet_infinity(x, y, steps=15, smallest=200)
    assert limit == frechet.frechet_infinity(x, y, steps=15, smallest=200)
    assert limit != frechet.frechet_infinity(x, y, steps=15, smallest=200, seed=1)
    assert abs(limit) < 0.5 * plain
    with pytest.raises(ValueError, match="more than 1500"):
        frechet.frechet_infinity(x, y, smallest=1500)


def test_infinity_with_replacement_is_the_fit_of_numpys_own_draws() -> None:
    """fadtk's ``score_inf``: ``choice(n, size, replace=True)``, moments, Frechet distance, a line in 1 / n."""
    random = np.random.default_rng(1)
    x, y = random.standard_normal((4000, 12)), random.standard_normal((900, 12)) + 0.2
    sizes = [int(n) for n in np.linspace(500, 900, 25)]
    draws, values = np.random.default_rng(4), []
    for size in sizes:
        values.append(textbook(x, y[draws.choice(len(y), size=size, replace=True)]))
    expected = np.polyfit(1 / np.array(sizes), values, 1)[1]
    found = frechet.frechet_infinity(x, y, seed=4, replacement=True)
    assert found == pytest.approx(expected, rel=1e-8)
    # Repeated rows raise the distance: without replacement the limit is nearer to the truth, 12 * 0.04.
    assert abs(frechet.frechet_infinity(x, y, seed=4) - 0.48) < abs(found - 0.48)


# ---- kernel distance


def kernel_textbook(x: np.ndarray, y: np.ndarray, sigma: float) -> float:
    """100 times the unbiased MMD, pair by pair."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * sigma**2 + 1e-8)))

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return 100 * (xx + yy - 2 * float(np.mean([k(a, b) for a in x for b in y])))


@pytest.mark.parametrize("bandwidth", ["output", "reference"])
def test_kernel_distance_is_the_sum_over_pairs(bandwidth: Literal["output", "reference"]) -> None:
    x, y = pair(23, 17, 5)
    chosen = y if bandwidth == "output" else x
    distances = sorted(float(np.linalg.norm(a - b)) for i, a in enumerate(chosen) for b in chosen[:i])
    sigma = distances[(len(distances) - 1) // 2]
    groups = (np.arange(23) % 6, np.arange(17) % 5)
    estimate = frechet.kernel_distance(x, y, groups, bandwidth=bandwidth)
    assert estimate.value == pytest.approx(kernel_textbook(x, y, sigma), rel=1e-10)
    assert estimate.n == 6
    low, _, high = with_interval(estimate)
    assert low < high


def test_kernel_distance_of_one_distribution_is_about_zero_and_grows_with_the_shift() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((300, 6))
    near, far, farther = (
        with_interval(frechet.kernel_distance(x, random.standard_normal((300, 6)) + shift)) for shift in (0.0, 0.5, 1.0)
    )
    assert near[0] < 0 < near[2]
    assert 0 < far[0] < far[1] < farther[0]
    # The cross mean has every clip's pair with itself in it, as kadtk's.
    assert -1 < present(frechet.kernel_distance(x, x).value) < 0


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("n", [3, 12, 40])
@pytest.mark.parametrize("rows", [1, 6])
def test_kernel_distance_of_nearly_equal_pairs_lies_in_its_interval(n: int, rows: int, noise: float) -> None:
    random = np.random.default_rng(n)
    owner = np.repeat(np.arange(n), rows)
    for _ in range(20):
        x = random.standard_normal((n * rows, 16)) + 2 * random.standard_normal((n, 16))[owner]
        estimate = frechet.kernel_distance(x, x + noise * random.standard_normal(x.shape), (owner, owner))
        low, value, high = with_interval(estimate)
        assert low < value < high


def test_interval_of_a_kernel_distance_is_the_jackknifes() -> None:
    x, y = pair(24, 18, 5)
    groups = (np.arange(24) % 6, np.arange(18) % 6)
    found = frechet.kernel_distance(x, y, groups)
    sigma = frechet.median_distance(y)
    whole = kernel_textbook(x, y, sigma)
    without = [kernel_textbook(x[groups[0] != clip], y[groups[1] != clip], sigma) for clip in range(6)]
    expected = stats.around(whole, 6 * whole - 5 * np.array(without))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("alike", [0.0, 0.99])
@pytest.mark.parametrize("n", [5, 12, 40])
def test_interval_of_a_kernel_distance_covers(n: int, alike: float, shift: float) -> None:
    random = np.random.default_rng(n)
    estimates = []
    for _ in range(400):
        x = random.standard_normal((n, 16))
        y = alike * x + np.sqrt(1 - alike**2) * random.standard_normal((n, 16)) + shift
        estimates.append(with_interval(frechet.kernel_distance(x, y)))
    expected = np.mean([value for _, value, _ in estimates])
    covered = np.mean([low <= expected <= high for low, _, high in estimates])
    # 40 nearly equal pairs that are shifted are the one case below the nominal level: 0.91, as docs/intervals.md says.
    assert covered >= (0.90 if (n, alike, shift) == (40, 0.99, 0.5) else 0.95)


def test_kernel_distance_needs_a_width() -> None:
    with pytest.raises(ValueError, match="no width"):
        frechet.kernel_distance(np.random.default_rng(0).standard_normal((10, 3)), np.ones((10, 3)))


def test_rows_without_clips_are_refused_where_the_sets_differ_in_size() -> None:
    x, y = pair(10, 9, 3)
    with pytest.raises(ValueError, match="which row"):
        frechet.frechet(x, y)
    with pytest.raises(ValueError, match="clips for"):
        frechet.frechet(x, y, (np.arange(9), np.arange(9)))


# ---- inception score


def inception_textbook(logits: np.ndarray, splits: int) -> list[float]:
    order = np.random.RandomState(2020).permutation(len(logits))
    scores = []
    for split in range(splits):
        rows = [logits[order[k]] for k in range(split * len(logits) // splits, (split + 1) * len(logits) // splits)]
        p = np.array([np.exp(row) / np.exp(row).sum() for row in rows])
        scores.append(np.exp(np.mean([sum(q * np.log(q / p.mean(0))) for q in p])))
    return scores


@pytest.mark.parametrize("clips", [10, 13, 40, 47])
def test_inception_scores_of_splits_that_do_not_divide_the_clips(clips: int) -> None:
    logits = np.random.default_rng(clips).standard_normal((clips, 12)) * 2
    scores = frechet.inception_scores(logits)
    np.testing.assert_allclose(scores, inception_textbook(logits, 10), rtol=1e-12)
    assert scores.min() >= 1 - 1e-12
    assert scores.max() <= 12


def test_inception_score_of_certain_and_even_classes_is_their_number() -> None:
    logits = np.tile(1000.0 * np.eye(4), (5, 1))
    order = np.random.RandomState(2020).permutation(20)
    logits[order] = np.tile(1000.0 * np.eye(4), (5, 1))
    np.testing.assert_allclose(frechet.inception_scores(logits, splits=5), 4.0)
    with pytest.raises(ValueError, match="3 clips for 10 splits"):
        frechet.inception_scores(logits[:3])
