"""Short-time spectra and mel filterbanks of mono signals in NumPy, kept with the sound they belong to."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from ldmbench.audio.arrays import Features, Filters, Real, Signal

Scale = Literal["slaney", "htk"]
Padding = Literal["reflect", "constant"]
T = TypeVar("T")

#: Samples that are windowed and transformed at once: bounds the memory of a long clip.
_BLOCK = 1 << 20


@lru_cache(maxsize=64)
def hann(length: int) -> Real:
    """The periodic Hann window ``[length]`` (``sym=False``), as analysis by STFT uses it."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    window.setflags(write=False)
    return window


def frames(signal: Signal, length: int, hop: int, padding: Padding = "reflect") -> Features:
    """Overlapping frames ``[frames, length]`` of ``signal`` ``[time]``, centred on multiples of ``hop``.

    Half a frame (``length // 2``) is added at either end, so there are ``1 + time // hop`` frames for an even
    ``length``. The result is a read-only view.

    Raises:
        ValueError: If the signal is too short to be reflected: not longer than ``length // 2`` samples.
    """
    half = length // 2
    if padding == "reflect" and len(signal) <= half:
        raise ValueError(f"{len(signal)} samples cannot be reflected by {half}")
    padded = np.pad(signal, half, mode=padding)
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]


def magnitudes(
    signal: Signal, length: int, hop: int, padding: Padding = "reflect", dtype: DTypeLike = np.float32, window: int = 0
) -> Features:
    """Magnitudes ``[frames, length // 2 + 1]`` of the Hann-windowed, centred, unnormalised STFT.

    Args:
        signal: ``[time]``.
        length: Transform length in samples, and that of the window where ``window`` does not say otherwise.
        hop: Samples between frames.
        padding: ``reflect`` as torch.stft pads, ``constant`` (zeros) as librosa.stft does.
        dtype: Precision of window and transform: float32 as torch.stft, float64 as librosa.stft. The result is
            float32 in either case.
        window: Samples of a window in the middle of each transform, 0 for all of them.
    """
    import scipy.fft

    view = frames(signal, length, hop, padding)
    size = window or length
    taper = np.zeros(length, dtype)
    begin = (length - size) // 2
    taper[begin : begin + size] = hann(size)
    spectrum = np.empty((len(view), length // 2 + 1), np.float32)
    step = max(1, _BLOCK // length)
    for start in range(0, len(view), step):
        block = view[start : start + step] * taper
        bins = scipy.fft.rfft(block, axis=1, overwrite_x=True, workers=1)
        np.abs(bins.astype(np.complex64, copy=False), out=spectrum[start : start + step])
    return spectrum


def hz_to_mel(hz: Real | float, scale: Scale = "slaney") -> Real:
    """Frequency in Hz on the mel scale.

    Source: ``slaney`` Malcolm Slaney, Auditory Toolbox (1998), linear below 1 kHz; ``htk`` The HTK Book 5.4,
    2595 log10(1 + f / 700).
    """
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    logarithmic = 15.0 + np.log(np.maximum(hz, 1000.0) / 1000.0) * 27.0 / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, logarithmic)


def mel_to_hz(mel: Real | float, scale: Scale = "slaney") -> Real:
    """The inverse of ``hz_to_mel``."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((np.maximum(mel, 15.0) - 15.0) / 27.0))


def mel_edges(mels: int, low_hz: float, high_hz: float, scale: Scale = "slaney") -> Real:
    """Where ``mels`` triangular filters begin, peak and end, ``[mels + 2]`` in Hz, equally spaced on the scale."""
    ends = hz_to_mel(np.array([low_hz, high_hz]), scale)
    return mel_to_hz(np.linspace(ends[0], ends[1], mels + 2), scale)


def triangles(edges: Real, rate: int, length: int) -> Real:
    """Triangular filters of unit peak ``[mels, length // 2 + 1]`` between ``edges`` ``[mels + 2]`` in Hz."""
    bins = np.fft.rfftfreq(length, 1 / rate)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0.0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)))


@lru_cache(maxsize=64)
def mel_filters(
    rate: int,
    length: int,
    mels: int,
    low_hz: float = 0.0,
    high_hz: float | None = None,
    scale: Scale = "slaney",
    normalised: bool = True,
) -> Filters:
    """Triangular mel filters ``[mels, length // 2 + 1]`` for magnitudes of a ``length``-point transform.

    Args:
        rate: Sampling rate in Hz.
        length: Transform length in samples.
        mels: Number of filters.
        low_hz: Lower edge of the first filter.
        high_hz: Upper edge of the last filter, None for half the rate.
        scale: Mel scale on which the edges are equally spaced.
        normalised: Give every filter unit area over Hz instead of unit peak.

    Source: librosa.filters.mel, whose defaults are these (``normalised`` is its ``norm="slaney"``). As there, a
    filter narrower than a bin is empty.
    """
    edges = mel_edges(mels, low_hz, rate / 2 if high_hz is None else high_hz, scale)
    filters = triangles(edges, rate, length)
    if normalised:
        filters *= 2.0 / (edges[2:, None] - edges[:-2, None])
    result = filters.astype(np.float32)
    result.setflags(write=False)
    return result
