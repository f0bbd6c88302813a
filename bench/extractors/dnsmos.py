"""DNSMOS: what Microsoft's networks say of speech at 16 kHz, in the windows of their script or in all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from ldmbench.audio.arrays import Features, Real, Signal
from ldmbench.audio.spectra import magnitudes, mel_filters
from ldmbench.extractors.onnx import load_network
from ldmbench.weights.packaged import packaged

Windows = Literal["official", "all"]
WINDOWS: tuple[Windows, ...] = ("official", "all")

RATE = 16_000

#: Seconds and samples of a window; a new one begins every second.
SECONDS = 9.01
WINDOW = int(SECONDS * RATE)

#: P.808 hears a window without its last samples, as log-mel: transform, hop, bands.
_TAIL, _N_FFT, _HOP, _BANDS = 160, 321, 160, 120

#: Windows that go through a network together: 16 already fill a core.
_BATCH = 16

_FILES = {
    "p835": ("dnsmos_models/sig_bak_ovr.onnx", "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd"),
    "personalised": (
        "pdnsmos_models/sig_bak_ovr.onnx",
        "9e3a197449ca2177f0997afec3bd6b890117ce2f17b89d6eea7fa0d47272c81c",
    ),
    "p808": ("dnsmos_models/model_v8.onnx", "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91"),
}

#: From the networks' output to the scale of listeners, the highest power first: SIG, BAK, OVRL.
_POLYNOMIALS = {
    "p835": (
        (-0.08397278, 1.22083953, 0.0052439),
        (-0.13166888, 1.60915514, -0.39604546),
        (-0.06766283, 1.11546468, 0.04602535),
    ),
    "personalised": (
        (-0.01019296, 0.02751166, 1.19576786, -0.24348726),
        (-0.04976499, 0.44276479, -0.1644611, 0.96883132),
        (-0.00533021, 0.005101, 1.18058466, -0.11236046),
    ),
}


def dnsmos_p835(signal: Signal, windows: Windows = "official", personalised: bool = False) -> dict[str, float]:
    """``sig``, ``bak`` and ``ovrl`` of speech ``[time]`` at 16 kHz, each the mean over windows.

    Args:
        signal: Not empty. Its level is left as it is.
        windows: ``official`` takes the windows that the script of the DNS Challenge takes; ``all`` takes every one.
        personalised: Use the network of personalised noise suppression, for which other speakers are noise.

    Raises:
        CheckpointError: If the files are not installed.

    Source: Reddy et al., DNSMOS P.835, arXiv:2110.01763; DNS-Challenge 591184a, ``DNSMOS/dnsmos_local.py``.
    """
    kind = "personalised" if personalised else "p835"
    network = load_network(packaged("speechmos", *_FILES[kind]))
    raw = np.concatenate([network({"input_1": batch})[0] for batch in _batches(signal, windows)]).astype(np.float64)
    columns = zip(("sig", "bak", "ovrl"), _POLYNOMIALS[kind], raw.T, strict=True)
    return {name: float(np.polyval(polynomial, values).mean()) for name, polynomial, values in columns}


def dnsmos_p808(signal: Signal, windows: Windows = "official") -> dict[str, float]:
    """``p808``: overall quality of speech ``[time]`` at 16 kHz as listeners of P.808 rate it, the mean over windows.

    Its level does not matter: the spectrogram is relative to its own maximum.

    Raises:
        CheckpointError: If the files are not installed.

    Source: Reddy et al., DNSMOS, arXiv:2010.15258; DNS-Challenge 591184a, ``DNSMOS/dnsmos_local.py``.
    """
    network = load_network(packaged("speechmos", *_FILES["p808"]))
    values = [
        network({"input_1": np.stack([log_mel(window[:-_TAIL]) for window in batch])})[0]
        for batch in _batches(signal, windows)
    ]
    return {"p808": float(np.concatenate(values).mean(dtype=np.float64))}


def starts(samples: int, windows: Windows) -> list[int]:
    """First samples of the windows of a sound of at least ``WINDOW`` samples.

    The script of the DNS Challenge cuts ``int((i + 9.01) * 16000)`` off, which in floating point is one sample short
    for ``i`` of 7 to 23 and of 119 to 122, and skips what is short: from 17 s on it leaves out windows.
    """
    count = int(math.floor(samples / RATE) - SECONDS) + 1
    every = list(range(count))
    if windows == "official":
        every = [index for index in every if int((index + SECONDS) * RATE) - index * RATE >= WINDOW]
    return [index * RATE for index in every if index * RATE + WINDOW <= samples]


def log_mel(signal: Signal) -> Features:
    """The spectrogram ``[frames, 120]`` that P.808 hears: decibels below the maximum, 40 of them to 0 and 80 to -1."""
    bands = magnitudes(signal, _N_FFT, _HOP, "constant", np.float64) ** 2 @ mel_filters(RATE, _N_FFT, _BANDS).T
    decibels: Real = 10 * np.log10(np.maximum(bands, 1e-10)) - 10 * np.log10(max(1e-10, float(bands.max())))
    return np.asarray((np.maximum(decibels, decibels.max() - 80) + 40) / 40, np.float32)


def _batches(signal: Signal, windows: Windows) -> Iterator[Features]:
    """Windows ``[windows, WINDOW]``; a short sound is doubled until it fills one."""
    while len(signal) < WINDOW:
        signal = np.concatenate([signal, signal])
    view = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)
    first = starts(len(signal), windows)
    for start in range(0, len(first), _BATCH):
        yield np.ascontiguousarray(view[first[start : start + _BATCH]])
