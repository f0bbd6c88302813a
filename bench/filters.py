"""Linear-phase low-pass filters without delay, for anchors and input conditions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.audio import Audio
from bench.errors import BenchError

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


@lru_cache
def _taps(cutoff_hz: float, rate: int) -> NDArray[np.float64]:
    import scipy.signal

    width = 2 * HALF_TRANSITION_HZ / (rate / 2)
    count, beta = scipy.signal.kaiserord(ATTENUATION_DB, width)
    taps: NDArray[np.float64] = scipy.signal.firwin(
        count | 1, cutoff_hz + HALF_TRANSITION_HZ, window=("kaiser", beta), fs=rate
    )
    return taps
