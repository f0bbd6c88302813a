"""Sounds of several channels: mixed to one where that leaves something of them, or compared channel by channel."""

from __future__ import annotations

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.system.protocol import Output

RATE = 16_000
COMPARING = (
    "mel_dac", "mel_audiotools", "stft_dac", "lsd", "lsd_audiosr", "lsd_ssr_eval", "si_sdr", "snr", "stoi", "estoi",
    "pesq_wb", "visqol_audio",
)  # fmt: skip


def noise(seed: int, seconds: float = 1.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def score(name: str, reference: np.ndarray, output: np.ndarray) -> float:
    clip = Clip("set/clip", "set", "speech", loaded=Audio.of(reference, RATE))
    value = load_metric(name).measure(clip, Output(Audio.of(output, RATE)))
    assert isinstance(value, float)
    return value


def pcm16(samples: np.ndarray) -> np.ndarray:
    return np.round(samples * 32768) / 32768


@pytest.mark.parametrize("name", COMPARING)
@pytest.mark.parametrize("rounded", [False, True])
def test_channels_that_cancel_are_not_scored(name: str, rounded: bool) -> None:
    x = noise(0)
    side = np.stack([x, -x])
    if rounded:  # Rounding to 16 bits, and a codec's noise 80 dB below: the mix is all but silent.
        side = pcm16(side) + 1e-6 * np.stack([noise(1), noise(2)])
    sounding = np.stack([x, x])
    with pytest.raises(Unscored, match="the mono mix of the reference is silent: its 2 channels cancel each other"):
        score(name, side, np.stack([x[::-1], -x[::-1]]))
    with pytest.raises(Unscored, match="the mono mix of the output is silent"):
        score(name, sounding, side)


def test_a_wide_mix_is_still_a_mix() -> None:
    wide = np.stack([noise(0), noise(1)])
    assert score("mel_dac", wide, wide) == 0.0
    assert score("mel_dac", wide, wide[::-1]) == 0.0, "the mix does not know left from right"


@pytest.mark.parametrize("name", ["mel_dac", "mel_audiotools", "stft_dac"])
def test_per_channel_is_the_mean_over_channels(name: str) -> None:
    reference, output = np.stack([noise(0), noise(1)]), np.stack([noise(2), 0.5 * noise(3)])
    alone = [score(name, reference[index], output[index]) for index in range(2)]
    assert score(f"{name}@per-channel", reference, output) == pytest.approx(np.mean(alone), rel=1e-12)
    assert score(f"{name}:channels=each", reference, output) == score(f"{name}@per-channel", reference, output)
    assert score(f"{name}@per-channel", reference[0], output[0]) == score(name, reference[0], output[0])
    # Mono stands for every channel.
    both = np.stack([output[0], output[0]])
    assert score(f"{name}@per-channel", reference, output[0]) == score(f"{name}@per-channel", reference, both)


def test_per_channel_hears_what_the_mix_does_not() -> None:
    x = noise(0)
    reference, output = np.stack([x, -x]), np.stack([x[::-1], -x[::-1]])
    assert score("mel_dac@per-channel", reference, output) > 0.1


def test_other_numbers_of_channels() -> None:
    with pytest.raises(BenchError, match="differ in channels: 1 and 2"):
        score("mel_dac@per-channel", noise(0), np.stack([noise(0), noise(1)]))
    with pytest.raises(BenchError, match="channels=left"):
        load_metric("mel_dac:channels=left")


def test_headings_declare_the_channels() -> None:
    assert load_metric("mel_dac").facts.title == "MEL (DAC)"
    assert load_metric("mel_dac@per-channel").facts.title == "MEL (DAC)@per-channel"
    assert load_metric("mel_dac:channels=each").facts.title == "MEL (DAC):channels=each"
