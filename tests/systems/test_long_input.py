"""Memory for ten minutes of sound: what the input and the output take, and nothing for every window."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the allocator is told to give back what is freed"),
]


def test_semanticodec(growth: Callable[..., float]) -> None:
    """Input and output take 37 MiB each at 16 kHz; codewords of all windows would take 180, filterbanks 500."""
    assert growth("semanticodec", "semanticodec@1.25kbps:steps=1,cfg=1,batch=2", 16_000, 600.0) < 150


def test_audiosr(growth: Callable[..., float]) -> None:
    """Input and output take 110 MiB each at 48 kHz; a copy of either, or all prepared pieces, would be too much."""
    assert growth("audiosr", "audiosr@basic:steps=1,cfg=1,batch=1", 48_000, 600.0) < 300
