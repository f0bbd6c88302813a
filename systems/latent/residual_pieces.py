"""HiFi-GAN's residual blocks on a CPU, piece by piece in time: what passes from layer to layer stays in the caches.

At once, every layer of a long sound would write tens of MB of new memory and read them back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import leaky_relu

#: Bytes of a piece, of which a handful lie in the last level of the caches.
_BYTES = 8 * 2**20
#: A piece is so many times as long as what it needs to hear before and after it, and computes twice.
_LONGER = 8


class ResidualPieces(nn.Module):
    """A ``HifiGanResidualBlock`` of transformers, with its layers and its numbers up to float32 rounding."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.slope = float(plain.leaky_relu_slope)
        self.convs1, self.convs2 = plain.convs1, plain.convs2
        layers = [*plain.convs1, *plain.convs2]
        #: Times before and after a time that it depends on.
        self.reach = sum(layer.dilation[0] * (layer.kernel_size[0] // 2) for layer in layers)

    def forward(self, given: Any) -> Any:
        """``[n, channels, time]`` -> the same shape."""
        wide, time = given.shape[1:]
        piece = max(_BYTES // (4 * wide), _LONGER * self.reach)
        if time <= piece:
            return self._whole(given)
        made = torch.empty_like(given)
        for start in range(0, time, piece):
            first, stop = max(0, start - self.reach), min(time, start + piece)
            # Where the sound goes on, what is made beyond `stop` is wrong, and left out.
            near = self._whole(given[:, :, first : stop + self.reach])
            made[:, :, start:stop] = near[:, :, start - first : stop - first]
        return made

    def _whole(self, given: Any) -> Any:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            between = leaky_relu(first(leaky_relu(given, self.slope)), self.slope, inplace=True)
            given = second(between) + given
        return given
