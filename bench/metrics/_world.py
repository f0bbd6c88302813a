"""WORLD's analysis of a sound, kept with it: its pitch, and the mel-cepstra of its spectral envelope."""

from __future__ import annotations

import warnings
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio

Tracker = Literal["dio", "harvest"]

#: Milliseconds between two frames.
PERIOD = 5.0

#: Rate in Hz -> order and all-pass constant of the mel-cepstrum. Source: ESPnet, ``evaluate_mcd.py``.
MEL_CEPSTRA = {16_000: (23, 0.42), 24_000: (34, 0.46), 48_000: (39, 0.55)}


def pitch(sound: Audio, tracker: Tracker) -> Real:
    """Hz in each frame of 5 ms of a mono sound, 0 where it has no voice: float64 ``[frames]``.

    Source: Morise et al., WORLD, IEICE 2016: DIO refined by StoneMask, or Harvest (Morise, Interspeech 2017), which is
    slower by an order of magnitude.
    """
    return remember(sound, ("world pitch", tracker), partial(_pitch, sound.samples[0], sound.rate, tracker))


def mel_cepstra(sound: Audio, tracker: Tracker) -> Real:
    """Mel-cepstra of the envelope by CheapTrick of a mono sound, the energy first: float64 ``[frames, order + 1]``.

    Source: Morise, CheapTrick, Speech Communication 2015; Tokuda et al., Mel-generalized cepstral analysis, ICSLP 1994.
    """
    return remember(sound, ("world mel-cepstra", tracker), partial(_mel_cepstra, sound, pitch(sound, tracker)))


def warp(cepstrum: Real, order: int, alpha: float) -> Real:
    """One-sided cepstra ``[frames, length]`` on the frequency axis of an all-pass filter: ``[frames, order + 1]``.

    Source: Oppenheim and Johnson, Discrete Representation of Signals, 1972, equation 14; SPTK's ``freqt``.
    """
    return np.asarray(cepstrum @ _warping(cepstrum.shape[1], order, alpha).T)


@lru_cache(maxsize=8)
def _warping(length: int, order: int, alpha: float) -> Real:
    """The matrix ``[order + 1, length]`` of ``warp``: column ``n`` holds the powers of the n-th delay, all-passed."""
    matrix = np.zeros((order + 1, length))
    column = np.zeros(order + 1)
    column[0] = 1.0
    for index in range(length):
        matrix[:, index] = column
        new = np.empty_like(column)
        new[0] = alpha * column[0]
        if order:
            new[1] = (1 - alpha * alpha) * column[0] + alpha * column[1]
        for row in range(2, order + 1):
            new[row] = column[row - 1] + alpha * (column[row] - new[row - 1])
        column = new
    return matrix


def _pitch(signal: Any, rate: int, tracker: Tracker) -> Real:
    world = _world()
    x = signal.astype(np.float64)
    if tracker == "harvest":
        return np.asarray(world.harvest(x, rate, frame_period=PERIOD)[0])
    coarse, times = world.dio(x, rate, frame_period=PERIOD)
    return np.asarray(world.stonemask(x, coarse, times, rate))


def _mel_cepstra(sound: Audio, hertz: Real) -> Real:
    order, alpha = MEL_CEPSTRA[sound.rate]
    times = np.arange(len(hertz)) * PERIOD / 1000
    power = _world().cheaptrick(sound.samples[0].astype(np.float64), hertz, times, sound.rate)
    cepstrum = np.fft.irfft(np.log(power), axis=1)[:, : power.shape[1]]
    cepstrum[:, [0, -1]] /= 2
    return warp(cepstrum, order, alpha)


def _world() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyworld
    return pyworld
