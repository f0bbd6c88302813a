"""A file that is being decoded, block by block, whatever library does it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: Samples (of all channels) decoded at once.
BLOCK = 1 << 20

Block = npt.NDArray[np.float32]


@dataclass
class Source:
    """A file that is being decoded.

    Attributes:
        rate: Rate in Hz.
        channels: Number of channels.
        blocks: Arrays ``[time, channels]``, from sample ``start`` on.
        start: Sample of the file at which the blocks begin.
        promised: Samples that the headers promise, None where they promise nothing.
        seconds: Duration where the headers have it exactly, None where only decoding tells.
        notes: What a user should hear about the file.
    """

    rate: int
    channels: int
    blocks: Iterator[Block]
    start: int = 0
    promised: int | None = None
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)


class Patched(io.RawIOBase):
    """A file, some bytes of whose header are read as others: sizes that its writer did not know.

    Args:
        path: The file.
        patches: Position -> bytes to be read in place of those in the file.
        end: Byte at which it ends for the reader; None for all of it.
    """

    def __init__(self, path: Path, patches: Mapping[int, bytes], end: int | None = None) -> None:
        self._file = path.open("rb")
        self._patches = patches
        self._end = end

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Position in the file."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; -1 where that leads out of the file."""
        if whence == io.SEEK_END and self._end is not None:
            offset, whence = self._end + offset, io.SEEK_SET
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1  # What FFmpeg expects; PyAV would print the exception.

    def readinto(self, buffer: Any) -> int:
        """Read, with the patches, up to the end."""
        position = self._file.tell()
        count = len(buffer) if self._end is None else max(0, min(len(buffer), self._end - position))
        content = bytearray(self._file.read(count))
        for at, patch in self._patches.items():
            for index, byte in enumerate(patch, at - position):
                if 0 <= index < len(content):
                    content[index] = byte
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
