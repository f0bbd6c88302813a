from __future__ import annotations

import numpy as np
import pytest

from ldmbench.audio.arrays import Features, Signal
from ldmbench.systems.kmeans_mel import patches as mel


def noise(length: int, seed: int = 0, scale: float = 0.1) -> Signal:
    return (np.random.default_rng(seed).standard_normal(length) * scale).astype(np.float32)


def decibels(log_mel: Features) -> Features:
    return log_mel * np.float32(20 / np.log(10))


def test_full_scale_sine_has_magnitude_one_in_its_bin() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    magnitudes = np.abs(mel._stft(sine))[10:-10]
    np.testing.assert_allclose(magnitudes[:, 40], 1.0, atol=1e-4)  # 1000 Hz is bin 40 of 25 Hz
    assert magnitudes[:, 45:].max() < 1e-4


def test_filters_follow_slaneys_scale() -> None:
    filters = mel._filters().toarray()
    assert filters.shape == (64, 321)
    np.testing.assert_allclose(filters.sum(axis=1), 1.0)
    peaks = filters.argmax(axis=1) * 25.0
    # Below 1 kHz the bands are equally spaced (200/3 Hz per mel, 45.245 mels in 65 steps); above, by a factor.
    step = (15 + 27 * np.log(8) / np.log(6.4)) / 65
    expected = [m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27) for m in step * np.arange(1, 65)]
    np.testing.assert_allclose(peaks, expected, atol=25.0)  # the neighbouring bin, where a triangle is skewed


def test_stft_is_inverted_exactly() -> None:
    samples = noise(160 * 50)
    np.testing.assert_allclose(mel._istft(mel._stft(samples)), samples, atol=1e-6)


@pytest.mark.parametrize(("length", "frames"), [(1, 1), (160, 1), (161, 2), (16_000, 100)])
def test_number_of_frames(length: int, frames: int) -> None:
    assert mel.log_mel_spectrogram(noise(length)).shape == (frames, 64)


def test_silence_is_the_floor() -> None:
    np.testing.assert_array_equal(mel.log_mel_spectrogram(np.zeros(1000, np.float32)), np.float32(np.log(mel.FLOOR)))


def test_patches_keep_what_the_dct_keeps() -> None:
    log_mel = mel.log_mel_spectrogram(noise(16_000))
    features = mel.to_patches(log_mel, -3.0)
    assert features.shape == (7 * 4, 64)  # 100 frames are 7 patches of 16
    back = mel.from_patches(features, -3.0)
    assert back.shape == (112, 64)
    # Coding again changes nothing: what was dropped is orthogonal to what is kept.
    np.testing.assert_allclose(mel.to_patches(back, -3.0), features, atol=1e-3)
    ramp = np.linspace(-6, -2, 64, dtype=np.float32)[None].repeat(32, axis=0)
    assert np.abs(mel.from_patches(mel.to_patches(ramp, 0.0), 0.0) - ramp).max() < 0.02


def test_patch_order_is_time_major_lowest_bands_first() -> None:
    log_mel = np.zeros((32, 64), np.float32)
    log_mel[16:, 32:48] = 1.0  # second patch in time, third in frequency
    assert np.flatnonzero(np.abs(mel.to_patches(log_mel, 0.0)).sum(axis=1) > 1e-6).tolist() == [6]


def test_mel_is_inverted_without_negative_magnitudes() -> None:
    target = np.exp(mel.log_mel_spectrogram(noise(16_000)))
    magnitudes = mel.mel_to_linear(target)
    assert magnitudes.min() >= 0
    again = (mel._filters() @ magnitudes.T).T
    assert np.abs(again - target).sum() < 0.01 * target.sum()
    assert not mel.mel_to_linear(np.zeros((3, 64), np.float32)).any()


def test_nnls_agrees_with_scipy() -> None:
    from scipy.optimize import nnls

    target = np.exp(mel.log_mel_spectrogram(noise(800))).astype(np.float64)
    filters = mel._filters().toarray()
    ours = np.linalg.norm(filters @ mel.mel_to_linear(target.astype(np.float32)).T - target.T, axis=0)
    best = np.array([nnls(filters, row)[1] for row in target])
    assert (ours <= best + 0.01 * np.linalg.norm(target, axis=1)).all()


@pytest.mark.parametrize("scale", [0.5, 0.005])
def test_griffin_lim_preserves_level_and_spectrum(scale: float) -> None:
    samples = noise(16_000, scale=scale)
    log_mel = mel.log_mel_spectrogram(samples)
    magnitudes = mel.mel_to_linear(np.exp(log_mel) - np.float32(mel.FLOOR))
    heard = mel.griffin_lim(magnitudes, 32)
    assert heard.shape == (16_000,)
    assert heard.dtype == np.float32
    assert abs(20 * np.log10(heard.std() / samples.std())) < 1.5
    assert np.abs(decibels(mel.log_mel_spectrogram(heard) - log_mel)).mean() < 1.5
    np.testing.assert_array_equal(mel.griffin_lim(magnitudes, 32), heard)


def test_more_iterations_are_more_consistent() -> None:
    magnitudes = np.abs(mel._stft(noise(16_000)))
    errors = [np.abs(np.abs(mel._stft(mel.griffin_lim(magnitudes, n))) - magnitudes).mean() for n in (1, 8, 32)]
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]
