"""The sounds of a pack: files, samples, and what they are against each other."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio import sound as audio_io
from ldmbench.audio.arrays import Real
from ldmbench.audio.delay import delay
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.listening.pack import Key, Pack, Page, Sound
from ldmbench.listening.preflight.config import LONGEST_S
from ldmbench.listening.preflight.finding import error, warning
from ldmbench.listening.stimuli import MTIME, loudness
from ldmbench.names import some
from ldmbench.runs.check import Finding

#: Systems on one page may differ in loudness by so many LU.
_LOUDER_LU = 1.0

#: Samples in a row at full scale that are clipping and not a peak.
_CLIPPED = 3

#: A mean of all samples above this is an offset: -50 dB of full scale.
_OFFSET = 10 ** (-50 / 20)

#: A sound whose samples are all below this is silent.
_SILENT = 10 ** (-70 / 20)


@dataclass(frozen=True)
class Checked:
    """What is known of one file.

    Attributes:
        sound: Its record.
        role: What it is, empty where the key is not there.
        system: Likewise.
        audio: The left channel.
        level: LUFS, None for silence.
        size: Bytes.
    """

    sound: Sound
    role: str
    system: str
    audio: Audio
    level: float | None
    size: int


def check_sounds(folder: Path, pack: Pack, key: Key | None) -> tuple[list[Finding], dict[str, list[float]]]:
    """Findings on all pages, and the delays of each system in seconds."""
    found: list[Finding] = []
    late: dict[str, list[float]] = {}
    for page in pack.all_pages():
        known = {} if key is None or page.id not in key.pages else key.pages[page.id].stimuli
        checked = []
        for sound in page.sounds():
            entry = known.get(sound.key)
            role = "open" if sound is page.reference else entry.role if entry else ""
            faults, audio, size = _file(folder, pack, page, sound)
            found += faults
            if audio is not None:
                system = entry.system if entry else ""
                checked.append(Checked(sound, role, system, audio, loudness(audio.samples[0], audio.rate), size))
        found += _samples(page, checked)
        found += _against_each_other(pack, page, checked)
        opened = next((item.audio for item in checked if item.role == "open"), None)
        for item in checked:
            if opened is not None and item.role in ("system", ""):
                late.setdefault(item.system or "a sound", []).append(delay(opened, item.audio))
    return found, late


def _file(folder: Path, pack: Pack, page: Page, sound: Sound) -> tuple[list[Finding], Audio | None, int]:
    """Findings on a file as such, its left channel, and its size."""
    name, path = f"{page.id}/{sound.key}", folder / sound.file
    try:
        content = path.read_bytes()
        audio = audio_io.read(path)
    except (OSError, BenchError) as fault:
        return [error(name, str(fault), "export the pack again")], None, 0
    found = []
    if hashlib.sha256(content).hexdigest() != sound.sha256:
        found.append(error(name, "is not the file that was exported: its digest differs", "export the pack again"))
    chunks = list(_chunks(content))
    if chunks != ["fmt ", "data"]:
        found.append(
            warning(name, f"the file holds more than sound: {', '.join(chunks) or 'no WAV'}", "it may tell its origin")
        )
    if path.stat().st_mtime != MTIME:
        found.append(warning(name, "its date tells when it was made; copy packs with their dates (cp -p, rsync -a)"))
    if audio.rate != pack.rate:
        found.append(error(name, f"{audio.rate} Hz, the pack has {pack.rate} Hz: browsers would resample it silently"))
    if audio.channels != 2:
        found.append(error(name, f"{audio.channels} channels: webMUSHRA plays mono on the left only"))
    elif not np.array_equal(audio.samples[0], audio.samples[1]):
        found.append(warning(name, "its two channels differ"))
    if audio.duration > LONGEST_S:
        found.append(error(name, f"{audio.duration:.2f} s long, {LONGEST_S:g} s are the most", "cut it"))
    return found, Audio(np.ascontiguousarray(audio.samples[:1]), audio.rate), len(content)


def _chunks(content: bytes) -> Iterator[str]:
    """Names of a WAV's chunks."""
    place = 12 if content[:4] == b"RIFF" else len(content)
    while place + 8 <= len(content):
        name, size = struct.unpack("<4sI", content[place : place + 8])
        yield name.decode("latin-1")
        place += 8 + size + size % 2


def _samples(page: Page, checked: list[Checked]) -> Iterator[Finding]:
    """Findings on the samples of each sound."""
    for item in checked:
        samples, name = item.audio.samples[0], f"{page.id}/{item.sound.key}"
        if float(np.abs(samples).max()) < _SILENT:
            yield warning(name, "is silent", "leave the item or the system out")
            continue
        if abs(float(samples.mean())) > _OFFSET:
            yield warning(name, f"has an offset of {20 * np.log10(abs(float(samples.mean()))):.0f} dB")
        if _longest_run(np.abs(samples) >= 1 - 2**-15) >= _CLIPPED:
            yield warning(name, "clips: several samples in a row are at full scale", "export it with less loudness")


def _longest_run(marks: Any) -> int:
    """How many marks in a row are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(marks, int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _against_each_other(pack: Pack, page: Page, checked: list[Checked]) -> Iterator[Finding]:
    """Findings on how the sounds of a page fit together."""
    lengths = sorted({item.audio.length for item in checked})
    if len(lengths) > 1:
        texts = ", ".join(map(str, lengths))
        yield error(page.id, f"its sounds differ in length: {texts} samples. webMUSHRA stops at one sample")
    if len({item.size for item in checked}) > 1:
        yield warning(page.id, "its files differ in size, which may tell them apart")
    rated = [item for item in checked if item.role != "open"]
    opened = [item.sound.sha256 for item in checked if item.role == "open"]
    same = [item for item in rated if item.sound.sha256 in opened]
    if pack.method in ("mushra", "mushra-1s") and len(same) != 1:
        fault = "no hidden reference" if not same else f"{len(same)} sounds that are the reference itself"
        yield error(page.id, f"has {fault}", "check that no system gives back its reference")
    digests = [item.sound.sha256 for item in rated]
    twins = [item.sound.key for item in rated if digests.count(item.sound.sha256) > 1]
    if twins and len(same) < 2:
        yield error(page.id, f"{some(twins)} are one and the same sound", "two systems have the same output here")
    levels = [
        item.level for item in checked if item.role in ("system", "reference", "open", "") and item.level is not None
    ]
    if levels and max(levels) - min(levels) > _LOUDER_LU and not any(item.role == "" for item in rated):
        yield warning(page.id, f"loudness differs by {max(levels) - min(levels):.1f} LU: the louder sound may win")
    yield from _anchors(page, {item.system: item.audio for item in checked if item.system})


def _anchors(page: Page, sounds: Mapping[str, Audio]) -> Iterator[Finding]:
    """Whether low-pass anchors keep what they should and have nothing above, and differ from the reference."""
    reference = sounds.get("reference")
    for name, audio in sounds.items():
        if not (name.startswith("anchor") and name[6:].isdigit()) or reference is None:
            continue
        edge = 100.0 * int(name[6:])
        before, after = _power(reference), _power(audio)
        hz = np.fft.rfftfreq(2 * (len(before) - 1), 1 / audio.rate)
        passed = (hz > 100) & (hz < edge - 200)
        kept = 10 * np.log10(after[passed].sum() / before[passed].sum()) if before[passed].sum() else 0.0
        above, floor = hz > edge + 1000, 1e-12
        left = 10 * np.log10((after[above].sum() + floor) / (before[above].sum() + floor))
        if abs(kept) > 0.2:
            yield error(f"{page.id} {name}", f"is {kept:+.1f} dB below its edge of {edge:g} Hz, 0 dB is meant")
        if before[above].sum() > 1e6 * floor and left > -50:
            yield error(f"{page.id} {name}", f"only {-left:.0f} dB down above {edge + 1000:g} Hz, 50 dB is meant")
        share = before[hz > edge + 500].sum() / max(before.sum(), floor)
        if share < 1e-5:
            yield warning(
                f"{page.id} {name}",
                f"the reference has next to nothing above {edge + 500:g} Hz: the anchor sounds like the reference",
            )
    if {"anchor35", "anchor70"} <= sounds.keys():
        low, mid = (_power(sounds[name])[_above(sounds[name], 4500)].sum() for name in ("anchor35", "anchor70"))
        if low > mid:
            yield error(page.id, "the low anchor has more above 4.5 kHz than the mid anchor")


def _above(audio: Audio, edge: float) -> Real:
    return np.asarray(np.fft.rfftfreq(8192, 1 / audio.rate) > edge)


def _power(audio: Audio) -> Real:
    """Mean power spectrum of a sound ``[4097]``."""
    import scipy.signal

    length = min(8192, audio.length)
    _, power = scipy.signal.welch(audio.samples[0].astype(np.float64), audio.rate, "hann", length, nfft=8192)
    return np.asarray(power)
