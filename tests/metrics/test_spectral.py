from __future__ import annotations

import gc
import json
import runpy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ldmbench.audio import memo
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import mel_filters
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.metrics.spectral import AUDIOTOOLS_SCALES, DAC_SCALES
from ldmbench.system.protocol import Output
from tests.present import present

GOLDEN = Path(__file__).parents[1] / "golden"
PAIRS = runpy.run_path(str(GOLDEN / "make_signal_metrics.py"))["pairs"]()
EXPECTED = json.loads((GOLDEN / "signal_metrics.json").read_text(encoding="utf-8"))["values"]
SPECTRAL = ("mel_dac", "mel_audiotools", "stft_dac", "lsd", "lsd_audiosr", "lsd_ssr_eval")
CASES = [(pair, name) for pair in PAIRS for name in EXPECTED[pair] if name.split(":")[0] in SPECTRAL]


def score(name: str, reference: ArrayLike, estimate: ArrayLike, rate: int = 44_100) -> float:
    clip = Clip("set/clip", "set", loaded=Audio.of(reference, rate))
    value = load_metric(name).measure(clip, Output(Audio.of(estimate, rate)))
    assert isinstance(value, float)
    return value


def noise(seconds: float = 0.5, seed: int = 0, rate: int = 44_100) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))


def test_there_are_goldens_of_ten_signals_for_every_distance() -> None:
    assert len(PAIRS) == 10
    for pair in PAIRS:
        names = {name.split(":")[0] for name in EXPECTED[pair]}
        assert names >= ({"mel_dac", "mel_audiotools", "stft_dac"} if pair == "silence_44k_noise" else set(SPECTRAL))


@pytest.mark.parametrize(("pair", "name"), CASES)
def test_equals_the_peer(pair: str, name: str) -> None:
    reference, estimate, rate = PAIRS[pair]
    # Both sides compute in float32; with a pure tone, bins near the floor hold the rounding noise of either FFT.
    assert score(name, reference, estimate, rate) == pytest.approx(EXPECTED[pair][name], rel=1e-5)


def test_mel_and_stft_agree_with_their_definition_in_float64() -> None:
    """The formula again, frame by frame with a DFT matrix, without anything of audio.spectra but the filters."""
    reference, estimate, rate = PAIRS["short_44k"]

    def spectrum(signal: np.ndarray, window: int) -> np.ndarray:
        padded = np.pad(signal.astype(np.float64), window // 2, mode="reflect")
        n = np.arange(window)
        taper = np.sin(np.pi * n / window) ** 2
        kernel = np.exp(-2j * np.pi * np.outer(n, np.arange(window // 2 + 1)) / window)
        starts = range(0, len(padded) - window + 1, window // 4)
        return np.array([np.abs((padded[start : start + window] * taper) @ kernel) for start in starts])

    def logarithm(x: np.ndarray, power: float) -> np.ndarray:
        decades: np.ndarray = np.log10(np.maximum(x, 1e-5) ** power)
        return decades

    def mel_loss(scales: Sequence[tuple[int, int]], power: float, weight: float) -> float:
        total = 0.0
        for window, bands in scales:
            filters = mel_filters(rate, window, bands).T
            first, second = spectrum(reference, window) @ filters, spectrum(estimate, window) @ filters
            total += np.abs(logarithm(first, power) - logarithm(second, power)).mean()
            total += weight * np.abs(first - second).mean()
        return float(total)

    stft = 0.0
    for window in (2048, 512):
        first, second = spectrum(reference, window), spectrum(estimate, window)
        stft += np.abs(logarithm(first, 2) - logarithm(second, 2)).mean() + np.abs(first - second).mean()
    assert score("mel_dac", reference, estimate) == pytest.approx(mel_loss(DAC_SCALES, 1.0, 0.0), rel=1e-6)
    assert score("mel_audiotools", reference, estimate) == pytest.approx(
        mel_loss(AUDIOTOOLS_SCALES, 2.0, 1.0), rel=1e-6
    )
    assert score("stft_dac", reference, estimate) == pytest.approx(stft, rel=1e-6)


@pytest.mark.parametrize("name", ["mel_dac", "mel_audiotools", "stft_dac", "lsd", "lsd:match=low10"])
def test_identity_is_exactly_zero(name: str) -> None:
    assert score(name, noise(), noise()) == 0.0


@pytest.mark.parametrize("name", ["lsd_audiosr", "lsd_ssr_eval"])
def test_identity_is_zero_but_for_epsilon(name: str) -> None:
    assert score(name, noise(), noise(), 48_000) < 1e-4


@pytest.mark.parametrize("name", SPECTRAL)
def test_more_noise_is_worse(name: str) -> None:
    reference, error = noise(seed=1), noise(seed=2)
    scores = [score(name, reference, reference + gain * error) for gain in (0.0, 0.01, 0.1, 0.5, 1.0)]
    assert scores == sorted(scores)
    assert scores[-1] > 2 * scores[1]


@pytest.mark.parametrize("name", ["mel_dac", "mel_audiotools", "stft_dac", "lsd"])
def test_symmetric(name: str) -> None:
    first, second = noise(seed=1), 0.3 * noise(seed=2)
    assert score(name, first, second) == pytest.approx(score(name, second, first), rel=1e-9)


@pytest.mark.parametrize("name", ["lsd_audiosr", "lsd_ssr_eval"])
def test_ratios_are_not_symmetric_where_one_side_is_silent(name: str) -> None:
    first = noise(seed=1, seconds=1.0)
    second = np.where(np.arange(len(first)) < 22_050, first, 0.0)
    assert abs(score(name, first, second, 48_000) - score(name, second, first, 48_000)) > 0.5


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_gain_costs_mel_its_logarithm_at_every_scale(gain: float) -> None:
    # So loud that no band falls to the floor.
    reference = 1000 * noise()
    assert score("mel_dac", reference, gain * reference) == pytest.approx(7 * abs(np.log10(gain)), rel=1e-5)


@pytest.mark.parametrize("gain", [0.25, 2.0, 3.0])
def test_gain_costs_lsd_its_logarithm_unless_energy_is_matched(gain: float) -> None:
    reference = noise()
    expected = abs(2 * np.log10(gain))
    assert score("lsd", reference, gain * reference) == pytest.approx(expected, rel=1e-3)
    assert score("lsd_ssr_eval", reference, gain * reference) == pytest.approx(expected, rel=1e-3)
    assert score("lsd:match=low10", reference, gain * reference) < 1e-3
    assert score("lsd_audiosr", reference, gain * reference, 48_000) < 1e-3


def test_energy_is_matched_in_the_lowest_bins_only() -> None:
    time = np.arange(44_100) / 44_100
    low, high = np.sin(2 * np.pi * 500 * time), np.sin(2 * np.pi * 15_000 * time)
    floor = 0.01 * noise(1.0)
    louder_above = low + 4 * high + floor
    # The mean over all bins would halve this; the lowest 10 % (below 2.2 kHz) leave it alone.
    unmatched = score("lsd", low + high + floor, louder_above)
    assert score("lsd:match=low10", low + high + floor, louder_above) == pytest.approx(unmatched, abs=0.02)
    assert abs(score("lsd:match=low100", low + high + floor, louder_above) - unmatched) > 0.05


def test_settings_are_in_name_and_title_and_change_the_number() -> None:
    metric = load_metric("lsd:n_fft=1024,hop=256,eps=1e-6,match=low10")
    assert metric.facts.name == "lsd:eps=1e-06,hop=256,match=low10,n_fft=1024"
    assert metric.facts.title == "LSD 1024/256/1e-06 low10"
    assert load_metric("lsd").facts.title == "LSD 2048/512/1e-08"
    first, second = noise(seed=1), noise(seed=2)
    assert score("lsd:n_fft=1024", first, second) != score("lsd", first, second)


def test_floor_hides_what_is_below_it() -> None:
    quiet = 1e-7 * noise()
    assert score("lsd", noise() + quiet, noise()) < 0.1
    assert score("lsd:eps=1e2", quiet, 3 * quiet) == 0.0


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("variant", ["", "@16khz", "@24khz"])
def test_variants_compare_at_their_rate(name: str, variant: str) -> None:
    rate = {"": {"lsd": 0, "lsd_audiosr": 48_000}.get(name, 44_100), "@16khz": 16_000, "@24khz": 24_000}[variant]
    metric = load_metric(name + variant)
    assert metric.facts.rate == rate
    assert metric.facts.name == name + variant
    clip = Clip("set/clip", "set", loaded=Audio.of(noise(1.0, 1), 44_100))
    output = Output(Audio.of(noise(1.0, 2, 32_000), 32_000))
    first, second = clip.audio.at(rate or 44_100), present(output.audio).at(rate or 44_100)
    assert metric.measure(clip, output) == score(name + variant, first.samples, second.samples, rate or 44_100)


@pytest.mark.parametrize("name", ["lsd", "lsd_audiosr", "lsd_ssr_eval"])
def test_lsd_of_a_silent_reference_is_unscored(name: str) -> None:
    with pytest.raises(Unscored, match="silent"):
        score(name, np.zeros(44_100), noise(1.0))


@pytest.mark.parametrize("name", ["mel_dac", "mel_audiotools", "stft_dac"])
def test_mel_and_stft_are_defined_for_silence(name: str) -> None:
    assert score(name, np.zeros(44_100), np.zeros(44_100)) == 0.0
    assert score(name, np.zeros(44_100), noise(1.0)) > 1.0


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("length", [1, 31, 900])
def test_clips_too_short_for_a_window_are_unscored(name: str, length: int) -> None:
    with pytest.raises(Unscored, match="short"):
        score(name, np.full(length, 0.1), np.full(length, 0.1), 44_100)


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_never_a_score(name: str, bad: float) -> None:
    broken = noise()
    broken[1000] = bad
    with pytest.raises(BenchError, match=r"nan|inf"), np.errstate(all="ignore"):
        score(name, noise(), broken)


@pytest.mark.parametrize("wrong", ["lsd:match=high", "lsd:match=low0", "lsd:match=low101", "lsd:hop=0", "lsd:eps=0"])
def test_settings_that_mean_nothing_are_refused(wrong: str) -> None:
    with pytest.raises(BenchError, match=r"match|eps"):
        score(wrong, noise(), noise(seed=1))


def test_a_silent_output_costs_a_lot_and_stays_finite() -> None:
    for name in SPECTRAL:
        assert 1.0 < score(name, noise(), np.zeros(22_050)) < 1000.0


def test_shared_spectra_change_no_value_and_are_freed() -> None:
    """Metrics of one clip share spectra across outputs: the values must not depend on what ran before."""
    reference = Audio.of(np.stack([noise(seed=1), noise(seed=2)]), 44_100)
    clip = Clip("set/clip", "set", loaded=reference)
    before = len(memo._kept)
    for seed in (3, 4):
        # Ten samples short: the fitted copy has spectra of its own.
        output = Output(Audio.of(noise(seed=seed)[:-10], 44_100))
        shared = {name: load_metric(name).measure(clip, output) for name in (*SPECTRAL, *reversed(SPECTRAL))}
        for name, value in shared.items():
            alone = Clip("set/clip", "set", loaded=Audio.of(reference.samples, 44_100))
            assert load_metric(name).measure(alone, Output(Audio.of(noise(seed=seed)[:-10], 44_100))) == value
    assert len(memo._kept) > before
    del reference, clip, output, alone
    gc.collect()
    assert len(memo._kept) <= before
