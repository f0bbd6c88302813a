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
from unittest import mock

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


#: Threads, clips, numbers of an embedding, classes, how far these are apart, epochs at the most, and seeds.
Size = argparse.Namespace


def search(size: Size) -> None:
    """Seconds of the eight points on the first of five folds: one after the other, stacked, and by ``torch.func.vmap``.

    All learn for as many epochs, so that all do the same work.
    """
    import torch

    from ldmbench.probes import mlp
    from ldmbench.probes.mlp import Member, train
    from ldmbench.probes.protocols import grid
    from ldmbench.probes.scores import top1
    from tests.probes.plain_torch import CONFIGURATIONS, fit, synthetic
    from tests.probes.vmapped import fit_by_vmap

    torch.set_num_threads(size.threads)
    found = synthetic(size.clips, size.classes, size.dims, 5, size.apart)
    fold = found.folds()[0]
    data = torch.utils.data.TensorDataset(torch.from_numpy(found.features), torch.from_numpy(found.targets))

    def loop(epochs: int) -> list[float]:
        own = fold.train.tolist(), fold.valid.tolist(), size.classes, epochs
        return [fit(data, own[0], own[1], point, *own[2:]).valid for point in CONFIGURATIONS]

    def stack(epochs: int) -> list[float]:
        mlp.EPOCHS = epochs
        members = [Member(point, seed, fold.train, fold.valid, fold.test) for seed, point in enumerate(grid())]
        return [item.valid for item in train(found.features, found.targets, members, top1)]

    def vmap(epochs: int) -> list[float]:
        return [
            best
            for layers in (1, 2)
            for best in fit_by_vmap(data, fold, [c for c in CONFIGURATIONS if c[0] == layers], size.classes, epochs)
        ]

    print(f"the eight points on one fold of {size.clips} clips, {size.epochs} epochs, {size.threads} threads")
    for fitting in (loop, stack, vmap):
        fitting(3)
        wall, processor = time.perf_counter(), time.process_time()
        best = max(fitting(size.epochs))
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"{fitting.__name__}: {wall:.1f} s, {processor:.1f} CPU s; best on validation {100 * best:.1f} %")


def trainers(size: Size) -> None:
    """Seconds and accuracies of hear-eval-kit's protocol, five folds and eight points of the grid."""
    import torch

    from ldmbench.probes import mlp
    from ldmbench.probes.protocols import hear_probe
    from ldmbench.probes.scores import top1
    from tests.probes.plain_torch import probe, synthetic

    torch.set_num_threads(size.threads)
    mlp.EPOCHS = size.epochs
    found = synthetic(size.clips, size.classes, size.dims, 5, size.apart)
    print(
        f"{size.clips} clips, {size.dims} numbers, {size.classes} classes, 5 folds, 8 points, "
        f"at most {size.epochs} epochs, {size.threads} threads"
    )
    # Torch imports half of itself at the first step of an optimiser.
    small = synthetic(30, 2, 4, 3, size.apart)
    hear_probe(small, "top1_acc", points=2)
    probe(small, 0, points=2, epochs=3)
    for seed in range(size.seeds):
        start = time.perf_counter(), time.process_time()
        told = hear_probe(found, "top1_acc", seed=seed)
        middle = time.perf_counter(), time.process_time()
        plain = probe(found, seed, epochs=size.epochs)
        end = time.perf_counter(), time.process_time()
        ours = [top1(told.scores[told.fold == fold], found.targets[told.fold == fold]) for fold in range(5)]
        figures = f"{100 * np.mean(ours):.2f} % and {100 * np.mean(plain):.2f} %"
        stacked, looped = (
            f"{later[0] - sooner[0]:.1f} s ({later[1] - sooner[1]:.1f} CPU s)"
            for sooner, later in ((start, middle), (middle, end))
        )
        ratio = (end[1] - middle[1]) / (middle[1] - start[1])
        print(f"seed {seed}: stacked {stacked}, plain torch {looped}, {ratio:.2f}x of CPU; {figures}")
        print(f"chosen: {told.settings}")


def parity(size: Size) -> None:
    """Accuracies of a head of one and of two layers, stacked and in plain torch, over seeds."""
    import torch

    from ldmbench.probes import mlp, protocols
    from ldmbench.probes.scores import top1
    from tests.probes.plain_torch import CONFIGURATIONS, probe, synthetic

    torch.set_num_threads(size.threads)
    mlp.EPOCHS = size.epochs
    found = synthetic(size.clips, size.classes, size.dims, 3, size.apart)
    points = protocols.grid()
    # One layer at 1e-3, two at 1e-3: the third and the second that are tried.
    for number in (2, 1):
        ours, plain = [], []
        for seed in range(size.seeds):
            with mock.patch.object(protocols, "grid", return_value=[points[number]]):
                told = protocols.hear_probe(found, "top1_acc", seed=seed)
            folds = [told.fold == fold for fold in range(3)]
            ours.append(100 * np.mean([top1(told.scores[own], found.targets[own]) for own in folds]))
            own = CONFIGURATIONS[number : number + 1]
            plain.append(100 * np.mean(probe(found, seed, epochs=size.epochs, configurations=own)))
        error = np.sqrt((np.var(ours, ddof=1) + np.var(plain, ddof=1)) / size.seeds)
        figures = [f"{np.mean(item):.1f} % (standard deviation {np.std(item, ddof=1):.1f})" for item in (ours, plain)]
        apart = abs(np.mean(ours) - np.mean(plain)) / error
        print(f"{points[number]}: stacked {figures[0]}, plain torch {figures[1]}: {apart:.1f} standard errors apart")


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
        del listed
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
    parser.add_argument("--search", action="store_true", help="instead: loop, stack and vmap on one fold")
    parser.add_argument("--parity", action="store_true", help="instead: heads of one and two layers over seeds")
    parser.add_argument("--many", type=int, default=0, help="instead: so many clips through a trivial system")
    asked = parser.parse_args()
    if asked.many:
        many(asked.many)
    else:
        (search if asked.search else parity if asked.parity else trainers)(asked)


if __name__ == "__main__":
    main()
