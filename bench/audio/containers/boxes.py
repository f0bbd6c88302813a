"""Containers of boxes: MP4, whose boxes tile the file, and Matroska, of which one header is expected."""

from __future__ import annotations

import mmap
from typing import BinaryIO

from ldmbench.audio.containers.container import Container, Damaged, at

#: More boxes than this at the top are not a file that a program wrote; fragments take two each.
_MANY_BOXES = 1 << 20

_EBML = b"\x1aE\xdf\xa3"


def inspect_mp4(handle: BinaryIO, size: int) -> Container:
    """Walk over the boxes at the top of an MP4 file.

    Source: ISO/IEC 14496-12, 4.2.

    Raises:
        Damaged: If they do not end where the file does, or there are two films.
    """
    position = films = 0
    for _ in range(_MANY_BOXES):
        if position >= size:
            break
        head = at(handle, position, 16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - position
        if length < 8 or not name.strip().isalnum():
            raise Damaged("is damaged", f"no box of MP4 at byte {position}")
        if position + length > size:
            raise Damaged("is truncated", f"{size - position} of {length} bytes of its last box")
        films += name == b"moov"
        position += length
    if films > 1:
        raise Damaged("holds streams one after another", f"{films} films")
    if not films:
        raise Damaged("is truncated", "no box says what its samples are")
    return Container("ffmpeg", demuxers="mov")


def inspect_matroska(handle: BinaryIO, _: int) -> Container:
    """Look for a second header.

    Raises:
        Damaged: If there is one.
    """
    with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = 0
        while (position := content.find(_EBML, position + 4)) >= 0:
            if any(kind in content[position : position + 64] for kind in (b"matroska", b"webm")):
                raise Damaged("holds streams one after another", f"a second header at byte {position}")
    return Container("ffmpeg", demuxers="matroska")
