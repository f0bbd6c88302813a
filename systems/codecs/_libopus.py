"""Decoding by libopus itself, as PyAV carries it: it conceals lost packets, of which FFmpeg does not tell it."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Waveform
from ldmbench.errors import BenchError


def decode(packets: Sequence[bytes], lost: NDArray[np.bool_], rate: int, channels: int, frame_size: int) -> Waveform:
    """All samples ``[channels, time]`` of the packets at ``rate``; those of lost ones are libopus' concealment.

    Source: RFC 6716, section 4.4; ``opus_decode_float`` of opus.h, which conceals where it is given no packet.

    Raises:
        BenchError: If there is no libopus, or it refuses a packet.
    """
    library = load()
    error = ctypes.c_int()
    decoder = library.opus_decoder_create(rate, channels, ctypes.byref(error))
    if error.value:
        raise BenchError("libopus makes no decoder", _message(library, error.value), f"it decodes no {rate} Hz", 1)
    try:
        blocks = []
        for packet, gone in zip(packets, lost, strict=True):
            block = np.zeros((frame_size, channels), np.float32)
            pointer = block.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            given = (None, 0) if gone else (packet, len(packet))
            count = library.opus_decode_float(decoder, *given, pointer, frame_size, 0)
            if count != frame_size:
                reason = _message(library, count) if count < 0 else f"{count} samples in place of {frame_size}"
                raise BenchError("libopus cannot decode its own packets", reason, "report this as a bug", 1)
            blocks.append(block.T)
    finally:
        library.opus_decoder_destroy(decoder)
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((channels, 0), np.float32)


@cache
def load() -> ctypes.CDLL:
    """The library that PyAV carries or, where PyAV was built against the system's, that one.

    Raises:
        BenchError: If there is neither.
    """
    import av

    package = Path(av.__file__).parent
    places = (package.parent / "av.libs", package / ".dylibs")
    carried = sorted(path for place in places for path in place.glob("*opus*"))
    name = str(carried[0]) if carried else ctypes.util.find_library("opus")
    if name is None:
        raise BenchError("there is no libopus that could conceal lost packets", "PyAV carries none", "install libopus")
    library = ctypes.CDLL(name)
    library.opus_decoder_create.restype = ctypes.c_void_p
    library.opus_decoder_create.argtypes = (ctypes.c_int32, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
    library.opus_decoder_destroy.argtypes = (ctypes.c_void_p,)
    library.opus_decode_float.argtypes = (
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_float), ctypes.c_int, ctypes.c_int
    )  # fmt: skip
    library.opus_strerror.restype = ctypes.c_char_p
    return library


def _message(library: ctypes.CDLL, code: int) -> str:
    return str(library.opus_strerror(code).decode())
