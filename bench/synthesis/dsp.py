"""Signal tools of the built-in clips: seeded noise, oscillators, envelopes, filters, rooms, mixing.

Everything is float64. Random numbers are made from PCG64's raw bits, because numpy promises that stream for good
but not what its distributions make of it.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike

from ldmbench.audio.arrays import Signal64


class Dice:
    """Random numbers that depend on nothing but the words of a seed."""

    def __init__(self, *words: object) -> None:
        digest = hashlib.sha256("/".join(str(word) for word in words).encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest[:16], "little"))

    def many(self, count: int, low: float = -1.0, high: float = 1.0) -> Signal64:
        """``count`` independent numbers, uniform in [low, high); white noise by default."""
        raw = np.asarray(self._bits.random_raw(count), np.uint64)
        unit = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return np.asarray(low + (high - low) * unit, np.float64)

    def one(self, low: float, high: float) -> float:
        """One number, uniform in [low, high)."""
        return float(self.many(1, low, high)[0])

    def times(self, per_second: float, seconds: float) -> Signal64:
        """Times in s of a Poisson process with ``per_second`` events per second, ascending."""
        count = round(per_second * seconds)
        return np.sort(self.many(count, 0.0, seconds))


def clock(seconds: float, rate: int) -> Signal64:
    """The time in s of each sample."""
    return np.asarray(np.arange(round(seconds * rate)) / rate, np.float64)


def phase(frequency: ArrayLike, rate: int, length: int) -> Signal64:
    """Phase in radians, starting from 0, of an oscillator whose frequency in Hz may change over time."""
    steps = np.broadcast_to(np.asarray(frequency, np.float64), (length,)) * (2.0 * np.pi / rate)
    return np.concatenate([[0.0], np.cumsum(steps)[:-1]])


def harmonics(
    frequency: ArrayLike, rate: int, length: int, slope: ArrayLike = 0.8, ceiling: float = 16000.0
) -> Signal64:
    """A harmonic tone without aliasing: ``sum of slope**k * sin(k * phase)`` up to ``ceiling`` Hz.

    The geometric sum has a closed form, so the cost does not grow with the number of harmonics.

    Args:
        frequency: Fundamental in Hz, a number or ``[time]``.
        rate: Hz.
        length: Samples.
        slope: Ratio of neighbouring harmonics, in (0, 1), a number or ``[time]``.
        ceiling: No harmonic lies above this, nor above 0.45 times the rate, Hz.
    """
    count = max(1, int(min(ceiling, 0.45 * rate) / float(np.max(frequency))))
    turn = np.asarray(slope, np.float64) * np.exp(1j * phase(frequency, rate, length))
    total = turn * (1.0 - turn**count) / (1.0 - turn)
    return np.asarray(total.imag, np.float64)


def glide(points: ArrayLike, length: int, rate: int) -> Signal64:
    """Straight lines between ``(time in s, value)`` points, as ``[time]``."""
    pairs = np.asarray(points, np.float64)
    return np.interp(np.arange(length) / rate, pairs[:, 0], pairs[:, 1])


def wander(dice: Dice, length: int, rate: int, per_second: float, low: float = -1.0, high: float = 1.0) -> Signal64:
    """A slow, smooth random course between ``low`` and ``high``, with about ``per_second`` turns per second."""
    count = max(2, int(length / rate * per_second) + 2)
    position = np.arange(length) * ((count - 1) / length)
    left = np.floor(position).astype(np.int64)
    values = dice.many(count, low, high)
    mix = 0.5 - 0.5 * np.cos(np.pi * (position - left))
    return np.asarray(values[left] * (1.0 - mix) + values[left + 1] * mix, np.float64)


def envelope(
    length: int, rate: int, attack: float, release: float, decay: float = 0.0, sustain: float = 1.0
) -> Signal64:
    """Attack and release as half cosines, and between them an exponential decay towards ``sustain``; times in s."""
    time = np.arange(length) / rate
    shape = np.ones(length)
    if decay:
        shape = sustain + (1.0 - sustain) * np.exp(-np.maximum(time - attack, 0.0) / decay)
    faded: Signal64 = fade(shape[None, :], rate, attack, release)[0]
    return faded


def fade(sound: Signal64, rate: int, start: float, end: float) -> Signal64:
    """``sound`` ``[channels, time]`` with half-cosine fades of ``start`` and ``end`` seconds."""
    faded = np.array(sound)
    length = faded.shape[1]
    for seconds, side in ((start, 1), (end, -1)):
        count = min(round(seconds * rate), length)
        if count:
            ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / count)
            faded[:, ::side][:, :count] *= ramp
    return faded


def band(sound: Signal64, rate: int, low: float = 0.0, high: float = 0.0, order: int = 2) -> Signal64:
    """Butterworth filter along time: high-pass at ``low``, low-pass at ``high`` Hz, or both; 0 leaves one out."""
    import scipy.signal

    if high >= 0.49 * rate:
        high = 0.0
    if low and high:
        sections = scipy.signal.butter(order, [low, high], "bandpass", fs=rate, output="sos")
    elif low:
        sections = scipy.signal.butter(order, low, "highpass", fs=rate, output="sos")
    elif high:
        sections = scipy.signal.butter(order, high, "lowpass", fs=rate, output="sos")
    else:
        return sound
    return np.asarray(scipy.signal.sosfilt(sections, sound, axis=-1), np.float64)


def resonate(sound: Signal64, rate: int, frequency: float, bandwidth: float) -> Signal64:
    """A two-pole resonance with unit gain at its peak; ``frequency`` and ``bandwidth`` in Hz."""
    import scipy.signal

    radius = np.exp(-np.pi * bandwidth / rate)
    angle = 2.0 * np.pi * frequency / rate
    feedback = [1.0, -2.0 * radius * np.cos(angle), radius**2]
    at_peak = np.exp(-1j * angle)
    gain = abs(1.0 + feedback[1] * at_peak + feedback[2] * at_peak**2)
    return np.asarray(scipy.signal.lfilter([gain], feedback, sound, axis=-1), np.float64)


def tilt(sound: Signal64, rate: int, corner: float) -> Signal64:
    """One-pole low-pass, 6 dB per octave above ``corner`` Hz: turns white noise brown from there on."""
    import scipy.signal

    pole = np.exp(-2.0 * np.pi * corner / rate)
    return np.asarray(scipy.signal.lfilter([1.0 - pole], [1.0, -pole], sound, axis=-1), np.float64)


def modes(
    frequencies: ArrayLike, gains: ArrayLike, decays: ArrayLike, seconds: float, rate: int, shift: float = 0.0
) -> Signal64:
    """A struck object: sines of ``frequencies`` Hz that die away with time constants ``decays`` s, ``[time]``."""
    time = clock(seconds, rate)
    total = np.zeros(len(time))
    triples = zip(np.ravel(frequencies), np.ravel(gains), np.ravel(decays), strict=True)
    for number, (frequency, gain, decay) in enumerate(triples):
        if frequency < 0.45 * rate:
            total += gain * np.exp(-time / decay) * np.sin(2.0 * np.pi * frequency * time + shift * number)
    return total


def place(canvas: Signal64, sound: Signal64, at: float, rate: int, gain: float = 1.0, pan: float = 0.0) -> None:
    """Add mono ``sound`` to ``canvas`` ``[channels, time]`` from ``at`` s on; ``pan`` from -1 (left) to 1 (right).

    What reaches over the end of the canvas is cut off with a short fade.
    """
    first = round(at * rate)
    count = min(len(sound), canvas.shape[1] - first)
    if count <= 0:
        return
    part = sound[:count]
    if count < len(sound):
        part = fade(part[None, :], rate, 0.0, 0.02)[0]
    if canvas.shape[0] == 1:
        sides = np.array([1.0])
    else:
        angle = (pan + 1.0) * np.pi / 4.0
        sides = np.array([np.cos(angle), np.sin(angle)])
    canvas[:, first : first + count] += gain * sides[:, None] * part[None, :]


def room(sound: Signal64, rate: int, dice: Dice, seconds: float, wet: float, bright: float = 5000.0) -> Signal64:
    """``sound`` ``[channels, time]`` in a room: decaying noise as its response, another for every channel.

    Args:
        sound: The dry sound.
        rate: Hz.
        dice: Randomness of the walls.
        seconds: Reverberation time T60.
        wet: Level of the reverberation relative to the dry sound.
        bright: Low-pass of the reverberation, Hz.
    """
    import scipy.signal

    length = round(min(seconds, 2.5) * rate)
    decay = np.exp(-6.9 * np.arange(length) / (seconds * rate))
    delay = round(0.012 * rate)
    wetted = np.array(sound)
    for channel in range(sound.shape[0]):
        response = band(dice.many(length), rate, 120.0, bright) * decay
        response /= np.sqrt(np.sum(response**2))
        # Neighbouring channels feed each other's walls, as in a real room.
        source = 0.7 * sound[channel] + 0.3 * sound.mean(axis=0)
        tail = scipy.signal.fftconvolve(source, response)[: sound.shape[1] - delay]
        wetted[channel, delay:] += wet * tail
    return fade(wetted, rate, 0.0, 0.1)


def finish(sound: Signal64, rate: int, peak_db: float = -2.0, start: float = 0.003, end: float = 0.03) -> Signal64:
    """``sound`` without DC, faded at both ends (s), with its peak at ``peak_db`` dBFS."""
    cleaned = fade(band(sound, rate, low=18.0), rate, start, end)
    return np.asarray(cleaned * (10.0 ** (peak_db / 20.0) / np.max(np.abs(cleaned))), np.float64)
