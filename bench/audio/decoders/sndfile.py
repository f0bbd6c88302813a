"""Libsndfile: PCM in its containers, FLAC, Vorbis, Opus and MP3 with a tag of its length."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldmbench.audio.containers.container import Container, Damaged, refuse_absurd
from ldmbench.audio.decoders.source import BLOCK, Block, Patched, Source

#: Formats that libsndfile may recognise where the first bytes told nothing: it also looks behind them for an MP3.
_BY_CHUNKS = {
    "AIFF",
    "AU",
    "AVR",
    "CAF",
    "HTK",
    "IRCAM",
    "MAT4",
    "MAT5",
    "MPC2K",
    "NIST",
    "PAF",
    "PVF",
    "SDS",
    "SVX",
    "VOC",
    "W64",
    "WAV",
    "WAVEX",
    "WVE",
    "XI",
    "RF64",
}


class _Blocks:
    """Blocks of an open ``soundfile.SoundFile`` up to its end; the MD5 of the container is compared there."""

    def __init__(self, handle: Any, container: Container, start: int, length: int) -> None:
        self._handle, self._container, self._left = handle, container, length - start
        self._md5 = hashlib.md5(usedforsecurity=False) if container.md5 and not start else None
        self._size = max(1, BLOCK // handle.channels)

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        import soundfile

        count = min(self._size, self._left)
        if count <= 0:
            if self._md5 is not None and self._md5.digest() != self._container.md5:
                raise Damaged("is damaged", "the samples have another MD5 than the header says")
            raise StopIteration
        kind = "int32" if self._md5 is not None else "float32"
        block: Any = np.empty((count, self._handle.channels), kind)
        try:
            done = self._handle.buffer_read_into(block, kind)
        except soundfile.LibsndfileError as error:
            raise Damaged("cannot be decoded", error.error_string) from None
        self._left -= done
        if done < count:
            self._left, self._md5 = 0, None
        block = block[:done]
        if kind == "float32":
            return np.asarray(block, np.float32)
        if self._md5 is not None:
            self._md5.update(_packed(block, self._container.bits))
        scaled: Block = block.astype(np.float32) * np.float32(2**-31)
        return scaled


def _packed(block: npt.NDArray[np.int32], bits: int) -> bytes:
    """Integers as FLAC's MD5 has them: little-endian, in whole bytes (RFC 9639, section 8.2)."""
    if bits == 16:
        return (block >> np.int32(16)).astype("<i2").tobytes()
    integers = np.ascontiguousarray(block >> np.int32(32 - bits), "<i4")
    return integers.view(np.uint8).reshape(-1, 4)[:, : (bits + 7) // 8].tobytes()


@contextmanager
def open_sndfile(path: Path, container: Container, start: float) -> Iterator[Source | None]:
    """The file through libsndfile; None where libsndfile does not know the format."""
    import soundfile

    # Opened by number: given a name, libsndfile guesses by its ending what it cannot tell by the content.
    number = os.open(path, os.O_RDONLY)
    file = Patched(path, container.patches) if container.patches else None
    try:
        try:
            handle = soundfile.SoundFile(file if file is not None else number, closefd=False)
        except soundfile.LibsndfileError as error:
            if container.decoder == "either":
                yield None
                return
            raise Damaged("cannot be decoded", error.error_string) from None
        with handle:
            if container.decoder == "either" and handle.format not in _BY_CHUNKS:
                raise Damaged("is damaged", f"its first bytes are not those of {handle.format}")
            refuse_absurd(handle.samplerate, handle.channels)
            length = handle.frames if container.length is None else min(container.length, handle.frames)
            first = min(round(start * handle.samplerate), length) if container.seekable and start else 0
            # To the first sample, too: of Opus from ffmpeg's muxer, libsndfile 1.2.2 drops the pre-skip only then, and
            # reads the sound 6.5 ms late otherwise.
            if first or handle.format == "OGG":
                handle.seek(first)
            blocks = _Blocks(handle, container, first, length)
            rate = handle.samplerate
            yield Source(rate, handle.channels, blocks, first, length, length / rate)
    finally:
        os.close(number)
        if file is not None:
            file.close()
