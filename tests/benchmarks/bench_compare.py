"""Seconds and memory of ``ldmbench compare`` on two large runs, from run folders and from a baseline file."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.writer import RunWriter

#: Starts the command line and says its largest resident memory (KiB) and CPU time on the error stream.
_CHILD = (
    "import resource, sys\n"
    "from ldmbench.cli import cli\n"
    "try:\n"
    "    cli(sys.argv[1:])\n"
    "finally:\n"
    "    used = resource.getrusage(resource.RUSAGE_SELF)\n"
    "    print('used', used.ru_maxrss, used.ru_utime + used.ru_stime, file=sys.stderr)\n"
)


def write(folder: Path, name: str, clips: int, metrics: list[str], seed: int) -> Path:
    """A run of random scores in six groups."""
    generator = np.random.default_rng(seed)
    planned = tuple(ClipInfo(f"big/{index:06}", "big", group="abcdef"[index % 6]) for index in range(clips))
    info = RunInfo(
        id=name, suite="big", system="codec", title="Codec", task="codec", settings={}, seed=1, untrained=False,
        limit=0, identity={"version": "2"}, datasets=(DatasetInfo("big", "Big", "speech", "d" * 64),), clips=planned,
        metrics=tuple(metrics), environment={}, created="2026-01-02T03:04:05Z",
    )  # fmt: skip
    path = folder / "big" / "codec" / name
    hard = np.random.default_rng(0).normal(3, 0.5, (clips, len(metrics)))
    values = hard + generator.normal(0, 0.1, hard.shape)
    with RunWriter(path, info):
        pass
    outputs, scores = [], []
    for index, clip in enumerate(planned):
        digest = f"{seed}{index:063}"
        output = OutputRow(clip.id, "ok", f"{index:06}.wav", digest=digest, reference="r" * 64, rate=16_000, channels=1)
        outputs.append(json.dumps(asdict(output)))
        for column, metric in enumerate(metrics):
            score = ScoreRow(clip.id, metric, 1, "ok", float(values[index, column]), output=digest)
            scores.append(json.dumps(asdict(score)))
    # Written at once: RunWriter flushes each output to the disk, which is not what is measured here.
    (path / "outputs.jsonl").write_text("\n".join(outputs) + "\n")
    (path / "scores.jsonl").write_text("\n".join(scores) + "\n")
    return path


def measure(*words: object) -> None:
    """Run a command and print what it took."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _CHILD, *map(str, words)], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    ((_, peak, cpu),) = [line.split() for line in done.stderr.splitlines() if line.startswith("used ")]
    last = done.stdout.strip().splitlines()[-1]
    took = f"{seconds:5.1f} s  {float(cpu):5.1f} s of CPU  {int(peak) / 1024:5.0f} MiB"
    print(f"{words[0]:9} exit {done.returncode}  {took}  {last}")


def main() -> None:
    """Make the runs and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=12)
    arguments = parser.parse_args()
    names = [f"lsd:n_fft={256 * (index + 1)}" for index in range(arguments.metrics)]
    with tempfile.TemporaryDirectory() as folder:
        base, new = (write(Path(folder), f"r{seed}", arguments.clips, names, seed) for seed in (1, 2))
        baseline = Path(folder) / "baseline.parquet"
        measure("compare", base, new)
        measure("baseline", "save", base, "-o", baseline)
        measure("compare", baseline, new)


if __name__ == "__main__":
    main()
