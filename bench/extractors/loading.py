"""How the peers turn a sound into what their networks hear: their channels, their resamplers, their padding."""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from ldmbench.audio.arrays import Real, Signal
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError

#: Samples to which audioldm_eval pads, whatever the rate.
SHORTEST = 32_000


class Kaiser(NamedTuple):
    """A Kaiser-windowed sinc, as resampy tabulates it.

    Attributes:
        zeros: Zero crossings on each side.
        table: Table entries between two of them.
        beta: Of the Kaiser window.
        rolloff: Fraction of half the rate.
    """

    zeros: int
    table: int
    beta: float
    rolloff: float


#: ``kaiser_best`` of resampy 0.4, and that of resampy 0.2, which is another one.
KAISER_BEST = Kaiser(50, 8192, 12.984585247040012, 0.9173473712608761)
KAISER_BEST_02 = Kaiser(64, 512, 14.769656459379492, 0.9475937167399596)

#: Elements of a polyphase kernel above which outputs are gathered one by one (44,099 to 16,000 Hz, say).
_LARGEST_KERNEL = 1 << 23


def as_audioldm_eval(sound: Audio, rate: int) -> Signal:
    """The first channel without its mean, resampled by torchaudio's defaults, right-padded to 32,000 samples.

    Returns:
        ``[time]`` at ``rate``.

    Source: audioldm_eval 8dc07ee, ``datasets/load_mel.py``, ``WaveDataset.read_from_file``.
    """
    import torch
    from torchaudio.functional import resample

    signal = torch.tensor(sound.samples[0])
    signal = signal - signal.mean()
    if sound.rate != rate:
        signal = resample(signal, sound.rate, rate)
    samples: Signal = signal.numpy()
    return np.pad(samples, (0, max(0, SHORTEST - len(samples))))


def as_frechet_audio_distance(sound: Audio, rate: int) -> Signal:
    """The mean over channels, resampled by resampy's ``kaiser_best``; no padding.

    Returns:
        ``[time]`` at ``rate``.

    Source: frechet-audio-distance 0.3.5, ``utils.py``, ``load_audio_task``.
    """
    mono = sound.samples[0] if sound.channels == 1 else sound.samples.mean(axis=0)
    return resample_kaiser_best(mono, sound.rate, rate)


def resample_kaiser_best(signal: Signal, old: int, new: int, window: Kaiser = KAISER_BEST) -> Signal:
    """``signal`` ``[time]`` at another rate, ``int(time * new / old)`` samples long.

    A Kaiser-windowed sinc, tabulated and linearly interpolated, as resampy 0.4 computes it sample by sample;
    here its phases are the filters of one convolution, and results agree to float32 rounding.

    Raises:
        BenchError: If nothing would be left of the signal.

    Source: Smith, Digital Audio Resampling, https://ccrma.stanford.edu/~jos/resample; resampy 0.4.3 and 0.2.2,
    ``interpn.py`` and filter ``kaiser_best``.
    """
    if old == new:
        return np.array(signal)
    length = int(len(signal) * float(new) / float(old))
    if length < 1:
        raise BenchError(f"{len(signal)} samples cannot be resampled from {old} to {new} Hz", fix="use longer clips")
    step, phases = old // gcd(old, new), new // gcd(old, new)
    weights, reach = _phase_weights(old, new, window)
    if phases * (step + 2 * reach) > _LARGEST_KERNEL:
        return _gather(signal, weights, reach, step, phases, length)
    import torch

    blocks = -(-length // phases)
    padded = np.zeros(reach + max(len(signal), blocks * step) + step + 2 * reach, np.float32)
    padded[reach : reach + len(signal)] = signal
    kernel = torch.from_numpy(_kernel(old, new, window))[:, None]
    resampled = torch.nn.functional.conv1d(torch.from_numpy(padded)[None, None], kernel, stride=step)
    result: Signal = resampled[0, :, :blocks].T.reshape(-1)[:length].numpy()
    return np.ascontiguousarray(result)


@lru_cache(maxsize=8)
def _phase_weights(old: int, new: int, sinc: Kaiser) -> tuple[Real, int]:
    """Weights ``[phases, 2 * reach]`` of the samples ``n - reach + 1 ... n + reach`` around ``n = floor(time)``."""
    window = _half_window(sinc)
    ratio = new / old
    scale = min(1.0, ratio)
    if ratio < 1:
        window = ratio * window
    slope = np.diff(window, append=window[-1])
    hop = int(scale * sinc.table)
    step, phases = old // gcd(old, new), new // gcd(old, new)
    reach = len(window) // hop + 1
    fractions = scale * ((np.arange(phases) * step) % phases) / phases
    weights = np.zeros((phases, 2 * reach))
    for side, fraction in (("left", fractions), ("right", scale - fractions)):
        position = fraction * sinc.table
        first = position.astype(np.int64)
        taps = np.arange(reach)
        index = first[:, None] + taps * hop
        used = taps < ((len(window) - first) // hop)[:, None]
        index = np.where(used, index, 0)
        wing = np.where(used, window[index] + (position - first)[:, None] * slope[index], 0.0)
        if side == "left":
            weights[:, reach - 1 :: -1] = wing
        else:
            weights[:, reach:] = wing
    return weights, reach


@lru_cache(maxsize=4)
def _kernel(old: int, new: int, window: Kaiser) -> Signal:
    """The phases as filters ``[phases, step + 2 * reach]`` over one block of ``step`` input samples."""
    weights, reach = _phase_weights(old, new, window)
    step, phases = old // gcd(old, new), new // gcd(old, new)
    kernel = np.zeros((phases, step + 2 * reach), np.float32)
    for phase in range(phases):
        start = phase * step // phases + 1
        kernel[phase, start : start + 2 * reach] = weights[phase]
    return kernel


def _gather(signal: Signal, weights: Any, reach: int, step: int, phases: int, length: int) -> Signal:
    padded = np.zeros(len(signal) + 2 * reach, np.float32)
    padded[reach : reach + len(signal)] = signal
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach)
    result = np.empty(length, np.float32)
    for start in range(0, length, 1 << 14):
        times = np.arange(start, min(length, start + (1 << 14)), dtype=np.int64)
        rows = windows[times * step // phases + 1]
        result[start : start + len(times)] = np.einsum("ij,ij->i", rows, weights[times % phases])
    return result


@lru_cache(maxsize=2)
def _half_window(kaiser: Kaiser) -> Real:
    """The right half of the windowed sinc, ``[zeros * table + 1]``."""
    size = kaiser.zeros * kaiser.table
    sinc = kaiser.rolloff * np.sinc(kaiser.rolloff * np.linspace(0, kaiser.zeros, size + 1))
    half: Real = np.kaiser(2 * size + 1, kaiser.beta)[size:] * sinc
    return half
