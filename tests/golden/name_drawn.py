"""Weights and noise that anyone can draw again from names and shapes alone."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping

import numpy as np

#: Gains of batch normalisation in blocks that add to what they are given: small, so that forty of them do not explode.
_ADDED = re.compile(r"blocks\.\d+\.[1-9]\d*\.bn\d\.weight$")


def drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of a tensor: normal numbers seeded by its name, scaled to unit gain; gains near 1, biases near 0."""
    values = normal(key, shape)
    if len(shape) > 1:
        return values * np.float32(1 / math.sqrt(math.prod(shape[1:])))
    return np.float32(1) + np.float32(0.1) * values if key.endswith(".weight") else np.float32(0.05) * values


def drawn_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """All values of a network with batch normalisation: variances of at least a half, no batches counted."""
    state = {}
    for key, shape in shapes.items():
        values = drawn(key, shape)
        if key.endswith("num_batches_tracked"):
            values = np.zeros(shape, np.int64)
        elif key.endswith("running_var"):
            values = np.abs(values) + np.float32(0.5)
        elif _ADDED.search(key):
            values = values * np.float32(0.5)
        state[key] = values
    return state


def noise(tag: str, index: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal noise by its name."""
    return normal(f"noise/audioldm2/{tag}/{index}", shape)


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers in single precision, seeded by a name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape, np.float32)
