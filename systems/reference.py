"""The reference itself: the hidden reference of a listening test, and the best value of a metric."""

from __future__ import annotations

from bench.audio import Audio
from bench.dataset import Clip
from systems._anchor import Anchor


class Reference(Anchor):
    """The reference itself, sample by sample: the hidden reference, and the best value of a metric."""

    def apply(self, clip: Clip, audio: Audio) -> Audio:
        """``audio``."""
        return audio
