"""hear-eval-kit's probe once more in plain torch, one network after the other: the reference of the stacked one.

Written from what hear-eval-kit 2021.1.3 does (``task_predictions.py``, ``task_embeddings.py``, ``score.py``), and on
purpose in another way than ``ldmbench.probes``: stock modules, a ``DataLoader``, one training loop for one network.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

from ldmbench.probes.examples import Examples

#: (hidden layers, initialisation, learning rate) as ``--grid-points 8`` tries them.
CONFIGURATIONS = (
    (1, "normal", 1e-4), (2, "uniform", 1e-3), (1, "normal", 1e-3), (1, "normal", 3.2e-4),
    (2, "normal", 3.2e-4), (2, "uniform", 3.2e-4), (2, "normal", 3.2e-3), (2, "uniform", 3.2e-3),
)  # fmt: skip


@dataclass
class Outcome:
    """A trained network with its best validation accuracy and the epoch of it."""

    network: torch.nn.Module
    valid: float
    epoch: int


def network(inputs: int, classes: int, layers: int, start: str, dropout: float = 0.1) -> torch.nn.Sequential:
    """Linear, batch norm, dropout, ReLU; twice where there are two hidden layers; then linear."""
    initialise = {"normal": torch.nn.init.xavier_normal_, "uniform": torch.nn.init.xavier_uniform_}[start]
    modules: list[torch.nn.Module] = []
    width, before = inputs, "linear"
    for _ in range(layers):
        linear = torch.nn.Linear(width, 1024)
        initialise(linear.weight, gain=torch.nn.init.calculate_gain(before))  # type: ignore[arg-type]
        modules += [linear, torch.nn.BatchNorm1d(1024), torch.nn.Dropout(dropout), torch.nn.ReLU()]
        width, before = 1024, "relu"
    last = torch.nn.Linear(width, classes)
    initialise(last.weight, gain=torch.nn.init.calculate_gain(before))  # type: ignore[arg-type]
    return torch.nn.Sequential(*modules, last)


def accuracy(net: torch.nn.Module, loader: DataLoader[tuple[torch.Tensor, ...]]) -> float:
    """Share of examples whose most probable class is theirs."""
    net.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += int((net(x).softmax(dim=1).argmax(dim=1) == y).sum())
            total += len(y)
    net.train()
    return right / total


def fit(
    data: TensorDataset,
    train: Sequence[int],
    valid: Sequence[int],
    configuration: tuple[int, str, float],
    classes: int,
    epochs: int = 500,
) -> Outcome:
    """Train one network; its best state by validation accuracy, looked at every third epoch."""
    layers, start, rate = configuration
    net = network(data.tensors[0].shape[1], classes, layers, start)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    learned = DataLoader(Subset(data, train), batch_size=1024)
    looked_at = DataLoader(Subset(data, valid), batch_size=1024)
    best = Outcome(net, -1.0, 0)
    without = 0
    for epoch in range(1, epochs + 1):
        for x, y in learned:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if epoch % 3 == 0:
            reached = accuracy(net, looked_at)
            without += 1
            if reached > best.valid:
                best, without = Outcome(copy.deepcopy(net), reached, epoch), 0
            if without >= 20:
                break
    return best


def in_files(examples: Examples) -> dict[str, list[int]]:
    """Split -> its examples, in the order in which they are put into one array by one generator."""
    generator = random.Random(0)
    once = ["train", "valid", "test"]
    rows: dict[str, list[int]] = {
        name: [] for name in (once if "train" in examples.splits else sorted(set(examples.splits)))
    }
    for _, index in sorted((f"{name}.wav", index) for index, name in enumerate(examples.ids)):
        rows[examples.splits[index]].append(index)
    for files in rows.values():
        generator.shuffle(files)
    return rows


def probe(
    examples: Examples,
    seed: int,
    points: int = 8,
    epochs: int = 500,
    configurations: Sequence[tuple[int, str, float]] = CONFIGURATIONS,
) -> list[float]:
    """Test accuracy of each fold, as hear-eval-kit gets it."""
    torch.manual_seed(seed)
    names = sorted(set(examples.splits))
    once = set(names) == {"train", "valid", "test"}
    rows = in_files(examples)
    divisions = [("test", "valid", ["train"])]
    if not once:
        divisions = []
        for index, test in enumerate(names):
            valid = names[(index + 1) % len(names)]
            divisions.append((test, valid, [name for name in names if name not in (test, valid)]))
    data = TensorDataset(torch.from_numpy(examples.features), torch.from_numpy(examples.targets))
    classes = len(examples.classes)

    def learn(division: tuple[str, str, list[str]], configuration: tuple[int, str, float]) -> Outcome:
        _, valid, train = division
        return fit(data, [row for name in train for row in rows[name]], rows[valid], configuration, classes, epochs)

    searched = [learn(divisions[0], configuration) for configuration in configurations[:points]]
    order = sorted(range(len(searched)), key=lambda index: searched[index].valid, reverse=True)
    chosen = order[0]
    trained = [searched[chosen], *(learn(division, configurations[chosen]) for division in divisions[1:])]
    return [
        accuracy(outcome.network, DataLoader(Subset(data, rows[division[0]]), batch_size=1024))
        for outcome, division in zip(trained, divisions, strict=True)
    ]


def synthetic(clips: int, classes: int, dims: int, folds: int, apart: float, seed: int = 0) -> Examples:
    """Normal clouds around random centres, in folds with as many clips of every class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % classes
    centres = apart * rng.standard_normal((classes, dims))
    features = (rng.standard_normal((clips, dims)) + centres[targets]).astype(np.float32)
    labels = tuple(f"class {target:03d}" for target in targets)
    splits = tuple(f"fold{number // classes % folds:02d}" for number in range(clips))
    return Examples(tuple(f"d/{number}" for number in range(clips)), features, labels, splits)
