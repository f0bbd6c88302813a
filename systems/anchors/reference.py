"""The reference itself: the hidden reference of a listening test, and the best value of a metric."""

from __future__ import annotations

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.systems.anchors._anchor import Anchor


class Reference(Anchor):
    """The reference itself, sample by sample: the hidden reference, and the best value of a metric."""

    def apply(self, clip: Clip, audio: Audio) -> Audio:
        """``audio``."""
        return audio
