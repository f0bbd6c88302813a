"""What a page plays and shows: the sounds of each clip as FLAC or Opus, and their spectrograms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.listening.stimuli import loudness
from ldmbench.reports import encoding, spectrogram
from ldmbench.runs.records import ClipInfo
from ldmbench.runs.results import Run

#: The largest sample a 16-bit file holds.
FULL_SCALE = 1 - 2**-15

#: A clip is turned down as a whole by at most this factor; an output that would need more is turned down alone.
LEAST_COMMON_GAIN = 0.5


@dataclass(frozen=True)
class Stimulus:
    """One sound of a clip: the reference (run -1) or the output of a run.

    Attributes:
        run: Index of the run, -1 for the reference.
        status: ``ok``, ``failed``, ``pending`` (not made yet), ``silent`` (made without audio) or ``missing``.
        message: Why there is nothing to play, or what was done to the level.
        audio: File relative to the page, empty where there is nothing to play.
        image: Spectrogram relative to the page.
        facts: Rate, channels and duration in words.
        loudness: LUFS of the mono mix as it plays; None for silence, or without pyloudnorm.
    """

    run: int
    status: str
    message: str = ""
    audio: str = ""
    image: str = ""
    facts: str = ""
    loudness: float | None = None


@dataclass(frozen=True)
class ClipMedia:
    """The sounds of a clip.

    Attributes:
        stimuli: The reference first, where there is one, then the runs in order.
        seconds: Length of the time axis.
        ticks: Labels of the frequency axis with their heights.
        note: What was done to the level of all sounds.
    """

    stimuli: tuple[Stimulus, ...]
    seconds: float
    ticks: tuple[tuple[str, float], ...]
    note: str


def write_clip(clip: ClipInfo, runs: Sequence[Run], folder: Path, name: str, audio: str = "flac") -> ClipMedia:
    """Write sounds, as ``flac`` or ``opus``, and spectrograms of a clip into ``folder / name``.

    A 16-bit file cannot hold samples above 1.0. Where a sound has any, all sounds of the clip are turned down by
    the same gain, so that their relative loudness stays, and the note says by how much.
    """
    sources = [_reference(clip)] if clip.path else []
    sources += [_output(clip, run, index) for index, run in enumerate(runs) if not _is_reference(run, clip)]
    sounds = [sound for _, sound in sources if sound is not None]
    if not sounds:
        return ClipMedia(tuple(stimulus for stimulus, _ in sources), 0.0, (), "")
    seconds = max(sound.duration for sound in sounds)
    top = max(sound.rate for sound in sounds) / 2
    peak = max((peak for peak in map(_peak, sounds) if peak * LEAST_COMMON_GAIN <= FULL_SCALE), default=0.0)
    common = FULL_SCALE / peak if peak > FULL_SCALE else 1.0
    pictures = [None if sound is None else spectrogram.levels(sound, seconds, top) for _, sound in sources]
    ceiling = max(float(picture.max()) for picture in pictures[:1] or pictures if picture is not None) if sounds else 0
    if not np.isfinite(ceiling):
        ceiling = 0.0
    (folder / name).mkdir(parents=True, exist_ok=True)
    stimuli = []
    for (stimulus, sound), picture in zip(sources, pictures, strict=True):
        if sound is None or picture is None:
            stimuli.append(stimulus)
            continue
        label = "reference" if stimulus.run < 0 else runs[stimulus.run].info.system
        stem = f"{name}/{stimulus.run + 1:02}_{file_name(label)}"
        gain, message = _gain(sound, common)
        try:
            written = encoding.WRITERS[audio](folder / stem, sound, gain)
        except ValueError as error:
            stimuli.append(replace(stimulus, status="missing", message=str(error)))
            continue
        (folder / f"{stem}.webp").write_bytes(spectrogram.webp(picture, ceiling))
        facts = f"{sound.rate / 1000:g} kHz, {_channels(sound.channels)}, {sound.duration:.2f} s"
        file = f"{folder.name}/{stem}"
        made = replace(stimulus, message=message, audio=f"{folder.name}/{name}/{written.name}", image=f"{file}.webp")
        stimuli.append(replace(made, facts=facts, loudness=_loudness(sound, gain)))
    note = ""
    if common < 1:
        note = f"All sounds of this clip play {-_db(common):.1f} dB lower, because the loudest peaks above full scale."
    return ClipMedia(tuple(stimuli), seconds, tuple(spectrogram.ticks(top)), note)


def file_name(text: str) -> str:
    """Text as part of a file name that every browser and file system takes."""
    return re.sub(r"[^A-Za-z0-9.@=+-]+", "-", text).strip("-.")[:80] or "x"


def _is_reference(run: Run, clip: ClipInfo) -> bool:
    """Whether the run's output is the reference itself, that the page already plays."""
    row = run.outputs.get(clip.id)
    return run.info.role == "reference" and bool(clip.path) and row is not None and row.status == "ok"


def _reference(clip: ClipInfo) -> tuple[Stimulus, Audio | None]:
    try:
        return Stimulus(-1, "ok"), audio_io.read(clip.path, clip.start, clip.end, clip.stream)
    except BenchError as error:
        return Stimulus(-1, "missing", str(error)), None


def _output(clip: ClipInfo, run: Run, index: int) -> tuple[Stimulus, Audio | None]:
    row = run.outputs.get(clip.id)
    if row is None:
        planned = any(item.id == clip.id for item in run.info.clips)
        message = "not made yet: the run was interrupted" if planned else "not in the clip list of this run"
        return Stimulus(index, "pending", message), None
    if row.status != "ok":
        return Stimulus(index, "failed", row.message or "failed without a message"), None
    path = run.audio_path(clip.id)
    if path is None:
        if run.path.is_file():
            return Stimulus(index, "missing", "the baseline holds no sound: save it with --audio"), None
        return Stimulus(index, "silent", "this system writes no audio"), None
    try:
        return Stimulus(index, "ok"), audio_io.read(path)
    except BenchError as error:
        return Stimulus(index, "missing", str(error)), None


def _gain(sound: Audio, common: float) -> tuple[float, str]:
    peak = _peak(sound)
    if peak * common <= FULL_SCALE:
        return common, ""
    gain = FULL_SCALE / peak
    return gain, f"peaks {_db(peak):.1f} dB above full scale: played {-_db(gain / common):.1f} dB below the others"


def _loudness(sound: Audio, gain: float) -> float | None:
    if not can_match():
        return None
    value = loudness(sound.mono().samples[0] * np.float32(gain), sound.rate)
    return None if value is None else round(value, 2)


def can_match() -> bool:
    """Whether loudness can be measured here: the library for it comes with the extra ``listening``."""
    return find_spec("pyloudnorm") is not None


def _peak(sound: Audio) -> float:
    return float(np.abs(sound.samples).max(initial=0))


def _db(ratio: float) -> float:
    return 20 * float(np.log10(ratio))


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")
