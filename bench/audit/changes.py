"""What an audit does to outputs: each change has a name, a kind, and one line that says exactly what is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Waveform
from ldmbench.audio.delay import shifted
from ldmbench.audio.sound import Audio


@dataclass(frozen=True)
class Case:
    """A clip as an audit has it.

    Attributes:
        reference: The reference.
        output: What a system made of it.
        other: What the system made of another clip.
    """

    reference: Audio
    output: Audio
    other: Audio


#: Reference and output in, reference and output out.
Pair = tuple[Audio, Audio]


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        name: As in tables.
        text: What is done, in one line.
        apply: Does it.
    """

    name: str
    text: str
    apply: Callable[[Case], Pair]


def _output(name: str, text: str, change: Callable[[Audio], Audio]) -> Change:
    """A change of the output; the reference stays."""
    return Change(name, text, lambda case: (case.reference, change(case.output)))


def _both(name: str, text: str, change: Callable[[Audio], Audio]) -> Change:
    """A change of reference and output alike."""
    return Change(name, text, lambda case: (change(case.reference), change(case.output)))


def _scaled(decibels: float) -> Callable[[Audio], Audio]:
    # Exact in float32 only as a product: rounded once, as a gain in any program is.
    return lambda sound: Audio(sound.samples * np.float32(10 ** (decibels / 20)), sound.rate)


def _late(seconds: float) -> Callable[[Audio], Audio]:
    """Later by ``seconds`` behind zeros, and as long as before: what leaves the end is lost, as in a recording."""
    return lambda sound: shifted(sound, -seconds).fit(sound.length)


def _late_by_a_sample(sound: Audio) -> Audio:
    return shifted(sound, -1 / sound.rate).fit(sound.length)


def _padded(seconds: float) -> Callable[[Audio], Audio]:
    return lambda sound: sound.fit(sound.length + round(seconds * sound.rate))


def _first(seconds: float) -> Callable[[Audio], Audio]:
    return lambda sound: sound.fit(min(sound.length, round(seconds * sound.rate)))


def _half(sound: Audio) -> Audio:
    return sound.fit(round(sound.duration / 2 * sound.rate))


def _twice(sound: Audio) -> Audio:
    return Audio(np.concatenate([sound.samples, sound.samples], axis=1), sound.rate)


def _clipped(decibels: float) -> Callable[[Audio], Audio]:
    def clip(sound: Audio) -> Audio:
        limit = np.float32(10 ** (decibels / 20)) * np.abs(sound.samples).max(initial=0)
        return Audio(np.clip(sound.samples, -limit, limit), sound.rate)

    return clip


def _sides(left: float, right: float) -> Callable[[Audio], Audio]:
    """The mono mix in two channels, each with its factor."""

    def spread(sound: Audio) -> Audio:
        mono: Waveform = sound.mono().samples
        return Audio(np.concatenate([mono * np.float32(left), mono * np.float32(right)]), sound.rate)

    return spread


def _sixteen_bits(sound: Audio) -> Audio:
    rounded = np.clip(np.round(sound.samples * np.float32(32768)), -32768, 32767) / np.float32(32768)
    return Audio(rounded.astype(np.float32), sound.rate)


def _noise(case: Case) -> Pair:
    drawn = np.random.default_rng(0).standard_normal(case.output.samples.shape)
    level = np.sqrt(np.mean(np.square(case.output.samples, dtype=np.float64)))
    return case.reference, Audio((level * drawn).astype(np.float32), case.output.rate)


def _other(case: Case) -> Pair:
    return case.reference, case.other.at(case.output.rate).fit(case.output.length)


CHANGES: tuple[Change, ...] = (
    _output(
        "again", "nothing: measured a second time, from a copy",
        lambda sound: Audio(np.array(sound.samples), sound.rate),
    ),
    _output("gain -1 dB", "output 1 dB quieter", _scaled(-1)),
    _output("gain -6 dB", "output 6 dB quieter", _scaled(-6)),
    _output("gain +6 dB", "output 6 dB louder, not clipped", _scaled(6)),
    _both("level -20 dB", "reference and output 20 dB quieter", _scaled(-20)),
    _output("polarity", "output turned upside down", lambda sound: Audio(-sound.samples, sound.rate)),
    _output("delay 1 sample", "output later by a sample of its own rate", _late_by_a_sample),
    _output("delay 1 ms", "output later by 1 ms", _late(0.001)),
    _output("delay 10 ms", "output later by 10 ms", _late(0.01)),
    _output("delay 100 ms", "output later by 100 ms", _late(0.1)),
    _output(
        "DC 0.01", "0.01 added to every sample of the output",
        lambda sound: Audio(sound.samples + np.float32(0.01), sound.rate),
    ),
    _output("zeros 40 ms", "40 ms of zeros behind the output", _padded(0.04)),
    _output("zeros 1 s", "1 s of zeros behind the output", _padded(1.0)),
    _both("zeros 1 s both", "1 s of zeros behind reference and output", _padded(1.0)),
    _output("rate 44.1 kHz", "output resampled to 44.1 kHz", lambda sound: sound.at(44_100)),
    _output("rate 16 kHz", "output resampled to 16 kHz", lambda sound: sound.at(16_000)),
    _both("rate 16 kHz both", "reference and output resampled to 16 kHz", lambda sound: sound.at(16_000)),
    _output("16 bits", "output rounded to 16 bits", _sixteen_bits),
    _output("stereo", "output mono, in two equal channels", _sides(1, 1)),
    _both("stereo both", "reference and output mono, in two equal channels", _sides(1, 1)),
    _output("stereo left only", "output mono in the left channel, the right one silent", _sides(1, 0)),
    _output("stereo opposite", "output mono, the right channel upside down", _sides(1, -1)),
    _output("clipped -1 dB", "output clipped 1 dB below its peak", _clipped(-1)),
    _output("clipped -6 dB", "output clipped 6 dB below its peak", _clipped(-6)),
    _both("twice", "reference and output twice in a row", _twice),
    _output("first half twice", "the output's first half twice, in place of the whole",
            lambda sound: _twice(_half(sound)).fit(sound.length)),
    _both("first half", "reference and output cut to their first half", _half),
    _both("first 1 s", "reference and output cut to their first second", _first(1.0)),
    _both("first 0.1 s", "reference and output cut to their first 0.1 s", _first(0.1)),
    Change("reference", "the reference as output", lambda case: (case.reference, case.reference)),
    Change("another clip", "the output of another clip, of the same length", _other),
    Change("noise", "white noise at the output's level", _noise),
    _output("silence", "zeros as output", lambda sound: Audio(np.zeros_like(sound.samples), sound.rate)),
)  # fmt: skip

#: What the outputs of an audit are before anything is done to them, and those that say how long a step is.
BASE, BETTER = "base", "better"

#: Columns of a summary.
SHOWN = (
    "gain -6 dB", "level -20 dB", "polarity", "delay 1 sample", "delay 1 ms", "delay 10 ms", "DC 0.01",
    "zeros 1 s both", "rate 16 kHz both", "16 bits", "stereo left only", "clipped -6 dB", "twice", "first half",
    "first 1 s", "reference", "another clip", "noise", "silence",
)  # fmt: skip
