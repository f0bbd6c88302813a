"""Encoders that only the ffmpeg program has: what is installed, and one call through pipes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ldmbench.errors import BenchError

_FIX = "apt-get install ffmpeg, or another build that has it"


@lru_cache
def listed(kind: str) -> frozenset[str]:
    """Names of the installed program's ``encoders`` or ``decoders``; empty where there is no ffmpeg."""
    try:
        listing = subprocess.run(["ffmpeg", "-hide_banner", f"-{kind}"], capture_output=True, text=True, check=False)
    except OSError:
        return frozenset()
    lines = [line.split() for line in listing.stdout.partition("------")[2].splitlines()]
    return frozenset(words[1] for words in lines if len(words) > 1)


def unavailable(codec: str, *kinds: str) -> str:
    """Why ``codec`` is not among the program's ``kinds`` (``encoders``, ``decoders``), or empty."""
    if not listed("encoders"):
        return "the ffmpeg program is not installed or does not start"
    absent = [kind for kind in kinds if codec not in listed(kind)]
    return f"the installed ffmpeg has no {codec} among its {' and '.join(absent)}" if absent else ""


def require(system: str, reason: str) -> None:
    """Refuse to build a system whose codec is not there.

    Raises:
        BenchError: If ``reason`` is not empty.
    """
    if reason:
        raise BenchError(f"{system} is not available", reason, _FIX)


def encode(
    system: str, samples: NDArray[np.float32 | np.int16], rate: int, codec: str, options: Mapping[str, str]
) -> bytes:
    """A file in memory, coded from float32 or int16 ``samples`` ``[channels, time]``.

    Args:
        system: Name for errors.
        samples: The sound.
        rate: Its rate in Hz.
        codec: Name of the encoder.
        options: Options of the encoder and of the container, ``f`` among them.

    Raises:
        BenchError: As ``run``.
    """
    raw_format, dtype = ("s16le", "<i2") if samples.dtype == np.int16 else ("f32le", "<f4")
    arguments = ["-f", raw_format, "-ar", str(rate), "-ac", str(len(samples)), "-i", "pipe:0", "-c:a", codec]
    for option, value in options.items():
        arguments += [f"-{option}", value]
    return run(system, arguments, np.ascontiguousarray(samples.T, dtype).tobytes())


def run(system: str, arguments: list[str], data: bytes) -> bytes:
    """Standard output of ``ffmpeg ARGUMENTS`` given ``data`` on its standard input (``pipe:0`` to ``pipe:1``).

    Raises:
        BenchError: If the program is gone or fails, with the first line it wrote.
    """
    command = ["ffmpeg", "-nostdin", "-v", "error", *arguments, "pipe:1"]
    try:
        result = subprocess.run(command, input=data, capture_output=True, check=False)
    except OSError as error:
        raise BenchError(f"{system} cannot start ffmpeg", str(error), _FIX) from None
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {result.returncode}"]
        raise BenchError(f"{system} failed in ffmpeg", said[0], "choose one of the card's variants", 1)
    return result.stdout
