"""The judges of speech by their packages' own interfaces, in a plain loop: run by a Python that has the packages.

Usage: python tests/benchmarks/peer_speech.py FOLDER

FOLDER holds ``reference`` and ``output``. Every file is read once and resampled once for each rate, every network is
loaded once, and the packages use as many threads as they like. Only pymcd reads its two files itself, since its
interface takes no arrays. One line: seconds by the wall clock and of all cores of each stage, and values by clip.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _side_by_side import Stages

Signal = np.ndarray[Any, np.dtype[np.float32]]
#: Values of a clip, of reference and output at 16 and 48 kHz and of their files.
Judge = Callable[[Mapping[Any, Any]], Mapping[str, float]]


def speechmos() -> Judge:
    """DNSMOS and PLCMOS of speechmos."""
    from speechmos import dnsmos, plcmos

    def judge(heard: Mapping[Any, Any]) -> Mapping[str, float]:
        output = np.clip(heard["output", 16_000], -1, 1)  # It refuses what is beyond.
        quality = dnsmos.run(output, 16_000)
        return {
            **{f"dnsmos_{name}": quality[f"{name}_mos"] for name in ("sig", "bak", "ovrl", "p808")},
            "plcmos": plcmos.run(output, 16_000)["plcmos"],
        }

    return judge


def distillmos() -> Judge:
    """Distill-MOS."""
    import contextlib

    import torch
    from distillmos import ConvTransformerSQAModel

    with contextlib.redirect_stdout(sys.stderr):
        network = ConvTransformerSQAModel().eval()

    def judge(heard: Mapping[Any, Any]) -> Mapping[str, float]:
        with torch.inference_mode():
            return {"distillmos": network(torch.from_numpy(heard["output", 16_000])[None]).item()}

    return judge


def zimtohrli() -> Judge:
    """Zimtohrli, distance and score."""
    import zimtohrli as package

    distance = package.Pyohrli()

    def judge(heard: Mapping[Any, Any]) -> Mapping[str, float]:
        value = distance.distance(heard["reference", 48_000], heard["output", 48_000])
        return {"zimtohrli": value, "zimtohrli_mos": package.mos_from_zimtohrli(value)}

    return judge


def warpq() -> Judge:
    """WARP-Q's raw score, which the package rounds to three digits."""
    from warpq.core import warpqMetric

    metric = warpqMetric(n_jobs=1)

    def judge(heard: Mapping[Any, Any]) -> Mapping[str, float]:
        result = metric.evaluate(heard["reference", 16_000], heard["output", 16_000], arr_sr=16_000)
        return {"warpq": result["raw_warpq_score"]}

    return judge


def resemblyzer() -> Judge:
    """The cosine of Resemblyzer's embeddings, without its preprocessing."""
    from resemblyzer import VoiceEncoder

    encoder = VoiceEncoder("cpu", verbose=False)

    def judge(heard: Mapping[Any, Any]) -> Mapping[str, float]:
        first, second = (encoder.embed_utterance(heard[side, 16_000]) for side in ("reference", "output"))
        return {"speaker_similarity_ge2e": float(first @ second)}

    return judge


def world() -> Judge:
    """Pitch and voicing by pyworld: DIO and StoneMask."""
    import pyworld

    def pitch(signal: Signal) -> Any:
        x = signal.astype(np.float64)
        coarse, times = pyworld.dio(x, 16_000)
        return pyworld.stonemask(x, coarse, times, 16_000)

    def judge(heard: Mapping[Any, Any]) -> Mapping[str, float]:
        first, second = (pitch(heard[side, 16_000]) for side in ("reference", "output"))
        both = (first > 0) & (second > 0)
        rmse = np.sqrt(np.mean((first - second)[both] ** 2)) if both.any() else np.nan
        return {"f0_rmse": float(rmse), "vuv_error": 100 * float(np.mean((first > 0) != (second > 0)))}

    return judge


def pymcd(mode: str) -> Judge:
    """Mel-cepstral distortion by pymcd, whose definition is another one (22.05 kHz, 13 coefficients, fastdtw)."""
    package: Any = importlib.import_module("pymcd.mcd")
    metric = package.Calculate_MCD(MCD_mode=mode)
    name = "mcd_world" if mode == "plain" else "mcd_world_dtw"

    def judge(heard: Mapping[Any, Any]) -> Mapping[str, float]:
        return {name: float(metric.calculate_mcd(*(str(heard[side]) for side in ("reference", "output"))))}

    return judge


#: Stage -> gives what judges, once its packages are imported and its networks loaded.
JUDGES: Mapping[str, Callable[[], Judge]] = {
    "DNSMOS and PLCMOS": speechmos, "Distill-MOS": distillmos, "Zimtohrli": zimtohrli, "WARP-Q": warpq,
    "GE2E": resemblyzer, "pitch": world, "MCD": lambda: pymcd("plain"), "MCD, warped": lambda: pymcd("dtw"),
}  # fmt: skip


def main() -> None:
    """Judge every pair of the folder."""
    import soundfile
    import soxr

    folder = Path(sys.argv[1])
    stages = Stages()
    with stages.stage("loading"):
        judges = {name: load() for name, load in JUDGES.items()}
    values: dict[str, dict[str, float]] = {}
    for path in sorted((folder / "reference").iterdir()):
        heard: dict[Any, Any] = {}
        with stages.stage("reading"):
            for side in ("reference", "output"):
                heard[side] = folder / side / path.name
                samples, rate = soundfile.read(heard[side], dtype="float32")
                heard |= {(side, to): soxr.resample(samples, rate, to, quality="VHQ") for to in (16_000, 48_000)}
        values[path.stem] = {}
        for name, judge in judges.items():
            with stages.stage(name):
                values[path.stem] |= {key: float(value) for key, value in judge(heard).items()}
    print("RESULT" + json.dumps({"stages": stages.spent, "values": values}), flush=True)


if __name__ == "__main__":
    main()
