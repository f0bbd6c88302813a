"""How long the command line takes to start: help, lists, a preflight, and scores of four short clips.

Each command is started several times, by turns with another checkout where one is named, and the fastest counts.
"""

from __future__ import annotations

import argparse
import shutil
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
        scores = ["score", outputs, "--reference", reference, "--out", folder / "runs", "--quiet"]
        scores += ["--content", "speech", "--jobs", arguments.jobs]
        commands: dict[str, list[object]] = {
            "--help": ["--help"],
            "list": ["list"],
            "list suites": ["list", "suites"],
            "show opus": ["show", "opus"],
            "score, 4 clips of 6 s, 14 metrics": scores,
            "score, 4 clips of 6 s, snr": [*scores, "-m", "snr"],
            "report of these": ["report", "folders+reference", "--out", folder / "runs"],
        }
        rows: list[list[object]] = []
        for title, words in commands.items():
            used: dict[str, list[Used]] = {}
            for turn in range(arguments.times + 1):
                for tree in trees(arguments.beside):
                    if words[0] == "score":
                        shutil.rmtree(folder / "runs", ignore_errors=True)
                    one = command(tree, folder / "cache", *words)
                    if turn:  # The first start compiles byte code, and Numba its functions.
                        used.setdefault(tree.name, []).append(one)
            for tree_name, turns in used.items():
                wall, cpu = (min(getattr(one, kind) for one in turns) for kind in ("wall", "cpu"))
                rows.append([title, tree_name, wall, cpu, max(one.largest for one in turns)])
        print(table(["command", "checkout", "wall s", "CPU s", "largest process, MiB"], rows))


if __name__ == "__main__":
    main()
