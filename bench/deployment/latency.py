"""Algorithmic latency: how much of the future an output needs, by changing the future; and what delay is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Real, Waveform
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.protocol import System

#: Seconds of the test sound, and where the future is changed: late enough that a second of look-ahead shows.
SECONDS, FIRST = 3.0, 1.8

#: Places, and seconds that they spread over: no divisor of a frame, so that frames are hit at many phases.
PLACES, SPREAD = 12, 0.257

#: Seconds of noise that are put in place of the sound there.
BURST = 0.1

#: Halvings of the distance between two places, to find the last one that still changes what lies before it.
_HALVINGS = 7

#: An output that needs more of the future than this is not made while the sound comes in.
STREAMING_S = 1.0

#: Below this share of its peak a difference of outputs is rounding: -100 dB.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Latency:
    """What was measured.

    Attributes:
        future: Seconds of the future that an output needs, the largest of all places: the algorithmic latency.
        places: Places at which the future was changed.
        residual: Seconds by which an impulse comes out late, after whatever delay the adapter makes up for; None where
            no impulse comes out.
        repeats: Whether the same sound gave the same output twice; where not, nothing was measured.
    """

    future: float | None
    places: int
    residual: float | None
    repeats: bool

    @property
    def streaming(self) -> bool | None:
        """Whether the output is made while the sound comes in; None where that was not measured."""
        return None if self.future is None else self.future <= STREAMING_S


def measure(system: System, rate: int, channels: int = 1) -> Latency:
    """Latency of a system that turns a sound into one as long (``codec``, ``enhance``).

    An output whose delay is made up for needs, at every moment, the input up to some later one. Two inputs that are
    equal until a moment and differ from there on give outputs that are equal until earlier: the distance, the largest
    of many places, is frame, look-ahead and resamplers together. A packet of several frames is not seen: its first
    frames may not depend on the last, though they wait for it.

    Args:
        system: The system, set up.
        rate: Rate of the test sound in Hz: the system's own, so that no resampler of the bench counts.
        channels: Channels of the test sound.

    Raises:
        BenchError: If it makes no sound, or one of another length.
    """
    sound = _sound(rate)
    before = _output(system, sound, rate, channels)
    if not np.array_equal(before, _output(system, sound, rate, channels)):
        return Latency(None, 0, None, False)

    def first(place: int) -> float | None:
        """Where the output first differs when the input differs from ``place`` on, in samples of the input."""
        changed = sound.copy()
        # Loud, so that a codec's decisions about what came before have no reason to stay the same, and short, so that
        # what an adapter decides for the whole clip does.
        burst = changed[place : place + round(BURST * rate)]
        burst[:] = 0.3 * np.random.default_rng(0).standard_normal(burst.size)
        after = _output(system, changed, rate, channels)
        differs = np.flatnonzero(np.abs(after - before) > _ROUNDING * np.abs(before).max(initial=0))
        return int(differs[0]) * sound.size / before.size if differs.size else None

    step = SPREAD / PLACES * rate
    places = np.round(FIRST * rate + step * np.arange(PLACES)).astype(int)
    found = [(place, where) for place in places.tolist() if (where := first(place)) is not None]
    if not found:
        raise BenchError("the output does not depend on the input", f"{PLACES} changes", "name a codec or an enhancer")
    place, where = max(found, key=lambda pair: pair[0] - pair[1])
    if place - where <= STREAMING_S * rate:
        place = _last(place, step, where, first)
    return Latency(max(0.0, place - where) / rate, len(found), _residual(system, rate, channels), True)


def _last(place: int, step: float, where: float, first: Callable[[int], float | None]) -> int:
    """The last place, up to a step later, from which a change still reaches back to ``where``."""
    low, high = place, place + round(step)
    for _ in range(_HALVINGS):
        middle = (low + high) // 2
        reached = first(middle)
        if reached is not None and reached <= where + 1:
            low = middle
        else:
            high = middle
    return low


def _residual(system: System, rate: int, channels: int) -> float | None:
    """Where an impulse in faint noise comes out, against where it went in."""
    sound = 1e-4 * np.random.default_rng(0).standard_normal(round(SECONDS * rate))
    place = round(FIRST * rate)
    sound[place] = 0.9
    heard = _output(system, sound, rate, channels)
    peak = int(np.argmax(np.abs(heard)))
    if np.abs(heard[peak]) < 10 * np.sqrt(np.mean(heard**2)):
        return None
    return (peak * sound.size / heard.size - place) / rate


def _sound(rate: int) -> Real:
    """A voice-like sound: harmonics of a gliding pitch, in syllables, and noise."""
    time = np.arange(round(SECONDS * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * time)) / rate
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
    syllables = 0.2 + np.clip(np.sin(2 * np.pi * 3.1 * time), 0, None)
    return np.asarray(0.1 * voice * syllables + 0.005 * np.random.default_rng(1).standard_normal(time.size))


def _output(system: System, sound: Real, rate: int, channels: int) -> Real:
    """What a system makes of a mono sound, mixed to mono, ``[time]``."""
    samples: Waveform = np.repeat(sound[None].astype(np.float32), channels, axis=0)
    clip = Clip("latency/test", "latency", "speech", loaded=Audio(samples, rate))
    output = next(iter(system.process([clip])))
    if output.audio is None:
        raise BenchError("the system made no sound", fix="name a codec or an enhancer")
    if abs(output.audio.duration - SECONDS) > 0.1:
        raise BenchError("the output has another length", f"{output.audio.duration:.2f} s for {SECONDS:g} s")
    heard: Real = output.audio.mono().samples[0].astype(np.float64)
    return heard
