"""Waveform metrics in dB: SNR and the scale-invariant signal-to-distortion ratio."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Real, Signal
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import metric
from ldmbench.metrics._pair import refuse_silence


@metric(
    "snr",
    title="SNR",
    unit="dB",
    digits=2,
    source="10 log10 of reference energy over error energy; torchmetrics signal_noise_ratio",
)
def snr(reference: Signal, estimate: Signal, rate: int) -> float:
    """Signal-to-noise ratio in dB, at the reference's rate: ``10 log10(sum s^2 / sum (s - e)^2)``.

    No mean is removed and no gain is matched, so a silent output scores 0 dB.

    Raises:
        Unscored: If the reference is silent, or the output equals it (the ratio is infinite).
    """
    refuse_silence(reference)
    s, e = reference.astype(np.float64), estimate.astype(np.float64)
    return _decibels(s, s - e)


@metric(
    "si_sdr",
    title="SI-SDR",
    unit="dB",
    digits=2,
    variants={"zero-mean": {"zero_mean": True}},
    source="Le Roux et al., SDR - half-baked or well done? (2019), with the target scaled",
)
def si_sdr(reference: Signal, estimate: Signal, rate: int, *, zero_mean: bool = False) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, at the reference's rate.

    ``10 log10(|a s|^2 / |a s - e|^2)`` with ``a = <e, s> / |s|^2``, with nothing subtracted first, which
    is also torchmetrics' default. The variant ``@zero-mean`` removes the mean of both first, as asteroid,
    audiotools and torchmetrics' ``zero_mean=True`` do. In float64, without an epsilon in the ratio.

    Raises:
        Unscored: If the reference is silent, or the output equals it up to gain (infinite), or has nothing in
            common with it, for example because it is silent (minus infinity).
    """
    refuse_silence(reference)
    s, e = reference.astype(np.float64), estimate.astype(np.float64)
    if zero_mean:
        if np.ptp(s) == 0.0:
            raise Unscored("the reference is constant: nothing is left of it without its mean")
        s -= s.mean()
        e -= e.mean()
    if not np.any(e):
        raise Unscored("the output is silent: the ratio is minus infinity")
    target = (np.dot(e, s) / np.dot(s, s)) * s
    return _decibels(target, target - e)


def _decibels(signal: Real, error: Real) -> float:
    """Energy ratio in dB.

    Raises:
        Unscored: If the ratio is infinite in either direction.
        BenchError: If it is not a number.
    """
    upper, lower = float(np.dot(signal, signal)), float(np.dot(error, error))
    if not (np.isfinite(upper) and np.isfinite(lower)):
        raise BenchError("the energy of a signal is not finite", fix="look for NaN or Inf in the output")
    if lower == 0.0:
        raise Unscored("the output equals the reference: the ratio is infinite")
    if upper == 0.0:
        raise Unscored("the output has nothing in common with the reference: the ratio is minus infinity")
    return float(10.0 * np.log10(upper / lower))
