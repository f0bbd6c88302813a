"""Seconds of scoring a folder with the judges of speech, beside a plain loop over the same packages.

Usage: python tests/benchmarks/bench_speech.py [--clips 6] [--jobs 2]

WARP-Q is left out of both: its package does not run on the NumPy that ldmbench needs. The loop loads each model once,
and resamples for each package, as scripts do.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import bench_scoring as scoring
import numpy as np

from ldmbench.audio import sound as audio

METRICS = (
    "dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808", "plcmos", "distillmos", "zimtohrli", "zimtohrli_mos",
    "f0_rmse", "vuv_error", "mcd_world",
)  # fmt: skip


def plain(folder: Path) -> dict[str, float]:
    """Seconds of each package over all pairs, loading included."""
    import pyworld
    import torch
    import zimtohrli
    from distillmos import ConvTransformerSQAModel
    from speechmos import dnsmos, plcmos

    spent: dict[str, float] = {}
    start = time.perf_counter()
    network = ConvTransformerSQAModel().eval()
    spent["distillmos"] = time.perf_counter() - start
    for path in sorted((folder / "reference").iterdir()):
        first, second = audio.read(path), audio.read(folder / "output" / path.name)
        one, two = (np.clip(sound.at(16_000).samples[0], -1, 1) for sound in (first, second))
        for name in ("dnsmos", "plcmos", "distillmos", "zimtohrli", "world"):
            start = time.perf_counter()
            if name == "dnsmos":
                dnsmos.run(two, 16_000)
            elif name == "plcmos":
                plcmos.run(two, 16_000)
            elif name == "distillmos":
                with torch.inference_mode():
                    network(torch.from_numpy(two.copy())[None]).item()
            elif name == "zimtohrli":
                pair = (sound.at(48_000).samples[0] for sound in (first, second))
                zimtohrli.mos_from_zimtohrli(zimtohrli.Pyohrli().distance(*pair))
            else:
                for signal in (one, two):
                    x = signal.astype(float)
                    coarse, times = pyworld.dio(x, 16_000)
                    hertz = pyworld.stonemask(x, coarse, times, 16_000)
                    pyworld.code_spectral_envelope(pyworld.cheaptrick(x, hertz, times, 16_000), 16_000, 24)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
    return spent


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LDMBENCH_CACHE"] = str(folder / "cache")
        scoring.make_folders(folder, options.clips)
        seconds, peak = scoring.ours(folder, METRICS, options.jobs)
        start = time.perf_counter()
        spent = plain(folder)
        loop = time.perf_counter() - start
    facts = {"clips": options.clips, "ours_s": seconds, "peak_mib": peak, "plain_s": loop, "ratio": loop / seconds}
    print(json.dumps({**facts, "plain": spent}, indent=1))


if __name__ == "__main__":
    main()
