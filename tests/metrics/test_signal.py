from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.system.protocol import Output

GOLDEN = Path(__file__).parents[1] / "golden"
PAIRS = runpy.run_path(str(GOLDEN / "make_signal_metrics.py"))["pairs"]()
EXPECTED = json.loads((GOLDEN / "signal_metrics.json").read_text(encoding="utf-8"))["values"]
NAMES = ("snr", "si_sdr", "si_sdr@zero-mean")
CASES = [(pair, name) for pair in PAIRS for name in EXPECTED[pair] if name in NAMES]


def score(name: str, reference: ArrayLike, estimate: ArrayLike, rate: int = 16_000) -> float:
    clip = Clip("set/clip", "set", loaded=Audio.of(reference, rate))
    value = load_metric(name).measure(clip, Output(Audio.of(estimate, rate)))
    assert isinstance(value, float)
    return value


def noise(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(8000)


@pytest.mark.parametrize(("pair", "name"), CASES)
def test_equals_torchmetrics(pair: str, name: str) -> None:
    reference, estimate, rate = PAIRS[pair]
    assert score(name, reference, estimate, rate) == pytest.approx(EXPECTED[pair][name], rel=1e-9)


def test_equals_torchmetrics_documented_example() -> None:
    reference, estimate = [3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]
    assert score("snr", reference, estimate) == pytest.approx(16.1805, abs=5e-5)
    assert score("si_sdr", reference, estimate) == pytest.approx(18.4030, abs=5e-5)


def test_orthogonal_noise_is_the_whole_error() -> None:
    time = np.arange(8000)
    signal, error = np.sin(2 * np.pi * time / 100), 0.1 * np.cos(2 * np.pi * time / 100)
    for name in NAMES:
        assert score(name, signal, signal + error) == pytest.approx(20.0, abs=1e-5)


@given(gain=st.floats(0.01, 100.0), negative=st.booleans())
def test_si_sdr_ignores_the_gain_of_the_estimate(gain: float, negative: bool) -> None:
    reference, estimate = noise(1), noise(1) + 0.3 * noise(2)
    scaled = (-gain if negative else gain) * estimate
    assert score("si_sdr", reference, scaled) == pytest.approx(score("si_sdr", reference, estimate), abs=1e-4)


def test_snr_does_not_ignore_gain() -> None:
    assert score("snr", noise(1), 0.5 * noise(1)) == pytest.approx(20 * np.log10(2), abs=1e-4)
    assert score("snr", noise(1), np.zeros(8000)) == 0.0


@given(offset=st.floats(-0.5, 0.5))
def test_only_the_zero_mean_variant_ignores_an_offset(offset: float) -> None:
    reference, estimate = noise(1), noise(1) + 0.3 * noise(2)
    name = "si_sdr@zero-mean"
    assert score(name, reference, estimate + offset) == pytest.approx(score(name, reference, estimate), abs=1e-3)


def test_an_offset_counts_unless_removed() -> None:
    reference, estimate = noise(1), noise(1) + 0.3 * noise(2)
    assert score("si_sdr", reference, estimate + 0.1) < score("si_sdr", reference, estimate) - 5


@pytest.mark.parametrize("name", NAMES)
def test_more_noise_is_worse(name: str) -> None:
    scores = [score(name, noise(1), noise(1) + gain * noise(2)) for gain in (0.001, 0.01, 0.1, 0.5, 1.0)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(60, abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_an_infinite_ratio_is_unscored(name: str) -> None:
    with pytest.raises(Unscored, match="equals the reference"):
        score(name, noise(1), noise(1))


@pytest.mark.parametrize("name", ["si_sdr", "si_sdr@zero-mean"])
def test_a_silent_output_has_no_si_sdr(name: str) -> None:
    with pytest.raises(Unscored, match="the output is silent"):
        score(name, noise(1), np.zeros(8000))


@pytest.mark.parametrize("name", NAMES)
def test_a_silent_reference_is_unscored(name: str) -> None:
    with pytest.raises(Unscored, match="the reference is silent"):
        score(name, np.zeros(8000), noise(1))


def test_a_constant_has_nothing_without_its_mean() -> None:
    with pytest.raises(Unscored, match="constant"):
        score("si_sdr@zero-mean", np.full(8000, 0.3), noise(1))


def test_nothing_in_common_is_unscored() -> None:
    with pytest.raises(Unscored, match="nothing in common"):
        score("si_sdr", [1.0, 0.0], [0.0, 1.0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_never_a_score(name: str, bad: float) -> None:
    broken = noise(2)
    broken[5] = bad
    with pytest.raises(BenchError, match="finite"), np.errstate(all="ignore"):
        score(name, noise(1), broken)


def test_one_sample_is_enough_for_a_ratio() -> None:
    assert score("snr", [0.5], [0.25]) == pytest.approx(20 * np.log10(2))


def test_output_at_another_rate_and_layout_is_brought_to_the_reference() -> None:
    time = np.arange(48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    clip = Clip("set/clip", "set", loaded=Audio.of(tone, 48_000))
    stereo = Audio.of(np.stack([1.5 * tone[::3], 0.5 * tone[::3]]), 16_000)
    assert load_metric("si_sdr").measure(clip, Output(stereo)) > 40


def test_length_mismatch_and_missing_audio_are_refused() -> None:
    clip = Clip("set/clip", "set", loaded=Audio.of(noise(1), 16_000))
    with pytest.raises(BenchError, match="differ in length"):
        load_metric("snr").measure(clip, Output(Audio.of(noise(1)[:4000], 16_000)))
    with pytest.raises(BenchError, match="no output audio"):
        load_metric("snr").measure(clip, Output())
