"""Seconds of scoring a folder with the judges of speech, beside a plain loop over their packages, by turns.

Usage: python tests/benchmarks/bench_speech.py --peer-python PYTHON [--clips 60] [--turns 1] [--jobs 2] [--threads 1]

PYTHON has the packages, which do not go into one environment with NumPy 2 (WARP-Q):

    uv venv peers --python 3.11
    uv pip install --python peers/bin/python "numpy<2" torch==2.11.0 torchaudio==2.11.0 onnxruntime==1.32.0 \
        speechmos==0.0.1.1 distillmos==0.9.1 zimtohrli==0.2.1.post1 warpq==1.5.2 pyvad==0.2.0 Resemblyzer==0.1.4 \
        pymcd==0.2.1 pyworld soxr seaborn "setuptools<80"

Both sides start anew in each turn and nothing is cached. Seconds of all cores count every process, start-up included;
they are what to trust on a shared machine. There torch's threads spin while they wait for each other, and the loop's
seconds of all cores grow: ``--threads 1`` gives it one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bench_scoring as scoring
import numpy as np

METRICS = (
    "dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808", "plcmos", "distillmos", "zimtohrli", "zimtohrli_mos",
    "warpq", "f0_rmse", "vuv_error", "mcd_world", "mcd_world_dtw", "speaker_similarity_ge2e",
)  # fmt: skip

#: Metrics that the packages define otherwise, or draw at random.
OTHERS = ("mcd_world", "mcd_world_dtw", "plcmos")


def timed(command: Sequence[object], environment: Mapping[str, str]) -> tuple[float, float, str]:
    """Seconds by the wall clock and of all cores that a command takes with its children, and what it prints.

    Raises:
        SystemExit: If it fails.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}\n{done.stderr[-4000:]}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def ours(folder: Path, jobs: int, weights: Path, environment: Mapping[str, str]) -> tuple[float, float, str]:
    """``ldmbench score`` with a cache and a folder of runs that are empty."""
    words: list[object] = [sys.executable, "-m", "ldmbench.cli", "score", folder / "output", "--content", "speech"]
    words += ["--reference", folder / "reference", "--quiet", "--jobs", jobs, "--weights", weights, "--json"]
    with tempfile.TemporaryDirectory() as name:
        words += ["--out", Path(name) / "runs", *(word for metric in METRICS for word in ("-m", metric))]
        return timed(words, {**environment, "LDMBENCH_CACHE": str(Path(name) / "cache")})


def plain(folder: Path, python: Path, environment: Mapping[str, str]) -> tuple[float, float, dict[str, Any]]:
    """The loop, whose result line is read."""
    seconds, cores, text = timed([python, Path(__file__).with_name("peer_speech.py"), folder], environment)
    (line,) = (line for line in text.splitlines() if line.startswith("RESULT"))
    return seconds, cores, json.loads(line.removeprefix("RESULT"))


def differences(table: str, values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Metric -> how far the mean over clips is from that of the packages."""
    content = json.loads(table)
    (row,) = content["rows"]
    cells = {column["metric"]: cell for column, cell in zip(content["columns"], row["cells"], strict=True)}
    means = {name: float(np.nanmean([clip[name] for clip in values.values()])) for name in METRICS}
    return {name: abs(float(cells[name]["estimate"]["value"]) - means[name]) for name in METRICS if name not in OTHERS}


def main() -> None:
    """Print one JSON object for each turn, and the table of where the loop's time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of torch in the loop; its own choice where left out")
    options = parser.parse_args()
    python = options.peer_python.absolute()  # Not resolved: a link in an environment is what makes it one.
    site = subprocess.run(
        [python, "-c", "import importlib.util as u; print(u.find_spec('resemblyzer').origin)"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    loop = environment | ({"OMP_NUM_THREADS": str(options.threads)} if options.threads else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scoring.make_folders(folder, options.clips)
        for turn in range(options.turns):
            load = os.getloadavg()[0]
            wall, cpu, table = ours(folder, options.jobs, Path(site.strip()).parent, environment)
            peer_wall, peer_cpu, result = plain(folder, python, loop)
            facts = {
                "turn": turn + 1, "clips": options.clips, "load": round(load, 1), "ours_s": round(wall, 1),
                "plain_s": round(peer_wall, 1), "ratio": round(peer_wall / wall, 2), "ours_cpu_s": round(cpu, 1),
                "plain_cpu_s": round(peer_cpu, 1), "cpu_ratio": round(peer_cpu / cpu, 2),
            }  # fmt: skip
            print(json.dumps(facts), flush=True)
    print(json.dumps({"difference": differences(table, result["values"])}))
    for stage, (seconds, cores) in result["stages"].items():
        print(f"{stage:20} {seconds:8.2f} s {cores:8.2f} CPU s")


if __name__ == "__main__":
    main()
