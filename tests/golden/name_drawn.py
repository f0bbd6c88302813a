"""Weights and noise that anyone can draw again from names and shapes alone."""

from __future__ import annotations

import math
import zlib

import numpy as np


def drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of a tensor: normal numbers seeded by its name, scaled to unit gain; gains near 1, biases near 0."""
    values = normal(key, shape)
    if len(shape) > 1:
        return values * np.float32(1 / math.sqrt(math.prod(shape[1:])))
    return np.float32(1) + np.float32(0.1) * values if key.endswith(".weight") else np.float32(0.05) * values


def noise(tag: str, index: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal noise by its name."""
    return normal(f"noise/audioldm2/{tag}/{index}", shape)


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers in single precision, seeded by a name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape, np.float32)
