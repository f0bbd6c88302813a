"""Noise at a given distance below a sound: seeded, white or pink."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.audio.sound import Audio

Colour = Literal["white", "pink"]

#: Mixed with the seed, so that a system that draws from the same seed does not draw this noise.
_STREAM = 0x6E6F6973


def noisy(audio: Audio, snr_db: float, colour: Colour, seed: int) -> Audio:
    """``audio`` with Gaussian noise, whose power over the whole clip lies ``snr_db`` below that of the clip.

    Pauses count: in speech the distance to what is spoken is a few dB more. Channels get noises of their own, at one
    level. Nothing is clipped; silence stays as it is.

    Args:
        audio: The sound.
        snr_db: Signal-to-noise ratio in dB.
        colour: ``white``, or ``pink``: 3 dB less power density for each octave above 20 Hz.
        seed: The noise's seed.
    """
    noise: Real = np.random.default_rng([seed, _STREAM]).standard_normal(audio.samples.shape)
    if colour == "pink":
        frequencies = np.fft.rfftfreq(audio.length, 1 / audio.rate)
        noise = np.fft.irfft(np.fft.rfft(noise) / np.sqrt(np.maximum(frequencies, 20.0)), audio.length)
    clean = audio.samples.astype(np.float64)
    powers = np.mean(clean**2), np.mean(noise**2)
    gain = np.sqrt(powers[0] / powers[1] / 10 ** (snr_db / 10)) if powers[1] else 0.0
    return Audio((clean + gain * noise).astype(np.float32), audio.rate)
