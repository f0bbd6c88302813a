"""The peak is that of the body: memory held before or freed before does not count as its own."""

from __future__ import annotations

import mmap
import sys

import pytest

from ldmbench.host.memory import peak_memory

MIB = 1 << 20


def peak_of(megabytes: int) -> int:
    with peak_memory() as peak, mmap.mmap(-1, megabytes * MIB) as held:
        # Pages of the kernel's: an array may lie in memory that was freed before and never given back.
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
    found = peak()
    if found is None:
        pytest.skip("this kernel does not let a process reset its high-water mark")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_the_peak_is_of_the_body_and_is_reset() -> None:
    small, large, again = peak_of(1), peak_of(200), peak_of(1)
    assert 150 * MIB < large - small < 250 * MIB
    assert again < small + 50 * MIB


def test_no_figure_where_the_platform_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ldmbench.host.memory._reset_high_water_mark", lambda: False)
    with peak_memory() as peak:
        pass
    assert peak() is None
