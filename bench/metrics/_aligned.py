"""Outputs that metrics with a model hear together, moved to where they fit their references best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._pair import without_delay
from ldmbench.system.protocol import Output


class AlignedBatches:
    """What ``:align=true`` puts before the class of a metric with a model."""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> Sequence[Any]:
        """The values without the delays."""
        in_place = []
        for clip, output in zip(clips, outputs, strict=True):
            try:
                in_place.append(without_delay(clip, output))
            except BenchError:  # Without its reference a clip fails in the metric, and alone.
                in_place.append(output)
        values: Sequence[Any] = super().measure_batch(clips, in_place)  # type: ignore[misc]
        return values
