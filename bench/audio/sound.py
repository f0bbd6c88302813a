"""Audio in memory and on disk: float32 ``[channels, time]`` with a rate, read, written, resampled."""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ldmbench.audio import decode
from ldmbench.audio.arrays import Waveform, Waveforms
from ldmbench.audio.containers import Damaged
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing

#: File name endings that are looked for in a folder of audio.
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".w64")

#: Bytes before the samples of a float32 WAV: RIFF, fmt (IEEE float), fact and the head of the data chunk.
_WAV_HEADER = 58

#: Samples of a channel looked at together.
_BLOCK = 1 << 20

_FIX = "copy or download the file again"

#: What to do about a file, by what is wrong with it.
_FIXES = {
    "is not audio": "replace or remove the file",
    "cannot be decoded": "replace or remove the file",
    "holds no audio": "remove it",
    "holds no samples": "replace or remove the file",
    "has an absurd header": "render the file again",
    "has a header that contradicts itself": "copy or render the file again",
    "is too long": "name a part of it in a list of clips, or cut it",
    "holds streams one after another": "decode it to a WAV by a program that joins them",
    "holds more than its header says": "decode it to a WAV by a program that joins the parts",
    "changes its rate or channels": "decode it to a WAV of one rate",
}


@dataclass(frozen=True, eq=False)
class Audio:
    """A sound: float32 samples ``[channels, time]``, nominally within [-1, 1], at ``rate`` Hz.

    Samples are never clipped or re-quantised. ``notes`` say what a user should hear about the file. Derived
    views (another rate, the mono mix) are computed once per object and kept with it, so that every metric of a clip
    shares them.

    Example:
        >>> sound = Audio.of([[0.0, 0.5, 0.0, -0.5] * 4000, [0.0] * 16000], rate=16000)
        >>> sound.channels, sound.duration, sound.mono().at(8000).samples.shape
        (2, 1.0, (1, 8000))
    """

    samples: Waveform
    rate: int
    notes: tuple[str, ...] = ()
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
        total = hashlib.sha256(struct.pack("<qqq", self.rate, *self.samples.shape))
        total.update(np.ascontiguousarray(self.samples, "<f4").data)
        return total.hexdigest()

    def _mix(self) -> Audio:
        return Audio(self.samples.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32), self.rate)

    def _view(self, kind: str, parameter: int, make: Any) -> Audio:
        key = (kind, parameter)
        if key not in self._views:
            self._views[key] = make()
        return self._views[key]


def read(path: str | Path, start: float = 0.0, end: float | None = None, stream: int | None = None) -> Audio:
    """Read an audio file by its content, whatever its name ends in.

    WAV, FLAC, MP3, Ogg and AIFF go through libsndfile, everything else (m4a, aac, ...) through FFmpeg's
    libraries. Integer formats are scaled to [-1, 1); floats are taken as they are, above 1.0 too. A file is read
    whole or refused: see ``ldmbench.audio.containers`` and ``ldmbench.audio.decode`` for what is checked. A sound of
    more than 2 GiB of samples is refused; of a longer file a part can be read.

    Args:
        path: The file.
        start: First second to return.
        end: Last second (exclusive), or None for the end of the file.
        stream: Number of the audio stream in the file; None for the first, with a note where there are others.

    Raises:
        BenchError: If the file is missing, unreadable, not audio, truncated, damaged, too long, empty, or holds NaN
            or Inf.
    """
    path = Path(path)
    with _named(path):
        samples, rate, seconds, notes = decode.decode(path, start, end, stream)
        asked = None if end is None else round(end * rate) - round(start * rate)
        if (start and not samples.size) or (asked is not None and samples.shape[1] < asked):
            raise BenchError(
                f"{path} is shorter than its place in the clip list",
                f"{seconds:.2f} s, asked for {start:g}-{'end' if end is None else f'{end:g}'} s",
                "fetch the file again or correct the list",
            )
        if not samples.size:
            raise BenchError(f"{path} holds no samples", "a header and zero frames", "replace or remove the file")
        _refuse_nonfinite(path, samples, rate)
        return Audio(samples, rate, notes)


def duration(path: Path, stream: int | None = None) -> float:
    """Seconds of sound in a file, decoded where its header only estimates them.

    Raises:
        BenchError: As ``read``.
    """
    with _named(path):
        return decode.duration(path, stream)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with one file into one line that names it: no file may end a run."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "a device or pipe"
            raise BenchError(f"{path} is not a file", kind, "name an audio file")
        if facts.st_size == 0:
            raise BenchError(f"{path} is empty", "0 bytes", "replace or remove the file")
        yield
    except Damaged as error:
        raise BenchError(f"{path} {error.what}", error.detail, _FIXES.get(error.what, _FIX)) from None
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist", fix="check the path or the clip list") from None
    except BenchError:
        raise
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "check its permissions") from None
    except Exception as error:
        raise BenchError(f"{path} cannot be read", f"{type(error).__name__}: {error}", _FIX) from error


def _refuse_nonfinite(path: Path, samples: Waveform, rate: int) -> None:
    """Raise ``BenchError`` for NaN or Inf, looked for block by block: the memory for it is bounded, too."""
    count, where = 0, ""
    for start in range(0, samples.shape[1], _BLOCK):
        finite = np.isfinite(samples[:, start : start + _BLOCK])
        if finite.all():
            continue
        if not count:
            position = int(np.argmin(finite.all(axis=0)))
            channel = int(np.argmin(finite[:, position]))
            where = f"channel {channel} at {(start + position) / rate:.3f} s"
        count += int(finite.size - np.count_nonzero(finite))
    if count:
        raise BenchError(
            f"{path} holds NaN or Inf",
            f"{count} of {samples.size} values, the first in {where}",
            "render the file again",
        )


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
