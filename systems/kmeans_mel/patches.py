"""Log-mel patches of a sound, and the way back to a waveform: the signal side of ``kmeans-mel``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Signal
from ldmbench.audio.spectra import hann, mel_edges, triangles

if TYPE_CHECKING:
    from scipy.sparse import csr_array


RATE = 16_000
HOP = 160
WINDOW = 640
BANDS = 64

#: Mel magnitude added before the logarithm: 80 dB below a full-scale sine, so silence is exactly log(FLOOR).
FLOOR = 1e-4

#: A patch covers PATCH frames by PATCH bands: 160 ms of a quarter of the bands, 25 patches per second.
PATCH = 16

#: Lowest DCT coefficients kept along each axis of a patch. Mel distortion on held-out clips is lower than with
#: all 16, because the codewords no longer spend bits on detail that no residual stage reaches, and training is
#: four times faster.
KEPT = 8
DIM = KEPT * KEPT

#: Momentum of the fast Griffin-Lim algorithm.
MOMENTUM = 0.99

#: Multiplicative steps from mel bands to frequency bins: the mel error is below 1 % after them.
NNLS_STEPS = 30

_SEED = 0


def log_mel_spectrogram(samples: Signal) -> Features:
    """Log of the mean magnitude in 64 Slaney mel bands ``[frames, bands]``, ``ceil(time / 160)`` frames.

    A full-scale sine has magnitude 1. Source: Slaney, Auditory Toolbox (1998), mel scale of ``mfcc.m``.
    """
    frames = -(-len(samples) // HOP)
    magnitudes = np.abs(_stft(np.pad(samples, (0, frames * HOP - len(samples)))))
    mel = (_filters() @ magnitudes.T).T
    return np.asarray(np.log(mel + FLOOR), np.float32)


def to_patches(log_mel: Features, mean: float) -> Features:
    """DCT features ``[patches, DIM]`` of a log-mel spectrogram, padded with silence to whole patches."""
    frames, bands = log_mel.shape
    padded = np.pad(log_mel, ((0, -frames % PATCH), (0, 0)), constant_values=np.log(FLOOR)) - np.float32(mean)
    return dct(padded.reshape(-1, PATCH, bands // PATCH, PATCH).swapaxes(1, 2).reshape(-1, PATCH, PATCH))


def from_patches(features: Features, mean: float) -> Features:
    """The log-mel spectrogram ``[frames, 64]`` that ``features`` describe."""
    import scipy.fft

    coefficients = np.zeros((len(features), PATCH, PATCH), np.float32)
    coefficients[:, :KEPT, :KEPT] = features.reshape(-1, KEPT, KEPT)
    patches = scipy.fft.idctn(coefficients, axes=(1, 2), norm="ortho")
    joined = patches.reshape(-1, BANDS // PATCH, PATCH, PATCH).swapaxes(1, 2).reshape(-1, BANDS)
    return np.asarray(joined + np.float32(mean), np.float32)


def dct(patches: Features) -> Features:
    """Lowest ``KEPT`` by ``KEPT`` coefficients of patches ``[patches, PATCH, PATCH]`` as ``[patches, DIM]``."""
    import scipy.fft

    coefficients = scipy.fft.dctn(patches, axes=(1, 2), norm="ortho")[:, :KEPT, :KEPT]
    return np.ascontiguousarray(coefficients.reshape(-1, DIM), np.float32)


def mel_to_linear(mel: Features) -> Features:
    """Non-negative magnitudes ``[frames, bins]`` whose mel bands are ``mel`` ``[frames, bands]``.

    Multiplicative updates from a smooth start (the transposed filters) solve the least-squares problem for
    all frames at once and stay non-negative; the pseudo-inverse leaves negative magnitudes, and clipping those
    breaks the level. Source: Lee and Seung, Algorithms for Non-negative Matrix Factorization (2001), eq. 4.
    """
    filters = _filters()
    target = filters.T @ mel.T.astype(np.float64)
    gram = filters.T @ filters
    magnitudes = target.copy()
    for _ in range(NNLS_STEPS):
        magnitudes *= target / np.maximum(gram @ magnitudes, 1e-12)
    return np.asarray(magnitudes.T, np.float32)


def griffin_lim(magnitudes: Features, iterations: int) -> Signal:
    """Samples ``[frames * 160]`` whose short-time spectrum has ``magnitudes`` ``[frames, bins]``.

    The first phases are drawn with a constant seed. Source: Perraudin, Balazs and Sondergaard, A fast
    Griffin-Lim algorithm (2013), algorithm 2.
    """
    phases = np.random.default_rng(_SEED).random(magnitudes.shape, np.float32) * np.float32(2 * np.pi)
    spectrum = magnitudes * np.exp(1j * phases)
    previous = np.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = _stft(_istft(spectrum))
        spectrum = consistent + np.float32(MOMENTUM) * (consistent - previous)
        previous = consistent
        spectrum *= magnitudes / np.maximum(np.abs(spectrum), np.float32(1e-12))
    return _istft(spectrum)


def _stft(samples: Signal) -> NDArray[np.complex64]:
    """Spectra ``[frames, bins]`` of frames centred on every 160th sample, a full-scale sine having magnitude 1."""
    import scipy.fft

    padded = np.pad(samples, (WINDOW // 2, WINDOW // 2 - HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return np.asarray(scipy.fft.rfft(frames * _window(), axis=1), np.complex64)


def _istft(spectrum: NDArray[np.complex64]) -> Signal:
    """Least-squares inverse of ``_stft`` by weighted overlap-add, ``[frames * 160]``."""
    import scipy.fft

    window = _window()
    frames = (scipy.fft.irfft(spectrum, WINDOW, axis=1) * window).reshape(-1, WINDOW // HOP, HOP)
    weights = (window * window).reshape(WINDOW // HOP, HOP)
    total = np.zeros((len(frames) + WINDOW // HOP - 1, HOP), np.float32)
    weight = np.zeros_like(total)
    for part in range(WINDOW // HOP):
        total[part : part + len(frames)] += frames[:, part]
        weight[part : part + len(frames)] += weights[part]
    first = WINDOW // 2
    samples = np.asarray(total / np.maximum(weight, np.float32(1e-12)), np.float32).reshape(-1)
    return samples[first : first + len(frames) * HOP]


@lru_cache
def _window() -> Signal:
    """A periodic Hann window whose transform gives a full-scale sine magnitude 1."""
    window = hann(WINDOW)
    return np.asarray(window / (window.sum() / 2), np.float32)


@lru_cache
def _filters() -> csr_array:
    """Triangular mel filters ``[bands, bins]``, each summing to 1, as a sparse array (no BLAS, so no threads)."""
    import scipy.sparse

    weights = triangles(mel_edges(BANDS, 0.0, RATE / 2), RATE, WINDOW)
    return scipy.sparse.csr_array(weights / weights.sum(axis=1, keepdims=True))
