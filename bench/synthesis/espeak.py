"""One sentence as samples of espeak-ng, from the wheel that carries the library."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ldmbench.errors import BenchError

#: Longest time one sentence may take, s; it takes about 0.05 s.
_TIMEOUT_S = 60.0


def speak(
    text: str, voice: str, speed: int = 160, pitch: int = 50, pitch_range: int = 50
) -> tuple[int, NDArray[np.float64]]:
    """Speak ``text`` in a process of its own, so that neither order nor threads change a sample.

    Args:
        text: The sentence.
        voice: espeak-ng's name of the voice, with a variant after a plus: ``en-gb+m3``.
        speed: Words per minute.
        pitch: 0 to 100.
        pitch_range: 0 (monotone) to 100.

    Returns:
        Rate in Hz, and mono samples ``[time]`` within [-1, 1).

    Raises:
        BenchError: If espeak-ng is not installed or does not speak.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise BenchError(
            "the built-in speech needs espeak-ng", "the package espeakng-loader is missing", "reinstall ldmbench"
        ) from None
    library = Path(espeakng_loader.get_library_path()).absolute()
    data = Path(espeakng_loader.get_data_path()).absolute()
    # Relative to the working folder: espeak-ng keeps only about 150 characters of the data's path.
    request: dict[str, str | int] = {"library": str(library), "data": data.name, "voice": voice, "text": text}
    request |= {"speed": speed, "pitch": pitch, "pitch_range": pitch_range}
    worker = str(Path(__file__).with_name("espeak_worker.py"))
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", worker],
            input=json.dumps(request).encode(),
            capture_output=True,
            cwd=data.parent,
            env={**os.environ, "LC_ALL": "C"},
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"espeak-ng did not speak with the voice {voice}", str(error), "reinstall ldmbench") from None
    if done.returncode != 0 or len(done.stdout) <= 4:
        reason = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}, no samples"
        raise BenchError(f"espeak-ng did not speak with the voice {voice}", reason, "reinstall espeakng-loader")
    (rate,) = struct.unpack("=i", done.stdout[:4])
    return rate, np.frombuffer(done.stdout[4:], np.int16).astype(np.float64) / 32768.0
