"""The same networks once more by ``torch.func``: stock modules under ``vmap``, to be timed beside the stack."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.utils.data import TensorDataset

from ldmbench.probes.examples import Fold
from tests.probes.plain_torch import network

Tensors = dict[str, torch.Tensor]


def fit_by_vmap(
    data: TensorDataset, fold: Fold, configurations: Sequence[tuple[int, str, float]], classes: int, epochs: int
) -> list[float]:
    """Best validation accuracies of networks of equal depth, after so many epochs; nobody stops early."""
    x, y = data.tensors
    networks = [network(x.shape[1], classes, layers, start) for layers, start, _ in configurations]
    base = networks[0]
    parameters, buffers = stack_module_state(list(networks))
    rates = torch.tensor([rate for *_, rate in configurations])
    moments = [{name: torch.zeros_like(item) for name, item in parameters.items()} for _ in range(2)]

    def loss(own: Tensors, state: Tensors, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(functional_call(base, (own, state), (inputs,)), targets)

    valid = torch.from_numpy(fold.valid)
    logits = vmap(lambda own, state: functional_call(base, (own, state), (x[valid],)))
    gradients = vmap(grad(loss), in_dims=(0, 0, None, None), randomness="different")
    best, steps = [0.0] * len(networks), 0
    for epoch in range(1, epochs + 1):
        for start in range(0, len(fold.train), 1024):
            rows = torch.from_numpy(fold.train[start : start + 1024])
            steps += 1
            _adam(parameters, moments, gradients(parameters, buffers, x[rows], y[rows]), rates, steps)
        if epoch % 3 == 0:
            base.eval()
            with torch.no_grad():
                told = logits(parameters, buffers)
            base.train()
            right = (told.argmax(dim=-1) == y[valid]).double().mean(dim=1).tolist()
            best = list(map(max, best, right))
    return best


def _adam(parameters: Tensors, moments: Sequence[Tensors], gradients: Tensors, rates: torch.Tensor, steps: int) -> None:
    """A step of Adam, each network's with its rate."""
    with torch.no_grad():
        for name, item in parameters.items():
            gradient = gradients[name]
            first, second = (moment[name] for moment in moments)
            first.lerp_(gradient, 0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            scale = (rates / (1 - 0.9**steps)).view(-1, *[1] * (item.ndim - 1))
            item.sub_(scale * first / ((second / (1 - 0.999**steps)).sqrt_().add_(1e-8)))
