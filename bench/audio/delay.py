"""How late an output is against its reference, by the peak of their cross-correlation."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.sound import Audio

#: Delays up to so many seconds are looked for: HE-AAC without a header has 2,048 samples at 22.05 kHz.
LONGEST_DELAY = 0.1

#: Samples of both that are compared: the lag of a minute is that of the rest.
_MOST = 60 * 48_000

#: The two are the same sound, later, only where they correlate at least this well,
_SAME = 0.5

#: and better than without the delay by this much: a steady tone fits at every period.
_BETTER = 0.02


def delay(reference: Audio, output: Audio) -> float:
    """Seconds by which the output is late (negative: early), 0.0 where it is not, or where nobody can tell.

    Mono mixes at the higher rate of both. A delay is one of more than a sample at which the two correlate with 0.5 or
    more, and clearly better than without it.

    Source: Knapp and Carter, The generalized correlation method for estimation of time delay (1976), unweighted.
    """
    import scipy.fft

    rate = max(reference.rate, output.rate)
    first, second = (sound.mono().at(rate).samples[0, :_MOST].astype(np.float64) for sound in (reference, output))
    energy = float(np.sqrt(np.dot(first, first) * np.dot(second, second)))
    reach = min(round(LONGEST_DELAY * rate), len(first) - 1, len(second) - 1)
    if energy == 0.0 or reach < 2:
        return 0.0
    size = scipy.fft.next_fast_len(max(len(first), len(second)) + reach, real=True)
    spectrum = scipy.fft.rfft(second, size) * np.conj(scipy.fft.rfft(first, size))
    circular = scipy.fft.irfft(spectrum, size)
    correlation = np.concatenate([circular[-reach:], circular[: reach + 1]]) / energy
    lag = int(np.argmax(correlation)) - reach
    peak, here = float(correlation[lag + reach]), float(correlation[reach])
    if abs(lag) <= 1 or peak < _SAME or peak < here + _BETTER:
        return 0.0
    return lag / rate


def shifted(output: Audio, seconds: float) -> Audio:
    """The output earlier by ``seconds``, to the nearest sample (negative: later, behind zeros)."""
    count = round(seconds * output.rate)
    if count == 0:
        return output
    if count > 0:
        return Audio(np.ascontiguousarray(output.samples[:, count:]), output.rate)
    zeros = np.zeros((output.channels, -count), np.float32)
    return Audio(np.concatenate([zeros, output.samples], axis=1), output.rate)
