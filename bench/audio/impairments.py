"""What happens to a sound before a codec gets it: a room, an overloaded input, a telephone line; seeded and exact."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.audio.sound import Audio

#: Mixed with the seed, so that a system that draws from the same seed does not draw this room.
_STREAM = 0x726F6F6D

#: Seconds between the direct sound and the first of the tail.
_GAP = 0.0025

#: Rate in Hz of a telephone line, and its band: ITU-T G.712 has it from 300 to 3,400 Hz.
_LINE = 8_000

Law = Literal["mu", "a"]


def room(rate: int, rt60_s: float, drr_db: float, seed: int, channels: int = 1) -> Real:
    """A synthetic room impulse response ``[channels, time]``: one for the direct sound, and a tail of decaying noise.

    The tail is Gaussian noise that begins 2.5 ms after the direct sound, falls by 60 dB in ``rt60_s`` at every
    frequency, and is scaled so that its energy lies ``drr_db`` below the direct sound's. There are no early reflections
    and no colour, so that two numbers and a seed say all of it. It ends 60 dB below where it began.

    Source: Polack, La transmission de l'energie sonore dans les salles (1988), the statistical model; Habets,
    Room impulse response generator (2006), section 1.

    Args:
        rate: In Hz.
        rt60_s: Seconds in which the tail falls by 60 dB.
        drr_db: Direct-to-reverberant ratio in dB.
        seed: The room's seed.
        channels: How many; each has a tail of its own.
    """
    gap = max(1, round(_GAP * rate))
    time = np.arange(max(1, round(rt60_s * rate))) / rate
    noise = np.random.default_rng([seed, _STREAM]).standard_normal((channels, time.size))
    tail = noise * 10 ** (-3 * time / rt60_s)
    tail *= np.sqrt(10 ** (-drr_db / 10) / np.sum(tail**2, axis=1, keepdims=True))
    response = np.zeros((channels, gap + time.size))
    response[:, 0] = 1.0
    response[:, gap:] = tail
    return response


def reverberant(audio: Audio, rt60_s: float, drr_db: float, seed: int) -> Audio:
    """``audio`` in a synthetic room (``room``), as long as before; the direct sound keeps its time and level."""
    import scipy.signal

    response = room(audio.rate, rt60_s, drr_db, seed, audio.channels)
    wet = scipy.signal.fftconvolve(audio.samples.astype(np.float64), response, axes=1)[:, : audio.length]
    return Audio(np.ascontiguousarray(wet, np.float32), audio.rate)


def overloaded(audio: Audio, below_peak_db: float) -> Audio:
    """``audio`` cut off ``below_peak_db`` under its largest sample, as a converter or a microphone does."""
    limit = np.float32(10 ** (-below_peak_db / 20)) * np.abs(audio.samples).max(initial=0)
    return Audio(np.clip(audio.samples, -limit, limit), audio.rate)


def telephone(audio: Audio, law: Law) -> Audio:
    """``audio`` through a telephone line: 8 kHz, 8 bits a sample of mu-law or A-law, and back to its rate.

    Not delayed, and with the whole band below 4 kHz: no hybrid, no handset. What exceeds full scale is clipped, as
    there.

    Source: ITU-T G.711, tables 1 and 2 (13 bits, A-law with its even bits inverted) and 2 (14 bits, mu-law).
    """
    line = audio.at(_LINE).samples.astype(np.float64)
    heard = _mu_law(line) if law == "mu" else _a_law(line)
    back = Audio(heard.astype(np.float32), _LINE).at(audio.rate)
    return back.fit(audio.length)


def _mu_law(samples: Real) -> Real:
    """Coded with the 255 levels of G.711's mu-law, and decoded: 14-bit values, eight segments of sixteen steps."""
    scaled = np.minimum(np.abs(samples) * 8192, 8158) + 33
    exponent = np.clip(np.floor(np.log2(scaled)) - 5, 0, 7)
    step = 2.0 ** (exponent + 1)
    mantissa = np.clip(np.floor(scaled / step) - 16, 0, 15)
    decoded = (2 * mantissa + 33) * 2.0**exponent - 33
    return np.asarray(np.sign(samples) * decoded / 8192)


def _a_law(samples: Real) -> Real:
    """Coded with the 256 levels of G.711's A-law, and decoded: 13-bit values, the lowest two segments linear."""
    scaled = np.minimum(np.abs(samples) * 4096, 4095)
    exponent = np.maximum(np.floor(np.log2(np.maximum(scaled, 1))) - 4, 1)
    step = 2.0**exponent
    decoded = (np.floor(scaled / step) + 0.5) * step
    return np.asarray(np.where(samples < 0, -decoded, decoded) / 4096)
