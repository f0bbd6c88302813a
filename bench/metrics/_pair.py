"""What is compared: reference and output as sounds of one rate, length and number of channels."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ldmbench.audio.arrays import Signal
from ldmbench.audio.delay import delay, shifted
from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.system.protocol import Output

#: Reference and output may differ by this many seconds before a comparison is refused.
LENGTH_TOLERANCE = 0.05

#: A mix with less than this share of its channels' energy holds nothing of them.
CANCELLED = 1e-7


def sounds(clip: Clip, output: Output, rate: int = 0) -> tuple[Audio, Audio]:
    """Reference and output as mono sounds of one rate and length; the same objects on every call.

    Both are mixed to mono and resampled to ``rate`` (0: the reference's own rate). The output is trimmed or
    zero-padded to the reference's length.

    Raises:
        Unscored: If the channels of one of them cancel in the mix.
        BenchError: If there is no output audio, or the durations differ by more than ``LENGTH_TOLERANCE``.
    """
    if output.audio is None:
        raise BenchError(f"{clip.id} has no output audio", fix="use a metric that does not need audio")
    reference = clip.audio
    rate = rate or reference.rate
    if abs(reference.duration - output.audio.duration) > LENGTH_TOLERANCE:
        raise BenchError(
            f"{clip.id}: reference and output differ in length",
            f"{reference.duration:.3f} s and {output.audio.duration:.3f} s",
            "trim the output to the reference",
        )
    first = mix(reference, "the reference").at(rate)
    second = mix(output.audio, "the output").at(rate)
    if second.length != first.length:
        # Fitted once, so that what metrics keep with a sound (ldmbench.audio.memo.remember) is found again.
        second = remember(second, ("fit", first.length), partial(second.fit, first.length))
    return first, second


def each_channel(clip: Clip, output: Output, rate: int = 0) -> list[tuple[Audio, Audio]]:
    """``sounds`` of every pair of channels; a mono output stands for each channel of its reference.

    Raises:
        BenchError: As ``sounds``, or if the numbers of channels differ otherwise.
    """
    reference, audio = clip.audio, output.audio
    if audio is not None and audio.channels != reference.channels and audio.channels != 1:
        raise BenchError(
            f"{clip.id}: reference and output differ in channels",
            f"{reference.channels} and {audio.channels}",
            "compare their mono mixes (channels=mix)",
        )
    pairs = []
    for index in range(reference.channels):
        pick = _channel(reference, index)
        other = None if audio is None else _channel(audio, index if audio.channels > 1 else 0)
        pairs.append(sounds(replace(clip, loaded=pick), replace(output, audio=other), rate))
    return pairs


def _channel(sound: Audio, index: int) -> Audio:
    """One channel as a mono sound, the same object on every call."""
    if sound.channels == 1:
        return sound
    return remember(sound, ("channel", index), lambda: Audio(sound.samples[index : index + 1], sound.rate))


def without_delay(clip: Clip, output: Output) -> Output:
    """The output moved to where it fits its reference best; itself where it is not late (``ldmbench.audio.delay``)."""
    if output.audio is None:
        return output
    sound, reference = output.audio, clip.audio
    # An output belongs to one clip, so that this is computed once for all metrics.
    late = remember(sound, ("delay",), lambda: delay(reference, sound))
    if not round(late * sound.rate):
        return output
    return replace(output, audio=remember(sound, ("without delay",), lambda: shifted(sound, late)))


def mix(sound: Audio, what: str) -> Audio:
    """The mono mix of a sound, called ``what`` in messages.

    Raises:
        Unscored: If its channels sound and cancel in the mix: nothing of them would be compared.
    """
    mono = sound.mono()
    if sound.channels > 1:
        # A tenth of a millionth of the energy: what rounding to 16 bits or a lossy codec leaves of x - x.
        within, alone = (remember(one, ("energy",), partial(_energy, one)) for one in (mono, sound))
        if within <= CANCELLED * alone and alone > 0:
            raise Unscored(f"the mono mix of {what} is silent: its {sound.channels} channels cancel each other")
    return mono


def _energy(sound: Audio) -> float:
    """Mean energy of a channel, summed in float64."""
    return float(np.mean([np.sum(np.square(row, dtype=np.float64)) for row in sound.samples]))


def signals(clip: Clip, output: Output, rate: int = 0) -> tuple[Signal, Signal, int]:
    """``sounds`` as arrays: reference ``[time]``, output ``[time]`` and their rate in Hz.

    Raises:
        BenchError: If there is no output audio, or the durations differ by more than ``LENGTH_TOLERANCE``.
    """
    first, second = sounds(clip, output, rate)
    return first.samples[0], second.samples[0], first.rate


def refuse_silence(reference: Signal) -> None:
    """Raise ``Unscored`` for a reference in which nothing sounds."""
    if not np.any(reference):
        raise Unscored("the reference is silent")
