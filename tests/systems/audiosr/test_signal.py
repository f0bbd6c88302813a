"""AudioSR's signal side: equal to the reference implementation's arrays, and defined where that one fails."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ldmbench.audio.filters import FAMILIES
from ldmbench.audio.sound import Audio
from ldmbench.systems.audiosr import signal as signal

#: Samples and cells that are stored: every fourth of the fixture's 8000, every second of its frames and bands.
WAVE = np.s_[20000:28000:4]
MEL = np.s_[::8, ::4]


def noise(tag: str, *shape: int) -> np.ndarray:
    """The rule behind the fixtures: a name's CRC-32 seeds PCG64."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(f"noise/audiosr/{tag}/0".encode())))
    return generator.standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("name", ["noise4k", "speech", "music"])
def test_equals_the_reference(golden: Path, name: str) -> None:
    stored = np.load(golden / "signal.npz")

    def differs(key: str, found: object) -> float:
        return float(np.abs(np.asarray(found, np.float64) - stored[f"{name}_{key}"]).max())

    samples, rate = soundfile.read(golden / f"{name}.flac", dtype="float32", always_2d=True)
    wave = signal.resampled(np.ascontiguousarray(samples[:, 0]), rate)
    padded, gain, mean = signal.normalised(wave)
    assert padded.shape == (245760,)
    assert np.abs(padded[: len(wave)] * gain + mean - wave).max() < 1e-6
    mel, magnitudes = signal.spectrogram(padded)
    assert differs("waveform48k", padded[WAVE]) < 1e-6
    assert differs("log_mel", mel[MEL]) < 5e-3
    assert differs("stft", magnitudes[::16, ::16]) < 4e-5
    assert differs("cutoff_bin", [signal.cutoff_bin(magnitudes)]) == 0

    prepared = signal.prepare(wave, "cheby1")
    assert prepared is not None
    assert prepared.cutoff_hz == stored[f"{name}_cutoff_bin"][0] / 1024 * 24000
    assert differs("waveform_lowpass", prepared.lowpassed[WAVE]) < 1e-6
    assert differs("lowpass_mel", prepared.low_mel[MEL]) < 5e-3

    mel, edge = signal.replace_mel(torch.from_numpy(noise("replace_mel", 512, 256) - 5), prepared.low_mel)
    assert differs("replace_mel_bin", [edge]) == 0
    assert differs("replaced_mel", mel[::32, ::4]) < 5e-3
    wave, edge, ratio = signal.replace_band(np.float32(0.1) * noise("replace_wav", 245776), prepared.lowpassed)
    assert differs("post_bin", [edge]) == 0
    assert differs("post_wav", wave[WAVE]) < 2e-6
    assert ratio == 0.8


def test_cutoff_is_the_highest_bin_below_the_share() -> None:
    for seed in range(20):
        magnitudes = np.random.default_rng(seed).exponential(size=(7, 33)) ** 4
        below = np.cumsum(magnitudes.sum(0))
        expected = max((index for index in range(1, 33) if below[index] < 0.985 * below[-1]), default=0)
        assert signal.cutoff_bin(magnitudes) == expected
    assert signal.cutoff_bin(np.eye(1, 33)) == 0


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_low_pass_keeps_the_band_and_removes_the_rest(kind: str) -> None:
    time = np.arange(48_000) / 48_000
    for hz, floor, ceiling in ((500, 0.95, 1.02), (12_000, 0.0, 1e-3)):
        tone = np.sin(2 * np.pi * hz * time).astype(np.float32)
        passed = signal.lowpass(tone, 8000.4, kind)
        level = np.abs(passed[12_000:36_000]).max()
        assert passed.shape == tone.shape
        assert floor <= level <= ceiling
    with pytest.raises(ValueError, match="no family of filters called 'brick'"):
        signal.lowpass(tone, 8000.0, "brick")


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_full_and_a_tiny_band_are_defined(kind: str) -> None:
    """The reference raises on both: it designs a filter at half the rate."""
    time = np.arange(24_000) / 48_000
    white = np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    low = signal.prepare(np.sin(2 * np.pi * 400 * time).astype(np.float32), kind)
    click = np.zeros(24_000, np.float32)
    click[12_000] = 1
    high = signal.prepare(click + 0.1 * np.diff(white, prepend=0), kind)
    assert low is not None
    assert low.cutoff_hz == 1000
    assert high is not None
    assert high.cutoff_hz > 23_000
    for prepared in (low, high):
        assert np.isfinite(prepared.lowpassed).all()
        assert np.isfinite(prepared.low_mel.numpy()).all()


@pytest.mark.parametrize("wave", [np.zeros(5000), np.full(5000, 0.25), [0.7], 1e-8 * np.ones(2400)])
def test_silence_is_nothing_to_prepare(wave: np.ndarray) -> None:
    assert signal.prepare(np.asarray(wave, np.float32), "cheby1") is None


def test_fifty_milliseconds_and_whole_blocks(narrow: Callable[..., Audio]) -> None:
    for seconds, blocks in ((0.05, 1), (5.12, 1), (5.13, 2)):
        prepared = signal.prepare(narrow(seconds).samples[0], "cheby1")
        assert prepared is not None
        assert prepared.low_mel.shape == (512 * blocks, 256)
        assert prepared.lowpassed.shape == (245_760 * blocks,)


def test_replacing_a_band_by_itself_changes_nothing(narrow: Callable[..., Audio]) -> None:
    wave = narrow(1.0).samples[0]
    same, edge, ratio = signal.replace_band(wave, wave)
    assert edge > 0
    assert ratio == pytest.approx(1.0, abs=1e-6)
    assert np.abs(same - wave).max() < 1e-6
    _, _, ratio = signal.replace_band(np.zeros_like(wave), wave)
    assert ratio == signal.GAIN_RANGE[1]


def test_upstreams_level() -> None:
    wave = signal.peak_normalised(np.array([0.1, -0.4, 0.2], np.float32))
    assert np.ptp(wave) == pytest.approx(0.75)
    assert wave.mean() == pytest.approx(0, abs=1e-7)
    assert not signal.peak_normalised(np.zeros(3, np.float32)).any()


@pytest.mark.parametrize("length", [1, signal.PIECE, signal.PIECE + 1, 2_000_000, 48_000 * 600])
def test_pieces_cover_everything_once(length: int) -> None:
    places = signal.pieces(length)
    assert all(0 < place.stop - place.start <= signal.PIECE for place in places)
    assert len(places) == 1 or all(place.stop - place.start > signal.OVERLAP for place in places)
    weight = np.zeros(length, np.float32)
    for place in places:
        weight[place] += signal.fade(place, length)
    assert np.abs(weight - 1).max() < 1e-6
