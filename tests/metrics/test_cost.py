from __future__ import annotations

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.system.protocol import Cost, Output

COSTS = ("kbps", "tokens_per_second", "rtf", "peak_memory", "parameters")


def clip(seconds: float) -> Clip:
    return Clip("set/clip", "set", loaded=Audio.of(np.zeros(round(seconds * 16_000)), 16_000))


def test_bitrate_is_the_ratio_of_sums_not_the_mean_of_rates() -> None:
    metric = load_metric("kbps")
    values = [metric.measure(clip(2.0), Output(bits=12_000)), metric.measure(clip(8.0), Output(bits=8_000))]
    np.testing.assert_allclose(values[0], [12_000, 2000.0])
    assert metric.aggregate(values).value == pytest.approx(2.0)
    assert metric.aggregate(values).n == 2


def below(name: str, clip: Clip, output: Output) -> float:
    """The denominator of a ratio."""
    value = load_metric(name).measure(clip, output)
    assert isinstance(value, np.ndarray)
    return float(value[1])


def test_bitrate_counts_reference_seconds_even_if_the_output_is_longer() -> None:
    output = Output(Audio.of(np.zeros(17_000), 16_000), bits=6000)
    assert below("kbps", clip(1.0), output) == pytest.approx(1000.0)


def test_tokens_from_codes_and_from_a_count_are_the_same() -> None:
    metric = load_metric("tokens_per_second")
    codes = metric.measure(clip(2.0), Output(tokens=np.zeros((4, 50), np.int64)))
    count = metric.measure(clip(2.0), Output(details={"token_count": 200}))
    np.testing.assert_array_equal(codes, count)
    assert metric.aggregate([codes]).value == pytest.approx(100.0)


def test_rtf_is_compute_over_audio() -> None:
    metric = load_metric("rtf")
    value = metric.measure(clip(4.0), Output(cost=Cost(seconds=1.0)))
    assert metric.aggregate([value]).value == pytest.approx(0.25)


def test_generated_audio_counts_where_there_is_no_reference() -> None:
    text_only = Clip("set/clip", "set", text="rain")
    output = Output(Audio.of(np.zeros(32_000), 16_000), cost=Cost(seconds=1.0))
    assert below("rtf", text_only, output) == 2.0
    with pytest.raises(BenchError, match="neither reference nor output"):
        load_metric("rtf").measure(text_only, Output(cost=Cost(seconds=1.0)))


def test_memory_is_that_of_the_worst_clip() -> None:
    metric = load_metric("peak_memory")
    values = [metric.measure(clip(1.0), Output(cost=Cost(peak_memory=n * 2**20))) for n in (100, 300, 200)]
    assert values == [100.0, 300.0, 200.0]
    estimate = metric.aggregate(values)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (300.0, None, None, 3)


def test_parameters_are_in_millions_and_not_a_contest() -> None:
    metric = load_metric("parameters")
    assert metric.measure(clip(1.0), Output(cost=Cost(parameters=74_500_000))) == 74.5
    assert metric.facts.better == "neither"


@pytest.mark.parametrize("name", COSTS)
def test_what_was_not_reported_is_unscored(name: str) -> None:
    with pytest.raises(Unscored, match=r"reports no|not measured serially at batch 1|no learned parameters"):
        load_metric(name).measure(clip(1.0), Output())


def test_zero_is_a_report() -> None:
    for name, output in (("kbps", Output(bits=0)), ("tokens_per_second", Output(details={"token_count": 0}))):
        value = load_metric(name).measure(clip(1.0), output)
        assert isinstance(value, np.ndarray)
        assert value[0] == 0


def test_only_time_and_memory_change_from_run_to_run() -> None:
    assert {name for name in COSTS if load_metric(name).facts.timed} == {"rtf", "peak_memory"}
