"""The degraded input as it is: where an enhancement starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ldmbench.clips.clip import Clip
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output


class Unprocessed:
    """Returns the input of the task, sample by sample."""

    def __init__(self, spec: SystemSpec) -> None:
        self.card = spec.card

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield ``clip.input``."""
        for clip in clips:
            yield Output(clip.input)
