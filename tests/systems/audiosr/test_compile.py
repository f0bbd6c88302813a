"""A compiled U-Net gives the sound of the one that is not, in one graph; a compiler that fails is one clear line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.protocol import System


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_is_equal_up_to_rounding(system: Callable[..., System], narrow: Callable[..., Audio]) -> None:
    """Two pieces at once and then one, in the same graph."""
    from torch._dynamo.utils import counters

    clips = [Clip(f"x/{n}", "x", loaded=narrow(0.3, seed=n), seed=n) for n in range(3)]
    plain: Any = system("batch=2")
    fast: Any = system("batch=2,compile=true")
    assert type(fast.models.unet) is type(plain.models.unet)
    before = counters["stats"]["unique_graphs"]
    pairs = list(zip(plain.process(clips), fast.process(clips), strict=True))
    assert counters["stats"]["unique_graphs"] == before + 1
    for first, second in pairs:
        peak = float(np.abs(first.audio.samples).max())
        np.testing.assert_allclose(second.audio.samples, first.audio.samples, atol=1e-4 * peak)
        assert not np.array_equal(second.audio.samples, first.audio.samples), "nothing was compiled"


def test_without_a_compiler_it_says_so(system: Callable[..., System], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BenchError, match=r"compile=true needs a C\+\+ compiler: no-such-compiler not found"):
        system("compile=true")
