from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output
from tests.present import present

TOKEN_RATES = ("kbps@empirical", "kbps@adaptive")


def clip(seconds: float) -> Clip:
    return Clip("set/clip", "set", loaded=Audio.of(np.zeros(round(seconds * 16_000)), 16_000))


def rate(name: str, *outputs: Output, seconds: float = 1.0) -> Estimate:
    metric = load_metric(name)
    return metric.aggregate([metric.measure(clip(seconds), output) for output in outputs])


def tokens(*rows: list[int], sizes: tuple[int, ...], side_bits: int = 0) -> Output:
    bits = side_bits + sum(len(row) * math.ceil(math.log2(size)) for row, size in zip(rows, sizes, strict=True))
    return Output(bits=bits, tokens=np.array(rows, np.int64), codebooks=sizes, side_bits=side_bits, nominal_kbps=1.5)


def test_claimed_packed_and_side_stand_beside_each_other() -> None:
    output = tokens([0, 1, 2, 3] * 25, sizes=(4,), side_bits=32)
    assert rate("kbps@nominal", output, seconds=2.0).value == pytest.approx(1.5)
    assert rate("kbps", output, seconds=2.0).value == pytest.approx(0.116)
    assert rate("kbps@side", output, seconds=2.0).value == pytest.approx(0.016)


def test_equally_frequent_tokens_need_all_their_bits_and_a_constant_none() -> None:
    even = tokens(list(range(8)) * 50, sizes=(8,))
    assert rate("kbps@empirical", even).value == pytest.approx(1.2)
    assert rate("kbps@empirical", tokens([5] * 400, sizes=(8,), side_bits=100)).value == pytest.approx(0.1)


def test_counts_are_pooled_over_clips_and_not_over_layers() -> None:
    """Each clip alone is constant and would need nothing; a code for both tells the two tokens apart."""
    first, second = tokens([0] * 100, [1] * 100, sizes=(2, 2)), tokens([1] * 100, [1] * 100, sizes=(2, 2))
    assert rate("kbps@empirical", first, second).value == pytest.approx(0.1)
    assert rate("kbps@empirical", first).value == pytest.approx(0.0)


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=60), min_size=3, max_size=6),
    st.integers(7, 40),
)
def test_entropy_is_the_textbook_one_and_lies_between_nothing_and_the_packed_size(
    clips: list[list[int]], size: int
) -> None:
    outputs = [tokens(row, sizes=(size,)) for row in clips]
    everything = np.concatenate(clips)
    share = np.bincount(everything) / len(everything)
    entropy = -sum(p * math.log2(p) for p in share if p)
    estimate = rate("kbps@empirical", *outputs)
    assert estimate.value == pytest.approx(entropy * len(everything) / (1000 * len(clips)), abs=1e-12)
    assert present(estimate.value) <= present(rate("kbps", *outputs).value) + 1e-12
    if estimate.low is not None:
        assert estimate.low <= present(estimate.value) <= present(estimate.high)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80))
def test_adaptive_code_is_the_one_a_decoder_can_follow(row: list[int]) -> None:
    """Token after token, each under what was seen before it."""
    bits = -sum(math.log2((row[:i].count(code) + 0.5) / (i + 2.5)) for i, code in enumerate(row))
    assert rate("kbps@adaptive", tokens(row, sizes=(5,))).value == pytest.approx(bits / 1000, rel=1e-9)


def test_adaptive_overstates_and_empirical_understates() -> None:
    """A source of known entropy, 7.51 bits: N = 375 and 7500 Zipf tokens of 1024, published for another draw."""
    weights = 1 / np.arange(1, 1025)
    weights /= weights.sum()
    entropy = float(-(weights * np.log2(weights)).sum())
    assert entropy == pytest.approx(7.51, abs=0.01)
    draw = np.random.default_rng(0).choice(1024, 7500, p=weights).tolist()
    for count in (375, 7500):
        output = tokens(draw[:count], sizes=(1024,))
        low, high = (present(rate(name, output).value) * 1000 / count for name in TOKEN_RATES)
        assert low < entropy < high
    assert (low, high) == pytest.approx((7.42, 7.73), abs=0.08)


def test_frames_without_a_token_count_nowhere() -> None:
    output = tokens([0, -1, 1, -1], [0, 1, 0, 1], sizes=(2, 2))
    assert rate("kbps@empirical", output).value == pytest.approx(0.006)
    assert rate("tokens_per_second", output).value == pytest.approx(6.0)


@pytest.mark.parametrize("name", TOKEN_RATES)
def test_tokens_that_were_not_kept_are_said_to_be_missing(name: str) -> None:
    metric = load_metric(name)
    with pytest.raises(Unscored, match="were not kept"):
        metric.measure(clip(1.0), Output(bits=10, codebooks=(2,)))
    with pytest.raises(Unscored, match="reports no tokens"):
        metric.measure(clip(1.0), Output(bits=10, tokens=np.zeros((1, 4), np.int64)))
    with pytest.raises(Unscored, match="does not tell"):
        load_metric("kbps@side").measure(clip(1.0), Output(bits=10))
    with pytest.raises(Unscored, match="claims no"):
        load_metric("kbps@nominal").measure(clip(1.0), Output(bits=10))
