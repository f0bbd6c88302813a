"""Formats that FFmpeg reads without asking whether they are whole: AC-3, MPEG transport streams, VOC and SoX's own."""

from __future__ import annotations

import struct
from typing import BinaryIO

from ldmbench.audio.containers.container import Container, Damaged, at, before_tags, refuse_absurd, refuse_more

_VOC = b"Creative Voice File\x1a"

#: Words of 16 bits in a frame of AC-3 at 48, 44.1 and 32 kHz, by its code of size (A/52, table 5.18).
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)

_TS_PACKET = 188


def inspect(handle: BinaryIO, size: int) -> Container | None:
    """What a file of these formats says; None if it is of another.

    Raises:
        Damaged: If it does not hold what it says.
    """
    head = at(handle, 0, 32)
    if head.startswith(_VOC):
        return _voc(handle, size)
    if head[:4] in (b".SoX", b"XoS.") and len(head) == 32:
        return _sox(handle, size, head)
    if head[:2] == b"\x0bw" and _ac3_frame(head) >= 8:
        return _ac3(handle, size)
    if head[:1] == b"G" and size >= 2 * _TS_PACKET and at(handle, _TS_PACKET, 1) == b"G":
        return _transport(handle, size)
    return None


def _voc(handle: BinaryIO, size: int) -> Container:
    """Blocks with their sizes, and an end."""
    position = int.from_bytes(at(handle, 20, 2), "little")
    while kind := at(handle, position, 1):
        if kind == b"\0":
            refuse_more(handle, size, position + 1)
            return Container(demuxers="voc")
        if kind[0] > 9:
            raise Damaged("is damaged", f"no block of VOC at byte {position}")
        position += 4 + int.from_bytes(at(handle, position + 1, 3), "little")
    raise Damaged("is truncated", "its last block is not whole, or the end is not there")


def _sox(handle: BinaryIO, size: int, head: bytes) -> Container:
    """The number of samples, of 32 bits each, 0 where the writer did not know it."""
    order = "<" if head[:1] == b"." else ">"
    length, samples, rate, channels = struct.unpack(order + "IQdI", head[4:28])
    start = 4 + length  # The magic is not counted.
    refuse_absurd(int(rate) if 0 < rate < 1e9 else 0, channels)
    if samples:
        if start + 4 * samples > size:
            raise Damaged("is truncated", f"{max(size - start, 0) // 4} of {samples} samples")
        refuse_more(handle, size, start + 4 * samples)
    elif (size - start) % (4 * channels):
        raise Damaged("is truncated", "its last sample is not whole")
    return Container(demuxers="sox")


def _ac3_frame(head: bytes) -> int:
    """Bytes of the frame of AC-3 or E-AC-3 that begins so, 0 where none does (A/52, 5.3 and E.1.2)."""
    if len(head) < 6 or head[:2] != b"\x0bw":
        return 0
    if head[5] >> 3 > 10:
        return 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    rate, code = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or code >= 2 * len(_AC3_KBPS):
        return 0
    kbps = _AC3_KBPS[code >> 1]
    return 2 * (2 * kbps, 320 * kbps // 147 + (code & 1), 3 * kbps)[rate]


def _ac3(handle: BinaryIO, size: int) -> Container:
    """Frames, one behind the other."""
    end, position = before_tags(handle, size), 0
    while position < end:
        length = _ac3_frame(at(handle, position, 8))
        if not length:
            raise Damaged("is damaged", f"no frame at byte {position}")
        if position + length > end:
            raise Damaged("is truncated", f"{end - position} of {length} bytes of its last frame")
        position += length
    return Container("ffmpeg", demuxers="ac3,eac3")


def _transport(handle: BinaryIO, size: int) -> Container:
    """Packets of one size, those of a stream numbered (ISO/IEC 13818-1, 2.4.3.2)."""
    counters: dict[int, int] = {}
    for position in range(0, size, _TS_PACKET):
        head = at(handle, position, 4)
        if head[:1] != b"G" or position + _TS_PACKET > size:
            raise Damaged("is truncated or damaged", f"no packet at byte {position}")
        stream, counter, payload = (head[1] & 0x1F) << 8 | head[2], head[3] & 15, head[3] & 0x10
        if payload and stream != 0x1FFF:
            before = counters.get(stream)
            if before is not None and counter not in (before, (before + 1) & 15):
                raise Damaged("is damaged", f"packets of a stream are missing before byte {position}")
            counters[stream] = counter
    return Container("ffmpeg", demuxers="mpegts")
