"""Mean and deviation of the log-mel spectrogram: the features that any sound has, whoever made it."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Features
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import magnitudes, mel_filters

RATE = 16_000
WINDOW = 1024
HOP = 160
BANDS = 80

#: Mel magnitude added before the logarithm: 100 dB below a full-scale sine.
FLOOR = 1e-5


def log_mel(audio: Audio) -> Features:
    """Means, then standard deviations over time, of 80 log-mel bands of the mono mix at 16 kHz ``[160]``.

    Windows of 64 ms every 10 ms; Slaney's mel scale up to 8 kHz, magnitudes of a full-scale sine near 1.
    """
    signal = audio.mono().at(RATE).samples[0]
    if len(signal) < WINDOW:
        signal = np.pad(signal, (0, WINDOW - len(signal)))
    filters = mel_filters(RATE, WINDOW, BANDS, normalised=False)
    bands = np.log(magnitudes(signal, WINDOW, HOP) @ filters.T * np.float32(4.0 / WINDOW) + np.float32(FLOOR))
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)]).astype(np.float32)
