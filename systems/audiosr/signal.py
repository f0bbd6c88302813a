"""AudioSR's signal processing: preparation, log-mel, cut-off, low-pass family, low-band replacement in mel and STFT."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ldmbench.audio.arrays import Features, Real, Signal
from ldmbench.audio.filters import sections
from ldmbench.audio.spectra import mel_filters

if TYPE_CHECKING:
    from torch import Tensor

RATE = 48_000
#: Samples per mel frame, and the STFT behind the mel spectrogram.
HOP = 480
LENGTH = 2048
MELS = 256
LOW_HZ, HIGH_HZ = 20.0, 24_000.0
#: The models work on whole blocks of 5.12 s: 512 mel frames.
BLOCK_FRAMES = 512
BLOCK = BLOCK_FRAMES * HOP
#: Longer inputs are restored in pieces of three blocks with 2 s in common. The reference takes 15 s, and fills the
#: third block with zeros.
PIECE = 3 * BLOCK
OVERLAP = 2 * RATE
#: Peak of the prepared waveform.
PEAK = 0.5
#: A peak at or below this (-140 dBFS), without the mean, is silence.
SILENCE = 1e-7
#: The band ends where this share of all magnitudes lies below.
ROLL_OFF = 0.985
#: Below this the reference implementation fails; a band that ends lower is taken to end here.
LOWEST_CUTOFF_HZ = 1000.0

#: STFT in which the output's low band is replaced: the defaults of librosa.stft.
POST_LENGTH, POST_HOP = 2048, 512
#: The replaced band is not scaled by more than this.
GAIN_RANGE = (0.8, 1.2)


@dataclass(frozen=True, eq=False)
class Prepared:
    """An input as the models see it.

    Attributes:
        lowpassed: ``[time]`` at 48 kHz, mean removed, peak 0.5, zero-padded to whole blocks, low-passed.
        low_mel: Its log-mel spectrogram ``[frames, 256]``.
        cutoff_hz: Where the input's band was found to end.
        gain: Factor that takes the prepared waveform back to the input's level.
        mean: What was subtracted from the input before scaling.
    """

    lowpassed: Signal
    low_mel: Tensor
    cutoff_hz: float
    gain: float
    mean: float


def resampled(samples: Signal, rate: int) -> Signal:
    """``[time]`` at 48 kHz, by the windowed sinc of torchaudio's default, as the reference implementation."""
    if rate == RATE:
        return samples
    import torch
    from torchaudio.functional import resample

    wave: Signal = resample(torch.from_numpy(samples.copy()), rate, RATE).numpy()
    return wave


def normalised(wave: Signal) -> tuple[Signal, float, float]:
    """Mean removed, peak 0.5, zero-padded to whole blocks of 5.12 s; the gain back to the input, and the mean.

    Source: haoheliu/versatile_audio_super_resolution, audiosr/utils.py, ``normalize_wav`` and ``pad_wav``.
    """
    mean = np.mean(wave)
    centred = wave - mean
    peak = np.max(np.abs(centred)) + 1e-8
    padded = np.zeros(math.ceil(len(wave) / BLOCK) * BLOCK, np.float32)
    padded[: len(wave)] = PEAK * (centred / peak)
    return padded, float(peak) / PEAK, float(mean)


def spectrogram(wave: Signal) -> tuple[Tensor, Tensor]:
    """Log-mel ``[frames, 256]`` and magnitudes ``[frames, 1024]`` of a padded waveform ``[time]``.

    The last bin, half the rate, is left out of the magnitudes.

    Source: ``wav_feature_extraction`` in audiosr/utils.py of the reference implementation.
    """
    import torch

    edge = (LENGTH - HOP) // 2
    padded = torch.nn.functional.pad(torch.from_numpy(wave)[None], (edge, edge), mode="reflect")
    window = torch.hann_window(LENGTH)
    bins = torch.stft(padded, LENGTH, HOP, LENGTH, window, center=False, return_complex=True)[0].abs()
    filters = torch.from_numpy(mel_filters(RATE, LENGTH, MELS, LOW_HZ, HIGH_HZ).copy())
    mel = (filters @ bins).clamp(min=1e-5).log()
    return mel.T.contiguous(), bins.T[:, :-1]


def cutoff_bin(magnitudes: Tensor | Features | Real) -> int:
    """The highest bin of ``[frames, bins]`` below which lies less than 98.5 % of the magnitudes' sum, 0 if none.

    Source: Liu et al. 2023 (arXiv:2309.07314), section 3 (0.99 there); ``locate_cutoff_freq`` in audiosr/utils.py.
    """
    below = np.cumsum(np.asarray(magnitudes, np.float64).sum(axis=0))
    bins = np.flatnonzero(below[1:] < ROLL_OFF * below[-1])
    return int(bins[-1]) + 1 if len(bins) else 0


def cutoff_hz(magnitudes: Tensor | Features | Real) -> float:
    """The end of the band in Hz, of magnitudes ``[frames, 1024]`` up to 24 kHz, at least 1 kHz.

    The reference implementation takes a band that ends below 1 kHz for a full one, and then cannot design its filter.
    """
    return max(cutoff_bin(magnitudes) / (LENGTH // 2) * (RATE / 2), LOWEST_CUTOFF_HZ)


def lowpass(wave: Signal, cutoff: float, kind: str) -> Signal:
    """``wave`` ``[time]`` filtered forwards and backwards, resampled to twice the cut-off and back, filtered again.

    The cut-off is used in whole Hz.

    Source: audiosr/lowpass.py of the reference implementation, which draws the kind of filter at random.
    """
    from scipy import signal

    edge = int(cutoff) / (RATE / 2)
    filters = sections(kind, edge)
    filtered = signal.sosfiltfilt(filters, wave)
    # Rounded down as floats are, as the reference does: 7997.9999 becomes 7997.
    down = int(edge * RATE)
    low = signal.resample_poly(signal.resample_poly(filtered, down, RATE), RATE, down)
    fitted = np.zeros(len(wave))
    keep = min(len(wave), len(low))
    fitted[:keep] = low[:keep]
    return np.asarray(signal.sosfiltfilt(filters, fitted), np.float32)


def is_silent(wave: Signal) -> bool:
    """Whether nothing but a constant, down to -140 dBFS, is in ``wave`` ``[time]``."""
    mean = np.mean(wave)
    return bool(max(np.max(wave) - mean, mean - np.min(wave)) <= SILENCE)


def prepare(wave: Signal, kind: str) -> Prepared | None:
    """What the models need of ``wave`` ``[time]`` at 48 kHz; None if it is silent."""
    if is_silent(wave):
        return None
    padded, gain, mean = normalised(wave)
    _, magnitudes = spectrogram(padded)
    cutoff = cutoff_hz(magnitudes)
    low = lowpass(padded, cutoff, kind)
    mel, _ = spectrogram(low)
    return Prepared(low, mel, cutoff, gain, mean)


def replace_mel(mel: Tensor, low_mel: Tensor) -> tuple[Tensor, int]:
    """``mel`` ``[frames, 256]`` with the band that ``low_mel`` holds taken from it, and the first bin that is not."""
    edge = cutoff_bin(low_mel.exp())
    replaced = mel.clone()
    replaced[:, :edge] = low_mel[:, :edge].to(mel)
    return replaced, edge


def replace_band(wave: Signal, low: Signal) -> tuple[Signal, int, float]:
    """``wave`` ``[time]`` with the band that ``low`` holds taken from it in the STFT.

    The band is scaled to meet the rest: by the ratio of magnitudes at its edge, within ``GAIN_RANGE``.

    Returns:
        The waveform, the first bin that was not replaced, and the ratio by which the band was divided.

    Source: ``postprocessing`` in audiosr/latent_diffusion/models/ddpm.py of the reference implementation.
    """
    import torch

    window = torch.hann_window(POST_LENGTH)

    def transform(signal: Signal) -> Tensor:
        sound = torch.from_numpy(np.array(signal))
        return torch.stft(sound, POST_LENGTH, POST_HOP, window=window, pad_mode="constant", return_complex=True)

    ours, theirs = transform(wave), transform(low)
    frames = min(ours.shape[1], theirs.shape[1])
    edge = cutoff_bin(theirs.abs().T)
    # An output without anything at the edge cannot be met: the ratio's limit is its upper bound.
    level = float(ours[edge].abs().sum())
    ratio = float(theirs[edge].abs().sum()) / level if level > 0 else GAIN_RANGE[1]
    ratio = min(max(ratio, GAIN_RANGE[0]), GAIN_RANGE[1])
    ours[:edge, :frames] = theirs[:edge, :frames] / ratio
    joined = torch.istft(ours, POST_LENGTH, POST_HOP, window=window, length=len(wave))
    return joined.numpy(), edge, ratio


def peak_normalised(wave: Signal) -> Signal:
    """``wave`` at peak 0.5, then without its mean: the level at which the reference implementation returns it."""
    peak = max(np.max(wave), -np.min(wave))
    if peak == 0:
        return wave
    # In place: a whole file may be long.
    scaled = PEAK * wave
    scaled /= peak
    scaled -= np.mean(scaled)
    return scaled


def pieces(length: int) -> list[slice]:
    """Places of the pieces of ``length`` samples that are restored one by one: one up to 15.36 s, then overlapping."""
    if length <= PIECE:
        return [slice(0, length)]
    hop = PIECE - OVERLAP
    count = math.ceil((length - OVERLAP) / hop)
    return [slice(index * hop, min(index * hop + PIECE, length)) for index in range(count)]


def fade(piece: slice, length: int) -> Signal:
    """Weights ``[samples]`` of a piece of ``length`` samples: Hann slopes where pieces overlap, which sum to one."""
    weights = np.ones(piece.stop - piece.start, np.float32)
    rising = np.sin((np.arange(OVERLAP) + 0.5) / OVERLAP * np.pi / 2) ** 2
    if piece.start > 0:
        weights[:OVERLAP] = rising
    if piece.stop < length:
        weights[-OVERLAP:] *= rising[::-1]
    return weights
