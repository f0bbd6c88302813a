"""How long the command line takes to start: help, lists, a preflight, and scores of four short clips.

Each command is started several times, by turns with another checkout where one is named, and the fastest counts.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from _command import Used, clips, command, table, trees


def degraded(folder: Path, reference: Path) -> Path:
    """The clips with a little noise."""
    import scipy.io.wavfile

    folder.mkdir()
    generator = np.random.default_rng(1)
    for path in sorted(reference.iterdir()):
        rate, sound = scipy.io.wavfile.read(path)
        scipy.io.wavfile.write(
            folder / path.name, rate, (sound + generator.normal(0, 300, len(sound))).astype(np.int16)
        )
    return folder


def _words(reference: Path, outputs: Path, runs: Path, jobs: int) -> dict[str, list[object]]:
    """What is typed, by what it is called in the table."""
    scores = ["score", outputs, "--reference", reference, "--out", runs, "--quiet"]
    scores += ["--content", "speech", "--jobs", jobs]
    return {
        "--help": ["--help"],
        "list": ["list"],
        "list suites": ["list", "suites"],
        "show opus": ["show", "opus"],
        "score, 4 clips of 6 s, 14 metrics": scores,
        "score, 4 clips of 6 s, snr": [*scores, "-m", "snr"],
        "report of these": ["report", "folders+reference", "--out", runs],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="starts of each command")
    parser.add_argument("--beside", type=Path, help="another checkout, by turns with this one")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = clips(folder / "reference", 4, 6.0)
        outputs = degraded(folder / "outputs", reference)
        rows: list[list[object]] = []
        for title in _words(reference, outputs, folder, arguments.jobs):
            used: dict[str, list[Used]] = {}
            for turn in range(arguments.times + 1):
                for tree in trees(arguments.beside):
                    runs = folder / f"runs-{tree.name}"
                    words = _words(reference, outputs, runs, arguments.jobs)[title]
                    if words[0] == "score":
                        shutil.rmtree(runs, ignore_errors=True)
                    one = command(tree, folder / "cache", *words)
                    if turn:  # The first start compiles byte code, and Numba its functions.
                        used.setdefault(tree.name, []).append(one)
            for tree_name, turns in used.items():
                wall, cpu = (min(getattr(one, kind) for one in turns) for kind in ("wall", "cpu"))
                rows.append([title, tree_name, wall, cpu, max(one.largest for one in turns)])
                print(*rows[-1], file=sys.stderr, flush=True)
        print(table(["command", "checkout", "wall s", "CPU s", "largest process, MiB"], rows))


if __name__ == "__main__":
    main()
