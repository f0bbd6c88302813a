"""Containers of sound: what a file's bytes promise, and whether they are all there."""

from __future__ import annotations

from pathlib import Path

from ldmbench.audio.containers import adts, asf, boxes, chunks, flac, mpeg, ogg, streams
from ldmbench.audio.containers.container import Container, Damaged, after_id3v2, at

__all__ = ["Container", "Damaged", "inspect"]


def inspect(path: Path) -> Container:
    """What the file ``path`` says about itself, known by its first bytes.

    WAV, RF64, Wave64, AIFF, AU, AVI and SoX's format say how many bytes follow; pages of Ogg and frames of FLAC carry
    checksums and numbers; frames of MPEG audio, ADTS and AC-3 say where the next one begins, and a LAME tag has a
    checksum over all of them; boxes of MP4, objects of ASF and blocks of VOC tile the file; packets of ASF and of MPEG
    transport streams have one size. All of that is checked here. Other containers are left to their decoder. Of the
    damage that remains, formats without a checksum conceal some: one bit of a PCM sample or of an AAC frame may be
    another, and nobody can tell.

    Raises:
        Damaged: If the bytes contradict themselves.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = at(handle, 0, 16)
        if check := chunks.check_for(head):
            return check(handle, size)
        if head.startswith(b"OggS"):
            return ogg.inspect(handle, size)
        if head == asf.MAGIC:
            return asf.inspect(handle, size)
        if head[4:8] == b"ftyp":
            return boxes.inspect_mp4(handle, size)
        if head.startswith(b"\x1aE\xdf\xa3"):
            return boxes.inspect_matroska(handle, size)
        if stream := streams.inspect(handle, size):
            return stream
        start = after_id3v2(handle)
        if start >= size:
            raise Damaged("is truncated", "a tag without sound behind it")
        head = at(handle, start, 4)
        if head == b"fLaC":
            return flac.inspect(handle, size, start)
        if adts.begins(head):
            return adts.inspect(handle, size, start)
        if mpeg.begins(head):
            return mpeg.inspect(handle, size, start)
        if start:
            raise Damaged("is damaged", f"bytes that are no frame behind the ID3 tag, at byte {start}")
    return Container()
