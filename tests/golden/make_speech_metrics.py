"""Regenerate speech_metrics.json: what the packages themselves say of a recording and of twelve things done to it.

Run it twice, since the packages do not go into one environment; each run replaces the values of what it can import:

    .venv/bin/python tests/golden/make_speech_metrics.py
    uv venv peers && uv pip install --python peers/bin/python warpq==1.5.2 pyvad==0.2.0 Resemblyzer==0.1.4 seaborn \
        "setuptools<80" pyworld pysptk==1.0.1 librosa
    NISQA=path/to/NISQA peers/bin/python tests/golden/make_speech_metrics.py

The recording is speech-jfk.flac: 11 s of John F. Kennedy's inaugural address (1961, public domain), from
tests/jfk.flac of github.com/openai/whisper, mixed to mono, resampled to 16 kHz by soxr (VHQ) and rounded to 16 bits.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).with_name("speech_metrics.json")
RECORDING = Path(__file__).with_name("speech-jfk.flac")
RATE = 16_000

Values = Mapping[str, float]


def recording() -> np.ndarray:
    """The recording, float32 ``[time]`` at 16 kHz."""
    import soundfile

    return np.asarray(soundfile.read(RECORDING, dtype="float32")[0], np.float32)


def conditions(signal: np.ndarray) -> dict[str, np.ndarray]:
    """Four kinds of harm, each in three degrees from light to heavy, beside the signal itself as ``clean``."""
    found = {"clean": signal}
    draw = np.random.default_rng(0)
    noise = draw.standard_normal(len(signal))
    for db in (30, 20, 10):
        found[f"noise_{db}"] = signal + noise * np.sqrt(np.mean(signal**2)) * 10 ** (-db / 20)
    spectrum = np.fft.rfft(signal.astype(np.float64))
    hertz = np.fft.rfftfreq(len(signal), 1 / RATE)
    for cutoff in (3400, 2000, 1000):
        found[f"lowpass_{cutoff}"] = np.fft.irfft(np.where(hertz < cutoff, spectrum, 0), len(signal))
    for bits in (6, 4, 3):
        compressed = np.sign(signal) * np.log1p(255 * np.abs(signal)) / np.log(256)
        rounded = np.round((compressed + 1) / 2 * (2**bits - 1)) / (2**bits - 1) * 2 - 1
        found[f"mulaw_{bits}"] = np.sign(rounded) * (256 ** np.abs(rounded) - 1) / 255
    lost = draw.random(len(signal) // 320 + 1)
    for percent in (3, 10, 30):
        gaps = np.repeat(lost < percent / 100, 320)[: len(signal)]
        found[f"loss_{percent}"] = np.where(gaps, 0, signal)
    return {name: np.clip(value, -1, 1).astype(np.float32) for name, value in found.items()}


def speechmos(_: np.ndarray, output: np.ndarray) -> Values:
    """DNSMOS and PLCMOS of speechmos 0.0.1.1; NumPy's global generator starts at 0 for each sound."""
    from speechmos import dnsmos, plcmos

    quality = dnsmos.run(output, RATE)
    personalised = dnsmos.run(output, RATE, model_type="dnsmos_personalized")
    np.random.seed(0)  # noqa: NPY002 — the package draws from it
    return {
        **{f"dnsmos_{name}": quality[f"{name}_mos"] for name in ("sig", "bak", "ovrl", "p808")},
        **{f"dnsmos_{name}@personalised": personalised[f"{name}_mos"] for name in ("sig", "bak", "ovrl")},
        "plcmos": plcmos.run(output, RATE)["plcmos"],
    }


def distillmos(_: np.ndarray, output: np.ndarray) -> Values:
    """Distill-MOS 0.9.1."""
    import torch
    from distillmos import ConvTransformerSQAModel

    with torch.inference_mode():
        return {"distillmos": ConvTransformerSQAModel().eval()(torch.from_numpy(output)[None]).item()}


def zimtohrli(reference: np.ndarray, output: np.ndarray) -> Values:
    """Zimtohrli 0.2.1 at 48 kHz, after soxr."""
    import soxr
    import zimtohrli as package

    first, second = (soxr.resample(signal, RATE, 48_000, quality="VHQ") for signal in (reference, output))
    distance = package.Pyohrli().distance(first, second)
    return {"zimtohrli": distance, "zimtohrli_mos": package.mos_from_zimtohrli(distance)}


def warpq(reference: np.ndarray, output: np.ndarray) -> Values:
    """WARP-Q 1.5.2, raw and unrounded, with its voice detector and without; on a NumPy that has ``numpy.lib.pad``."""
    from warpq.core import warpqMetric

    class Unrounded(warpqMetric):  # type: ignore[misc]
        """Keeps the costs of patches, which it rounds to three digits."""

        def align_mfcc_patches(self, *sides: Any) -> Any:
            result = super().align_mfcc_patches(*sides)
            self.costs = result[0]
            return result

    values = {}
    for name, detect in (("warpq:vad=false", False), ("warpq", True)):
        metric = Unrounded(apply_vad=detect, n_jobs=1)
        metric.evaluate(reference, output, arr_sr=RATE)
        values[name] = np.median(metric.costs)
    return values


def resemblyzer(reference: np.ndarray, output: np.ndarray) -> Values:
    """Cosine of Resemblyzer 0.1.4's embeddings, without its preprocessing."""
    from resemblyzer import VoiceEncoder

    encoder = VoiceEncoder("cpu", verbose=False)
    first, second = (encoder.embed_utterance(signal) for signal in (reference, output))
    return {"speaker_similarity_ge2e": float(first @ second)}


def pysptk(reference: np.ndarray, output: np.ndarray) -> Values:
    """Mel-cepstral distortion and pitch of pyworld, with the mel-cepstra of pysptk 1.0.1 and the path of librosa."""
    import librosa
    import pyworld
    import soxr

    package: Any = importlib.import_module("pysptk")

    def tracked(signal: np.ndarray, rate: int, tracker: str = "dio") -> Any:
        if tracker == "harvest":
            return pyworld.harvest(signal, rate)
        coarse, times = pyworld.dio(signal, rate)
        return pyworld.stonemask(signal, coarse, times, rate), times

    decibels = 10 / np.log(10) * np.sqrt(2)
    values = {}
    # Order and all-pass constant of ESPnet's evaluate_mcd.py.
    for variant, rate, order, alpha in (
        ("", 16_000, 23, 0.42),
        ("@24khz", 24_000, 34, 0.46),
        ("@48khz", 48_000, 39, 0.55),
    ):
        sides = [soxr.resample(one.astype(np.float32), RATE, rate, quality="VHQ") for one in (reference, output)]
        cepstra = []
        for signal in (side.astype(np.float64) for side in sides):
            hertz, times = tracked(signal, rate)
            power = pyworld.cheaptrick(signal, hertz, times, rate)
            cepstra.append(package.sp2mc(power, order, alpha)[:, 1:])
        first, second = cepstra
        values[f"mcd_world{variant}"] = decibels * np.linalg.norm(first - second, axis=1).mean()
        total, path = librosa.sequence.dtw(first.T, second.T, metric="euclidean")
        values[f"mcd_world_dtw{variant}"] = decibels * total[-1, -1] / len(path)
    for variant, tracker in (("", "dio"), ("@harvest", "harvest")):
        one, other = (tracked(side.astype(np.float64), RATE, tracker)[0] for side in (reference, output))
        both = (one > 0) & (other > 0)
        values[f"f0_rmse{variant}"] = np.sqrt(np.mean((one - other)[both] ** 2)) if both.any() else np.nan
        values[f"vuv_error{variant}"] = 100 * np.mean((one > 0) != (other > 0))
    return values


def nisqa(_: np.ndarray, output: np.ndarray) -> Values:
    """NISQA v2 by its own code and weights: gabrielmittag/NISQA fe84f0f, whose folder $NISQA names."""
    sys.path.insert(0, str(Path(os.environ["NISQA"]) / "nisqa"))
    import soundfile
    import torch

    NISQA_lib: Any = importlib.import_module("NISQA_lib")
    content = torch.load(Path(os.environ["NISQA"]) / "weights" / "nisqa.tar", map_location="cpu", weights_only=True)
    names = inspect.signature(NISQA_lib.NISQA_DIM.__init__).parameters
    network = NISQA_lib.NISQA_DIM(**{key: value for key, value in content["args"].items() if key in names})
    network.load_state_dict(content["model_state_dict"])
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        soundfile.write(file.name, output, RATE, subtype="FLOAT")
        how = {"n_fft": 4096, "hop_length": 0.01, "win_length": 0.02, "n_mels": 48, "fmax": 20_000}
        bands = NISQA_lib.get_librosa_melspec(file.name, sr=None, **how)
    segments, count = NISQA_lib.segment_specs(file.name, bands, 15, 4, 1300)
    with torch.no_grad():
        values = network.eval()(segments[None].float(), torch.tensor([int(count)]))[0]
    columns = ("mos", "noisiness", "discontinuity", "coloration", "loudness")
    return {f"nisqa_{column}": value.item() for column, value in zip(columns, values, strict=True)}


PEERS: dict[str, Callable[[np.ndarray, np.ndarray], Values]] = {
    "speechmos": speechmos, "distillmos": distillmos, "zimtohrli": zimtohrli, "warpq": warpq,
    "resemblyzer": resemblyzer, "NISQA_lib": nisqa, "pysptk": pysptk,
}  # fmt: skip


def main() -> None:
    """Merge what the packages here say into the file."""
    golden: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    signal = recording()
    for name, output in conditions(signal).items():
        for package, measure in PEERS.items():
            if importlib.util.find_spec(package) is not None or (package == "NISQA_lib" and "NISQA" in os.environ):
                values = {key: round(float(value), 7) for key, value in measure(signal, output).items()}
                golden.setdefault(name, {}).update(values)
                print(name, values, flush=True)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
