"""Containers of chunks: WAV, RF64, Wave64, AIFF and AU say how many bytes of samples follow."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ldmbench.audio.containers.container import Container, Damaged, at, refuse_absurd, refuse_more

#: Sizes that stand for "not known": what writers to a pipe leave, some of them (SoX) rounded down to whole frames.
_UNKNOWN_SIZES = (range(0x7FFF_0000, 0x8000_0001), range(0xFFFF_0000, 0x1_0000_0000))

#: First bytes of a Sony Wave64 file.
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")

#: More chunks than this before the samples are not a file that a program wrote.
_MANY_CHUNKS = 4096

#: Formats of WAV that libsndfile decodes: PCM, MS ADPCM, float, A-law, mu-law, IMA ADPCM, GSM 6.10, NMS ADPCM, G.721.
_SNDFILE_TAGS = (1, 2, 3, 6, 7, 0x11, 0x31, 0x38, 0x40)

#: Of those, the ones with so many bits for each sample.
_PLAIN = (1, 3, 6, 7)

#: And the ones in blocks of compressed samples; the fact chunk says how many samples of the last block count.
_IN_BLOCKS = (2, 0x11, 0x31)


def check_for(head: bytes) -> Callable[[BinaryIO, int], Container] | None:
    """The check of the container that begins with ``head``, or None."""
    return next((check for magic, check in _CHECKS.items() if head.startswith(magic)), None)


def _riff(handle: BinaryIO, size: int) -> Container:
    order = ">" if at(handle, 0, 4) == b"RIFX" else "<"
    long = tag = align = fact = per_block = 0
    whole = int.from_bytes(at(handle, 4, 4), "big" if order == ">" else "little") + 8
    if at(handle, whole, 4) == at(handle, 0, 4) and whole + 8 < size:
        raise Damaged("holds streams one after another", f"a second WAV header at byte {whole}")
    if at(handle, 8, 4) == b"AVI ":
        return _avi(handle, size)
    for name, promised, position in _chunks(handle, size, order):
        if name == b"ds64":
            # RF64: the true size of the data chunk, whose own says 0xFFFFFFFF.
            (long,) = struct.unpack("<Q", at(handle, position + 8, 8).ljust(8, b"\0"))
        elif name == b"fmt " and position + 16 <= size:
            fields = at(handle, position, 40).ljust(40, b"\0")
            tag, channels, rate, speed, align, bits, _, per_block = struct.unpack(order + "HHIIHHHH", fields[:20])
            if tag == 0xFFFE:  # Extensible: the tag is the head of the sub-format.
                (tag,) = struct.unpack(order + "H", fields[24:26])
            refuse_absurd(rate, channels)
            if tag in _PLAIN:
                _refuse_contradiction(channels, rate, speed, align, bits)
        elif name == b"fact" and promised >= 4:
            (fact,) = struct.unpack(order + "I", at(handle, position, 4).ljust(4, b"\0"))
        elif name == b"data":
            present = size - position
            patches = {}
            if not long and _unknown(handle, size, order, position, promised):
                whole = min(present - present % max(align, 1), 0xFFFF_FFFE)
                patches = {
                    4: struct.pack(order + "I", min(size - 8, 0xFFFF_FFFF)),
                    position - 4: struct.pack(order + "I", whole),
                }
            else:
                _compare(present, long or promised)
                if not long:
                    _refuse_rest(handle, min(whole, size), order, position + promised)
                    end = max(whole, position + promised + promised % 2)
                    if not _are_chunks(handle, size, order, end):
                        refuse_more(handle, size, end)
            length = _of_fact(present if patches else promised, align, per_block, fact) if tag in _IN_BLOCKS else None
            return Container(
                "sndfile" if tag in _SNDFILE_TAGS else "ffmpeg" if tag else "either",
                seekable=tag in _PLAIN,
                patches=patches,
                demuxers="wav",
                length=length,
            )
    return Container()


def _avi(handle: BinaryIO, size: int) -> Container:
    """Walk over the parts of an AVI file, one of each gigabyte."""
    position = 0
    while at(handle, position, 4) == b"RIFF":
        length = int.from_bytes(at(handle, position + 4, 4), "little")
        position += 8 + length + length % 2
        _compare(size, position - length % 2, "bytes")
    refuse_more(handle, size, position)
    return Container("ffmpeg", demuxers="avi")


def _refuse_contradiction(channels: int, rate: int, speed: int, align: int, bits: int) -> None:
    """Raise ``Damaged`` where the sizes of a plain WAV are not those of its channels, rate and bits."""
    frame = channels * ((bits + 7) // 8)
    if align != frame or speed not in (0, rate * frame):
        what = f"{channels} channels of {bits} bits at {rate} Hz, {align} bytes a frame, {speed} bytes a second"
        raise Damaged("has a header that contradicts itself", what)


def _of_fact(data: int, align: int, per_block: int, fact: int) -> int | None:
    """Samples of a WAV in blocks: what ``fact`` says, where that ends within the last two blocks; None: all.

    SoX adds a block to GSM.
    """
    if not per_block or not align:
        return None
    whole = -(-data // align) * per_block
    return fact if whole - 2 * per_block < fact <= whole else None


def _unknown(handle: BinaryIO, size: int, order: str, position: int, promised: int) -> bool:
    """Whether the writer did not know how many bytes of samples follow."""
    if promised:
        return size - position < promised and any(promised in sizes for sizes in _UNKNOWN_SIZES)
    if position >= size:
        return False
    # No samples, or an unknown number? Behind the head of an empty data chunk there are other chunks, to the end.
    return not _are_chunks(handle, size, order, position)


def _are_chunks(handle: BinaryIO, end: int, order: str, position: int) -> bool:
    """Whether the bytes up to ``end`` are chunks with printable names."""
    return end - position >= 8 and all(
        all(32 <= byte < 127 for byte in name) and start + length <= end
        for name, length, start in _chunks(handle, end, order, position)
    )


def _refuse_rest(handle: BinaryIO, end: int, order: str, position: int) -> None:
    """Raise ``Damaged`` where samples seem to go on behind the data chunk: its size is less than it was."""
    position += position % 2
    if end - position < 8 or _are_chunks(handle, end, order, position):
        return
    if any(at(handle, position, min(end - position, 1 << 20))):  # Zeros are padding.
        raise Damaged("has a header that contradicts itself", f"{end - position} bytes behind its samples are no chunk")


def _aiff(handle: BinaryIO, size: int) -> Container:
    frames = channels = bits = 0
    packed = at(handle, 8, 4) == b"AIFF"
    whole = int.from_bytes(at(handle, 4, 4), "big") + 8
    if at(handle, whole, 4) == b"FORM":
        raise Damaged("holds streams one after another", f"a second AIFF header at byte {whole}")
    refuse_more(handle, size, whole + whole % 2)
    for name, promised, position in _chunks(handle, size, ">"):
        if name == b"COMM":
            channels, frames, bits = struct.unpack(">HIH", at(handle, position, 8).ljust(8, b"\0"))
            if at(handle, position + 18, 4) in (b"NONE", b"sowt", b"twos"):
                packed = True
        elif name == b"SSND":
            _compare(size - position, promised)
            needed = frames * channels * ((bits + 7) // 8) + 8
            if packed and frames and abs(needed - promised) > 1:
                raise Damaged("has a header that contradicts itself", f"{frames} frames, {promised} bytes of samples")
    return Container(demuxers="aiff")


def _chunks(handle: BinaryIO, size: int, order: str, position: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """(name, promised bytes, position of the first) of every chunk of a RIFF or AIFF file."""
    for _ in range(_MANY_CHUNKS):
        if position + 8 > size:
            return
        name, promised = struct.unpack(order + "4sI", at(handle, position, 8))
        yield name, promised, position + 8
        position += 8 + promised + promised % 2
    raise Damaged("is damaged", f"more than {_MANY_CHUNKS} chunks without the end of the file")


def _w64(handle: BinaryIO, size: int) -> Container:
    promised = struct.unpack("<Q", at(handle, 16, 8).ljust(8, b"\0"))[0]
    _compare(size, promised, "bytes")
    if size - promised >= 24 and promised:
        raise Damaged("holds more than its header says", f"{size} bytes, the header says {promised}")
    return Container(demuxers="w64")


def _au(handle: BinaryIO, size: int) -> Container:
    start, promised = struct.unpack(">II", at(handle, 4, 8).ljust(8, b"\0"))
    if promised and not any(promised in sizes for sizes in _UNKNOWN_SIZES):
        _compare(size - start, promised)
        refuse_more(handle, size, start + promised)
    return Container(demuxers="au")


def _compare(present: int, promised: int, unit: str = "bytes of samples") -> None:
    if present < promised:
        raise Damaged("is truncated", f"{max(present, 0)} of {promised} {unit}")


_CHECKS: dict[bytes, Callable[[BinaryIO, int], Container]] = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"FORM": _aiff,
    _W64_RIFF: _w64,
    b".snd": _au,
}
