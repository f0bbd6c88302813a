"""Seconds of the stacked probes beside plain torch, and of 20,000 clips through a trivial system.

``--threads`` says how many threads torch may use in both; both are measured in the same process, one after the other.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

#: A system whose embedding is four sums.
MODULE = """
import numpy as np


class Sums:
    def __init__(self, spec):
        self.card = spec.card

    def process(self, clips):
        raise NotImplementedError

    def embed(self, clips):
        for clip in clips:
            yield {"all": np.abs(clip.audio.samples[0][:4000]).reshape(4, -1).sum(axis=1).astype(np.float32)}
"""
CARD = 'name = "sums"\ntitle = "Sums"\ntasks = ["embed"]\nmodule = "sums:Sums"\nrate = 8000\nlicence = "CC0-1.0"\n'
SUITE = 'name = "many"\ntitle = "Many"\ntask = "embed"\ndatasets = []\nmetrics = ["accuracy_linear"]\n'


def trainers(clips: int, dims: int, classes: int, apart: float, epochs: int, threads: int, seeds: int) -> None:
    """Seconds and accuracies of hear-eval-kit's protocol, five folds and eight points of the grid."""
    import torch

    from ldmbench.probes import mlp
    from ldmbench.probes.protocols import hear_probe
    from ldmbench.probes.scores import top1
    from tests.probes.plain_torch import probe, synthetic

    torch.set_num_threads(threads)
    mlp.EPOCHS = epochs
    found = synthetic(clips, classes, dims, 5, apart)
    print(f"{clips} clips, {dims} numbers, {classes} classes, 5 folds, 8 points, {epochs} epochs, {threads} threads")
    # Torch imports half of itself at the first step of an optimiser.
    small = synthetic(30, 2, 4, 3, apart)
    hear_probe(small, "top1_acc", points=2)
    probe(small, 0, points=2, epochs=3)
    for seed in range(seeds):
        start = time.perf_counter()
        told = hear_probe(found, "top1_acc", seed=seed)
        middle = time.perf_counter()
        plain = probe(found, seed, epochs=epochs)
        end = time.perf_counter()
        ours = [top1(told.scores[told.fold == fold], found.targets[told.fold == fold]) for fold in range(5)]
        figures = f"{100 * np.mean(ours):.2f} % and {100 * np.mean(plain):.2f} %"
        ratio = (end - middle) / (middle - start)
        print(f"seed {seed}: stacked {middle - start:.1f} s, plain torch {end - middle:.1f} s, {ratio:.2f}x; {figures}")


def many(clips: int) -> None:
    """Seconds of listing, checking, embedding and probing so many clips of half a second, and the largest memory."""
    import ldmbench
    from ldmbench.audio.sound import Audio, write
    from ldmbench.clips.folder import load_folder

    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        rng = np.random.default_rng(0)
        rows = ["path,label,split"]
        for number in range(clips):
            sound = rng.standard_normal(4000) * (0.05 if number % 2 else 0.1)
            write(folder / "sounds" / f"{number:05d}.wav", Audio.of(sound, 8000))
            rows.append(f"{number:05d}.wav,{'ab'[number % 2]},fold{number // 2 % 5}")
        (folder / "sounds" / "clips.csv").write_text("\n".join(rows) + "\n")
        (folder / "sums.toml").write_text(CARD)
        (folder / "sums.py").write_text(MODULE)
        (folder / "many.toml").write_text(SUITE)
        start = time.perf_counter()
        listed = load_folder(folder / "sounds")
        print(f"{len(listed.clips)} clips listed in {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        (run,) = ldmbench.evaluate(
            str(folder / "many.toml"), [str(folder / "sums.toml")], audio=folder / "sounds", out=folder / "runs",
            quiet=True,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        own, child = (
            resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        estimate = run.estimate("accuracy_linear")
        accuracy = estimate.value if estimate else None
        print(f"{clips} clips in {seconds:.1f} s, {own} MiB, the system {child} MiB; {accuracy} %")
        print(f"{len(run.failures)} failed")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--dims", type=int, default=768)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--apart", type=float, default=0.12)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--many", type=int, default=0, help="instead: so many clips through a trivial system")
    asked = parser.parse_args()
    if asked.many:
        many(asked.many)
    else:
        trainers(asked.clips, asked.dims, asked.classes, asked.apart, asked.epochs, asked.threads, asked.seeds)


if __name__ == "__main__":
    main()
