"""Spectral distances: the MEL and STFT distances of the DAC evaluation, and the log-spectral distances (LSD)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ldmbench.audio.arrays import Features
from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import Padding, magnitudes, mel_filters
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, register
from ldmbench.metrics._pair import each_channel, refuse_silence, sounds
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

#: Magnitudes and mel bands below this are raised to it before the logarithm (audiotools: ``clamp_eps``).
FLOOR = 1e-5

#: (window in samples, mel bands) of DAC's published configuration.
DAC_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))

#: (window in samples, mel bands) of audiotools' class defaults.
AUDIOTOOLS_SCALES = ((2048, 150), (512, 80))

#: Rates offered as variants, Hz.
RATES = {"16khz": 16_000, "22khz": 22_050, "24khz": 24_000, "44khz": 44_100, "48khz": 48_000}

#: Windows whose magnitudes several metrics share, hop a quarter; they are kept with the sound.
_SHARED = (2048, 512)


@dataclass
class SpectralMetric(BaseMetric):
    """A distance between two mono sounds of equal rate and length; spectra are shared through ``remember``.

    With ``channels`` at ``each`` it is the mean over pairs of channels, in place of that of the mono mixes.
    """

    facts: MetricFacts
    distance: Callable[..., float]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    channels: str = "mix"

    def measure(self, clip: Clip, output: Output) -> float:
        """The distance at ``facts.rate``.

        Raises:
            Unscored: If the clip is too short for the largest window.
            BenchError: If the value is not finite: NaN or Inf in the audio.
        """
        if self.channels == "each":
            pairs = each_channel(clip, output, self.facts.rate)
        else:
            pairs = [sounds(clip, output, self.facts.rate)]
        value = float(np.mean([self.distance(reference, estimate, **self.settings) for reference, estimate in pairs]))
        if not np.isfinite(value):
            raise BenchError(f"{self.facts.name} of {clip.id} is {value}", fix="look for NaN or Inf in the output")
        return value


def mel_distance(
    reference: Audio,
    estimate: Audio,
    *,
    scales: tuple[tuple[int, int], ...],
    power: float,
    magnitude_weight: float,
) -> float:
    """Multi-scale mel distance: L1 between log10 mel magnitudes, summed (not averaged) over the scales.

    Each scale adds ``mean |log10(max(M, 1e-5)^power) - ...| + magnitude_weight * mean |M - ...|``, where ``M`` is
    the magnitude STFT (periodic Hann, hop a quarter window, reflected ends) through librosa's mel filters. It is
    symmetric, defined for silence, and depends on gain.

    Args:
        reference: ``[1, time]``.
        estimate: ``[1, time]``, same rate and length.
        scales: (window in samples, mel bands) pairs.
        power: Exponent before the logarithm.
        magnitude_weight: Weight of the linear term.

    Raises:
        Unscored: If the clip is not longer than half the largest window.

    Source: Kumar et al., High-Fidelity Audio Compression with Improved RVQGAN (2023);
    ``MelSpectrogramLoss`` of descript-audiotools, ``audiotools/metrics/spectral.py``.
    """
    _refuse_short(reference, max(window for window, _ in scales))
    total = 0.0
    for window, bands in scales:
        mel, logarithm = remember(reference, ("mel", window, bands), partial(_mel, reference, window, bands))
        other, other_logarithm = _mel(estimate, window, bands)
        total += power * _l1(logarithm, other_logarithm)
        if magnitude_weight:
            total += magnitude_weight * _l1(mel, other)
    return total


def stft_distance(reference: Audio, estimate: Audio) -> float:
    """Multi-scale STFT distance: L1 of magnitudes plus L1 of log10 squared magnitudes, windows 2048 and 512.

    Raises:
        Unscored: If the clip is not longer than half the largest window.

    Source: ``MultiScaleSTFTLoss`` of descript-audiotools, ``audiotools/metrics/spectral.py``, its defaults, as
    ``scripts/evaluate.py`` of descript-audio-codec uses it.
    """
    _refuse_short(reference, 2048)
    total = 0.0
    for window in (2048, 512):
        first, second = _magnitudes(reference, window, window // 4), _magnitudes(estimate, window, window // 4)
        logarithm = remember(reference, ("log", window), partial(_log10, first))
        total += 2.0 * _l1(logarithm, _log10(second)) + _l1(first, second)
    return total


def lsd(reference: Audio, estimate: Audio, *, n_fft: int, hop: int, eps: float, match: str) -> float:
    """Log-spectral distance with a floor under the power: mean over frames of the RMS over bins of a log ratio.

    ``mean_t sqrt(mean_f (log10 max(|T|^2, eps) - log10 max(|E|^2, eps))^2)``: base 10, of power, so one unit is
    10 dB. Periodic Hann, reflected ends. Symmetric, and 0 for equal sounds.

    Args:
        reference: ``[1, time]``.
        estimate: ``[1, time]``, same rate and length.
        n_fft: Window and transform length in samples.
        hop: Samples between frames.
        eps: Floor of the power.
        match: ``none``, or ``lowN``: scale the estimate so that its mean magnitude in the lowest N % of the bins
            equals the reference's.

    Raises:
        Unscored: If the reference is silent, or not longer than ``n_fft // 2``.

    Source: ``cal_lsd`` of AP-BWE (Lu et al., 2024), also used by NU-Wave 2; the defaults are its values.
    """
    if n_fft < 2 or hop < 1 or not np.float32(eps) > 0:
        raise BenchError("lsd needs n_fft >= 2, hop >= 1 and eps > 0", f"n_fft={n_fft}, hop={hop}, eps={eps:g}")
    refuse_silence(reference.samples)
    _refuse_short(reference, n_fft)
    target, other = _magnitudes(reference, n_fft, hop), _magnitudes(estimate, n_fft, hop)
    other = other * _gain(target, other, match)
    key = ("log power", n_fft, hop, eps)
    return _rms_over_bins(remember(reference, key, partial(_log_power, target, eps)) - _log_power(other, eps))


def lsd_audiosr(reference: Audio, estimate: Audio) -> float:
    """LSD of AudioSR's authors: 2048/512, energy matched in the lowest 10 % of the bins (102 of 1025).

    ``mean_t sqrt(mean_f log10(|gE|^2 / (|T| + 1e-8)^2 + 1e-8)^2)`` with ``g`` the ratio of mean magnitudes in the
    lowest bins. Note that the estimate is above the fraction line: their script passes the reference as the
    estimate. Zeros added at the ends, as librosa does. Frames of digital silence in both count as 8, not 0.

    Their demonstration runs at 22.05 kHz (the variant ``@22khz``), blind to everything above 11 kHz; the bare
    name runs at 48 kHz, the rate of AudioSR's output.

    Raises:
        Unscored: If the reference is silent or shorter than a window.

    Source: ``example/lsd_calculation_pitfall/demo_comparison.py`` of versatile_audio_super_resolution.
    """
    target, other = _librosa_magnitudes(reference, estimate, 2048, 512)
    return _ratio_lsd(other * _gain(target, other, "low10"), target, 1e-8)


def lsd_ssr_eval(reference: Audio, estimate: Audio) -> float:
    """LSD of ssr_eval (NVSR; audioldm_eval calls it too): windows of 46 ms, hop 10 ms, no matching.

    ``mean_t sqrt(mean_f log10(|T|^2 / (|E| + 1e-12)^2 + 1e-12)^2)`` with ``n_fft = int(2048 / (44100 / rate))`` and
    ``hop = int(rate / 100)``. Zeros added at the ends, as librosa does. Not symmetric. Frames of digital silence
    in both count as 12, not 0. The mean removal and peak normalisation of audioldm_eval are not part of it.

    Raises:
        Unscored: If the reference is silent or shorter than a window.

    Source: ``AudioMetrics`` of ssr_eval, ``ssr_eval/metrics.py``.
    """
    rate = reference.rate
    target, other = _librosa_magnitudes(reference, estimate, int(2048 / (44100 / rate)), int(rate / 100))
    return _ratio_lsd(target, other, 1e-12)


def _mel(sound: Audio, window: int, bands: int) -> tuple[Features, Features]:
    """Mel magnitudes and their floored logarithm, both ``[frames, bands]``."""
    spectrum = _magnitudes(sound, window, window // 4)
    mel = spectrum @ mel_filters(sound.rate, window, bands).T
    return mel, _log10(mel)


def _magnitudes(sound: Audio, window: int, hop: int) -> Features:
    """Magnitudes ``[frames, bins]``, float32 throughout as in torch.stft; kept where other metrics need them too."""
    compute = partial(magnitudes, sound.samples[0], window, hop)
    if window in _SHARED and hop == window // 4:
        return remember(sound, ("magnitudes", window), compute)
    return compute()


def _librosa_magnitudes(reference: Audio, estimate: Audio, n_fft: int, hop: int) -> tuple[Features, Features]:
    """Magnitudes ``[frames, bins]`` of both, windowed and transformed in float64 as librosa.stft does."""
    refuse_silence(reference.samples)
    if reference.length < n_fft:
        raise Unscored(f"the clip is shorter than one window: {reference.length} of {n_fft} samples")
    zeros: Padding = "constant"
    compute = partial(magnitudes, length=n_fft, hop=hop, padding=zeros, dtype=np.float64)
    target = remember(reference, ("librosa", n_fft, hop), partial(compute, reference.samples[0]))
    return target, compute(estimate.samples[0])


def _log10(magnitude: Features) -> Features:
    floored = np.maximum(magnitude, np.float32(FLOOR))
    return np.log10(floored, out=floored)


def _log_power(magnitude: Features, eps: float) -> Features:
    power = np.square(magnitude)
    np.maximum(power, np.float32(eps), out=power)
    return np.log10(power, out=power)


def _l1(first: Features, second: Features) -> float:
    difference = np.subtract(first, second)
    return float(np.abs(difference, out=difference).mean(dtype=np.float64))


def _ratio_lsd(upper: Features, lower: Features, eps: float) -> float:
    # float64: a silent bin of the estimate makes ratios beyond the range of float32 for a small eps.
    ratio = upper.astype(np.float64)
    ratio /= lower + np.float64(eps)
    np.square(ratio, out=ratio)
    ratio += eps
    return _rms_over_bins(np.log10(ratio, out=ratio))


def _rms_over_bins(logarithms: np.ndarray) -> float:
    return float(np.sqrt(np.square(logarithms).mean(axis=1, dtype=np.float64)).mean())


def _gain(target: Features, other: Features, match: str) -> np.float32:
    """Factor for ``other`` that makes the mean magnitudes in the lowest bins equal; 1 where it has none there."""
    if match == "none":
        return np.float32(1.0)
    band = re.fullmatch(r"low(\d+)", match)
    percent = int(band[1]) if band else 0
    bins = int(target.shape[1] * percent / 100)
    if not (1 <= bins <= target.shape[1]):
        raise BenchError(f"unknown energy matching {match!r}", fix="use match=none or match=low10 (percent of bins)")
    below = float(other[:, :bins].mean(dtype=np.float64))
    return np.float32(target[:, :bins].mean(dtype=np.float64) / below) if below > 0 else np.float32(1.0)


def _refuse_short(sound: Audio, window: int) -> None:
    if sound.length <= window // 2:
        raise Unscored(f"the clip is too short for windows of {window} samples: {sound.length} samples")


def _register(
    name: str,
    distance: Callable[..., float],
    title: str,
    rate: int,
    source: str,
    defaults: Mapping[str, Setting] | None = None,
) -> None:
    """Register a distance with its rates as variants; ``rate`` is a setting as well."""

    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        rest = dict(settings)
        at = int(rest.pop("rate"))
        channels = str(rest.pop("channels", "mix"))
        if channels not in ("mix", "each"):
            raise BenchError(f"{asked.name} does not know channels={channels}", fix="use mix or each")
        heading = title.format(**rest).removesuffix(" none")
        # The heading spells the distance's own settings out already; what is left to add is the rate.
        where = f"@{asked.variant}" if asked.variant else ""
        own = {"rate": at, "channels": channels}
        shown = [f"{key}={value}" for key, value in own.items() if key in asked.settings]
        where += f":{','.join(shown)}" if shown else ""
        facts = MetricFacts(str(asked), heading + where, better="lower", rate=at, low=0.0, source=source)
        return SpectralMetric(facts, distance, rest, channels)

    variants: dict[str, Mapping[str, Setting]] = {
        label: {"rate": hertz} for label, hertz in RATES.items() if hertz != rate
    }
    if defaults and "channels" in defaults:
        variants["per-channel"] = {"channels": "each"}
    register(name, build, variants=variants, defaults={"rate": rate, **(defaults or {})})


#: The losses of audiotools take every channel for itself; ``@per-channel`` is what DAC's own script prints for stereo.
_PER_CHANNEL = {"channels": "mix"}

_AUDIOTOOLS = "descript-audiotools, audiotools/metrics/spectral.py"

_register(
    "mel_dac",
    partial(mel_distance, scales=DAC_SCALES, power=1.0, magnitude_weight=0.0),
    "MEL (DAC)",
    44_100,
    f"{_AUDIOTOOLS} MelSpectrogramLoss as configured in descript-audio-codec conf/final/44khz.yml",
    _PER_CHANNEL,
)
_register(
    "mel_audiotools",
    partial(mel_distance, scales=AUDIOTOOLS_SCALES, power=2.0, magnitude_weight=1.0),
    "MEL (audiotools)",
    44_100,
    f"{_AUDIOTOOLS} MelSpectrogramLoss, class defaults",
    _PER_CHANNEL,
)
_register(
    "stft_dac",
    stft_distance,
    "STFT (DAC)",
    44_100,
    f"{_AUDIOTOOLS} MultiScaleSTFTLoss, class defaults",
    _PER_CHANNEL,
)
_register(
    "lsd",
    lsd,
    "LSD {n_fft}/{hop}/{eps:g} {match}",
    0,
    "AP-BWE (Lu et al., 2024), cal_lsd: log10 of power, floored",
    {"n_fft": 2048, "hop": 512, "eps": 1e-8, "match": "none"},
)
_register(
    "lsd_audiosr",
    lsd_audiosr,
    "LSD (AudioSR)",
    48_000,
    "versatile_audio_super_resolution, example/lsd_calculation_pitfall/demo_comparison.py",
)
_register("lsd_ssr_eval", lsd_ssr_eval, "LSD (ssr_eval)", 44_100, "ssr_eval/metrics.py AudioMetrics.lsd")
