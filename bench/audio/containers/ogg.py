"""Ogg: every page has a checksum and a number, and the last one of a stream is marked."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from ldmbench.audio.containers.container import Container, Damaged, at

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

#: Codecs that libsndfile decodes, by the first bytes of the stream.
_SNDFILE_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")


def inspect(handle: BinaryIO, size: int) -> Container:
    """Check every page of an Ogg file.

    Source: RFC 3533, section 6.

    Raises:
        Damaged: If a page is damaged, missing or cut off, or the file holds streams one after another.
    """
    numbers: dict[int, int] = {}
    ended: set[int] = set()
    codec = b""
    position = 0
    while position < size:
        head = at(handle, position, 27)
        if head[:4] != b"OggS"[: len(head)]:
            raise Damaged("is damaged", f"no Ogg page at byte {position}")
        lacing = handle.read(head[26]) if len(head) == 27 else b""
        body = handle.read(sum(lacing))
        if len(head) < 27 or len(lacing) < head[26] or len(body) < sum(lacing):
            raise Damaged("is truncated", "the last Ogg page is cut off")
        kind, serial, number, checksum = struct.unpack("<B8xIII", head[5:26])
        if _crc(head[:22] + bytes(4) + head[26:] + lacing + body) != checksum:
            raise Damaged("is damaged", f"the Ogg page at byte {position} has another checksum")
        if kind & 2:
            if ended or (serial in numbers):
                raise Damaged(
                    "holds streams one after another", f"{len(ended)} ended before byte {position}, where one begins"
                )
            codec = codec or body[:8]
        elif number != numbers.get(serial, -1) + 1:
            raise Damaged("is damaged", f"an Ogg page is missing before byte {position}")
        numbers[serial] = number
        if kind & 4:
            ended.add(serial)
        position += len(head) + len(lacing) + len(body)
    if len(ended) < len(numbers):
        raise Damaged("is truncated", "the last Ogg page does not end the stream")
    alone = len(numbers) == 1 and codec.startswith(_SNDFILE_CODECS)
    return Container("sndfile" if alone else "ffmpeg", demuxers="ogg")


def _crc(page: bytes) -> int:
    """CRC-32 of polynomial 0x04C11DB7, most significant bit first: zlib's on reversed bits, begun and ended plainly."""
    reflected = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
