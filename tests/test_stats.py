"""Estimates: the plain formulas, intervals that cover, and the same digits every time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
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


@settings(max_examples=50, deadline=None)
@given(NUMBERS)
def test_mean_is_the_mean_and_lies_in_its_interval(values: list[float]) -> None:
    estimate = stats.mean(values)
    assert estimate.value == float(np.mean(np.array(values)))
    assert estimate.n == len(values)
    slack = 1e-9 * (1 + max(map(abs, values)))
    low, high = interval(estimate)
    assert min(values) - slack <= low <= high <= max(values) + slack


def test_an_interval_by_hand() -> None:
    # Means of two draws from (0, 1) are 0, 0.5, 0.5, 1: the outer 2.5 % quantiles are the ends.
    assert stats.mean([0.0, 1.0]) == Estimate(0.5, 0.0, 1.0, 2)
    assert stats.mean([3.0, 3.0, 3.0]) == Estimate(3.0, 3.0, 3.0, 3)


def test_too_few_values() -> None:
    assert stats.mean([]) == Estimate(None)
    assert stats.mean([2.5]) == Estimate(2.5, n=1)
    assert stats.ratio([]) == Estimate(None)
    assert stats.ratio([[3, 4]]) == Estimate(0.75, n=1)


def test_a_ratio_is_of_sums() -> None:
    estimate = stats.ratio([[1, 10], [4, 10], [5, 100]])
    assert estimate.value == pytest.approx(10 / 120)
    assert estimate.n == 3
    low, high = interval(estimate)
    assert 0.05 <= low <= 10 / 120 <= high <= 0.4


def test_a_ratio_resamples_pairs() -> None:
    # Numerator and denominator move together, so every resample has the same ratio.
    estimate = stats.ratio([[1, 2], [10, 20], [50, 100], [3, 6]])
    assert (estimate.low, estimate.high) == pytest.approx((0.5, 0.5))


def test_a_ratio_over_nothing_has_no_value() -> None:
    assert stats.ratio([[0, 0], [0, 0]]).value is None


@pytest.mark.filterwarnings("error")
def test_a_resample_without_denominator_is_left_out() -> None:
    estimate = stats.ratio([[1, 2], [0, 0]])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)


def test_intervals_cover() -> None:
    """Nominal 95 %; the percentile interval of 40 values covers a little less (Efron and Tibshirani, 13.3)."""
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(500):
        low, high = interval(stats.mean(generator.normal(2.0, 3.0, 40).tolist()))
        covered += low <= 2.0 <= high
    assert 0.90 <= covered / 500 <= 0.97


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(5).normal(size=1000)
    low, high = interval(stats.mean(values.tolist()))
    half = 1.959964 * values.std() / np.sqrt(values.size)
    assert high - values.mean() == pytest.approx(half, rel=0.06)
    assert values.mean() - low == pytest.approx(half, rel=0.06)


def test_intervals_of_ratios_cover() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        words = generator.integers(5, 20, 40)
        low, high = interval(stats.ratio(np.stack([generator.binomial(words, 0.2), words], axis=1).tolist()))
        covered += low <= 0.2 <= high
    assert 0.90 <= covered / 200 <= 0.99


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
    assert stats.mean_of_means([few, [5.0]]) == stats.Estimate(3.5, n=3)


def test_the_interval_of_a_mean_of_means_covers_as_theory_has_it() -> None:
    """Independent groups: the variance is that of the means, divided by the square of their number."""
    rng = np.random.default_rng(5)
    groups = [rng.normal(0, spread, 400) for spread in (1.0, 3.0)]
    low, high = interval(stats.mean_of_means([group.tolist() for group in groups]))
    deviation = np.sqrt(sum(group.var() / 400 for group in groups)) / 2
    assert (high - low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.05)
    # One group given twice, so of equal size, is not resampled in step: that would leave its whole variance.
    low, high = interval(stats.mean_of_means([groups[1].tolist()] * 2))
    assert (high - low) / (2 * 1.96 * groups[1].std() / 20) == pytest.approx(0.5**0.5, abs=0.05)
