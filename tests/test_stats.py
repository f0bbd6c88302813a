"""Estimates: the plain formulas, intervals that cover, and the same digits every time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmbench import stats
from ldmbench.stats import Estimate


def interval(estimate: Estimate) -> tuple[float, float]:
    """The two ends, which are there."""
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@settings(max_examples=50)
@given(NUMBERS)
def test_mean_is_the_mean_and_lies_in_its_interval(values: list[float]) -> None:
    estimate = stats.mean(values)
    assert estimate.value == float(np.mean(np.array(values)))
    assert estimate.n == len(values)
    if len(values) < 3:
        assert (estimate.low, estimate.high, estimate.note) == (None, None, "too few clips")
    elif estimate.low is None:
        assert estimate.note == "all equal"
        assert np.ptp(values) <= 1e-9 * np.abs(values).max()
    else:
        low, high = interval(estimate)
        assert low <= estimate.value <= high
        assert np.isfinite([low, high]).all()
        assert estimate.note == ("few clips" if len(values) < 5 else "")


def student(values: np.ndarray) -> tuple[float, float]:
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), scipy.stats.sem(values))
    return float(low), float(high)


def hall(values: np.ndarray) -> tuple[float, float]:
    """Hall's interval by solving his transform for the mean, instead of by its inverse."""
    n, error = len(values), values.std(ddof=1) / np.sqrt(len(values))
    skewness = scipy.stats.skew(values)
    quantile = scipy.stats.t.ppf(0.975, n - 1)

    def beyond(mean: float, target: float) -> float:
        t = (values.mean() - mean) / error
        g, r = skewness, np.sqrt(n)
        return float(t + g * t**2 / (3 * r) + g**2 * t**3 / (27 * n) + g / (6 * r) - target)

    low, high = (
        scipy.optimize.brentq(beyond, values.mean() - 1e3, values.mean() + 1e3, args=(target,))
        for target in (quantile, -quantile)
    )
    return float(low), float(high)


@pytest.mark.parametrize("n", [3, 4, 5, 12, 60])
@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_the_interval_is_the_wider_end_of_students_and_halls(n: int, draw: str) -> None:
    values = getattr(np.random.default_rng(n), draw)(size=n)
    found = interval(stats.mean(values.tolist()))
    (low, high), (other_low, other_high) = student(values), hall(values)
    assert found == pytest.approx((min(low, other_low), max(high, other_high)), rel=1e-9)


def test_values_without_skewness_have_students_interval() -> None:
    values = np.array([3.0, 4.0, 5.0, 4.5, 3.5])
    assert interval(stats.mean(values.tolist())) == pytest.approx(student(values))


def test_the_interval_keeps_to_what_the_quantity_can_be() -> None:
    values = [0.9, 0.99, 0.98, 0.3]
    free, cut = stats.mean(values), stats.mean(values, -1.0, 1.0)
    assert free.high is not None
    assert free.high > 1
    assert (cut.low, cut.high) == (free.low, 1.0)
    # A value beyond what was thought possible stays inside its interval.
    outside = stats.mean([1.2, 1.1, 1.3], high=1.0)
    assert outside.high == outside.value


def test_too_few_and_equal_values_have_no_interval() -> None:
    assert stats.mean([]) == Estimate(None)
    assert stats.mean([2.5]) == Estimate(2.5, n=1, note="too few clips")
    assert stats.mean([0.0, 1.0]) == Estimate(0.5, n=2, note="too few clips")
    assert stats.mean([0.1, 0.1, 0.1]) == Estimate(float(np.mean([0.1] * 3)), n=3, note="all equal")
    assert stats.ratio([]) == Estimate(None)
    assert stats.ratio([[3, 4]]) == Estimate(0.75, n=1, note="too few clips")
    assert stats.largest([1.0, 3.0, 2.0]).note == "a largest value"


def test_a_ratio_is_of_sums() -> None:
    estimate = stats.ratio([[1, 10], [4, 10], [5, 100]], low=0.0)
    assert estimate.value == pytest.approx(10 / 120)
    assert estimate.n == 3
    low, high = interval(estimate)
    assert 0 <= low <= 10 / 120 <= high


def test_a_ratio_of_pairs_that_move_together_has_no_spread() -> None:
    assert stats.ratio([[1, 2], [10, 20], [50, 100], [3, 6]]) == Estimate(0.5, n=4, note="all equal")


def test_a_ratio_without_an_error_has_no_interval() -> None:
    assert stats.ratio([[0, 7], [0, 9], [0, 4]]) == Estimate(0.0, n=3, note="all zero")


def test_the_interval_of_a_ratio_is_that_of_the_mean_where_weights_are_equal() -> None:
    errors = [3.0, 0.0, 1.0, 7.0, 2.0]
    expected = stats.mean([error / 10 for error in errors])
    assert interval(stats.ratio([[error, 10] for error in errors])) == pytest.approx(interval(expected))


def test_a_ratio_over_nothing_has_no_value() -> None:
    assert stats.ratio([[0, 0], [0, 0]]).value is None


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(5).normal(size=1000)
    low, high = interval(stats.mean(values.tolist()))
    half = 1.959964 * values.std() / np.sqrt(values.size)
    assert high - values.mean() == pytest.approx(half, rel=0.06)
    assert values.mean() - low == pytest.approx(half, rel=0.06)


def test_the_same_digits_every_time_and_in_every_process() -> None:
    values = np.random.default_rng(3).normal(size=25).tolist()
    here = stats.mean(values)
    assert stats.mean(values) == here
    code = f"from ldmbench.stats import mean; print(repr(mean({values!r})))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == repr(here)


def test_the_interval_does_not_depend_on_a_global_seed() -> None:
    np.random.seed(0)  # noqa: NPY002
    first = stats.mean([1.0, 2.0, 4.0])
    np.random.seed(1)  # noqa: NPY002
    assert stats.mean([1.0, 2.0, 4.0]) == first
    assert stats.mean([4.0, 1.0, 2.0]) == first, "the order of the clips decides nothing"


def test_the_interval_scales_and_shifts_with_the_values() -> None:
    values = np.random.default_rng(4).normal(size=12)
    low, high = interval(stats.mean(values.tolist()))
    assert interval(stats.mean((values * 10 + 5).tolist())) == pytest.approx((low * 10 + 5, high * 10 + 5))


def test_mean_of_means_counts_every_group_the_same() -> None:
    few, many = [1.0, 3.0], [10.0, 12.0, 14.0, 10.0, 12.0, 14.0]
    found = stats.mean_of_means([few, many])
    assert found.value == (2 + 12) / 2
    assert found.n == 8
    low, high = interval(found)
    assert low < 7 < high
    assert stats.mean_of_means([few, many]) == found
    assert stats.mean_of_means([few]).value == 2
    assert stats.mean_of_means([few, []]) == stats.Estimate(None, n=2)
    assert stats.mean_of_means([few, [5.0]]) == stats.Estimate(3.5, n=3, note="too few clips")
    assert stats.mean_of_means([[1.0] * 3, [3.0] * 3]) == stats.Estimate(2.0, n=6, note="all equal")


def test_the_interval_of_a_mean_of_means_covers_as_theory_has_it() -> None:
    """Independent groups: the variance is that of the means, divided by the square of their number."""
    rng = np.random.default_rng(5)
    groups = [rng.normal(0, spread, 400) for spread in (1.0, 3.0)]
    low, high = interval(stats.mean_of_means([group.tolist() for group in groups]))
    deviation = np.sqrt(sum(group.var() / 400 for group in groups)) / 2
    assert (high - low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.05)
    low, high = interval(stats.mean_of_means([groups[1].tolist()] * 2))
    assert (high - low) / (2 * 1.96 * groups[1].std() / 20) == pytest.approx(0.5**0.5, abs=0.05)


def test_two_groups_of_one_metric_have_welchs_interval() -> None:
    """The mean of two means spreads as half their difference does."""
    rng = np.random.default_rng(6)
    first, second = rng.normal(0, 1, 6), rng.normal(0, 4, 15)
    low, high = interval(stats.mean_of_means([first.tolist(), second.tolist()]))
    welch = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert high - low == pytest.approx((welch.high - welch.low) / 2)
