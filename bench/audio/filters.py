"""Low-pass filters without delay, for anchors and input conditions: a linear FIR, classical families, the STFT."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError

#: Stop-band attenuation of the Kaiser window, dB.
ATTENUATION_DB = 60.0

#: Hz from the pass-band edge to the -6 dB point: half the transition band.
HALF_TRANSITION_HZ = 240.0


def lowpass(audio: Audio, cutoff_hz: float) -> Audio:
    """``audio`` below ``cutoff_hz``, same rate and length, not delayed.

    Flat (ripple below 0.02 dB) up to ``cutoff_hz`` and more than 50 dB down from ``cutoff_hz + 500 Hz`` on. Well
    within the mask of the low-pass anchors: ripple of 0.1 dB, 25 dB at 500 Hz and 50 dB at 1 kHz above the edge.

    Source: ITU-R BS.1534, section 5 (mask of the 3.5 kHz anchor; the 7 kHz anchor has the same shape).

    Raises:
        BenchError: If there is nothing to remove, because the rate is too low.
    """
    if cutoff_hz <= 0 or cutoff_hz + 2 * HALF_TRANSITION_HZ > audio.rate / 2:
        raise BenchError(
            f"a low-pass at {cutoff_hz:g} Hz needs a rate above {2 * (cutoff_hz + 2 * HALF_TRANSITION_HZ):g} Hz",
            f"{audio.rate} Hz",
            "leave this anchor out, or use clips of a higher rate",
        )
    import scipy.signal

    taps = _taps(cutoff_hz, audio.rate)
    delay = len(taps) // 2
    padded = np.pad(audio.samples.astype(np.float64), ((0, 0), (delay, delay)))
    filtered = scipy.signal.oaconvolve(padded, taps[None, :], mode="valid", axes=1)
    return Audio(filtered.astype(np.float32), audio.rate)


#: Families of analogue prototypes that super-resolution papers draw from.
FAMILIES = ("cheby1", "butter", "ellip", "bessel")

#: Pass-band ripple (Chebyshev, elliptic) and stop-band attenuation (elliptic), dB.
RIPPLE_DB, STOP_DB = 0.1, 60.0


def iir_lowpass(audio: Audio, cutoff_hz: float, family: str = "cheby1", order: int = 8) -> Audio:
    """``audio`` through a classical low-pass, forwards and backwards: same rate and length, not delayed.

    Args:
        audio: The sound.
        cutoff_hz: Edge in Hz.
        family: One of ``FAMILIES``.
        order: Order of the filter; running both ways doubles its slope.

    Raises:
        BenchError: If the edge is not below half the rate, or the clip is shorter than the filter's padding.

    Source: the low-pass family of AudioSR's training and evaluation, Liu et al. 2023 (arXiv:2309.07314), section 3.
    """
    import scipy.signal

    if not 0 < cutoff_hz < audio.rate / 2:
        raise BenchError(f"a low-pass at {cutoff_hz:g} Hz needs a rate above {2 * cutoff_hz:g} Hz", f"{audio.rate} Hz")
    filters = sections(family, 2 * cutoff_hz / audio.rate, order)
    try:
        filtered = scipy.signal.sosfiltfilt(filters, audio.samples.astype(np.float64), axis=1)
    except ValueError as error:
        raise BenchError(f"a clip of {audio.length} samples is too short for this low-pass", str(error)) from None
    return Audio(np.ascontiguousarray(filtered, np.float32), audio.rate)


def stft_lowpass(audio: Audio, cutoff_hz: float) -> Audio:
    """``audio`` without the bins of its STFT from ``cutoff_hz`` on: same rate and length, not delayed.

    Periodic Hann windows of 2048 samples every 10 ms, reflected ends, inverted by least squares; of the 1025 bins
    ``int(1025 * cutoff_hz / (rate // 2))`` stay. Nothing but rounding and what leaks between frames is left above,
    which is what log-spectral distances of an unprocessed input live on.

    Source: ``stft_hard_lowpass_v0`` of ssr_eval, ``ssr_eval/lowpass.py``: the inputs of NVSR (Liu et al. 2022,
    arXiv:2203.14941), whose table the VCTK rows of AudioSR repeat.

    Raises:
        BenchError: If the edge is not below half the rate, or the clip is shorter than half a window.
    """
    import scipy.signal

    if not 0 < cutoff_hz < audio.rate / 2:
        raise BenchError(f"a low-pass at {cutoff_hz:g} Hz needs a rate above {2 * cutoff_hz:g} Hz", f"{audio.rate} Hz")
    length, hop = 2048, audio.rate // 100
    if audio.length <= length // 2:
        raise BenchError(f"a clip of {audio.length} samples is too short for this low-pass", f"a window has {length}")
    window = scipy.signal.get_window("hann", length)
    transform = scipy.signal.ShortTimeFFT(window, hop, audio.rate)
    bins = transform.stft(audio.samples.astype(np.float64), padding="even")
    bins[:, int((length // 2 + 1) * cutoff_hz / (audio.rate // 2)) :] = 0.0
    kept = transform.istft(bins, k1=audio.length)
    return Audio(np.ascontiguousarray(kept, np.float32), audio.rate)


@lru_cache(maxsize=64)
def sections(family: str, edge: float, order: int = 8) -> Real:
    """Second-order sections ``[sections, 6]`` of a low-pass.

    Args:
        family: One of ``FAMILIES``.
        edge: Cut-off as a share of half the rate.
        order: Order of the filter.
    """
    import scipy.signal

    if family == "cheby1":
        sos = scipy.signal.cheby1(order, RIPPLE_DB, edge, output="sos")
    elif family == "butter":
        sos = scipy.signal.butter(order, edge, output="sos")
    elif family == "ellip":
        sos = scipy.signal.ellip(order, RIPPLE_DB, STOP_DB, edge, output="sos")
    elif family == "bessel":
        sos = scipy.signal.bessel(order, edge, output="sos")
    else:
        raise ValueError(f"no family of filters called {family!r}")
    return np.asarray(sos, np.float64)


@lru_cache
def _taps(cutoff_hz: float, rate: int) -> Real:
    import scipy.signal

    width = 2 * HALF_TRANSITION_HZ / (rate / 2)
    count, beta = scipy.signal.kaiserord(ATTENUATION_DB, width)
    taps: Real = scipy.signal.firwin(count | 1, cutoff_hz + HALF_TRANSITION_HZ, window=("kaiser", beta), fs=rate)
    return taps
