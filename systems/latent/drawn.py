"""Seeded values for models without a checkpoint: each weight is drawn from its own name."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

M = TypeVar("M", bound="Module")


def draw_weights(model: M, deviation: Callable[[str, Tensor], float | None] | None = None) -> M:
    """Fill every parameter of ``model`` with values that depend on its name and shape alone.

    Matrices and kernels get unit gain, gains of norms vary around 1, offsets around 0. At the usual initialisation
    many of these networks are silent.

    Args:
        model: It has its memory already.
        deviation: Standard deviation of a weight by its name and itself, where the usual one will not do.
    """
    import torch

    with torch.no_grad():
        for name, value in model.named_parameters():
            generator = torch.Generator("cpu").manual_seed(zlib.crc32(name.encode()))
            mean, usual = _usual(name, value)
            own = deviation(name, value) if deviation else None
            value.normal_(mean, usual if own is None else own, generator=generator)
    return model.eval()


def deviation_of_gain(value: Tensor, gain: float) -> float:
    """The deviation at which a matrix or kernel changes the deviation of what goes through it by ``gain``."""
    return gain / math.sqrt(math.prod(value.shape[1:]))


def _usual(name: str, value: Tensor) -> tuple[float, float]:
    if value.ndim > 1:
        return 0.0, deviation_of_gain(value, 1.0)
    return (1.0, 0.1) if name.endswith((".weight", ".gain")) else (0.0, 0.05)
