"""FFmpeg's libraries: everything that libsndfile does not read, with what they log as an error taken for one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio.containers.container import Container, Damaged, refuse_absurd
from ldmbench.audio.decoders.source import BLOCK, Block, Patched, Source

#: Samples by which the duration in an MP4 header may be off: one frame of HE-AAC.
_CODEC_FRAME = 2048

#: Demuxers whose duration is written in the file, and not estimated from its size.
_DURATION_IN_HEADER = {"ape", "asf", "caf", "matroska", "mov", "tta", "wv"}

#: Demuxers of streams that are nothing but frames.
_BARE = {"ac3", "eac3"}

#: One reader at a time: the log of FFmpeg's libraries belongs to the process.
_log = threading.Lock()


@contextmanager
def open_ffmpeg(path: Path, description: Container, stream: int | None = None) -> Iterator[Source]:
    """The file through FFmpeg's libraries, which conceal damage: whatever they log as an error is one.

    Args:
        path: The file.
        description: What its container says.
        stream: Number of its audio stream; None for the first, with a note where there are others.

    Raises:
        Damaged: If it cannot be opened or decoded, or has no such stream.
    """
    import av

    source = None
    try:
        # Handed over without a name: neither its ending nor a protocol in it is looked at.
        with _logged() as logs, Patched(path, description.patches, description.end) as file:
            options = {"format_whitelist": description.demuxers}
            with av.open(file, options=options, metadata_errors="ignore") as container:
                source = _source(container, description, logs, stream)
                yield source
    except (av.FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if source is None:
            raise Damaged("is not audio", reason) from None
        raise Damaged("is truncated or damaged", reason) from None


@contextmanager
def _logged() -> Iterator[list[tuple[int, str, str]]]:
    """The errors that FFmpeg's libraries log in this thread, as (level, name, text)."""
    from av import logging

    with _log:
        level = logging.get_level()
        logging.set_level(logging.ERROR)
        try:
            with logging.Capture(local=True) as logs:
                yield logs
        finally:
            logging.set_level(level)


def _source(container: Any, description: Container, logs: list[tuple[int, str, str]], number: int | None) -> Source:
    count = len(container.streams.audio)
    if not count:
        raise Damaged("holds no audio", "a file without an audio stream")
    if number is not None and number >= count:
        raise Damaged("lacks an audio stream", f"stream {number} is asked for, it holds {count}")
    stream = container.streams.audio[number or 0]
    if stream.codec_context is None:
        raise Damaged("cannot be decoded", "FFmpeg has no decoder for it")
    # Threads of the decoder would keep their errors to themselves; checksums are compared only when asked for.
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"err_detect": "crccheck+explode"}
    frames = _frames(container, stream)
    first = next(frames, None)
    if first is None:
        raise Damaged("holds no samples", "an audio stream without frames")
    rate, channels = first.sample_rate, len(first.layout.channels)
    refuse_absurd(rate, channels)
    promised = seconds = None
    if description.length is not None:
        promised = description.length * rate // (description.rate or rate)
    elif _DURATION_IN_HEADER & set(container.format.name.split(",")):
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration:
            seconds = container.duration / 1e6
        if seconds is not None:
            # Of WMA the decoder keeps a frame at either end to itself.
            slack = 2 * _CODEC_FRAME if container.format.name == "asf" else _CODEC_FRAME
            promised = max(0, round(seconds * rate) - slack)
    notes = []
    if count > 1 and number is None:
        notes.append(f"holds {count} audio streams, the first is read")
    return Source(rate, channels, _blocks(first, frames, logs), promised=promised, seconds=seconds, notes=notes)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Frames of a stream; of one without a container every byte has to be in a packet."""
    taken = 0
    for packet in container.demux(stream):
        taken += packet.size
        yield from packet.decode()
    if container.format.name in _BARE and taken < container.size:
        raise Damaged("is truncated", f"{container.size - taken} bytes at its end are no whole frame")


def _blocks(first: Any, frames: Iterator[Any], logs: list[tuple[int, str, str]]) -> Iterator[Block]:
    """Blocks ``[time, channels]``: packed, since PyAV hands out eight planes at most."""
    import av

    rate, layout = first.sample_rate, first.layout.name
    channels = len(first.layout.channels)
    resampler = av.AudioResampler(format="flt", layout=first.layout, rate=rate)
    done = 0
    gathered: list[Block] = []
    for frame in _and_then_none(first, frames):
        if frame is not None and (frame.sample_rate, frame.layout.name) != (rate, layout):
            raise Damaged(
                "changes its rate or channels",
                f"from {rate} Hz {layout} to {frame.sample_rate} Hz {frame.layout.name} at {done / rate:.2f} s",
            )
        for part in resampler.resample(frame):
            gathered.append(np.asarray(part.to_ndarray(), np.float32).reshape(-1, channels))
            done += len(gathered[-1])
        if errors := [f"{name}: {text.strip()}" for _, name, text in logs]:
            raise Damaged("is truncated or damaged", f"at {done / rate:.2f} s the decoder says {errors[0]}")
        if frame is None or sum(map(len, gathered)) * channels >= BLOCK:
            if gathered:
                yield np.concatenate(gathered)
            gathered = []
    # What the decoder may still say at the end.
    if errors := [f"{name}: {text.strip()}" for _, name, text in logs]:
        raise Damaged("is truncated or damaged", f"at {done / rate:.2f} s the decoder says {errors[0]}")


def _and_then_none(first: Any, frames: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from frames
    yield None
