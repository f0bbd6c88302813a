"""How many mel spectrograms go through an autoencoder or a vocoder at once: as many as a bound on memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def mel_batches(count: int, frames: int, device: torch.device, most: Mapping[str, int]) -> Iterator[slice]:
    """Slices of ``count`` spectrograms with at most so many mel frames together as ``most`` says, one at least.

    Args:
        count: Spectrograms, or their latents.
        frames: Mel frames of each.
        device: Where they are, a ``torch.device``.
        most: Mel frames at once by the kind of device, ``cpu`` and ``cuda``.
    """
    size = max(1, most.get(device.type, most["cpu"]) // frames)
    yield from (slice(start, min(start + size, count)) for start in range(0, count, size))
