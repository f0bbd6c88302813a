"""Base of the anchors: systems that need the reference and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output


class Anchor:
    """Turns the reference of a clip into a sound of the same rate, channels and length; subclasses write ``apply``."""

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.card = spec.card

    def apply(self, clip: Clip, audio: Audio) -> Audio:
        """The anchor of ``audio``, the reference of ``clip``."""
        raise NotImplementedError

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the anchors; they have no bits."""
        for clip in clips:
            yield Output(self.apply(clip, clip.audio))
