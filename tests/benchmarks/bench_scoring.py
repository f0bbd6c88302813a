"""Seconds and peak memory of scoring a folder with all clip metrics, beside a plain loop over the same libraries.

Usage: python tests/benchmarks/bench_scoring.py [--clips 200] [--plain-clips 40] [--flat 100 2000] [--jobs 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.load import load_dataset
from ldmbench.metrics._base import load_metric
from ldmbench.system.protocol import Output

METRICS = (
    "visqol_audio", "visqol_speech_lattice", "visqol_speech_exponential", "pesq_wb", "pesq_nb", "stoi", "estoi",
    "mel_dac", "mel_audiotools", "stft_dac", "lsd", "lsd_audiosr", "lsd_ssr_eval", "si_sdr", "snr",
)  # fmt: skip
SECONDS = 10.0


def make_folders(folder: Path, count: int, rate: int = 24_000) -> None:
    """``count`` clips of speech of 10 s in ``reference``, with noise at 0 to 30 dB in ``output``."""
    speech = np.concatenate([clip.audio.mono().at(rate).samples[0] for clip in load_dataset("builtin-speech").clips])
    length = int(SECONDS * rate)
    for index in range(count):
        draw = np.random.default_rng(index)
        start = int(draw.integers(0, len(speech) - length))
        clean = speech[start : start + length]
        level = np.sqrt(np.mean(clean**2)) * 10 ** (-draw.uniform(0, 30) / 20)
        noisy = clean + (level * draw.standard_normal(length)).astype(np.float32)
        audio.write(folder / "reference" / f"{index:04}.wav", Audio.of(clean, rate))
        audio.write(folder / "output" / f"{index:04}.wav", Audio.of(noisy, rate))


def plain(folder: Path, metrics: tuple[str, ...]) -> dict[str, float]:
    """Seconds of each metric in a loop that decodes and resamples for every metric, as scripts do."""
    import pesq
    import pystoi
    from visqol import VisqolApi

    apis: dict[str, VisqolApi] = {}
    spent = dict.fromkeys(metrics, 0.0)
    for path in sorted((folder / "reference").iterdir()):
        for name in metrics:
            start = time.perf_counter()
            first, second = audio.read(path), audio.read(folder / "output" / path.name)
            if name.startswith("visqol"):
                mode = "audio" if name == "visqol_audio" else "speech"
                if name not in apis:
                    apis[name] = VisqolApi()
                    apis[name].create(mode=mode, use_lattice_model=name.endswith("lattice"))
                rate = 48_000 if mode == "audio" else 16_000
                one, two = first.at(rate).samples[0], second.at(rate).samples[0]
                apis[name].measure_from_arrays(one.astype(float), two.astype(float), rate)
            elif name.startswith("pesq"):
                pesq.pesq(16_000, first.at(16_000).samples[0], second.at(16_000).samples[0], name.removeprefix("pesq_"))
            elif name in ("stoi", "estoi"):
                pystoi.stoi(first.samples[0], second.samples[0], first.rate, extended=name == "estoi")
            else:
                clip = Clip(id=path.name, dataset="plain", content="speech", path=path, loaded=first)
                load_metric(name).measure(clip, Output(second))
            spent[name] += time.perf_counter() - start
    return spent


def ours(folder: Path, metrics: tuple[str, ...], jobs: int) -> tuple[float, float]:
    """Wall seconds and peak resident MiB (all processes together) of ``ldmbench score``."""
    words = ["score", folder / "output", "--reference", folder / "reference", "--content", "speech", "--quiet"]
    words += ["--jobs", jobs, "--out", folder / f"runs-{time.time_ns()}", "--json"]
    words += [word for name in metrics for word in ("-m", name)]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "ldmbench.cli", *map(str, words)], stdout=subprocess.DEVNULL)
    peak = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, tree_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"ldmbench score ended with {code}")
    return seconds, peak


def tree_memory(root: int) -> float:
    """Resident MiB of a process and all its descendants."""
    parents: dict[int, int] = {}
    sizes: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            sizes[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    total = 0.0
    for pid, size in sizes.items():
        ancestor: int | None = pid
        while ancestor not in (None, root, 0):
            ancestor = parents.get(ancestor)
        total += size if ancestor == root else 0.0
    return total


def main() -> None:
    """Run both, print one JSON line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--plain-clips", type=int, default=40)
    parser.add_argument("--flat", type=int, nargs=2, default=(100, 2000))
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_folders(root / "plain", asked.plain_clips)
        make_folders(root / "ours", asked.clips)
        warm = root / "warm"
        make_folders(warm, 2)
        ours(warm, METRICS, 1)
        spent = plain(root / "plain", METRICS)
        seconds, peak = ours(root / "ours", METRICS, asked.jobs)
        each = sum(spent.values()) / asked.plain_clips
        result = {
            "plain_s_per_clip": round(each, 3),
            "ours_s_per_clip": round(seconds / asked.clips, 3),
            "ratio": round(each / (seconds / asked.clips), 2),
            "ours_total_s": round(seconds, 1),
            "ours_peak_MiB": round(peak),
            "clips": asked.clips,
            "jobs": asked.jobs,
            "plain_ms_per_metric": {key: round(1000 * value / asked.plain_clips) for key, value in spent.items()},
        }
        print(json.dumps(result), flush=True)
        few, many = asked.flat
        for count in (few, many):
            make_folders(root / f"flat{count}", count)
            seconds, peak = ours(root / f"flat{count}", ("snr", "stft_dac"), asked.jobs)
            print(json.dumps({"flat_clips": count, "s": round(seconds, 1), "peak_MiB": round(peak)}), flush=True)


if __name__ == "__main__":
    main()
