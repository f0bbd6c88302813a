"""MPEG audio (MP1, MP2, MP3): a walk over its frames, and the promises of a Xing, Info or LAME tag."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import BinaryIO

from ldmbench.audio.containers.container import Container, Damaged, at, before_tags

#: kbit/s by (MPEG-1, layer) and index; MPEG-2 has equal ones for layers II and III.
_KBPS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}

#: How the names of encoders that write a LAME tag begin.
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")

_RATES = (44100, 48000, 32000)


@dataclass(frozen=True)
class _Frame:
    """Head of a frame: ``length`` in bytes, 0 for the free format, and ``side``: bytes of side information."""

    rate: int
    mpeg1: bool
    single: bool
    layer: int
    length: int
    side: int


def begins(head: bytes) -> bool:
    """Whether ``head`` begins a frame of MPEG audio."""
    return _frame(head) is not None


def inspect(handle: BinaryIO, size: int, start: int) -> Container:
    """Walk over the frames, and compare them with the tag in the first one.

    A file with a tag is decoded by libsndfile, which trims what the encoder added; one without has no length of its
    own, and FFmpeg decodes frame by frame.

    Source: ISO/IEC 11172-3, 2.4.2.3; the Xing tag and the Mp3 Info Tag of LAME (revision 1).

    Raises:
        Damaged: If a frame is missing or cut off, the frames are not those of the tag, or its checksum differs.
    """
    end = before_tags(handle, size)
    first = _frame(at(handle, start, 4))
    assert first is not None
    if not first.length:  # Free format: only the decoder finds the next frame.
        return Container("sndfile", demuxers="mp3")
    head = at(handle, start, 4 + first.side + 160)
    tag = head[4 + first.side :]
    tagged = tag[:4] in (b"Xing", b"Info")
    if not tagged and tag[120:124] in _ENCODERS:
        raise Damaged("is damaged", "its first frame has a LAME tag with a damaged head")
    count, position = 0, start
    while position < end:
        frame = _frame(at(handle, position, 4))
        if frame is None or not frame.length:
            raise Damaged("is damaged", f"no MPEG frame at byte {position}")
        if position + frame.length > end:
            raise Damaged("is truncated", f"the last MPEG frame is cut off, {end - position} of {frame.length} bytes")
        if (frame.rate, frame.single, frame.layer) != (first.rate, first.single, first.layer):
            raise Damaged("changes its rate or channels", f"in the MPEG frame at byte {position}")
        count += 1
        position += frame.length
    per_frame = 384 if first.layer == 1 else 576 if first.layer == 3 and not first.mpeg1 else 1152
    by_frames = Container("ffmpeg", demuxers="mp3", end=end, length=count * per_frame)
    if not tagged:
        return by_frames
    if tag[7] & 1 and int.from_bytes(tag[8:12], "big") not in (count - 1, count):
        promised = int.from_bytes(tag[8:12], "big")
        what = "is truncated" if promised > count else "holds more than its header says"
        raise Damaged(what, f"{count - 1} MPEG frames, its header says {promised}")
    _check_lame(handle, start, end, first, head, tag)
    # Without a number of frames libsndfile would estimate one; the frame with the tag holds no sound.
    return Container("sndfile") if tag[7] & 1 else replace(by_frames, length=(count - 1) * per_frame)


def _check_lame(handle: BinaryIO, start: int, end: int, first: _Frame, head: bytes, tag: bytes) -> None:
    """Compare the checksums of the LAME tag with the tag and with all other frames."""
    lame = tag[120:156]
    if tag[7] & 15 != 15 or len(lame) < 36 or lame[:4] not in _ENCODERS:
        return
    before = 4 + first.side + 154
    # Libavformat's checksum of the tag is of 190 bytes, which is right for MPEG-1 in stereo only.
    checked = lame[:4] == b"LAME" or before == 190
    if checked and _crc16(head[:before]) != int.from_bytes(lame[34:36], "big"):
        raise Damaged("is damaged", "the LAME tag has another checksum")
    length, checksum = int.from_bytes(lame[28:32], "big"), int.from_bytes(lame[32:34], "big")
    if not checksum or not length or start + length > end:
        return
    music = at(handle, start + first.length, length - first.length)
    if _crc16(music) != checksum:
        raise Damaged("is damaged", "the MPEG frames have another checksum than the LAME tag says")


def _frame(head: bytes) -> _Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    index, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or index == 15 or rate == 3:
        return None
    mpeg1 = version == 3
    hertz = _RATES[rate] >> (0 if mpeg1 else 1 if version == 2 else 2)
    padding = head[2] >> 1 & 1
    bits = _KBPS[mpeg1, layer][index] * 1000
    if layer == 1:
        length = (12 * bits // hertz + padding) * 4
    else:
        length = (72 if layer == 3 and not mpeg1 else 144) * bits // hertz + padding
    single = head[3] >> 6 == 3
    # Where the tag lies: behind the side information.
    side = (17 if single else 32) if mpeg1 else (9 if single else 17)
    return _Frame(hertz, mpeg1, single, layer, length if bits else 0, side)


def _reflected_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return table


_CRC16 = _reflected_table()


def _crc16(content: bytes) -> int:
    value = 0
    for byte in content:
        value = value >> 8 ^ _CRC16[(value ^ byte) & 0xFF]
    return value
