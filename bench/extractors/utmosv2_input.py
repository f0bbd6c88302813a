"""What UTMOSv2 listens to: crops of the sound and mixtures of their mel spectrograms, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Features, Real, Signal
from ldmbench.audio.spectra import magnitudes, mel_filters

RATE = 16_000

#: Samples that wav2vec 2.0 hears in a pass (3 s), and that a spectrogram shows (1.4 s); how many of those there are.
SPEECH, PATCH, PATCHES = 48_000, 22_400, 2

#: Samples of the windows, each with a network of its own.
WINDOWS = (4096, 2048, 1024, 512)

#: Points of a transform, samples between two, mel bands.
_N_FFT, _HOP, _BANDS = 4096, 32, 512

#: Power below this is taken for it, decibels below the maximum less 80 for that.
_LEAST, _RANGE_DB = 1e-10, 80.0

#: Both parameters of the Beta distribution that spectrograms are mixed by.
_ALPHA = 0.4


@dataclass(frozen=True)
class Draw:
    """Where one pass listens: starts as shares (0 to 1) of all that are possible.

    Attributes:
        speech: Of what wav2vec 2.0 hears.
        patches: Of the two spectrograms.
        others: Of what each of them is mixed with, for each window, ``[2, 4]``.
        weights: The spectrogram's own weight in that, ``[2, 4]``.
    """

    speech: float
    patches: Real
    others: Real
    weights: Real


def draws(passes: int, seed: int) -> list[Draw]:
    """What the package draws at random, for so many passes: the same for every sound.

    Each number alone is distributed as the package's; the passes share the range between them evenly (a Latin
    hypercube), so that their mean is steadier than that of independent ones.
    """
    from scipy.special import betaincinv

    random = np.random.default_rng(seed)
    windows = PATCHES * len(WINDOWS)
    shape = (passes, 1 + PATCHES + 2 * windows)
    order = np.argsort(random.random(shape), axis=0)
    shares = (order + random.random(shape)) / passes
    weights = betaincinv(_ALPHA, _ALPHA, shares[:, -windows:])
    return [
        Draw(
            speech=float(row[0]),
            patches=row[1 : 1 + PATCHES],
            others=row[1 + PATCHES : -windows].reshape(PATCHES, -1),
            weights=weight.reshape(PATCHES, -1),
        )
        for row, weight in zip(shares, weights, strict=True)
    ]


def crops(signal: Signal, draw: Draw) -> list[Signal]:
    """What one pass hears: for wav2vec 2.0, then for each spectrogram, and for what it is mixed with."""
    parts = [_crop(signal, SPEECH, draw.speech)]
    for patch, others in zip(draw.patches, draw.others, strict=True):
        parts += [_crop(signal, PATCH, share) for share in (patch, *others)]
    return parts


def _crop(signal: Signal, length: int, share: float) -> Signal:
    """``length`` samples that begin at a share of all possible starts; a signal that is no longer is repeated first."""
    if len(signal) <= length:
        signal = np.tile(signal, length // len(signal) + 1)
    start = int(share * (len(signal) - length))
    return signal[start : start + length]


def normalised(signal: Signal) -> Signal:
    """Zero mean and unit variance, as transformers prepares sounds for wav2vec 2.0."""
    scaled: Signal = (signal - signal.mean()) / np.sqrt(signal.var() + np.float32(1e-7))
    return scaled


def spectrograms(patches: Features, draw: Draw) -> Features:
    """Images ``[2, 4, 512, 701]``, before they are resized: mel spectrograms, each mixed with that of another crop.

    Args:
        patches: ``[2, 5, samples]``: of each spectrogram its crop, and those that it is mixed with.
        draw: The weights of the mixtures.
    """
    images = []
    for (own, *others), weights in zip(patches, draw.weights, strict=True):
        mixtures = [
            np.float32(weight) * log_mel(own, window) + np.float32(1 - weight) * log_mel(other, window)
            for window, other, weight in zip(WINDOWS, others, weights, strict=True)
        ]
        images.append(np.stack(mixtures))
    return np.stack(images)


def log_mel(signal: Signal, window: int) -> Features:
    """Decibels below the maximum, 0 to 80 of them as 1 to 0, ``[512, frames]`` as librosa computes them."""
    spectrum = magnitudes(signal, _N_FFT, _HOP, "constant", np.float64, window=window)
    power = np.maximum(mel_filters(RATE, _N_FFT, _BANDS) @ (spectrum**2).T, np.float32(_LEAST))
    decibels = 10 * np.log10(power) - 10 * np.log10(power.max())
    return np.asarray((np.maximum(decibels, -_RANGE_DB) + _RANGE_DB) / _RANGE_DB, np.float32)
