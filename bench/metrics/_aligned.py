"""Metrics of outputs moved to where they fit their references best: what ``:align=true`` makes of a metric."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._pair import without_delay
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output

if TYPE_CHECKING:
    from ldmbench.metrics._base import Metric, MetricFacts, Stored, Value


def aligned(built: Metric, facts: MetricFacts) -> Metric:
    """A metric without the delays of its outputs, under other facts."""
    if not facts.device:
        return AlignedMetric(facts, built)
    # Of the same class, since it is asked for more than its values: where it runs, and what a comparison needs.
    model = copy(built)
    model.__class__ = type(type(built).__name__, (_AlignedBatches, type(built)), {})
    model.facts = facts
    return model


@dataclass
class AlignedMetric:
    """A metric that hears one output at a time, aligned."""

    facts: MetricFacts
    inner: Metric

    def measure(self, clip: Clip, output: Output) -> Value:
        """The value without the delay."""
        return self.inner.measure(clip, without_delay(clip, output))

    def aggregate(self, values: Sequence[Stored]) -> Estimate:
        """As the metric itself."""
        return self.inner.aggregate(values)


class _AlignedBatches:
    """What is put before the class of a metric with a model."""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> Sequence[Value | Exception]:
        """The values without the delays."""
        in_place = []
        for clip, output in zip(clips, outputs, strict=True):
            try:
                in_place.append(without_delay(clip, output))
            except BenchError:  # Without its reference a clip fails in the metric, and alone.
                in_place.append(output)
        values: Sequence[Value | Exception] = super().measure_batch(clips, in_place)  # type: ignore[misc]
        return values
