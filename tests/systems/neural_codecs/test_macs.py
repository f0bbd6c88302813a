"""Multiply-accumulates of layers whose number is known."""

from __future__ import annotations

from functools import partial

import pytest

from ldmbench.deployment import macs

torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")


def test_multiply_accumulates_are_those_of_the_layers() -> None:
    layers = {
        98 * 8 * 4 * 3: (torch.nn.Conv1d(4, 8, 3), torch.zeros(1, 4, 100)),
        98 * 8 * 3: (torch.nn.Conv1d(8, 8, 3, groups=8), torch.zeros(1, 8, 100)),
        100 * 8 * 4 * 4: (torch.nn.ConvTranspose1d(4, 8, 4, stride=2), torch.zeros(1, 4, 100)),
        10 * 5 * 16: (torch.nn.Linear(16, 5), torch.zeros(10, 16)),
        # A step of each layer: 4 h (in + h); both directions of the second.
        50 * (4 * 32 * (16 + 32) + 4 * 32 * (32 + 32)): (torch.nn.LSTM(16, 32, 2), torch.zeros(50, 1, 16)),
        20 * 2 * 3 * 8 * (6 + 8): (torch.nn.GRU(6, 8, bidirectional=True, batch_first=True), torch.zeros(2, 10, 6)),
    }
    for products, (layer, inputs) in layers.items():
        for mode in (torch.inference_mode, torch.no_grad):
            with mode():
                counted, _ = macs.count(partial(layer, inputs))
            assert counted == products, layer
