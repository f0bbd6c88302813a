"""A file becomes samples: its container is inspected, a library decodes it, and what is not whole is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ldmbench.audio.arrays import Waveform
from ldmbench.audio.containers import Damaged, inspect
from ldmbench.audio.decoders.ffmpeg import open_ffmpeg
from ldmbench.audio.decoders.sndfile import open_sndfile
from ldmbench.audio.decoders.source import BLOCK, Source

#: Bytes of float32 samples that one sound may hold: 3 hours of 48 kHz in mono. Reading takes little more than
#: that where a header says how long the sound is, and up to twice as much where it does not.
LARGEST = 1 << 31


def decode(
    path: Path, start: float = 0.0, end: float | None = None, stream: int | None = None
) -> tuple[Waveform, int, float, tuple[str, ...]]:
    """Samples ``[channels, time]`` between two seconds, the rate in Hz, the duration of what was decoded, and notes.

    Reading stops at ``end``: what lies behind is not decoded. Of the rest nothing is missing: a file that ends
    before its header says, or in which the decoder finds an error, is refused.

    Raises:
        Damaged: If the file is not whole, not audio, or larger than ``LARGEST``.
    """
    with _opened(path, start, stream) as source:
        first, last = round(start * source.rate), None if end is None else round(end * source.rate)
        samples, position = _gather(source, first, last)
        stopped = last is not None and position >= last
        if not stopped and source.promised is not None and position < source.promised:
            raise Damaged("is truncated", f"{position} of {source.promised} samples decode")
        return samples, source.rate, position / source.rate, tuple(source.notes)


def duration(path: Path, stream: int | None = None) -> float:
    """Seconds of sound in a file: by its header where that is exact, by decoding it where it only estimates.

    Raises:
        Damaged: If the file is not whole or not audio.
    """
    with _opened(path, 0.0, stream) as source:
        if source.seconds is not None:
            return source.seconds
        return sum(len(block) for block in source.blocks) / source.rate


def _gather(source: Source, first: int, last: int | None) -> tuple[Waveform, int]:
    """Samples ``[channels, time]`` of ``first`` to ``last``, and the sample at which decoding stopped."""
    ends = [end for end in (source.promised, last) if end is not None]
    _refuse_long(source, (min(ends) if ends else first) - first)
    # Not written to before there are samples for it, it takes no memory yet.
    room = max(min(ends) - first, 0) if ends else BLOCK
    samples = np.empty((source.channels, room), np.float32)
    count, position = 0, source.start
    for block in source.blocks:
        piece = block[max(first - position, 0) : None if last is None else max(last - position, 0)]
        position += len(block)
        if count + len(piece) > samples.shape[1]:
            _refuse_long(source, count + len(piece))
            # Only where no header says how long the sound is: each time by an eighth.
            grown = np.empty((source.channels, max(count + len(piece), count + count // 8)), np.float32)
            grown[:, :count] = samples[:, :count]
            samples = grown
        samples[:, count : count + len(piece)] = piece.T
        count += len(piece)
        if last is not None and position >= last:
            break
    whole = count == samples.shape[1]
    return samples if whole else np.ascontiguousarray(samples[:, :count]), position


def _refuse_long(source: Source, length: int) -> None:
    if length * source.channels * 4 > LARGEST:
        raise Damaged(
            "is too long", f"{length / source.rate:.0f} s or more, {LARGEST >> 30} GiB of samples are the bound"
        )


@contextmanager
def _opened(path: Path, start: float, stream: int | None) -> Iterator[Source]:
    container = inspect(path)
    if container.decoder != "ffmpeg":
        with open_sndfile(path, container, start) as source:
            if source is not None:
                if stream:
                    raise Damaged("lacks an audio stream", f"stream {stream} is asked for, it holds 1")
                yield source
                return
    with open_ffmpeg(path, container, stream) as source:
        yield source
