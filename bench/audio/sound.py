"""Audio in memory and on disk: float32 ``[channels, time]`` with a rate, read, written, resampled."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ldmbench.audio import truncation
from ldmbench.audio.arrays import Waveform, Waveforms
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing

#: File name endings that are looked for in a folder of audio.
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".w64")

#: Libsndfile's word for "as many frames as there are", in FLAC streams written to a pipe.
_UNKNOWN_LENGTH = 2**62

#: Bytes before the samples of a float32 WAV: RIFF, fmt (IEEE float), fact and the head of the data chunk.
_WAV_HEADER = 58

#: Samples by which the duration in an MP4 header may be off: one frame of HE-AAC.
_CODEC_FRAME = 2048


@dataclass(frozen=True, eq=False)
class Audio:
    """A sound: float32 samples ``[channels, time]``, nominally within [-1, 1], at ``rate`` Hz.

    Samples are never clipped or re-quantised. Derived views (another rate, the mono mix) are computed
    once per object and kept with it, so that every metric of a clip shares them.

    Example:
        >>> sound = Audio.of([[0.0, 0.5, 0.0, -0.5] * 4000, [0.0] * 16000], rate=16000)
        >>> sound.channels, sound.duration, sound.mono().at(8000).samples.shape
        (2, 1.0, (1, 8000))
    """

    samples: Waveform
    rate: int
    _views: dict[tuple[str, int], Audio] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise ValueError(f"Audio holds float32 [channels, time], not {self.samples.dtype} {self.samples.shape}")
        if self.rate <= 0:
            raise ValueError(f"Audio needs a positive rate in Hz, not {self.rate}")
        self.samples.setflags(write=False)

    @classmethod
    def of(cls, samples: ArrayLike, rate: int) -> Audio:
        """Audio from anything array-like: ``[time]`` (mono) or ``[channels, time]``."""
        array = np.array(samples, dtype=np.float32, ndmin=2, copy=True)
        return cls(np.ascontiguousarray(array), rate)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def length(self) -> int:
        """Number of samples in each channel."""
        return int(self.samples.shape[1])

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return self.length / self.rate

    def at(self, rate: int) -> Audio:
        """This sound at another rate in Hz (soxr, very high quality), ``round(length * new / old)`` samples long."""
        if rate == self.rate:
            return self
        return self._view("rate", rate, lambda: Audio(_resample(self.samples, self.rate, rate), rate))

    def mono(self) -> Audio:
        """The mean over channels, ``[1, time]``."""
        if self.channels == 1:
            return self
        return self._view("mono", 1, self._mix)

    def with_channels(self, channels: int) -> Audio:
        """Mono mixed down to, or mono duplicated to, ``channels``; any other change is refused.

        Raises:
            BenchError: If the layout cannot be converted without a choice of down-mix (5.1 to stereo).
        """
        if channels == self.channels:
            return self
        if channels == 1:
            return self.mono()
        if self.channels == 1:
            return Audio(np.repeat(self.samples, channels, axis=0), self.rate)
        raise BenchError(
            f"cannot turn {self.channels} channels into {channels}",
            fix="mix the file down to mono or stereo first; the bench does not choose a surround down-mix",
        )

    def fit(self, length: int) -> Audio:
        """Trimmed, or padded with zeros at the end, to ``length`` samples."""
        if length == self.length:
            return self
        fitted = np.zeros((self.channels, length), np.float32)
        keep = min(length, self.length)
        fitted[:, :keep] = self.samples[:, :keep]
        return Audio(fitted, self.rate)

    def digest(self) -> str:
        """SHA-256 (hex) of rate, shape and samples: the identity of the sound, not of its file."""
        head = struct.pack("<qqq", self.rate, *self.samples.shape)
        return hashlib.sha256(head + np.ascontiguousarray(self.samples, "<f4").tobytes()).hexdigest()

    def _mix(self) -> Audio:
        return Audio(self.samples.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32), self.rate)

    def _view(self, kind: str, parameter: int, make: Any) -> Audio:
        key = (kind, parameter)
        if key not in self._views:
            self._views[key] = make()
        return self._views[key]


def read(path: str | Path, start: float = 0.0, end: float | None = None) -> Audio:
    """Read an audio file by its content, whatever its name ends in.

    WAV, FLAC, MP3, Ogg and AIFF go through libsndfile, everything else (m4a, aac, ...) through FFmpeg's
    libraries. Integer formats are scaled to [-1, 1); floats are taken as they are, above 1.0 too.

    Args:
        path: The file.
        start: First second to return.
        end: Last second (exclusive), or None for the end of the file.

    Raises:
        BenchError: If the file is missing, unreadable, not audio, truncated, empty, or holds NaN or Inf.
    """
    path = Path(path)
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "a device or pipe"
            raise BenchError(f"{path} is not a file", kind, "name an audio file")
        if facts.st_size == 0:
            raise BenchError(f"{path} is empty", "0 bytes", "replace or remove the file")
        if absent := truncation.missing(path):
            raise BenchError(f"{path} is truncated", absent, "copy or download the file again")
        audio = _read_sndfile(path)
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist", fix="check the path or the clip list") from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "check its permissions") from None
    if audio is None:
        audio = _read_ffmpeg(path)
    if start or end is not None:
        audio = _cut(audio, start, end, path)
    if audio.length == 0:
        raise BenchError(f"{path} holds no samples", "a header and zero frames", "replace or remove the file")
    finite = np.isfinite(audio.samples)
    if not finite.all():
        channel, position = (int(index) for index in np.argwhere(~finite)[0])
        count = int((~finite).sum())
        raise BenchError(
            f"{path} holds NaN or Inf",
            f"{count} of {finite.size} values, the first in channel {channel} at {position / audio.rate:.3f} s",
            "render the file again",
        )
    return audio


def promised_duration(path: Path) -> float | None:
    """Duration in seconds by the file's header; None where only decoding would tell, or would fail."""
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError):
        return None


def write(path: str | Path, audio: Audio, durable: bool = False) -> None:
    """Write a float32 WAV, atomically: the file is whole or absent, and never clipped.

    Equal sounds make equal files. (Libsndfile would put the time of day into a PEAK chunk.)

    Args:
        path: The file; its folder is made.
        audio: The sound.
        durable: As ``replacing`` has it: put the samples on the disk before the file takes its name.

    Raises:
        BenchError: If the disk is full, the folder is not writable, or the sound is too long for a WAV (4 GiB).
    """
    import scipy.io.wavfile

    size = audio.samples.nbytes
    if size + _WAV_HEADER - 8 >= 1 << 32:
        # SciPy would go on with RF64, which not every listener's player opens.
        raise BenchError(f"cannot write {path}", f"{size} bytes of samples, a WAV holds 4 GiB", "use shorter clips", 1)
    with replacing(Path(path), durable=durable) as handle:
        scipy.io.wavfile.write(handle, audio.rate, audio.samples.T)


def stack(sounds: Sequence[Audio]) -> Waveforms:
    """Mono sounds of one rate as one array ``[sounds, time]``, zero-padded to the longest."""
    longest = max(sound.length for sound in sounds)
    return np.concatenate([sound.mono().fit(longest).samples for sound in sounds])


def _resample(samples: Waveform, old: int, new: int) -> Waveform:
    import soxr

    length = round(samples.shape[1] * new / old)
    resampled = soxr.resample(samples.T, old, new, quality="VHQ").T
    return Audio(np.ascontiguousarray(resampled, np.float32), new).fit(length).samples


def _cut(audio: Audio, start: float, end: float | None, path: Path) -> Audio:
    first = round(start * audio.rate)
    last = audio.length if end is None else round(end * audio.rate)
    if first >= audio.length or last > audio.length:
        raise BenchError(
            f"{path} is shorter than its place in the clip list",
            f"{audio.duration:.2f} s, asked for {start:g}-{'end' if end is None else f'{end:g}'} s",
            "fetch the file again or correct the list",
        )
    return Audio(np.ascontiguousarray(audio.samples[:, first:last]), audio.rate)


def _read_sndfile(path: Path) -> Audio | None:
    """The file through libsndfile, or None where libsndfile does not know the format or the length."""
    import soundfile

    # Opened by number: given a name, libsndfile guesses by its ending what it cannot tell by the content.
    number = os.open(path, os.O_RDONLY)
    try:
        with soundfile.SoundFile(number, closefd=False) as handle:
            promised = handle.frames
            if promised >= _UNKNOWN_LENGTH:
                return None
            samples = handle.read(dtype="float32", always_2d=True)
            rate = int(handle.samplerate)
    except soundfile.LibsndfileError as error:
        reason = error.error_string
        # "Does not exist": what mpg123's wrapper says of two bytes that look like MP3 and are not.
        if any(word in reason.lower() for word in ("recogni", "unknown", "not supported", "does not exist")):
            return None
        raise BenchError(f"{path} cannot be decoded", reason, "replace or remove the file") from None
    finally:
        os.close(number)
    if len(samples) < promised:
        raise BenchError(
            f"{path} is truncated",
            f"{len(samples)} of {promised} frames decode",
            "copy or download the file again",
        )
    return Audio(np.ascontiguousarray(samples.T), rate)


def _read_ffmpeg(path: Path) -> Audio:
    import av

    blocks: list[Any] = []
    rate = promised = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise BenchError(f"{path} holds no audio", "a file without an audio stream", "remove it")
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                rate = frame.sample_rate
                blocks += [part.to_ndarray() for part in resampler.resample(frame)]
            blocks += [part.to_ndarray() for part in resampler.resample(None)]
            if "mp4" in container.format.name and stream.duration:
                # Other containers only estimate their duration, from the size of the file.
                promised = round(stream.duration * (stream.time_base or 0) * rate)
    except (av.FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if blocks:
            seconds = sum(block.shape[1] for block in blocks) / rate
            raise BenchError(
                f"{path} is truncated or damaged",
                f"decoding stopped at {seconds:.2f} s, {reason}",
                "copy or download the file again",
            ) from None
        raise BenchError(f"{path} is not audio", reason, "replace or remove the file") from None
    if not blocks:
        raise BenchError(f"{path} holds no samples", "an audio stream without frames", "replace or remove the file")
    samples = np.ascontiguousarray(np.concatenate(blocks, axis=1), np.float32)
    if samples.shape[1] < promised - _CODEC_FRAME:
        raise BenchError(
            f"{path} is truncated",
            f"{samples.shape[1]} of {promised} samples decode",
            "copy or download the file again",
        )
    return Audio(samples, rate)
