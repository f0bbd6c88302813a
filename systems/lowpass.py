"""The low-pass anchors of a MUSHRA test."""

from __future__ import annotations

from bench.audio import Audio
from bench.dataset import Clip
from bench.filters import lowpass
from systems._anchor import Anchor


class Lowpass(Anchor):
    """The low-pass anchors of ITU-R BS.1534-3, 5.1. Setting: ``cutoff_hz``, the edge of the pass-band."""

    def apply(self, clip: Clip, audio: Audio) -> Audio:
        """``audio`` below the cut-off, not delayed."""
        return lowpass(audio, float(self.spec.settings["cutoff_hz"]))
