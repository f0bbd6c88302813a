"""ASF (WMA): objects that tile the file, and packets of one size whose number the header tells."""

from __future__ import annotations

from typing import BinaryIO
from uuid import UUID

from ldmbench.audio.containers.container import Container, Damaged, at

#: First bytes of the file.
MAGIC = UUID("75B22630-668E-11CF-A6D9-00AA0062CE6C").bytes_le

_PROPERTIES = UUID("8CABDCA1-A947-11CF-8EE4-00C00C205365").bytes_le
_DATA = UUID("75B22636-668E-11CF-A6D9-00AA0062CE6C").bytes_le

#: Bytes of an object's head, and of the data object before its packets.
_HEAD, _DATA_HEAD = 24, 50

#: More objects than this are not a file that a program wrote.
_MANY_OBJECTS = 4096


def inspect(handle: BinaryIO, size: int) -> Container:
    """Walk over the objects of an ASF file, and over the packets of its data.

    Source: Advanced Systems Format specification, revision 01.20.06, 2.1, 3.2, 5.1, 5.2.1.

    Raises:
        Damaged: If objects or packets are not as long and as many as the header says.
    """
    broadcast, written, packets, packet = _properties(handle, size)
    data = -1
    for position, length, kind in _objects(handle, 0, size):
        if position + length > size and not broadcast:
            raise Damaged("is truncated", f"{size - position} of {length} bytes of its last object")
        if kind == _DATA:
            data = position
            if broadcast:
                break
    if data < 0:
        raise Damaged("is truncated", "no object says where its sound is")
    if broadcast:
        packets = (size - data - _DATA_HEAD) // packet
    elif written != size:
        raise Damaged("has a header that contradicts itself", f"{size} bytes, {written} in the header")
    for index in range(packets):
        start = data + _DATA_HEAD + index * packet
        # A packet begins with two bytes of error correction, as everything writes that is in use, or with its flags.
        first = at(handle, start, 1)
        if not first or (first[0] & 0x80 and first[0] != 0x82):
            raise Damaged("is damaged", f"no packet at byte {start}")
    return Container("ffmpeg", demuxers="asf")


def _objects(handle: BinaryIO, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Position, length and kind of the objects between two bytes."""
    objects = []
    for _ in range(_MANY_OBJECTS):
        head = at(handle, start, _HEAD)
        if start >= end:
            break
        length = int.from_bytes(head[16:24], "little")
        if len(head) < _HEAD or length < _HEAD:
            raise Damaged("is damaged", f"no object of ASF at byte {start}")
        objects.append((start, length, head[:16]))
        start += length
    return objects


def _properties(handle: BinaryIO, size: int) -> tuple[bool, int, int, int]:
    """Whether the sizes are unknown (a stream), bytes of the file, packets, and bytes of a packet, by the header."""
    length = int.from_bytes(at(handle, 16, 8), "little")
    for position, _, kind in _objects(handle, 30, min(length, size)):
        if kind == _PROPERTIES:
            content = at(handle, position + _HEAD, 80)
            if len(content) < 80:
                break
            file_size, packets = (int.from_bytes(content[first : first + 8], "little") for first in (16, 32))
            flags, smallest, largest = (int.from_bytes(content[first : first + 4], "little") for first in (64, 68, 72))
            if not smallest or smallest != largest:
                raise Damaged("has a header that contradicts itself", f"packets of {smallest} to {largest} bytes")
            return bool(flags & 1), file_size, packets, smallest
    raise Damaged("is truncated", "no object with the properties of the file")
