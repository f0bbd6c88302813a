"""The paired test against independent computations, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from ldmbench.compare.paired import ALPHA, at_least, holm, paired, smallest_detectable
from tests.present import present

numbers = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=6, max_size=40)


def test_symmetric_differences_give_students_test() -> None:
    """Without skewness Hall's transform is the identity up to its term of bias, so Student's p value is the larger."""
    half = np.random.default_rng(1).standard_normal(20)
    values = np.concatenate([half, -half]) - 0.3
    test = paired(values)
    expected = reference.ttest_1samp(values, 0, alternative="less")
    assert test is not None
    assert test.p == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = reference.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (test.low, test.high) == pytest.approx((low, high), rel=1e-9)


def test_skewed_differences_give_halls_interval() -> None:
    """Worked by hand from Hall (1992), the roots of the cubic found by numpy in place of the closed inverse."""
    values = np.random.default_rng(2).exponential(size=25)
    test = paired(values)
    assert test is not None
    n, error = 25, values.std(ddof=1) / 5
    skewness = float(reference.skew(values))
    t = float(reference.t.ppf(0.95, n - 1))
    ends = []
    for quantile in (t, -t):
        cubic = [skewness**2 / (27 * n), skewness / (3 * 5), 1, skewness / (6 * 5) - quantile]
        (root,) = [root.real for root in np.roots(cubic) if abs(root.imag) < 1e-9]
        ends.append(values.mean() - root * error)
    assert test.high == pytest.approx(max(ends[1], values.mean() + t * error), rel=1e-9)
    assert test.low == pytest.approx(min(ends[0], values.mean() - t * error), rel=1e-9)
    assert test.high > values.mean() + t * error


@settings(max_examples=200)
@given(numbers, st.floats(0, 100))
def test_p_agrees_with_the_interval(values: list[float], margin: float) -> None:
    test = paired(values, margin)
    assert test is not None
    assert test.low <= test.mean <= test.high
    if test.sd > 0 and abs(test.high + margin) > 1e-6 * max(1.0, abs(test.high)):
        assert (test.p < ALPHA) == (test.high < -margin)


@settings(max_examples=100)
@given(numbers, st.floats(0.001, 1000))
def test_the_unit_does_not_matter(values: list[float], unit: float) -> None:
    one, other = paired(values), paired([value * unit for value in values])
    assert one is not None
    assert other is not None
    assert other.p == pytest.approx(one.p, rel=1e-6, abs=1e-12)
    assert other.high == pytest.approx(one.high * unit, rel=1e-6, abs=1e-6 * unit)


def test_equal_differences_are_judged_by_their_signs() -> None:
    assert present(paired([-1.0] * 6)).p == 0.5**6
    assert present(paired([-1.0] * 6, margin=1.0)).p == 1.0
    assert present(paired([0.0] * 6)).p == 1.0


def test_few_pairs_are_not_tested() -> None:
    assert paired([-1.0, -1.1, -0.9, -1.2, -1.0]) is None


def test_holm_agrees_with_a_search_over_levels() -> None:
    """Holm's adjusted value is the smallest level at which the step-down procedure rejects."""
    p = [0.011, 0.2, 0.02, 0.011, 0.7, 0.004]

    def rejected(level: float) -> set[int]:
        out: set[int] = set()
        for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[index] > level / (len(p) - rank):
                break
            out.add(index)
        return out

    for index, adjusted in enumerate(holm(p)):
        if adjusted < 1:
            assert index in rejected(adjusted + 1e-9)
            assert index not in rejected(adjusted - 1e-9)
    assert holm([]) == []


@pytest.mark.parametrize(("count", "n"), [(0, 20), (1, 20), (3, 8), (8, 8)])
def test_the_share_is_clopper_and_pearsons(count: int, n: int) -> None:
    interval = reference.binomtest(count, n, alternative="greater").proportion_ci(0.95, method="exact")
    assert at_least(count, n) == pytest.approx(interval.low, abs=1e-9)


@pytest.mark.parametrize(("n", "sd"), [(8, 0.99), (20, 0.58), (100, 0.25)])
def test_smallest_detectable_differences(n: int, sd: float) -> None:
    """Of unit spread, at one-sided 0.05 and 80 % power; values from the quantiles of t, to two digits."""
    assert smallest_detectable(1.0, n) == pytest.approx(sd, abs=0.006)
    assert smallest_detectable(1.0, n, margin=0.5, cells=12) > 0.5 + sd


def test_the_smallest_detectable_difference_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(3)
    shift = smallest_detectable(1.0, 20)
    tests = [paired(generator.standard_normal(20) - shift) for _ in range(1000)]
    assert 0.75 < np.mean([test is not None and test.p <= ALPHA for test in tests]) < 0.88
