"""Reading a sound as the peers do: channels, mean, resampling, padding."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")
torchaudio = pytest.importorskip("torchaudio", reason="the extra 'models' is not installed")

from ldmbench.audio.sound import Audio  # noqa: E402
from ldmbench.errors import BenchError  # noqa: E402
from ldmbench.extractors import loading  # noqa: E402
from ldmbench.extractors.loading import as_audioldm_eval, as_frechet_audio_distance, resample_kaiser_best  # noqa: E402

RATES = (8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000)


def plain_kaiser_best(signal: np.ndarray, old: int, new: int) -> np.ndarray:
    """The resampler as its author describes it: for every output sample, two wings of a tabulated sinc."""
    size = 50 * 8192
    table = np.kaiser(2 * size + 1, 12.984585247040012)[size:]
    table = table * 0.9173473712608761 * np.sinc(0.9173473712608761 * np.linspace(0, 50, size + 1))
    ratio = new / old
    scale = min(1.0, ratio)
    table = table * scale
    slope = np.append(np.diff(table), 0.0)
    hop = int(scale * 8192)
    result = np.zeros(int(len(signal) * ratio))
    for index in range(len(result)):
        time = index / ratio
        nearest = int(time)
        fraction = scale * (time - nearest)
        for first, step, count in ((nearest, -1, nearest + 1), (nearest + 1, 1, len(signal) - nearest - 1)):
            position = (fraction if step < 0 else scale - fraction) * 8192
            start = int(position)
            taps = start + hop * np.arange(min(count, (len(table) - start) // hop))
            weights = table[taps] + (position - start) * slope[taps]
            result[index] += weights @ signal[first + step * np.arange(len(taps))]
    return result


@pytest.mark.parametrize("old", [*RATES, 15_999])
def test_kaiser_best_is_the_plain_loop(old: int) -> None:
    signal = np.random.default_rng(old).standard_normal(2000).astype(np.float32)
    found = resample_kaiser_best(signal, old, 16_000)
    expected = plain_kaiser_best(signal.astype(np.float64), old, 16_000)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_gathering_and_convolving_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    by_convolution = resample_kaiser_best(signal, 44_100, 16_000)
    monkeypatch.setattr(loading, "_LARGEST_KERNEL", 0)
    np.testing.assert_allclose(resample_kaiser_best(signal, 44_100, 16_000), by_convolution, atol=2e-6)


@pytest.mark.parametrize("old", RATES)
def test_a_tone_stays_that_tone(old: int) -> None:
    time = np.arange(old) / old
    found = resample_kaiser_best(np.sin(2 * np.pi * 440 * time).astype(np.float32), old, 16_000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(found[500:-500], expected[500:-500], atol=2e-3)


def test_the_same_rate_is_a_copy_and_nothing_is_refused() -> None:
    signal = np.ones(5, np.float32)
    found = resample_kaiser_best(signal, 16_000, 16_000)
    assert found is not signal
    np.testing.assert_array_equal(found, signal)
    with pytest.raises(BenchError, match="2 samples cannot be resampled"):
        resample_kaiser_best(signal[:2], 48_000, 16_000)


@pytest.mark.parametrize("rate", [16_000, 32_000])
def test_audioldm_eval_takes_the_first_channel_without_its_mean_and_pads(rate: int) -> None:
    sound = Audio.of(np.random.default_rng(0).standard_normal((2, 44_100)) + 1.0, 44_100)
    found = as_audioldm_eval(sound, rate)
    first = torch.tensor(sound.samples[:1])
    expected = torchaudio.functional.resample(first - first.mean(), 44_100, rate)[0].numpy()
    assert len(found) == 32_000
    np.testing.assert_array_equal(found[: len(expected)], expected)
    assert not found[len(expected) :].any()


def test_audioldm_eval_neither_cuts_nor_scales() -> None:
    sound = Audio.of(4.0 * np.random.default_rng(0).standard_normal(50_000), 16_000)
    found = as_audioldm_eval(sound, 16_000)
    np.testing.assert_allclose(found, sound.samples[0] - sound.samples[0].mean(), atol=1e-6)


def test_the_package_takes_the_mean_of_channels_with_its_offset_and_does_not_pad() -> None:
    sound = Audio.of(np.random.default_rng(0).standard_normal((2, 800)) + 1.0, 16_000)
    np.testing.assert_allclose(as_frechet_audio_distance(sound, 16_000), sound.samples.mean(axis=0), rtol=1e-6)
