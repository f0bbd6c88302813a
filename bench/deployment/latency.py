"""Algorithmic latency: how much of the future an output needs, by changing the future; and what delay is left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ldmbench.audio.arrays import Real, Waveform
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.protocol import System

#: Test sounds: seconds, where the future is changed first, and seconds of look-ahead from which on a longer one is
#: taken. Behind the last change there is room for the longest frame that counts as no look-ahead of a longer one.
TRIALS = ((1.0, 0.4, 0.2), (3.3, 1.8, 1.0))

#: An output that needs more of the future than this is not made while the sound comes in.
STREAMING_S = TRIALS[-1][2]

#: How often the future is changed, and seconds over which the onsets of these changes spread: no divisor of a frame, so
#: that frames are hit at many phases.
ONSETS, SPREAD = 12, 0.257

#: Seconds of noise that are put in place of the sound there.
BURST = 0.1

#: Seconds to which the last onset is found that still changes what lies before it.
_RESOLUTION = 0.0002

#: Below this share of its peak a difference of outputs is rounding: -100 dB.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Latency:
    """What was measured.

    Attributes:
        future: Seconds of the future that an output needs, the largest of all changes: the algorithmic latency. Beyond
            ``STREAMING_S`` it is at least so much. None where it was not measured.
        residual: Seconds by which an impulse comes out late, after whatever delay the adapter makes up for; None where
            no impulse comes out.
        repeats: Whether the same sound gave the same output twice; where not, nothing was measured.
    """

    future: float | None
    residual: float | None
    repeats: bool

    @property
    def streaming(self) -> bool | None:
        """Whether the output is made while the sound comes in; None where that was not measured."""
        return None if self.future is None else self.future <= STREAMING_S


def measure(system: System, rate: int, channels: int = 1) -> Latency:
    """Latency of a system that turns a sound into one as long (``codec``, ``enhance``).

    An output whose delay is made up for needs, at every moment, the input up to some later one. Two inputs that are
    equal until an onset and differ from there on give outputs that are equal until earlier: the distance, the largest
    of many onsets, is frame, look-ahead and resamplers together. A packet of several frames is not seen: its first
    frames may not depend on the last, though they wait for it.

    Args:
        system: The system, set up.
        rate: Rate of the test sound in Hz: the system's own, so that no resampler of the bench counts.
        channels: Channels of the test sound.

    Raises:
        BenchError: If it makes no sound, or one of another length.
    """
    for seconds, first, limit in TRIALS:
        trial = _Trial(system, rate, channels, seconds)
        if not trial.repeats():
            return Latency(None, None, False)
        reach = _reach(trial, round(first * rate), limit * rate)
        if reach is not None and reach <= limit * rate:
            break
    if reach is None:
        raise BenchError("the output does not depend on the input", f"{ONSETS} changes", "name a codec or an enhancer")
    return Latency(max(0.0, reach) / rate, _residual(system, rate, channels), True)


class _Trial:
    """A test sound, and what a system makes of it and of the same sound with another future."""

    def __init__(self, system: System, rate: int, channels: int, seconds: float) -> None:
        self.make = partial(_output, system, rate=rate, channels=channels)
        self.rate = rate
        self.sound = _sound(rate, seconds)
        self.before = self.make(self.sound)

    def repeats(self) -> bool:
        """Whether the same sound gives the same output."""
        return np.array_equal(self.before, self.make(self.sound))

    def reached(self, onset: int) -> float | None:
        """Where the output first differs when the input differs from ``onset`` on, in samples of the input."""
        changed = self.sound.copy()
        # Loud, so that a codec's decisions about what came before have no reason to stay the same, and short, so that
        # what an adapter decides for the whole clip does.
        burst = changed[onset : onset + round(BURST * self.rate)]
        burst[:] = 0.3 * np.random.default_rng(0).standard_normal(burst.size)
        after = self.make(changed)
        differs = np.flatnonzero(np.abs(after - self.before) > _ROUNDING * np.abs(self.before).max(initial=0))
        return int(differs[0]) * self.sound.size / self.before.size if differs.size else None


def _reach(trial: _Trial, first: int, limit: float) -> float | None:
    """Samples from the first difference of the output to the onset of the change, the largest of all onsets.

    None where no change is seen. What exceeds ``limit`` is given as it was met: it may be more.
    """
    step = SPREAD / ONSETS * trial.rate
    reaches: list[tuple[int, float]] = []
    for onset in (first + round(step * number) for number in range(ONSETS)):
        if (start := trial.reached(onset)) is not None:
            reaches.append((onset, start))
            if onset - start > limit:
                return onset - start
    if not reaches:
        return None
    onset, start = max(reaches, key=lambda pair: pair[0] - pair[1])
    return _last(trial, onset, round(step), start, limit) - start


def _last(trial: _Trial, onset: int, step: int, start: float, limit: float) -> int:
    """The last onset from which a change still reaches back to ``start``, or the first that is beyond ``limit``."""
    end = trial.sound.size - round(BURST * trial.rate)

    def reaches(later: int) -> bool:
        reached = trial.reached(later)
        return reached is not None and reached <= start + 1

    low = onset
    while low < end and low - start <= limit:
        high = min(low + step, end)
        if not reaches(high):
            while high - low > max(1.0, _RESOLUTION * trial.rate):
                middle = (low + high) // 2
                low, high = (middle, high) if reaches(middle) else (low, middle)
            break
        low, step = high, 2 * step
    return low


def _residual(system: System, rate: int, channels: int) -> float | None:
    """Where an impulse in faint noise comes out, against where it went in."""
    seconds, first, _ = TRIALS[-1]
    sound = 1e-4 * np.random.default_rng(0).standard_normal(round(seconds * rate))
    instant = round(first * rate)
    sound[instant] = 0.9
    heard = _output(system, sound, rate, channels)
    peak = int(np.argmax(np.abs(heard)))
    if np.abs(heard[peak]) < 10 * np.sqrt(np.mean(heard**2)):
        return None
    return (peak * sound.size / heard.size - instant) / rate


def _sound(rate: int, seconds: float) -> Real:
    """A voice-like sound: harmonics of a gliding pitch, in syllables, and noise."""
    time = np.arange(round(seconds * rate)) / rate
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
    seconds = sound.size / rate
    if abs(output.audio.duration - seconds) > 0.1:
        raise BenchError("the output has another length", f"{output.audio.duration:.2f} s for {seconds:g} s")
    heard: Real = output.audio.mono().samples[0].astype(np.float64)
    return heard
