"""A compiled U-Net gives the sound of the one that is not, window after window, in one graph."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.registry import load_system, resolve

pytestmark = pytest.mark.usefixtures("shrunk")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_is_equal_up_to_rounding(tiny_folder: Path, speech_like: Callable[..., Audio]) -> None:
    """Two windows at once and then one: other keys and values, and another batch size, in the same graph."""
    from torch._dynamo.utils import counters

    clip = Clip("t/a", "t", loaded=speech_like(16_000, 20.5), seed=1)
    name = "semanticodec@1.25kbps:batch=2,steps=1"
    plain: Any = load_system(resolve(name, weights=tiny_folder))
    fast: Any = load_system(resolve(f"{name},compile=true", weights=tiny_folder))
    assert type(fast.decoder.unet) is type(plain.decoder.unet)
    before = counters["stats"]["unique_graphs"]
    (first,), (second,) = plain.process([clip]), fast.process([clip])
    assert len(fast.geometry.spans(first.tokens.shape[1])) == 3
    assert counters["stats"]["unique_graphs"] == before + 1
    np.testing.assert_array_equal(second.tokens, first.tokens)
    peak = float(np.abs(first.audio.samples).max())
    np.testing.assert_allclose(second.audio.samples, first.audio.samples, atol=1e-4 * peak)
    assert not np.array_equal(second.audio.samples, first.audio.samples), "nothing was compiled"


def test_without_a_compiler_it_says_so(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BenchError, match=r"compile=true needs a C\+\+ compiler: no-such-compiler not found"):
        load_system(resolve("semanticodec@1.25kbps:compile=true", weights=tiny_folder))
