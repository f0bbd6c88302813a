"""WARP-Q: for speech of generative codecs, how well patches of the output are found again in the reference."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ldmbench.audio.arrays import Features, Real, Signal
from ldmbench.audio.spectra import frames, hann, mel_filters
from ldmbench.errors import Unscored
from ldmbench.metrics._base import metric
from ldmbench.metrics._pair import refuse_silence

RATE = 16_000

#: Samples of a window (32 ms), of its transform and between two (4 ms); bands up to 5 kHz, coefficients, lifter.
_WINDOW, _N_FFT, _HOP = 512, 1024, 64
_BANDS, _HIGHEST_HZ, _COEFFICIENTS, _LIFTER = 128, 5000.0, 13, 3

#: Frames of a patch, between two patches, and of the window that mean and variance are taken in. The package means
#: 0.4, 0.2 and 0.836 s, and loses half a transform of each.
PATCH, STEP, _NORMALISED = 92, 42, 201

#: Shortest speech in seconds, and longest sound: each patch is looked for in the whole reference.
SHORTEST, LONGEST = 0.4, 60.0

#: Samples that the voice detector decides on together.
_BLOCK = 480

#: Elements of cost matrices that are worked on together.
_LARGEST = 1 << 23


@metric(
    "warpq",
    title="WARP-Q",
    better="lower",
    rate=RATE,
    content=("speech",),
    low=0.0,
    extras=("speech",),
    source="Jassim et al., IET Signal Processing 2022; PyPI warpq 1.5.2, raw score, median over patches",
)
def warpq(reference: Signal, estimate: Signal, rate: int, *, vad: bool = True) -> float:
    """The median cost of patches, raw: not 0 for equal sounds, since patches may be warped.

    Each patch of the output's normalised cepstra is aligned with what fits best of the reference's by subsequence
    dynamic time warping. ``vad`` first drops from each sound what WebRTC's detector takes for no speech.

    Raises:
        Unscored: If the reference is silent, less than 0.4 s of speech are left of one sound, or it is too long.
    """
    refuse_silence(reference)
    if len(reference) > LONGEST * rate:
        raise Unscored(f"{len(reference) / rate:.1f} s are longer than the {LONGEST:g} s that WARP-Q is computed for")
    sides = []
    for name, signal in (("reference", reference), ("output", estimate)):
        speech = signal[is_speech(signal)] if vad else signal
        if len(speech) < SHORTEST * rate:
            held = "holds" if vad else "has"
            raise Unscored(f"the {name} {held} {len(speech) / rate:.2f} s of speech, WARP-Q needs {SHORTEST} s")
        sides.append(normalised(cepstra(speech)))
    return float(np.median(costs(*sides)))


def is_speech(signal: Signal) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which samples of ``[time]`` at 16 kHz the detector takes for speech, 30 ms together and their neighbours."""
    from webrtcvad import Vad

    whole = np.clip(signal * 2.0**15, -(2**15), 2**15 - 1).astype(np.int16)
    count = len(whole) // _BLOCK + 1
    blocks = np.pad(whole, (0, count * _BLOCK - len(whole))).reshape(count, _BLOCK)
    detector = Vad(0)
    voiced = np.array([detector.is_speech(block.tobytes(), RATE) for block in blocks])
    wider = np.convolve(voiced, np.ones(3), mode="same") > 0
    return np.repeat(wider, _BLOCK)[: len(signal)]


def cepstra(signal: Signal) -> Features:
    """Liftered MFCC ``[frames, 13]``, as librosa computes them."""
    import scipy.fft

    window = np.pad(hann(_WINDOW), (_N_FFT - _WINDOW) // 2)
    spectrum = scipy.fft.rfft(frames(signal, _N_FFT, _HOP, "constant") * window, axis=1).astype(np.complex64)
    power = np.abs(spectrum) ** 2 @ mel_filters(RATE, _N_FFT, _BANDS, 0.0, _HIGHEST_HZ).T
    decibels = 10 * np.log10(np.maximum(power, np.float32(1e-10)))
    decibels = np.maximum(decibels, decibels.max() - 80)
    lifter = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(1, 1 + _COEFFICIENTS) / _LIFTER)
    return np.asarray(scipy.fft.dct(decibels, norm="ortho", axis=1)[:, :_COEFFICIENTS] * lifter, np.float32)


def normalised(features: Features) -> Features:
    """Features ``[frames, 13]`` less their mean in a sliding window, over the deviation of that in the same.

    Sums are in the package's precision and order, since near silence little is left of them.
    """
    half, count = _NORMALISED // 2, len(features)
    mirrored = np.pad(np.ascontiguousarray(features.T), ((0, 0), (half, half)), "symmetric")
    centred = features - np.lib.stride_tricks.sliding_window_view(mirrored, _NORMALISED, axis=1).mean(axis=2).T
    mirrored = np.pad(np.ascontiguousarray(centred), ((half, half), (0, 0)), "symmetric")
    windows = [mirrored[index : index + count] for index in range(_NORMALISED)]
    mean = _summed(iter(windows)) / np.float32(_NORMALISED)
    variance = _summed((window - mean) ** 2 for window in windows) / np.float32(_NORMALISED)
    return np.asarray(centred / (np.sqrt(variance) + np.float32(2**-30)), np.float32)


def _summed(terms: Iterator[Features]) -> Features:
    """One after the other."""
    total = np.array(next(terms))
    for term in terms:
        total += term
    return total


def costs(reference: Features, output: Features) -> Real:
    """The least cost of each patch of ``output`` ``[frames, 13]`` within ``reference``, over the patch's frames."""
    from scipy.spatial.distance import cdist

    first = range(0, len(output) - PATCH + 1, STEP)
    width = -(-len(reference) // 3)
    together = max(1, _LARGEST // (PATCH * 3 * width))
    values = []
    for begin in range(0, len(first), together):
        starts = first[begin : begin + together]
        # Patches overlap: a frame's distances are computed once.
        apart = cdist(output[starts[0] : starts[-1] + PATCH], reference)
        cost = np.full((PATCH, 3 * width, len(starts)), np.inf)
        cost[:, : len(reference)] = np.lib.stride_tricks.sliding_window_view(apart, PATCH, axis=0)[::STEP].T
        values.append(_least(cost))
    return np.concatenate(values) / PATCH


def _least(cost: Real) -> Real:
    """The least sums over paths through ``[rows, columns, patches]``, from any column of the first row to the last row.

    A step goes one row on, three columns on, or both; so the columns of one remainder by three are alone with each
    other, and all entries of an antidiagonal of them depend on the two before it only. Of ``columns``, a multiple of
    three, one such set after the other is ``width`` steps long, and an antidiagonal is every ``width - 1``-th of them.
    """
    rows, columns, patches = cost.shape
    width = columns // 3
    steps, stride = cost.reshape(rows * width, 3 * patches), max(1, width - 1)
    last = np.full(3 * patches, np.inf)
    before, now, new = (np.full((rows, 3 * patches), np.inf) for _ in range(3))
    for diagonal in range(rows + width - 1):
        low, high = max(0, diagonal - width + 1), min(rows - 1, diagonal)
        above = slice(max(low, 1) - 1, high)
        inner = new[max(low, 1) : high + 1]
        np.minimum(now[above], before[above], out=inner)
        np.minimum(inner, now[max(low, 1) : high + 1], out=inner)
        if low == 0:
            new[0] = 0.0
        start = low * width + diagonal - low
        new[low : high + 1] += steps[start : start + (high - low) * stride + 1 : stride]
        if high == rows - 1:
            np.minimum(last, new[-1], out=last)
        before, now, new = now, new, before
    return np.asarray(last.reshape(3, patches).min(axis=0))
