"""What librosa hears of a sound of music, kept with it: its onsets, beats, tempi, chroma and key.

The front end is librosa's own at its defaults: mono at 22.05 kHz, a hop of 512 samples (23 ms), windows of 2048
samples, 128 mel bands in decibels for what changes in time, a constant-Q transform of seven octaves from C1 for pitch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ldmbench.audio.arrays import Features, Real, Signal
from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio

#: Rate in Hz and samples between two frames.
RATE, HOP = 22_050, 512

#: Seconds of onsets that a tempo is taken from, and the fastest one in beats per minute: librosa's.
_WINDOW, _FASTEST = 8.0, 320.0

#: Centre in beats per minute and standard deviation in octaves of what librosa expects of a tempo.
_EXPECTED, _SPREAD = 120.0, 1.0

_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

#: How well each degree of the scale fits a key. Source: Krumhansl and Kessler, Psychological Review 89 (1982);
#: Krumhansl, Cognitive Foundations of Musical Pitch (1990), table 2.1.
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}

T = TypeVar("T")


class Tempi(NamedTuple):
    """The two strongest tempi in beats per minute, the second 0 where there is one; ``share`` is the first's weight."""

    first: float
    second: float
    share: float


class Key(NamedTuple):
    """A key, ``C# minor`` say, and how well its profile fits: Pearson's correlation."""

    name: str
    fit: float


def onsets(sound: Audio) -> Real:
    """Seconds at which something sets in: ``librosa.onset.onset_detect`` at its defaults."""
    return _kept(sound, _onsets)


def beats(sound: Audio) -> Real:
    """Seconds of the beats: ``librosa.beat.beat_track`` at its defaults. Source: Ellis, JNMR 36 (2007)."""
    return _kept(sound, _beats)


def tempi(sound: Audio) -> Tempi | None:
    """The two strongest tempi, None where nothing repeats; the first is ``librosa.feature.tempo``."""
    return _kept(sound, _tempi)


def chroma(sound: Audio) -> Features:
    """Energy of the twelve pitch classes ``[frames, 12]``: ``librosa.feature.chroma_cqt``, neither scaled nor tuned."""
    return _kept(sound, _chroma)


def key(sound: Audio) -> Key | None:
    """The key whose profile correlates best with the mean chroma, None where that is flat.

    Source: Krumhansl, Cognitive Foundations of Musical Pitch (1990), chapter 4 (Krumhansl-Schmuckler).
    """
    return _kept(sound, _key)


def key_of(classes: Real) -> Key | None:
    """The key of the energies ``[12]`` of the pitch classes from C, None where they are all equal."""
    if not np.ptp(classes) > 1e-9 * np.abs(classes).max(initial=0):
        return None
    fits = {
        f"{name} {mode}": float(np.corrcoef(np.roll(profile, step), classes)[0, 1])
        for mode, profile in _PROFILES.items()
        for step, name in enumerate(_NAMES)
    }
    best = max(fits, key=lambda name: fits[name])
    return Key(best, fits[best])


def _kept(sound: Audio, listen: Callable[[Audio], T]) -> T:
    return remember(sound, ("librosa", listen.__name__), partial(listen, sound))


def _signal(sound: Audio) -> Signal:
    if (sound.rate, sound.channels) != (RATE, 1):
        raise ValueError(f"a mono sound at {RATE} Hz is needed, not {sound.channels} channels at {sound.rate} Hz")
    signal: Signal = sound.samples[0]
    return signal


def _mel(sound: Audio) -> Features:
    """Mel spectrum in decibels ``[bands, frames]``, from which librosa takes what sets in."""
    import librosa

    spectrum = librosa.feature.melspectrogram(y=_signal(sound), sr=RATE, n_fft=2048, hop_length=HOP, fmax=RATE / 2)
    return np.asarray(librosa.power_to_db(spectrum))


def _strength(sound: Audio, aggregate: Callable[..., Any]) -> Real:
    import librosa

    mel = _kept(sound, _mel)
    return np.asarray(librosa.onset.onset_strength(S=mel, sr=RATE, hop_length=HOP, aggregate=aggregate))


def _onsets(sound: Audio) -> Real:
    import librosa

    strength = _strength(sound, np.mean)
    return np.asarray(librosa.onset.onset_detect(onset_envelope=strength, sr=RATE, hop_length=HOP, units="time"))


def _beats(sound: Audio) -> Real:
    import librosa

    strength = _strength(sound, np.median)
    return np.asarray(librosa.beat.beat_track(onset_envelope=strength, sr=RATE, hop_length=HOP, units="time")[1])


def _tempi(sound: Audio) -> Tempi | None:
    import librosa

    strength = _strength(sound, np.mean)
    length = int(librosa.time_to_frames(_WINDOW, sr=RATE, hop_length=HOP))
    cycles = librosa.feature.tempogram(onset_envelope=strength, sr=RATE, hop_length=HOP, win_length=length)
    repeats = np.asarray(cycles.mean(axis=1))
    speeds = librosa.tempo_frequencies(length, hop_length=HOP, sr=RATE)
    # As librosa weighs it; the lag of nothing is no tempo.
    with np.errstate(divide="ignore"):
        weighed = np.log1p(1e6 * repeats) - 0.5 * ((np.log2(speeds) - np.log2(_EXPECTED)) / _SPREAD) ** 2
    weighed[~(speeds < _FASTEST)] = -np.inf
    first = int(np.argmax(weighed))
    if not repeats[first] > 0:
        return None
    lags = np.arange(1, length - 1)
    peaks = lags[(repeats[lags] > repeats[lags - 1]) & (repeats[lags] >= repeats[lags + 1]) & (repeats[lags] > 0)]
    others = [lag for lag in peaks if abs(lag - first) > 1 and np.isfinite(weighed[lag])]
    if not others:
        return Tempi(float(speeds[first]), 0.0, 1.0)
    second = max(others, key=lambda lag: weighed[lag])
    share = repeats[first] / (repeats[first] + repeats[second])
    return Tempi(float(speeds[first]), float(speeds[second]), float(share))


def _chroma(sound: Audio) -> Features:
    import librosa

    return np.asarray(librosa.feature.chroma_cqt(y=_signal(sound), sr=RATE, hop_length=HOP, norm=None, tuning=0.0).T)


def _key(sound: Audio) -> Key | None:
    return key_of(np.asarray(chroma(sound).mean(axis=0), np.float64))
