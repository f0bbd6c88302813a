"""Speaks one sentence with espeak-ng: a script for a fresh interpreter, JSON on stdin, 16-bit samples on stdout.

The library keeps global state from sentence to sentence (flutter, noise, phase), so that what it says depends on
what it said before. One process per sentence makes the samples a function of the sentence alone. Only the standard
library is imported, which keeps the start short.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from typing import Any

# Values of espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4

_SEED = 1


def speak(
    library: str, data: str, voice: str, text: str, speed: int, pitch: int, pitch_range: int
) -> tuple[int, bytes]:
    """Speak ``text``.

    Args:
        library: Path of libespeak-ng.
        data: Path of espeak-ng-data; espeak-ng cuts off what is longer than about 150 characters.
        voice: Such as ``en-us`` or, with a variant, ``en-us+f3``.
        text: The sentence.
        speed: Words per minute.
        pitch: 0 to 100.
        pitch_range: 0 (monotone) to 100.

    Returns:
        Rate in Hz, and mono 16-bit samples in the machine's byte order.

    Raises:
        RuntimeError: If espeak-ng refuses a call.
    """
    engine = ctypes.CDLL(library)
    rate = int(engine.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT))
    if rate <= 0:
        raise RuntimeError(f"espeak_Initialize returned {rate} for the data in {data}")
    # Breathy voices draw from a generator that espeak-ng seeds with the time of day.
    engine.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    _must("espeak_ng_SetRandSeed", engine.espeak_ng_SetRandSeed(_SEED))
    blocks: list[bytes] = []
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def receive(samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            blocks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = callback_type(receive)
    engine.espeak_SetSynthCallback(callback)
    _must("espeak_SetVoiceByName", engine.espeak_SetVoiceByName(voice.encode()))
    for parameter, value in ((_RATE, speed), (_PITCH, pitch), (_RANGE, pitch_range)):
        _must("espeak_SetParameter", engine.espeak_SetParameter(parameter, value, 0))
    content = text.encode("utf-8") + b"\0"
    engine.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    _must("espeak_Synth", engine.espeak_Synth(content, len(content), 0, 0, 0, _UTF8, None, None))
    _must("espeak_Synchronize", engine.espeak_Synchronize())
    return rate, b"".join(blocks)


def _must(call: str, status: int) -> None:
    if status != 0:
        raise RuntimeError(f"{call} returned {status}")


if __name__ == "__main__":
    try:
        spoken_rate, spoken = speak(**json.load(sys.stdin))
    except (AttributeError, OSError, RuntimeError) as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(struct.pack("=i", spoken_rate) + spoken)
