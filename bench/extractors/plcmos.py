"""PLCMOS v2: how well a concealment of lost packets sounds, at 16 kHz, averaged over fifteen drawn raters."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Features, Real, Signal
from ldmbench.extractors.onnx import load_network
from ldmbench.weights.packaged import packaged

RATE = 16_000

#: Raters whose mean is the value, and the numbers that describe one.
RATERS, _RATER = 15, 64

#: Window and hop in samples.
_WINDOW, _HOP = 512, 256

#: Frames whose logarithms are computed together.
_BLOCK = 4096

#: What the network makes of the sound, before the rater comes to it: nothing above depends on who listens.
_HEARD = ("onnx::Concat_335", "onnx::Concat_337")

_EAR = (("degraded_audio",), _HEARD)
_RATERS = ((*_HEARD, "rater_embed"), ("plcmos",))

_FILE = "plcmos_models/plcmos_v2.onnx"
_SHA256 = "c0ad3fc64ef9682b4749c0e96636b41c73b4b30bd123b9348feea06a96895286"


def plcmos(signal: Signal, seed: int = 0) -> dict[str, float]:
    """``plcmos`` of speech ``[time]`` at 16 kHz, not empty; its level is left as it is.

    The raters are drawn from NumPy's ``RandomState(seed)``, as the package draws them from NumPy's global generator
    after ``numpy.random.seed(seed)``.

    Raises:
        CheckpointError: If the file is not installed.

    Source: Diener et al., PLCMOS, arXiv:2305.15127; speechmos 0.0.1.1, ``plcmos.py``.
    """
    path = packaged("speechmos", _FILE, _SHA256)
    heard = load_network(path, cut=_EAR)({"degraded_audio": log_power(signal)[None, None]})
    generator = np.random.RandomState(seed)
    head = load_network(path, cut=_RATERS)
    values = []
    for _ in range(RATERS):
        rater = generator.normal(size=(1, _RATER)).astype(np.float32)
        values.append(float(head({**dict(zip(_HEARD, heard, strict=True)), "rater_embed": rater})[0].ravel()[0]))
    return {"plcmos": sum(values) / RATERS}


def log_power(signal: Signal) -> Features:
    """What the network hears: ``ln(power) / 20`` ``[frames, 257]`` of Hamming windows, the first half before the sound.

    Where the power is zero, its logarithm is that of the smallest one that is not, less 120 dB.
    """
    count = -(-(len(signal) + _HOP) // _HOP)
    padded = np.zeros((count - 1) * _HOP + _WINDOW, np.float32)
    padded[_HOP : _HOP + len(signal)] = signal
    view = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    window: Real = np.hamming(_WINDOW + 1)[:-1]
    power = np.concatenate(
        [np.abs(np.fft.rfft(view[start : start + _BLOCK] * window)) ** 2 for start in range(0, count, _BLOCK)]
    )
    zero = power == 0
    least = float(np.log(power[~zero].min())) - 12 * np.log(10)
    return np.asarray(np.where(zero, least, np.log(power, where=~zero, out=np.zeros_like(power))) / 20, np.float32)
