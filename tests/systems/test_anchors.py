"""Reference, low-pass, noise and resampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system_card

ANCHORS = [
    "reference",
    "noise",
    *(f"lowpass@{variant}" for variant in load_system_card("lowpass").variants),
    *(f"resample@{variant}" for variant in load_system_card("resample").variants),
]


@pytest.mark.parametrize("label", ANCHORS)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_shape_is_kept_and_there_are_no_bits(
    label: str, channels: int, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    audio = speech_like(44100, 0.2001, channels=channels)
    output = through(label, audio)
    assert output.bits is None
    assert output.audio
    assert output.audio.rate == audio.rate
    assert output.audio.samples.shape == audio.samples.shape
    assert np.isfinite(output.audio.samples).all()


def test_reference_is_identical(speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    audio = Audio.of(20 * speech_like(48000, 0.2, channels=2).samples, 48000)
    output = through("reference", audio)
    assert output.audio
    assert output.audio.digest() == audio.digest()


@pytest.mark.parametrize("label", [label for label in ANCHORS if "@" in label])
def test_no_delay(
    label: str, speech_like: Callable[..., Audio], through: Callable[..., Output], lag: Callable[..., int]
) -> None:
    audio = speech_like(48000, 1.0)
    output = through(label, audio)
    assert output.audio
    assert lag(audio.samples[0], output.audio.samples[0]) == 0


@pytest.mark.parametrize(("variant", "edge"), [("3.5khz", 3500), ("7khz", 7000)])
@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000, 96000])
def test_lowpass_tones(variant: str, edge: int, rate: int, through: Callable[..., Output]) -> None:
    """A tone at the edge passes within 0.1 dB; 25 dB are gone 500 Hz above, 50 dB 1 kHz above (BS.1534)."""
    time = np.arange(rate) / rate

    def gain(frequency: float) -> float:
        output = through(f"lowpass@{variant}", Audio.of(0.5 * np.sin(2 * np.pi * frequency * time), rate))
        assert output.audio
        middle = output.audio.samples[0, rate // 4 : -rate // 4].astype(float)
        return float(20 * np.log10(np.sqrt(np.mean(middle**2)) / (0.5 / np.sqrt(2))))

    for frequency in (50, 1000, edge - 500, edge):
        assert abs(gain(frequency)) <= 0.1
    assert gain(min(edge + 500, rate / 2 - 10)) <= -25
    if edge + 1000 < rate / 2:
        assert gain(edge + 1000) <= -50


def test_lowpass_refuses_a_rate_without_anything_to_remove(
    speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    with pytest.raises(BenchError, match="needs a rate above"):
        through("lowpass@7khz", speech_like(8000, 0.2))


@pytest.mark.parametrize(("variant", "rate"), [("8khz", 8000), ("16khz", 16000), ("24khz", 24000), ("32khz", 32000)])
def test_resample_keeps_the_band_and_nothing_above(variant: str, rate: int, through: Callable[..., Output]) -> None:
    noise = Audio.of(0.1 * np.random.default_rng(0).standard_normal(96000), 48000)
    output = through(f"resample@{variant}", noise)
    assert output.audio
    frequency, before = scipy.signal.welch(noise.samples[0], 48000, nperseg=1024)
    _, after = scipy.signal.welch(output.audio.samples[0], 48000, nperseg=1024)
    gain = 10 * np.log10(after / before)
    assert np.abs(gain[(frequency > 100) & (frequency < 0.44 * rate)]).max() < 0.1
    assert gain[frequency > 0.52 * rate].max() < -60


def test_resample_leaves_lower_rates_alone(speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    audio = speech_like(8000, 0.3)
    output = through("resample@16khz", audio)
    assert output.audio
    assert output.audio.digest() == audio.digest()


def test_resample_refuses(speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    with pytest.raises(BenchError, match="too short"):
        through("resample@8khz", Audio.of([0.5], 48000))
    with pytest.raises(BenchError, match="positive rate"):
        through("resample:rate=0", speech_like(48000, 0.1))


def test_noise_has_the_level_and_only_the_level(
    speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    sound = speech_like(48000, 1.0, channels=2)
    audio = Audio.of(sound.samples * np.array([[1.0], [0.1]]), 48000)
    noise = through("noise", audio, seed=1).audio
    assert noise
    for before, after in zip(audio.samples.astype(float), noise.samples.astype(float), strict=True):
        assert np.sqrt(np.mean(after**2)) == pytest.approx(np.sqrt(np.mean(before**2)), rel=1e-5)
        assert abs(np.corrcoef(before, after)[0, 1]) < 0.02
    assert abs(np.atleast_2d(np.corrcoef(noise.samples))[0, 1]) < 0.02
    _, spectrum = scipy.signal.welch(noise.samples[0], nperseg=256)
    assert 10 * np.log10(spectrum[2:-2].max() / spectrum[2:-2].min()) < 3


def test_noise_depends_on_the_seed_only(speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    audio = speech_like(16000, 0.2)
    digests = [output.audio.digest() for seed in (1, 1, 2) if (output := through("noise", audio, seed=seed)).audio]
    assert digests[0] == digests[1] != digests[2]


def test_noise_of_silence_is_silence(through: Callable[..., Output]) -> None:
    noise = through("noise", Audio.of(np.zeros(1000), 16000)).audio
    assert noise
    assert not noise.samples.any()
