"""What a test needs although its type lets it be None: it is there, or the test fails at that line."""

from __future__ import annotations

from typing import TypeVar

from ldmbench.stats import Estimate

Value = TypeVar("Value")


def present(value: Value | None) -> Value:
    """The value, which is not None."""
    assert value is not None
    return value


def with_interval(estimate: Estimate) -> tuple[float, float, float]:
    """Lower end, value and upper end of an estimate that has all three."""
    return present(estimate.low), present(estimate.value), present(estimate.high)
