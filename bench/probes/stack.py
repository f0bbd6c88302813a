"""Small networks that learn together: hear-eval-kit's classifiers as slices of stacked weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.optim import Adam

WIDTH = 1024
DROPOUT = 0.1

#: Of ``torch.nn.BatchNorm1d``.
_MOMENTUM, _EPSILON = 0.1, 1e-5


@dataclass(frozen=True)
class Point:
    """A point of the grid.

    Attributes:
        layers: Hidden layers, 1 or 2.
        rate: Learning rate of Adam.
        normal: Whether weights start as Xavier's normal values in place of his uniform ones.
    """

    layers: int
    rate: float
    normal: bool


class Stack:
    """Networks of equal depth: linear, batch norm, dropout, ReLU for each hidden layer, then a linear layer.

    A network's start and its dropout come from its own seed, so that it learns the same whoever learns beside it, up to
    rounding. Parameters have the networks along their first axis.

    Args:
        points: The networks' points, all of one number of layers.
        seeds: Of each network.
        dims: Numbers of features and of classes.
        device: Where they learn.

    Source: hear-eval-kit, ``task_predictions.py``, ``FullyConnectedPrediction``: dropout stands before ReLU, Xavier's
    gain is that of the activation in front, biases are torch's default.
    """

    def __init__(self, points: Sequence[Point], seeds: Sequence[int], dims: tuple[int, int], device: str) -> None:
        import torch

        (self.layers,) = {point.layers for point in points}
        self.device = device
        self.rates = [point.rate for point in points]
        self.dropout: list[_Dropout] = []
        widths = [dims[0], *[WIDTH] * self.layers, dims[1]]
        weights: list[list[Tensor]] = [[] for _ in widths[1:]]
        biases: list[list[Tensor]] = [[] for _ in widths[1:]]
        for point, seed in zip(points, seeds, strict=True):
            start = torch.Generator().manual_seed(seed)
            for layer, (inputs, outputs) in enumerate(pairwise(widths)):
                weights[layer].append(_xavier(outputs, inputs, 2.0 if layer else 1.0, point.normal, start))
                bound = inputs**-0.5
                biases[layer].append(torch.empty(outputs).uniform_(-bound, bound, generator=start))
            self.dropout.append(_Dropout(seed, device))
        count = len(points)
        ones, zeros = torch.ones(count, WIDTH, device=device), torch.zeros(count, WIDTH, device=device)
        #: What is learned: weights and biases of all layers, then scales and shifts of the norms.
        layers = zip(weights, biases, strict=True)
        self.parameters = [torch.stack(item).to(device) for layer in layers for item in layer]
        self.parameters += [start.clone() for _ in range(self.layers) for start in (ones, zeros)]
        #: Running means and variances of the norms.
        self.running = [start.clone() for _ in range(self.layers) for start in (zeros, ones)]
        self._optimiser = self._adam()

    def __len__(self) -> int:
        return len(self.dropout)

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with some of the networks only."""
        import torch

        index = torch.tensor(chosen, device=self.device)
        states = [[self._optimiser.state[view] for view in self._views[position]] for position in chosen]
        self.rates = [self.rates[position] for position in chosen]
        self.dropout = [self.dropout[position] for position in chosen]
        self.parameters = [item.index_select(0, index) for item in self.parameters]
        self.running = [item.index_select(0, index) for item in self.running]
        self._optimiser = self._adam()
        for views, own in zip(self._views, states, strict=True):
            self._optimiser.state.update(zip(views, own, strict=True))

    def state(self) -> list[Tensor]:
        """Parameters and running statistics, along whose first axis the networks are."""
        return [*self.parameters, *self.running]

    def logits(self, x: Tensor, state: Sequence[Tensor] | None = None, learning: bool = False) -> Tensor:
        """Logits ``[networks, batch, classes]``.

        Args:
            x: ``[batch, features]`` that all networks see, or ``[networks, batch, features]``.
            state: As ``state`` gives it, where other values than the present ones are meant.
            learning: Whether batches are normalised by themselves, and dropped out.
        """
        import torch
        from torch.nn import functional

        values = self.state() if state is None else state
        count, linear = len(values[0]), 2 * (self.layers + 1)
        hidden = x
        for layer in range(self.layers):
            weight, bias = values[2 * layer : 2 * layer + 2]
            if hidden.ndim == 2:
                # One product for all networks, [batch, networks * width], as the norm takes it.
                flat = functional.linear(hidden, weight.reshape(-1, weight.shape[2]), bias.reshape(-1))
            else:
                flat = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2)).transpose(0, 1).flatten(1)
            scale, shift = values[linear + 2 * layer : linear + 2 * layer + 2]
            mean, variance = values[linear + 2 * self.layers + 2 * layer :][:2]
            flat = functional.batch_norm(
                flat, mean.view(-1), variance.view(-1), scale.view(-1), shift.view(-1), learning, _MOMENTUM, _EPSILON
            )
            if learning:
                flat = flat * self._mask(len(flat))
            hidden = flat.relu_().view(len(flat), count, WIDTH).transpose(0, 1)
        return torch.baddbmm(values[linear - 1][:, None], hidden, values[linear - 2].transpose(1, 2))

    def learn(self, x: Tensor, targets: Tensor) -> None:
        """One step of Adam for each network on its mean cross entropy.

        Args:
            x: ``[batch, features]``, or ``[networks, batch, features]``.
            targets: ``[batch]`` or ``[networks, batch]``.
        """
        import torch
        from torch.nn import functional

        for item in self.parameters:
            item.requires_grad_(True)
        logits = self.logits(x, learning=True)
        wanted = targets.expand(len(self), -1).reshape(-1)
        # The sum of the networks' means: no network's gradient depends on another.
        loss = functional.cross_entropy(logits.reshape(len(wanted), -1), wanted, reduction="sum") / logits.shape[1]
        # The fused optimiser reads a gradient in the order of memory, whatever its strides say.
        gradients = [item.contiguous() for item in torch.autograd.grad(loss, self.parameters)]
        for item in self.parameters:
            item.requires_grad_(False)
        for number, views in enumerate(self._views):
            for view, gradient in zip(views, gradients, strict=True):
                view.grad = gradient[number]
        self._optimiser.step()

    def _adam(self) -> Adam:
        """Adam over views of each network's parameters, with its own rate; all of one network in one pass of memory."""
        from torch.optim import Adam

        self._views = [[item[number] for item in self.parameters] for number in range(len(self.rates))]
        groups = [{"params": views, "lr": rate} for views, rate in zip(self._views, self.rates, strict=True)]
        return Adam(groups, fused=True)

    def _mask(self, batch: int) -> Tensor:
        """What dropout multiplies with, ``[batch, networks * width]``, each network's from its own generator."""
        import torch

        mask = torch.empty(batch, len(self), WIDTH, device=self.device)
        for number, dropout in enumerate(self.dropout):
            mask[:, number] = dropout.kept(batch)
        return mask.flatten(1).div_(1 - DROPOUT)


class _Dropout:
    """What one network drops, from its own seed."""

    def __init__(self, seed: int, device: str) -> None:
        import torch

        self._device = device
        # On a CPU numpy draws four times as fast as torch.
        self._numbers = np.random.Generator(np.random.SFC64(seed)) if device == "cpu" else None
        self._generator = None if device == "cpu" else torch.Generator(device).manual_seed(seed)

    def kept(self, batch: int) -> Tensor:
        """``[batch, width]``, True where a value is kept."""
        import torch

        if self._numbers is not None:
            return torch.from_numpy(self._numbers.random((batch, WIDTH), np.float32) >= np.float32(DROPOUT))
        return torch.rand(batch, WIDTH, generator=self._generator, device=self._device) >= DROPOUT


def _xavier(outputs: int, inputs: int, squared_gain: float, normal: bool, generator: Generator) -> Tensor:
    """``torch.nn.init.xavier_normal_`` or ``xavier_uniform_``."""
    import torch

    deviation = float(np.sqrt(2.0 * squared_gain / (inputs + outputs)))
    weight = torch.empty(outputs, inputs)
    if normal:
        return weight.normal_(0.0, deviation, generator=generator)
    bound = 3.0**0.5 * deviation
    return weight.uniform_(-bound, bound, generator=generator)
