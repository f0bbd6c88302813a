"""What the harness costs beside a bare loop over the same model: of a model that takes a second, and of a free one.

The loop reads each file, calls the model, writes its sound and computes the SNR: what a script of an evening does.
``ldmbench run`` does the same with its processes, digests, journals and waits for the disk. Both are timed at two
numbers of clips; the difference is free of start-up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _command import Tree, Used, clips, command, started, table, trees

SUITE = """name = "overhead"
title = "Overhead"
task = "codec"
datasets = []
systems = []
metrics = ["snr"]
"""

CARD = """title = "A model that takes its time"
tasks = ["codec"]
licence = "MIT"
module = "{name}:Model"
name = "{name}"
[settings]
seconds = 0.0
"""

MODEL = """
import time

from ldmbench import Audio, Output


def model(samples, seconds):
    time.sleep(seconds)
    return samples * 0.5


class Model:
    def __init__(self, spec):
        self.card, self.seconds = spec.card, float(spec.settings["seconds"])

    def process(self, clips):
        for clip in clips:
            yield Output(Audio.of(model(clip.audio.samples, self.seconds), clip.audio.rate))
"""

LOOP = """
import sys
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, {folder!r})
from {name} import model

for path in sorted(Path({sounds!r}).iterdir()):
    sound, rate = soundfile.read(path, dtype="float32")
    output = model(sound, {seconds})
    soundfile.write(Path({out!r}) / path.name, output, rate, subtype="FLOAT")
    10 * np.log10((sound**2).sum() / ((sound - output) ** 2).sum())
"""

NAME = "model_of_bench_overhead"


def loop(tree: Tree, folder: Path, sounds: Path, seconds: float) -> Used:
    """The bare loop."""
    out = folder / "loop"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    code = LOOP.format(folder=str(folder), name=NAME, sounds=str(sounds), seconds=seconds, out=str(out))
    return started([sys.executable, "-c", code], tree.environment(folder / "cache"))


def harness(tree: Tree, folder: Path, sounds: Path, seconds: float) -> Used:
    """The same by the command line."""
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    system = f"{folder / NAME}.toml:seconds={seconds}"
    words = ["run", folder / "overhead.toml", "-s", system, "--audio", sounds, "--out", runs, "--quiet"]
    return command(tree, folder / "cache", *words)


def _least(turns: Sequence[Used], kind: str) -> float:
    return min(float(getattr(one, kind)) for one in turns)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow-clips", type=int, default=20, help="clips of the model that takes a second")
    parser.add_argument("--free-clips", type=int, default=1000, help="clips of the model that takes none")
    parser.add_argument("--length", type=float, default=0.5, help="seconds of sound in a clip")
    parser.add_argument("--turns", type=int, default=3, help="times that each is done; the fastest counts")
    parser.add_argument("--beside", type=Path, help="another checkout, by turns with this one")
    arguments = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "overhead.toml").write_text(SUITE)
        (folder / f"{NAME}.toml").write_text(CARD.format(name=NAME))
        (folder / f"{NAME}.py").write_text(MODEL)
        for seconds, most in ((1.0, arguments.slow_clips), (0.0, arguments.free_clips)):
            few, many = (
                clips(folder / f"clips-{seconds}-{count}", count, arguments.length) for count in (most // 4, most)
            )
            more = most - most // 4
            for tree in trees(arguments.beside):
                harness(tree, folder, few, 0.0)  # Compiles byte code, and reads the files once.
                times = {
                    (do, at): [do(tree, folder, at, seconds) for _ in range(arguments.turns)]
                    for at in (few, many)
                    for do in (loop, harness)
                }
                (loop_ms, loop_cpu), (bench_ms, bench_cpu) = (
                    [
                        1000 * (_least(times[do, many], kind) - _least(times[do, few], kind)) / more
                        for kind in ("wall", "cpu")
                    ]
                    for do in (loop, harness)
                )
                extra = bench_ms - loop_ms
                share = f"{100 * extra / loop_ms:.2f} %" if seconds else ""
                rows.append(
                    [f"{seconds:g} s a clip", most, tree.name, loop_ms, bench_ms, extra, share, bench_cpu - loop_cpu]
                )
                print(*rows[-1], file=sys.stderr, flush=True)
    head = ["model", "clips", "checkout", "loop, ms a clip", "ldmbench, ms a clip", "more, ms", "more", "more CPU ms"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(table(head, rows))


if __name__ == "__main__":
    main()
