"""ViSQOL's gammatone spectrograms, all bands at once and each signal only once, bit-equal to visqol-python's.

Most of ViSQOL's time goes into a filter bank that visqol-python runs band after band. The bands do not depend
on each other, so here they advance together, sample by sample, in vector registers: the same operations in the
same order on the same numbers. A spectrogram is also remembered by its samples, so that the reference and its
patches are filtered once for all systems that are compared with it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from visqol.analysis_window import AnalysisWindow
from visqol.audio_utils import AudioSignal
from visqol.gammatone import SPEECH_MODE_MAX_FREQ, GammatoneSpectrogramBuilder, Spectrogram, make_erb_filters
from visqol.patch_creator import RmsVad, VadPatchCreator

from ldmbench.audio.arrays import Real

#: Bands that are filtered together; ViSQOL uses 32 (audio) and 21 (speech).
LANES = 32

#: Bytes of spectrograms kept per mode: the reference and its patches of a few minutes of sound.
KEEP = 32 * 2**20


class RememberingBuilder(GammatoneSpectrogramBuilder):
    """Drop-in for visqol-python's spectrogram builder with the same values to the last bit.

    Source: visqol-python 3.8.0, ``gammatone.py`` and ``numba_accel.py`` (behaviour); Slaney, An Efficient
    Implementation of the Patterson-Holdsworth Auditory Filter Bank, Apple TR 35 (1993).
    """

    def __init__(self, num_bands: int, min_freq: float, speech_mode: bool = False) -> None:
        if num_bands > LANES:
            raise ValueError(f"at most {LANES} bands are filtered together, not {num_bands}")
        super().__init__(num_bands, min_freq, speech_mode)
        self._kept: OrderedDict[tuple[int, bytes], Spectrogram] = OrderedDict()
        self._bytes = 0

    def build(self, signal: AudioSignal, window: AnalysisWindow) -> Spectrogram:
        """Spectrogram ``[bands, frames]`` of a signal.

        Raises:
            ValueError: If the signal is not longer than the window.
        """
        if len(signal) <= window.size:
            raise ValueError(f"{len(signal)} samples are too few for a window of {window.size}")
        samples = np.ascontiguousarray(signal.data)
        key = (signal.sample_rate, hashlib.sha256(samples.data).digest())
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        bands = self.filter_bank.num_bands
        highest = SPEECH_MODE_MAX_FREQ if self.speech_mode else signal.sample_rate / 2.0
        centres, lanes = _filters(signal.sample_rate, bands, self.filter_bank.min_freq, highest)
        hop = int(window.size * window.overlap)
        energies = _filter(samples, window.hann_window, lanes, hop, 1 + (len(samples) - window.size) // hop)
        spectrogram = Spectrogram(np.ascontiguousarray(energies[:bands]), centres)
        spectrogram.data.setflags(write=False)
        self._kept[key] = spectrogram
        self._bytes += spectrogram.data.nbytes
        while self._bytes > KEEP and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].data.nbytes
        return spectrogram


class VectorVad(VadPatchCreator):
    """Drop-in for visqol-python's speech patch creator that converts samples as an array, not one by one."""

    def _get_voice_activity(
        self, signal: AudioSignal, start_sample: int, total_samples: int, frame_len: int
    ) -> list[float]:
        data = signal.data[start_sample : start_sample + total_samples]
        frames = data[: len(data) // frame_len * frame_len].reshape(-1, frame_len)
        vad = RmsVad()
        for chunk in np.clip(frames * 2.0**15, -(2**15), 2**15 - 1).astype(np.int16):
            vad.process_chunk(chunk)
        return list(vad.get_vad_results())


@lru_cache(maxsize=8)
def _filters(rate: int, bands: int, lowest: float, highest: float) -> tuple[Real, Real]:
    """Centre frequencies ``[bands]``, low to high, and the filters' coefficients ``[10 * LANES]``.

    Per lane: b0 and b1 of four second-order stages, then a1 and a2, which all stages share. b2 is zero in a
    gammatone filter and left out.
    """
    designed = make_erb_filters(rate, bands, lowest, highest)
    a0, a11, a12, a13, a14, _, _, b1, b2, gain = designed.filter_coeffs[:, ::-1]
    lanes = np.zeros((10, LANES))
    lanes[:, :bands] = (a0 / gain, a11 / gain, a0, a12, a0, a13, a0, a14, b1, b2)
    return designed.center_freqs[::-1].copy(), lanes.ravel()


def _filter_frames(signal: Real, hann: Real, lanes: Real, hop: int, frames: int) -> Real:
    """RMS ``[LANES, frames]`` of each Hann-windowed frame after four filter stages that start at rest.

    Direct form II transposed. Coefficients ``c`` and states ``s`` are flat, with a constant distance between
    rows: that is what lets the compiler see that the lanes are independent and vectorise the inner loop.
    """
    size = hann.shape[0]
    out = np.empty((LANES, frames))
    c = lanes
    s = np.empty(9 * LANES)
    for frame in range(frames):
        for i in range(9 * LANES):
            s[i] = 0.0
        for k in range(size):
            x = signal[frame * hop + k] * hann[k]
            for i in range(LANES):
                a1 = c[8 * LANES + i]
                a2 = c[9 * LANES + i]
                y = c[i] * x + s[i]
                s[i] = c[LANES + i] * x - a1 * y + s[LANES + i]
                s[LANES + i] = -a2 * y
                z = c[2 * LANES + i] * y + s[2 * LANES + i]
                s[2 * LANES + i] = c[3 * LANES + i] * y - a1 * z + s[3 * LANES + i]
                s[3 * LANES + i] = -a2 * z
                y = c[4 * LANES + i] * z + s[4 * LANES + i]
                s[4 * LANES + i] = c[5 * LANES + i] * z - a1 * y + s[5 * LANES + i]
                s[5 * LANES + i] = -a2 * y
                z = c[6 * LANES + i] * y + s[6 * LANES + i]
                s[6 * LANES + i] = c[7 * LANES + i] * y - a1 * z + s[7 * LANES + i]
                s[7 * LANES + i] = -a2 * z
                s[8 * LANES + i] += z * z
        for i in range(LANES):
            out[i, frame] = np.sqrt(s[8 * LANES + i] / size)
    return out


# Compiled on first use, then kept on disk (beside this file, or where NUMBA_CACHE_DIR says) for all processes.
_filter: Any = njit(cache=True)(_filter_frames)
