"""ADTS: frames of AAC, each of which says where the next one begins."""

from __future__ import annotations

from typing import BinaryIO

from ldmbench.audio.containers.container import Container, Damaged, at, before_tags

#: Hz by index (ISO/IEC 14496-3, table 1.18).
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def begins(head: bytes) -> bool:
    """Whether ``head`` begins a frame: the sync word, and a layer of 0, which MPEG audio does not have."""
    return len(head) >= 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def inspect(handle: BinaryIO, size: int, start: int) -> Container:
    """Walk over the frames.

    Source: ISO/IEC 14496-3, 1.A.2.2.

    Raises:
        Damaged: If a frame is missing or cut off, or the rate or the number of channels changes.
    """
    end = before_tags(handle, size)
    position, first = start, at(handle, start, 7)
    blocks = 0
    while position < end:
        head = at(handle, position, 7)
        if not begins(head):
            raise Damaged("is damaged", f"no AAC frame at byte {position}")
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) == 7 else 7
        if length < 7:
            raise Damaged("is damaged", f"an AAC frame of {length} bytes at byte {position}")
        if position + length > end:
            raise Damaged("is truncated", "the last AAC frame is cut off")
        # The fixed header: profile, rate, channels and whether there is a checksum.
        if (head[:3], head[3] & 0xF0) != (first[:3], first[3] & 0xF0):
            raise Damaged("changes its rate or channels", f"in the AAC frame at byte {position}")
        blocks += (head[6] & 3) + 1
        position += length
    index = first[2] >> 2 & 15
    if index >= len(_RATES):
        raise Damaged("is damaged", f"no rate has the number {index}")
    return Container("ffmpeg", demuxers="aac", end=end, length=1024 * blocks, rate=_RATES[index])
