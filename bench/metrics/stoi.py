"""Short-time objective intelligibility: STOI and its extended form, in pystoi's digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real
from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, register
from ldmbench.metrics._pair import refuse_silence, sounds
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

#: Rate in Hz at which STOI is defined.
RATE = 10_000

#: Window, hop and transform length in samples: 25.6 ms, half of it, zero-padded to twice.
WINDOW, HOP, N_FFT = 256, 128, 512

#: Frames of an intermediate measure: 384 ms.
SEGMENT = 30

#: Frames of the reference more than this many dB below its loudest frame are removed from both signals.
RANGE_DB = 40.0

#: Lower bound of the signal-to-distortion ratio in dB.
BETA_DB = -15.0

_EPS = float(np.finfo(np.float64).eps)

#: Norms up to this are rounding errors of a constant.
_FLAT = 1e-13


@dataclass
class StoiMetric(BaseMetric):
    """STOI or ESTOI; both share the resampled signals, and the reference's bands serve every system."""

    facts: MetricFacts
    extended: bool

    def measure(self, clip: Clip, output: Output) -> float:
        """The value, from -1 to 1.

        Raises:
            Unscored: If the reference is silent, or less than 384 ms of it are within 40 dB of its loudest frame.
            BenchError: If the value is not finite: NaN or Inf in the audio.
        """
        reference, estimate = sounds(clip, output)
        refuse_silence(reference.samples)
        bands, other = third_octave_bands(reference, estimate)
        value = estoi(bands, other) if self.extended else stoi(bands, other)
        if not np.isfinite(value):
            raise BenchError(f"{self.facts.name} of {clip.id} is {value}", fix="look for NaN or Inf in the output")
        return value


def stoi(reference: Real, estimate: Real) -> float:
    """STOI of third-octave magnitudes ``[15, frames]``: mean correlation of clipped 384 ms envelopes.

    Source: Taal et al., An Algorithm for Intelligibility Prediction of Time-Frequency Weighted Noisy Speech
    (2011); ``pystoi.stoi``.
    """
    x, y = _segments(reference), _segments(estimate)
    gain = np.linalg.norm(x, axis=2, keepdims=True) / (np.linalg.norm(y, axis=2, keepdims=True) + _EPS)
    y = np.minimum(y * gain, x * (1 + 10 ** (-BETA_DB / 20)))
    x = x - x.mean(axis=2, keepdims=True)
    y -= y.mean(axis=2, keepdims=True)
    correlation = np.einsum("tbn,tbn->tb", x, y)
    correlation /= np.linalg.norm(x, axis=2) + _EPS
    correlation /= np.linalg.norm(y, axis=2) + _EPS
    return float(correlation.mean())


def estoi(reference: Real, estimate: Real) -> float:
    """Extended STOI of third-octave magnitudes ``[15, frames]``: correlation of normalised spectra.

    Where a band or a spectrum does not vary within a segment, pystoi replaces it by unseeded noise of unit norm;
    here it counts as uncorrelated, which is the mean of that, and does not change from call to call.

    Source: Jensen and Taal, An Algorithm for Predicting the Intelligibility of Speech Masked by Modulated Noise
    Maskers (2016); ``pystoi.stoi(extended=True)``.
    """
    x, y = _segments(reference), _segments(estimate)
    return float(np.einsum("tbn,tbn->", _normalise(x), _normalise(y)) / (SEGMENT * len(x)))


def third_octave_bands(reference: Audio, estimate: Audio) -> tuple[Real, Real]:
    """Magnitudes ``[15, frames]`` of both at 10 kHz, without the frames in which the reference is silent.

    Raises:
        Unscored: If fewer than 30 frames remain.
    """
    kept, bands = remember(reference, "stoi", partial(_reference_bands, reference))
    if bands is None:
        raise Unscored(f"less than {SEGMENT * HOP / RATE:.3f} s of the reference is within 40 dB of its loudest frame")
    return bands, remember(estimate, ("stoi", kept.tobytes()), partial(_bands, estimate, kept))


def _reference_bands(sound: Audio) -> tuple[NDArray[np.bool_], Real | None]:
    """Which frames sound, and the bands of those (None where there are too few)."""
    frames = _frames(_at_10_khz(sound))
    if len(frames) < SEGMENT:
        return np.zeros(len(frames), np.bool_), None
    level = 20 * np.log10(np.linalg.norm(frames, axis=1) + _EPS)
    kept = level > level.max() - RANGE_DB
    bands = _spectrum(_join(frames[kept]))
    return kept, bands if bands.shape[1] >= SEGMENT else None


def _bands(sound: Audio, kept: NDArray[np.bool_]) -> Real:
    return _spectrum(_join(_frames(_at_10_khz(sound))[kept]))


def _at_10_khz(sound: Audio) -> Real:
    """``sound`` as float64 ``[time]`` at 10 kHz, through Octave's resampling filter as STOI's authors did."""
    samples: Real = sound.samples[0].astype(np.float64)
    if sound.rate == RATE:
        return samples
    from pystoi.utils import resample_oct

    resampled: Real = resample_oct(samples, RATE, sound.rate)
    return resampled


def _frames(signal: Real) -> Real:
    """Windowed frames ``[frames, 256]``; like Matlab's STOI, the last whole frame is left out."""
    if len(signal) <= WINDOW:
        return np.zeros((0, WINDOW))
    view = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[: len(signal) - WINDOW : HOP]
    return np.asarray(view * np.hanning(WINDOW + 2)[1:-1], np.float64)


def _join(frames: Real) -> Real:
    """Overlap-add of half-overlapping frames ``[frames, 256]``."""
    joined = np.zeros((len(frames) + 1, HOP))
    joined[:-1] += frames[:, :HOP]
    joined[1:] += frames[:, HOP:]
    return joined.reshape(-1)


def _spectrum(signal: Real) -> Real:
    """Third-octave magnitudes ``[15, frames]``, centre frequencies from 150 Hz."""
    from pystoi.utils import thirdoct

    matrix, _ = thirdoct(RATE, N_FFT, 15, 150)
    power = np.square(np.abs(np.fft.rfft(_frames(signal), n=N_FFT, axis=1)))
    bands: Real = np.sqrt(matrix @ power.T)
    return bands


def _segments(bands: Real) -> Real:
    """All runs of 30 frames ``[runs, 15, 30]``, a read-only view."""
    return np.lib.stride_tricks.sliding_window_view(bands, SEGMENT, axis=1).transpose(1, 0, 2)


def _normalise(segments: Real) -> Real:
    """Rows (bands over time), then columns (spectra), to zero mean and unit norm; flat ones to zero, NaN stays."""
    for axis in (2, 1):
        segments = segments - segments.mean(axis=axis, keepdims=True)
        norm = np.linalg.norm(segments, axis=axis, keepdims=True)
        segments = np.divide(segments, norm, out=np.zeros_like(segments), where=~(norm <= _FLAT))
    return segments


def _register(name: str, title: str, extended: bool, source: str) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        facts = MetricFacts(name, title, source=source, content=("speech",), low=-1.0, high=1.0)
        return StoiMetric(facts, extended)

    register(name, build)


_register("stoi", "STOI", False, "Taal et al. (2011), as pystoi 0.4.1")
_register("estoi", "ESTOI", True, "Jensen and Taal (2016), as pystoi 0.4.1 extended=True")
