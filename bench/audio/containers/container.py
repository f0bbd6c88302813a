"""What a file of sound says about itself before it is decoded, and the damage that can be seen in its bytes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal


class Damaged(Exception):  # noqa: N818 - a finding, turned into a BenchError where the file's name is at hand
    """A file that is not whole: ``what`` follows its name (``is truncated``), ``detail`` says what was seen."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__(what, detail)
        self.what, self.detail = what, detail


#: Demuxers that FFmpeg may use for what is not recognised here. None of them opens another file (concat, hls, image2),
#: and none looks for a frame behind bytes that are none (mp3, aac).
DEMUXERS = (
    "ac3,amr,amrnb,amrwb,ape,asf,avi,caf,dts,dtshd,eac3,flv,g722,g726,g726le,gsm,matroska,mov,mpc,mpc8,mpeg,mpegts,rm,"
    "rso,sbc,shn,sox,tak,truehd,tta,voc,wv,xwma"
)

#: Rates in Hz that a header may name: a telephone's eighth to sixteen times that of a compact disc.
RATES = (1000, 768_000)

#: Bytes to whose multiples programs pad files.
_SECTOR = 512

#: Most channels that a header may name; libsndfile has the same bound.
MOST_CHANNELS = 1024


def refuse_absurd(rate: int, channels: int = 1) -> None:
    """Raise ``Damaged`` for a header with a rate or a number of channels that no sound has."""
    if not RATES[0] <= rate <= RATES[1]:
        raise Damaged("has an absurd header", f"{rate} Hz, the bench reads {RATES[0]} to {RATES[1]} Hz")
    if not 1 <= channels <= MOST_CHANNELS:
        raise Damaged("has an absurd header", f"{channels} channels, the bench reads 1 to {MOST_CHANNELS}")


@dataclass(frozen=True)
class Container:
    """What the bytes of a file say.

    Attributes:
        decoder: Which library decodes it; ``either``: libsndfile, and FFmpeg where that does not know the format.
        seekable: Whether a decoder that jumps to a sample gives the same samples as one that reads up to it.
        patches: Position -> bytes to be read in place of those in the file: sizes that the writer did not know.
        demuxers: Those that FFmpeg may use, by their names.
        end: Byte behind the last one of sound, where FFmpeg would take tags for frames; None for the end of the file.
        length: Samples in each channel where the container says so exactly, None where only decoding tells.
        rate: Rate in Hz of which ``length`` is told, 0 for the decoder's (HE-AAC decodes to twice that of its frames).
        md5: MD5 of the decoded integers, empty where the format has none.
        bits: Bits of a sample, for ``md5``.
    """

    decoder: Literal["sndfile", "ffmpeg", "either"] = "either"
    seekable: bool = False
    patches: Mapping[int, bytes] = field(default_factory=dict)
    demuxers: str = DEMUXERS
    end: int | None = None
    length: int | None = None
    rate: int = 0
    md5: bytes = b""
    bits: int = 0


def at(handle: BinaryIO, position: int, count: int) -> bytes:
    """``count`` bytes from ``position``, fewer at the end of the file."""
    handle.seek(position)
    return handle.read(count)


def after_id3v2(handle: BinaryIO) -> int:
    """Position of the first byte behind ID3v2 tags at the start of the file (ID3v2.4, section 3.1)."""
    start = 0
    while (head := at(handle, start, 10))[:3] == b"ID3" and len(head) == 10:
        start += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        start += 10 if head[5] & 0x10 else 0  # A footer repeats the head.
    return start


def before_tags(handle: BinaryIO, size: int) -> int:
    """Position of the first byte of tags at the end of the file: ID3v1, APEv2, ID3v2.4 with a footer."""
    end = size
    while True:
        if end >= 128 and at(handle, end - 128, 3) == b"TAG":
            end -= 128
            continue
        foot = at(handle, max(0, end - 32), 32) if end >= 32 else b""
        if foot[:8] == b"APETAGEX":
            length = int.from_bytes(foot[12:16], "little")  # Of the items and this footer.
            if length < len(foot):
                return end  # No tag is so short: whoever looks for a frame here will say that there is none.
            end -= length + (32 if foot[23] & 0x80 else 0)
            if end < 0:
                return size
            continue
        if foot[-10:-7] == b"3DI":
            end -= 20 + sum((byte & 0x7F) << shift for byte, shift in zip(foot[-4:], (21, 14, 7, 0), strict=True))
            if end < 0:
                return size
            continue
        return end


def refuse_more(handle: BinaryIO, size: int, end: int) -> None:
    """Raise ``Damaged`` where something lies behind the ``end`` that a header tells, but for tags.

    Zeros are taken for padding where they fill a sector: elsewhere they may be the silence at the end of a sound.
    """
    rest = before_tags(handle, size) - end
    if rest <= 0 or at(handle, end, 3) == b"ID3":
        return
    if rest > 1 << 20 or any(at(handle, end, rest)) or (size % _SECTOR and rest > 1):
        raise Damaged("holds more than its header says", f"{rest} bytes behind its end")
