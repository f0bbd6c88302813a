"""Regenerate signal_metrics.json: what the peer libraries say about ten seeded pairs of signals.

Run it in an environment of its own, beside which ldmbench need not be installed:

    uv venv peers && uv pip install --python peers/bin/python --override overrides.txt \
        torch==2.11.0 torchaudio==2.11.0 descript-audiotools==0.7.2 librosa==0.11.0 torchmetrics==1.9.0 pystoi==0.4.1
    peers/bin/python tests/golden/make_signal_metrics.py "why the numbers are made again"

where overrides.txt holds ``numpy>=2.2,<2.5`` and ``protobuf>=5``, which descript-audiotools would not allow.
The tests import ``pairs`` from here, so the signals are defined once.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("signal_metrics.json")

Pair = tuple[np.ndarray, np.ndarray, int]


def pairs() -> dict[str, Pair]:
    """Ten pairs: reference ``[time]``, estimate ``[time]`` (float32) and rate in Hz."""
    rng = np.random.default_rng(20_241_121)
    found: dict[str, tuple[np.ndarray, np.ndarray, int]] = {}

    speech = _speech(rng, 3.0, 16_000)
    found["speech_16k_noisy"] = speech, speech + 0.02 * rng.standard_normal(len(speech)), 16_000
    speech = _speech(rng, 2.5, 44_100)
    companded = np.sign(speech) * np.log1p(255 * np.abs(speech)) / np.log(256)
    companded = np.round(companded * 32) / 32
    expanded = np.sign(companded) * np.expm1(np.abs(companded) * np.log(256)) / 255
    found["speech_44k_companded"] = speech, expanded, 44_100
    noise = 0.1 * rng.standard_normal((2, 88_200))
    found["noise_44k_independent"] = noise[0], noise[1], 44_100
    noise = 0.1 * rng.standard_normal((2, 32_000))
    found["noise_16k_louder"] = noise[0], 1.5 * noise[0] + 0.1 * noise[1], 16_000
    time = np.arange(66_150) / 44_100
    chord = np.sum([0.15 * np.sin(2 * np.pi * f * time + f) for f in (220.0, 277.18, 329.63, 3000.0)], axis=0)
    found["chord_44k_quieter"] = chord, 0.8 * chord + 0.003 * rng.standard_normal(len(time)), 44_100
    time = np.arange(96_000) / 48_000
    sweep = 0.5 * np.sin(2 * np.pi * (50 * time + 4000 * time**2))
    found["sweep_48k_noisy"] = sweep, sweep + 0.005 * rng.standard_normal(len(time)), 48_000
    short = 0.2 * rng.standard_normal((2, 2300))
    found["short_44k"] = short[0], short[0] + 0.3 * short[1], 44_100
    found["silence_44k_noise"] = np.zeros(44_100), 0.05 * rng.standard_normal(44_100), 44_100
    clicks = 0.001 * rng.standard_normal(33_075)
    clicks[::2205] += 0.9
    found["clicks_22k_smeared"] = clicks, np.convolve(clicks, np.exp(-np.arange(40) / 8) / 8)[:33_075], 22_050
    odd = _speech(rng, 2.1, 24_000)[:50_001]
    found["speech_24k_smoothed"] = odd, np.convolve(odd, np.ones(5) / 5, "same"), 24_000

    return {name: (a.astype(np.float32), b.astype(np.float32), rate) for name, (a, b, rate) in found.items()}


def _speech(rng: np.random.Generator, seconds: float, rate: int) -> np.ndarray:
    """Something with the pulse, formants, syllables and pauses of speech, and a faint noise floor."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 1.3 * time)) / rate
    voice = np.zeros(len(time))
    for harmonic in range(1, 30):
        hertz = 120.0 * harmonic
        formants = sum(np.exp(-(((hertz - centre) / 200.0) ** 2)) for centre in (500.0, 1500.0, 2500.0))
        voice += (formants + 0.02) * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * time) + 0.2, 0, None)
    return 0.1 * voice * syllables + 0.0005 * rng.standard_normal(len(time))


def _measure(reference: np.ndarray, estimate: np.ndarray, rate: int) -> dict[str, float]:
    """Values of one pair by the names of ldmbench's metrics."""
    import librosa
    import torch
    from audiotools import AudioSignal
    from audiotools.metrics.spectral import MelSpectrogramLoss, MultiScaleSTFTLoss
    from pystoi import stoi
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio, signal_noise_ratio

    windows = [32, 64, 128, 256, 512, 1024, 2048]
    losses = {
        # descript-audio-codec, conf/base.yml and conf/final/44khz.yml
        "mel_dac": MelSpectrogramLoss(
            n_mels=[5, 10, 20, 40, 80, 160, 320],
            window_lengths=windows,
            mel_fmin=[0.0] * 7,
            mel_fmax=[None] * 7,
            pow=1.0,
            clamp_eps=1e-5,
            mag_weight=0.0,
        ),
        "mel_audiotools": MelSpectrogramLoss(),
        "stft_dac": MultiScaleSTFTLoss(),
    }
    values = {}
    for name, loss in losses.items():
        first, second = (AudioSignal(torch.from_numpy(signal)[None, None], rate) for signal in (reference, estimate))
        values[f"{name}:rate={rate}"] = float(loss(second, first))
    if not reference.any():
        return values

    # LSD as the SR papers print it, in torch (AP-BWE): independent of ldmbench's NumPy code.
    def log_power(signal: np.ndarray) -> torch.Tensor:
        window = torch.hann_window(2048)
        spectrum = torch.stft(torch.from_numpy(signal), 2048, 512, window=window, return_complex=True)
        return torch.log10(torch.clamp(torch.abs(spectrum) ** 2, min=1e-8))

    squares = torch.square(log_power(estimate) - log_power(reference))
    values["lsd"] = float(torch.mean(torch.sqrt(torch.mean(squares, dim=0))))

    def spectrum(signal: np.ndarray, n_fft: int, hop: int) -> torch.Tensor:
        return torch.from_numpy(np.abs(librosa.stft(signal, n_fft=n_fft, hop_length=hop)))

    def ratio_lsd(upper: torch.Tensor, lower: torch.Tensor, eps: float) -> float:
        logarithm = torch.log10(upper**2 / (lower + eps) ** 2 + eps)
        return float((logarithm**2).mean(dim=0).sqrt().mean())

    n_fft, hop = int(2048 / (44100 / rate)), int(rate / 100)
    values[f"lsd_ssr_eval:rate={rate}"] = ratio_lsd(
        spectrum(reference, n_fft, hop), spectrum(estimate, n_fft, hop), 1e-12
    )
    if len(reference) >= 2048:
        target, other = spectrum(reference, 2048, 512), spectrum(estimate, 2048, 512)
        gain = target[:102].mean() / other[:102].mean()
        values[f"lsd_audiosr:rate={rate}"] = ratio_lsd(gain * other, target, 1e-8)

    target, other = (torch.from_numpy(signal).double() for signal in (reference, estimate))
    values["snr"] = float(signal_noise_ratio(other, target))
    values["si_sdr"] = float(scale_invariant_signal_distortion_ratio(other, target))
    values["si_sdr@zero-mean"] = float(scale_invariant_signal_distortion_ratio(other, target, zero_mean=True))
    if len(reference) > 0.6 * rate:
        values["stoi"] = float(stoi(reference.astype(np.float64), estimate.astype(np.float64), rate))
        np.random.seed(0)  # noqa: NPY002 (pystoi's ESTOI draws from the global generator)
        values["estoi"] = float(stoi(reference.astype(np.float64), estimate.astype(np.float64), rate, extended=True))
    return values


def main() -> None:
    """Write the goldens, with versions and the reason."""
    if len(sys.argv) != 2:
        sys.exit("say why the goldens are made again: make_signal_metrics.py REASON")
    packages = ("descript-audiotools", "librosa", "torch", "torchmetrics", "pystoi", "numpy", "scipy")
    golden = {
        "reason": sys.argv[1],
        "versions": {package: version(package) for package in packages},
        "values": {name: _measure(*pair) for name, pair in pairs().items()},
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
