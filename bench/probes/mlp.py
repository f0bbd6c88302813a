"""Training as hear-eval-kit does it: batches, validation, patience and the best state, for many networks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ldmbench.audio.arrays import Features, Real
from ldmbench.errors import BenchError
from ldmbench.probes.examples import Index
from ldmbench.probes.scores import Score
from ldmbench.probes.stack import Point, Stack

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 1024
EPOCHS = 500

#: Epochs between validations, and validations without a better score after which a network stops.
EVERY, PATIENCE = 3, 20

#: Networks that learn in one stack: two gigabytes of weights, gradients and moments at the most.
LARGEST = 32


@dataclass(frozen=True)
class Member:
    """A network to be trained.

    Attributes:
        point: Its point of the grid.
        seed: Of its start and its dropout.
        train: Positions of what it learns from, in the order in which it sees them.
        valid: Positions of what it is chosen by.
        test: Positions of what it is asked at the end.
        shuffle: Seed of the order of each epoch, the same for networks that learn from the same; None keeps the order.
    """

    point: Point
    seed: int
    train: Index
    valid: Index
    test: Index
    shuffle: int | None = None


@dataclass(frozen=True)
class Trained:
    """What became of a network: its best score on the validation split, when, and what it then says of the test split.

    Attributes:
        valid: The best score.
        epoch: After how many epochs it was reached.
        scores: Probabilities ``[test, classes]``.
    """

    valid: float
    epoch: int
    scores: Real


def train(
    features: Features, targets: Index, members: Sequence[Member], score: Score, device: str = "cpu"
) -> list[Trained]:
    """Train networks, those of one depth and one number of examples in stacks.

    Args:
        features: ``[examples, dim]``.
        targets: ``[examples]`` of all classes from 0 on.
        members: The networks.
        score: By which the best state and the end are found.
        device: Where they learn.

    Raises:
        BenchError: If a batch holds a single example, which batch norm cannot learn from.
    """
    from ldmbench.host.device import check_device

    check_device(device)
    stacks: dict[tuple[int, int, int], list[int]] = {}
    for position, member in enumerate(members):
        if len(member.train) % BATCH == 1:
            raise BenchError(
                f"{len(member.train)} clips to learn from leave one alone in its batch", "batch norm needs two"
            )
        stacks.setdefault((member.point.layers, len(member.train), len(member.valid)), []).append(position)
    results: dict[int, Trained] = {}
    for positions in stacks.values():
        for start in range(0, len(positions), LARGEST):
            chosen = positions[start : start + LARGEST]
            trained = _train(features, targets, [members[position] for position in chosen], score, device)
            results |= dict(zip(chosen, trained, strict=True))
    return [results[position] for position in range(len(members))]


def _train(features: Features, targets: Index, members: Sequence[Member], score: Score, device: str) -> list[Trained]:
    """Networks of one depth, with equally many examples to learn from and to be chosen by."""
    import torch

    x, y = torch.from_numpy(np.ascontiguousarray(features)).to(device), torch.from_numpy(targets).to(device)
    dims = (x.shape[1], int(targets.max()) + 1)
    stack = Stack([member.point for member in members], [member.seed for member in members], dims, device)
    active = list(range(len(members)))
    best = [-np.inf] * len(members)
    when = [0] * len(members)
    kept = [item.clone() for item in stack.state()]
    for epoch in range(1, EPOCHS + 1):
        for rows in _batches([members[position] for position in active], epoch):
            stack.learn(*_taken(x, y, rows))
        if epoch % EVERY:
            continue
        own = [members[position] for position in active]
        for number, (member, scores) in enumerate(zip(own, _probabilities(stack, x, own), strict=True)):
            reached = score(scores, targets[member.valid])
            # As Lightning holds them: what differs by rounding is the same, and the first stays.
            if np.float32(reached) > np.float32(best[active[number]]):
                best[active[number]], when[active[number]] = reached, epoch
                for item, now in zip(kept, stack.state(), strict=True):
                    item[active[number]] = now[number]
        going = [number for number, position in enumerate(active) if epoch - when[position] < EVERY * PATIENCE]
        if not going:
            break
        if len(going) < len(active):
            stack.keep(going)
            active = [active[number] for number in going]
    trained = []
    for number, member in enumerate(members):
        state = [item[number : number + 1] for item in kept]
        asked = x[torch.from_numpy(member.test).to(device)]
        trained.append(Trained(best[number], when[number], _softmax(stack.logits(asked, state))[0]))
    return trained


def _batches(members: Sequence[Member], epoch: int) -> Iterator[Index]:
    """Positions of each batch of an epoch: ``[batch]`` where all networks see the same, else ``[networks, batch]``."""
    orders = []
    for member in members:
        order = member.train
        if member.shuffle is not None:
            order = np.random.default_rng((member.shuffle, epoch)).permutation(order)
        orders.append(order)
    shared = all(np.array_equal(orders[0], order) for order in orders[1:])
    rows = orders[0] if shared else np.stack(orders)
    for start in range(0, rows.shape[-1], BATCH):
        yield rows[..., start : start + BATCH]


def _taken(x: Tensor, y: Tensor, rows: Index) -> tuple[Tensor, Tensor]:
    import torch

    index = torch.from_numpy(np.ascontiguousarray(rows)).to(x.device)
    return x[index], y[index]


def _probabilities(stack: Stack, x: Tensor, members: Sequence[Member]) -> list[Real]:
    """Of each network, probabilities ``[valid, classes]`` of what it is chosen by."""
    import torch

    shared = all(np.array_equal(members[0].valid, member.valid) for member in members[1:])
    rows = members[0].valid if shared else np.stack([member.valid for member in members])
    with torch.no_grad():
        return list(_softmax(stack.logits(x[torch.from_numpy(rows).to(x.device)])))


def _softmax(logits: Tensor) -> Real:
    """Probabilities as hear-eval-kit computes them, in single precision."""
    return np.asarray(logits.softmax(dim=-1).cpu().numpy(), np.float64)
