"""Official files drawn from the names of their tensors, and what the official packages made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.system.registry import load_system, resolve

#: Tokens and sounds of the packages; see make_neural_codecs.py.
GOLDEN = Path(__file__).parents[2] / "golden" / "neural_codecs.npz"


@pytest.fixture(scope="session")
def golden() -> Mapping[str, np.ndarray]:
    with np.load(GOLDEN) as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def codec() -> Callable[..., Any]:
    """``codec(name, weights)``: the adapter with the files in that folder, or untrained."""

    def build(name: str, weights: Path | None = None) -> Any:
        return load_system(resolve(name, untrained=weights is None, weights=weights))

    return build


def as_audio(sound: Any, rate: int) -> Audio:
    """A sound ``[1, channels, time]`` of torch."""
    return Audio(np.ascontiguousarray(sound[0].numpy(), np.float32), rate)
