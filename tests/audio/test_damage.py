"""Damaged files of sixteen formats: none is read as another sound than the one that was written."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError

Sound = Callable[..., Audio]

RATE = 16_000

#: Bytes of a header in which single bits are flipped.
HEADER = 44

#: Name -> what in it is checked: every bit (``sums``), every frame and its decoding (``frames``), sizes that have to
#: agree with each other (``sizes``), or a size that has to be there (``counts``).
#: A bit of a PCM sample, or of an AAC frame, may be another without anybody being able to tell.
FORMATS = {
    "flac": "sums", "ogg": "sums", "opus": "sums", "mp3": "sums",
    "aac": "frames", "m4a": "frames", "piped.mp3": "frames",
    "wav": "sizes", "aiff": "sizes", "w64": "sizes",
    "wma": "frames", "ac3": "frames", "au": "counts", "avi": "counts", "sox": "counts", "voc": "counts",
}  # fmt: skip


#: What is nothing but frames: cut between two of them, it is a whole file again.
BARE = ("aac", "piped.mp3", "ac3")

#: Container and codec of what PyAV writes; some have a rate or a number of bits of their own.
CODECS = {
    "aac": ("adts", "aac"), "m4a": ("ipod", "aac"), "piped.mp3": ("mp3", "libmp3lame"), "wma": ("asf", "wmav2"),
    "ac3": ("ac3", "ac3"), "avi": ("avi", "pcm_s16le"), "sox": ("sox", "pcm_s32le"), "voc": ("voc", "pcm_s16le"),
}  # fmt: skip
RATES = {"wma": 44_100, "ac3": 48_000}


def written(folder: Path, name: str, sound: Audio) -> Path:
    path = folder / f"whole.{name}"
    samples = sound.samples.T
    if name in ("flac", "wav", "aiff", "w64", "au"):
        soundfile.write(path, samples, RATE, subtype="PCM_16", format=name.upper())
    elif name in ("ogg", "opus"):
        soundfile.write(path, samples, RATE, format="OGG", subtype="VORBIS" if name == "ogg" else "OPUS")
    elif name == "mp3":
        soundfile.write(path, samples, RATE, format="MP3")
    else:
        container, codec = CODECS[name]
        rate = RATES.get(name, RATE)
        options = {"write_xing": "0", "id3v2_version": "0"} if container == "mp3" else {}
        with av.open(str(path), "w", format=container, options=options) as handle:
            stream: Any = handle.add_stream(codec, rate=rate)
            stream.layout = "mono"
            if name == "wma":
                stream.bit_rate = 64_000
            frame = av.AudioFrame.from_ndarray(np.array(sound.at(rate).samples), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            kind = stream.codec_context.codec.audio_formats[0].name
            resampler = av.AudioResampler(
                format=kind, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size or 1024
            )
            for part in (*resampler.resample(frame), *resampler.resample(None), None):
                handle.mux(stream.encode(part))
    return path


def damages(whole: bytes, checked: str, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """(what was done, the damaged file): cut off, overwritten, removed, repeated, joined, a bit flipped."""
    size = len(whole)
    yield "the last byte is missing", whole[:-1]
    for _ in range(8):
        end = draw.randrange(HEADER + 1, size - 1)
        yield f"cut at {end}", whole[:end]
    for _ in range(6):
        at = draw.randrange(size // 10, size * 9 // 10 - 700)
        yield f"500 bytes removed at {at}", whole[:at] + whole[at + 500 :]
        yield f"500 bytes repeated at {at}", whole[: at + 500] + whole[at:]
        yield f"300 bytes put in at {at}", whole[:at] + draw.randbytes(300) + whole[at:]
        if checked in ("sizes", "counts"):
            continue
        yield f"600 bytes zeroed at {at}", whole[:at] + bytes(600) + whole[at + 600 :]
        yield f"600 bytes drawn at {at}", whole[:at] + draw.randbytes(600) + whole[at + 600 :]
        if checked == "sums":
            yield f"a bit flipped at {at}", flipped(whole, at, draw)
    if checked == "counts":
        yield "two files joined", whole + whole
    if checked in ("sums", "sizes"):
        # The ten bytes of the rate of an AIFF are said nowhere else.
        unsure = range(28, 38) if whole[:4] == b"FORM" else ()
        for at in draw.sample([at for at in range(HEADER) if at not in unsure], 8):
            yield f"a bit of the header flipped at {at}", flipped(whole, at, draw)
        yield "two files joined", whole + whole


def flipped(whole: bytes, at: int, draw: random.Random) -> bytes:
    changed = bytearray(whole)
    changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_no_damaged_file_is_another_sound(
    tmp_path: Path, speechlike: Sound, seed: int, record_property: Callable[[str, object], None]
) -> None:
    results: Counter[str] = Counter()
    wrong, longest = [], (0.0, "")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, checked in FORMATS.items():
        whole = written(tmp_path, name, speechlike(3.0))
        expected = audio.read(whole)
        path = tmp_path / f"damaged.{name}"
        for what, content in damages(whole.read_bytes(), checked, random.Random(f"{name} {seed}")):
            path.write_bytes(content)
            start = time.perf_counter()
            try:
                sound = audio.read(path)
            except BenchError as error:
                if str(path) not in str(error) or error.__cause__ is not None:
                    wrong.append(f"{name}, {what}: refused by {error}, cause {error.__cause__!r}")
                results["refused"] += 1
                continue
            finally:
                longest = max(longest, (time.perf_counter() - start, f"{name}, {what}"))
            if sound.digest() == expected.digest():
                results["the same sound"] += 1
            elif name in BARE and np.array_equal(sound.samples, expected.samples[:, : sound.length]):
                results["whole frames from its beginning"] += 1
            else:
                wrong.append(f"{name}, {what}: {sound.samples.shape} at {sound.rate} Hz")
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    record_property("files", dict(results))
    print(f"{dict(results)}, {peak:.0f} MiB more, longest {longest[0]:.3f} s ({longest[1]})")
    assert not wrong, "\n".join(wrong)
    assert results.total() >= 300
    assert results["refused"] > 0.85 * results.total()
    assert peak < 200
    assert longest[0] < 5
