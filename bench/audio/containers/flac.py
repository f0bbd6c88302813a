"""FLAC: the number of samples by the header and by the last frame, whose checksum tells whether it is whole."""

from __future__ import annotations

import mmap
from typing import BinaryIO

from ldmbench.audio.containers.container import Container, Damaged, at, before_tags

#: Bytes at the end in which the last frame is looked for: more than any frame of 16 bits and 8 channels takes.
_TAIL = 1 << 21


#: Hz by the number in the header of a frame; others say it elsewhere.
_RATES = dict(enumerate((88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000), 1))


def inspect(handle: BinaryIO, size: int, start: int) -> Container:
    """Compare what STREAMINFO says with the last frame.

    The length is that of the last frame where STREAMINFO does not know it (written to a pipe). All other frames are
    checked by the decoder, and the MD5 of STREAMINFO by whoever decodes.

    Source: RFC 9639, sections 8.2 and 9.

    Raises:
        Damaged: If the last frame is damaged or cut off, ends elsewhere, or a second stream follows the first.
    """
    info = at(handle, start + 8, 34)
    if len(info) < 34:
        raise Damaged("is truncated", "the header of a FLAC file is cut off")
    packed = int.from_bytes(info[10:18], "big")
    promised, bits = packed & ((1 << 36) - 1), (packed >> 36 & 31) + 1
    end = before_tags(handle, size)
    with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        second = content.find(b"fLaC\0\0\0\x22", start + 42)
    if second >= 0:
        raise Damaged("holds streams one after another", f"a second FLAC header at byte {second}")
    length = _end_of_last_frame(at(handle, max(start + 42, end - _TAIL), min(_TAIL, end)), info)
    if length is None:
        raise Damaged("is truncated or damaged", "the last FLAC frame is not whole")
    if promised and length != promised:
        raise Damaged("is truncated or damaged", f"its header says {promised} samples, its last frame ends at {length}")
    patched = (packed >> 36 << 36 | length).to_bytes(8, "big")
    patches = {} if promised else {start + 18: patched}
    return Container("sndfile", True, patches, length=length, md5=info[18:34] if any(info[18:34]) else b"", bits=bits)


def _end_of_last_frame(tail: bytes, info: bytes) -> int | None:
    """Number of samples up to the end of the frame that ends with ``tail``, None where there is no such frame."""
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        frame = tail[position:]
        if len(frame) < 8 or frame[1] & 0xFE != 0xF8:
            continue
        ends = _ends(frame, int.from_bytes(info[2:4], "big"))
        if ends is None or _crc16(frame) != 0:
            continue
        rates = (int.from_bytes(info[10:13], "big") >> 4, _RATES.get(frame[2] & 15))
        if rates[1] not in (None, rates[0]):
            raise Damaged("has a header that contradicts itself", f"{rates[0]} Hz, its last frame {rates[1]} Hz")
        return ends
    return None


def _ends(frame: bytes, block: int) -> int | None:
    """Number of samples up to the end of a frame by its header, None where the header is none."""
    ones = next((bit for bit in range(8) if not frame[4] << bit & 0x80), 8)
    extra = max(ones - 1, 0)
    if ones == 1 or ones > 7:
        return None
    number = frame[4] & (0x7F >> ones)
    for byte in frame[5 : 5 + extra]:
        number = number << 6 | byte & 0x3F
    code, end = frame[2] >> 4, 5 + extra
    sizes = {1: 192, **{k: 144 << k for k in range(2, 6)}, **{k: 1 << k for k in range(8, 16)}}
    if code in (6, 7):
        count = int.from_bytes(frame[end : end + code - 5], "big") + 1
        end += code - 5
    elif code in sizes:
        count = sizes[code]
    else:
        return None
    end += {12: 1, 13: 2, 14: 2}.get(frame[2] & 15, 0)
    if len(frame) <= end or _crc8(frame[: end + 1]) != 0:
        return None
    # Bit 0 of the sync code: blocks of different sizes, counted in samples.
    return (number if frame[1] & 1 else number * block) + count


def _table(polynomial: int, width: int) -> list[int]:
    table = []
    for value in range(256):
        value <<= width - 8
        for _ in range(8):
            value = value << 1 ^ polynomial if value >> (width - 1) & 1 else value << 1
        table.append(value & (1 << width) - 1)
    return table


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value = _CRC8[value ^ byte]
    return value


def _crc16(content: bytes) -> int:
    value = 0
    for byte in content:
        value = (value << 8 & 0xFF00) ^ _CRC16[value >> 8 ^ byte]
    return value
