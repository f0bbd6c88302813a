"""Sounds made fit to be compared: cut, aligned in time and loudness, one rate, one length, two equal channels."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ldmbench.audio.arrays import Real, Signal
from ldmbench.audio.delay import delay, shifted
from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.host.files import replacing
from ldmbench.listening.items import Item

#: Where no other loudness is asked for, LUFS.
LOUDNESS = -23.0

#: No sound peaks above this between its samples, dB below full scale.
TRUE_PEAK_DB = -1.0

#: Names of what is made here, as the key has them; anchors after their edge.
REFERENCE = "reference"

#: Seconds over which an excerpt that was cut out fades in and out.
FADE_S = 0.01

#: Modification time of every file of a pack: 2000-01-01.
MTIME = 946_684_800

#: Bytes of a WAV before its samples.
HEADER = 44

_FULL = 1 << 23


@dataclass(frozen=True)
class Treated:
    """What was done to one sound; a row of ``loudness.csv``.

    Attributes:
        item: Clip id.
        system: The system's label, ``reference`` or an anchor.
        delay_ms: By how much it was late, which was taken away.
        loudness_before: LUFS of the excerpt as it was, None for silence.
        gain_db: The gain of this sound.
        loudness: LUFS of what is heard, None for silence.
        true_peak_db: Its peak between samples, dB, None for silence.
        note: What a user should see.
    """

    item: str
    system: str
    delay_ms: float
    loudness_before: float | None
    gain_db: float
    loudness: float | None
    true_peak_db: float | None
    note: str = ""


@dataclass(frozen=True)
class Treatment:
    """What is done to sounds.

    Attributes:
        rate: Hz.
        loudness: Target of every sound, LUFS; None leaves levels alone.
        align: Take away the delay of outputs against their reference.
        anchors: Edges of the low-pass anchors, Hz.
    """

    rate: int = 48_000
    loudness: float | None = LOUDNESS
    align: bool = True
    anchors: tuple[float, ...] = (3500.0, 7000.0)


def anchor_name(edge: float) -> str:
    """``anchor35`` for 3500 Hz, as webMUSHRA calls it."""
    return f"anchor{round(edge / 100)}"


def loudness(samples: Signal | Real, rate: int) -> float | None:
    """LUFS of a mono signal ``[time]`` as it is heard from both channels; None for silence.

    A signal shorter than a block of 0.4 s counts as if it repeated.

    Source: ITU-R BS.1770-4, through pyloudnorm.
    """
    import pyloudnorm

    block = -(-rate * 2 // 5)
    if samples.size == 0:
        return None
    repeated = np.tile(samples, -(-block // samples.size)) if samples.size < block else samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Silence has a loudness of -inf, which is what is asked.
        value = pyloudnorm.Meter(rate).integrated_loudness(np.stack([repeated, repeated], axis=1).astype(np.float64))
    return float(value) if np.isfinite(value) else None


def true_peak(samples: Signal | Real, rate: int) -> float:
    """The largest magnitude of a signal ``[time]`` at four times its rate, as a factor of full scale.

    Source: ITU-R BS.1770-4, annex 2.
    """
    import soxr

    if samples.size == 0:
        return 0.0
    finer = soxr.resample(samples.astype(np.float64), rate, 4 * rate, quality="HQ")
    return float(max(np.abs(finer).max(initial=0.0), np.abs(samples).max(initial=0.0)))


def delays(items: Sequence[Item]) -> list[dict[str, float]]:
    """By how many seconds each system's output of each item is late against the reference.

    A codec has one delay. Where at least half of a system's outputs have the same to a sample, it is that of all of
    them: on a single sound of few periods the estimate may be another one's.
    """
    late: list[dict[str, float]] = []
    for item in items:
        original = item.clip.audio if item.has_reference else None
        late.append({name: 0.0 if original is None else delay(original, s.read()) for name, s in item.outputs.items()})
    for system in late[0] if late else ():
        values = [row[system] for row in late]
        middle = float(np.median(values))
        if 2 * sum(abs(value - middle) <= 1 / 16_000 for value in values) >= len(values):
            for row in late:
                row[system] = middle
    return late


def treat(
    item: Item, start: float, end: float, treatment: Treatment, late: Mapping[str, float], references: bool = True
) -> tuple[dict[str, Real], list[Treated]]:
    """The sounds of an item between two seconds of its clip, all of one length, and what was done to them.

    Delays are taken away, then everything is cut alike, taken to one rate, and brought to one loudness.
    Where a sound would peak above -1 dB true peak, all sounds of the item are turned down by the same gain. Anchors are
    low-passed from the reference as it is heard, and keep its gain.

    Args:
        item: The clip with its outputs.
        start: First second.
        end: Last second.
        treatment: What is done.
        late: System -> seconds to take away.
        references: Whether the reference is heard.

    Returns:
        Name -> samples ``[time]``, the reference first, then the systems, then the anchors; and one row for each.
    """
    original = item.clip.audio.mono() if item.has_reference else None
    length = round((end - start) * treatment.rate)
    sounds: dict[str, Real] = {}
    if original is not None and references:
        sounds[REFERENCE] = _excerpt(original, start, length, treatment.rate)
    for system, source in item.outputs.items():
        output = shifted(source.read().mono(), late.get(system, 0.0))
        sounds[system] = _excerpt(output, start, length, treatment.rate)
    before = {name: loudness(sound, treatment.rate) for name, sound in sounds.items()}
    gains = {name: _gain_db(level, treatment.loudness) for name, level in before.items()}
    louder = {name: sound * 10 ** (gains[name] / 20) for name, sound in sounds.items()}
    if REFERENCE in louder:
        for edge in treatment.anchors:
            name = anchor_name(edge)
            filtered = lowpass(Audio.of(louder[REFERENCE], treatment.rate), edge)
            louder[name] = filtered.samples[0].astype(np.float64)
            before[name], gains[name] = loudness(louder[name], treatment.rate), 0.0
    headroom = _headroom_db(louder, treatment.rate)
    rows = []
    for name in louder:
        louder[name] = louder[name] * 10 ** (headroom / 20)
        heard = loudness(louder[name], treatment.rate)
        peak = true_peak(louder[name], treatment.rate)
        rows.append(
            Treated(
                item.clip.id, name, 1000 * late.get(name, 0.0), before[name], gains[name] + headroom, heard,
                20 * float(np.log10(peak)) if peak else None, _note(heard, headroom),
            )
        )  # fmt: skip
    return louder, rows


def _excerpt(audio: Audio, start: float, length: int, rate: int) -> Real:
    """Samples ``[length]`` from a second of a mono sound on, at ``rate``; faded where they were cut out of it."""
    first = round(start * rate)
    whole = audio.at(rate)
    cut = Audio(np.ascontiguousarray(whole.samples[:, first:]), rate).fit(length).samples[0].astype(np.float64)
    fade = min(round(FADE_S * rate), length // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
    if first > 0:
        cut[:fade] *= ramp
    if first + length < whole.length:
        cut[length - fade :] *= ramp[::-1]
    return np.asarray(cut)


def _gain_db(level: float | None, target: float | None) -> float:
    return 0.0 if level is None or target is None else target - level


def _headroom_db(sounds: Mapping[str, Real], rate: int) -> float:
    """The gain, at most 0 dB, under which no sound peaks too high."""
    peak = max((true_peak(sound, rate) for sound in sounds.values()), default=0.0)
    return min(0.0, TRUE_PEAK_DB - 20 * float(np.log10(peak))) if peak else 0.0


def _note(heard: float | None, headroom: float) -> str:
    notes = ["silent: its loudness was left alone"] if heard is None else []
    if headroom < 0:
        notes.append(f"all sounds of the item were turned down by {-headroom:.1f} dB: one would have clipped")
    return "; ".join(notes)


def encode_wav(samples: Real, rate: int) -> bytes:
    """A 24-bit WAV of a sound ``[channels, time]``: a format and the samples, and nothing else.

    Browsers decode 24 bits exactly, which they do not of 16.
    """
    codes = np.clip(np.rint(samples * _FULL), -_FULL, _FULL - 1).astype("<i4")
    channels = len(codes)
    data = np.ascontiguousarray(codes.T).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    head = b"RIFF" + struct.pack("<I", HEADER - 8 + len(data)) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 3 * channels, 3 * channels, 24)
    return head + b"data" + struct.pack("<I", len(data)) + data


def write_wav(path: Path, samples: Real, rate: int) -> None:
    """Write a signal ``[time]`` as 24-bit WAV of two equal channels, with a fixed time of modification.

    Equal lengths make files that differ in nothing but the sound. webMUSHRA plays mono files on the left only.
    """
    with replacing(path) as handle:
        handle.write(encode_wav(np.stack([samples, samples]), rate))
    os.utime(path, (MTIME, MTIME))
