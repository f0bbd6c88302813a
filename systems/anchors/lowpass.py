"""The low-pass anchors of a MUSHRA test."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.systems.anchors._anchor import Anchor


class Lowpass(Anchor):
    """The low-pass anchors of ITU-R BS.1534, section 5. Setting: ``cutoff_hz``, the edge of the pass-band."""

    def setup(self, clips: Sequence[Clip]) -> None:
        """Load the filter's library, so that the first clip's time does not include it."""
        importlib.import_module("scipy.signal")

    def apply(self, clip: Clip, audio: Audio) -> Audio:
        """``audio`` below the cut-off, not delayed."""
        return lowpass(audio, float(self.spec.settings["cutoff_hz"]))
