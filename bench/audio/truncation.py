"""What an audio file's own header promises, against what is there: decoders read a cut-off file without a word."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

#: Sizes that announce "length unknown" in a RIFF header, as encoders writing to a pipe leave them.
_STREAMING_SIZES = (0, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF)

#: Largest page of an Ogg stream: a header, 255 lacing values, 255 segments of 255 bytes (RFC 3533, section 6).
_OGG_PAGE = 27 + 255 + 255 * 255

#: First bytes of a Sony Wave64 file and of its chunk of samples.
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")


def missing(path: Path) -> str:
    """What is missing at the end of the file ``path``, in words, or empty where nothing can be seen to be missing.

    WAV, RF64, Wave64, AIFF and AU say how many bytes of samples follow, MP3 with a Xing or Info frame how long
    the stream is, and the last page of an Ogg stream (Vorbis, Opus, FLAC) is marked as such. FLAC and MP4
    decoders find out by themselves; a bare ADTS or MPEG stream promises nothing.

    Source: RIFF and RF64 (EBU Tech 3306), AIFF 1.3 and AIFF-C, RFC 3533 section 6; the Xing and Info frames of MP3
    as LAME and libavformat write them.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(16)
        for magic, check in _CHECKS.items():
            if head.startswith(magic):
                return check(handle, size)
        if head[:1] == b"\xff" or head[:3] == b"ID3":
            return _mp3(handle, size)
    return ""


def _riff(handle: BinaryIO, size: int) -> str:
    order = ">" if _at(handle, 0, 4) == b"RIFX" else "<"
    long = 0
    for name, promised, position in _chunks(handle, size, order):
        if name == b"ds64":
            # RF64: the true size of the data chunk, whose own says 0xFFFFFFFF.
            (long,) = struct.unpack("<Q", _at(handle, position + 8, 8).ljust(8, b"\0"))
        if name == b"data":
            if promised in _STREAMING_SIZES and not long:
                return ""
            return _compare(size - position, long or promised)
    return ""


def _aiff(handle: BinaryIO, size: int) -> str:
    for name, promised, position in _chunks(handle, size, ">"):
        if name == b"SSND":
            return _compare(size - position, promised)
    return ""


def _chunks(handle: BinaryIO, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, promised bytes, position of the first) of every chunk of a RIFF or AIFF file."""
    position = 12
    while position + 8 <= size:
        name, promised = struct.unpack(order + "4sI", _at(handle, position, 8))
        yield name, promised, position + 8
        position += 8 + promised + promised % 2


def _w64(handle: BinaryIO, size: int) -> str:
    promised = struct.unpack("<Q", _at(handle, 16, 8).ljust(8, b"\0"))[0]
    return _compare(size, promised, "bytes")


def _au(handle: BinaryIO, size: int) -> str:
    start, promised = struct.unpack(">II", _at(handle, 4, 8).ljust(8, b"\0"))
    return "" if promised in _STREAMING_SIZES else _compare(size - start, promised)


def _ogg(handle: BinaryIO, size: int) -> str:
    start = max(0, size - _OGG_PAGE)
    tail = _at(handle, start, _OGG_PAGE)
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    lacing = page[27 : 27 + page[26]] if len(page) > 27 else b""
    if len(page) < 27 or len(lacing) < page[26] or len(page) < 27 + len(lacing) + sum(lacing):
        return "the last Ogg page is cut off"
    # Bit 2 of the header type: last page of the logical stream.
    return "" if page[5] & 4 else "the last Ogg page does not end the stream"


def _mp3(handle: BinaryIO, size: int) -> str:
    start = 0
    head = _at(handle, 0, 10)
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    frame = _at(handle, start, 64)
    if len(frame) < 2 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:
        return ""  # No layer III frame here.
    if len(frame) < 64:
        return "less than one MP3 frame"
    mpeg1, single = frame[1] & 0x08, frame[3] >> 6 == 3
    # The tag lies where the side information of a frame would end.
    side = (17 if single else 32) if mpeg1 else (9 if single else 17)
    tag = frame[4 + side :]
    if tag[:4] not in (b"Xing", b"Info") or not tag[7] & 2:
        return ""
    (promised,) = struct.unpack(">I", tag[12:16] if tag[7] & 1 else tag[8:12])
    return _compare(size - start, promised, "bytes")


def _compare(present: int, promised: int, unit: str = "bytes of samples") -> str:
    return f"{max(present, 0)} of {promised} {unit}" if present < promised else ""


def _at(handle: BinaryIO, position: int, count: int) -> bytes:
    handle.seek(position)
    return handle.read(count)


_CHECKS: dict[bytes, Callable[[BinaryIO, int], str]] = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"FORM": _aiff,
    _W64_RIFF: _w64,
    b".snd": _au,
    b"OggS": _ogg,
}
