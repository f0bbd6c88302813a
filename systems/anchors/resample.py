"""Down to a lower rate and back: the upper bound of systems that work at it."""

from __future__ import annotations

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.systems.anchors._anchor import Anchor


class Resample(Anchor):
    """Down to ``rate`` Hz and back: what any system that works at this rate can reach at best."""

    def apply(self, clip: Clip, audio: Audio) -> Audio:
        """``audio`` limited to the band of the lower rate; unchanged where its own rate is not higher.

        Raises:
            BenchError: If the rate is not positive, or the clip is shorter than one sample at it.
        """
        rate = int(self.spec.settings["rate"])
        if rate <= 0:
            raise BenchError(f"{self.spec.label} needs a positive rate in Hz", str(rate))
        if rate >= audio.rate:
            return audio
        low = audio.at(rate)
        if low.length == 0:
            raise BenchError(
                f"the clip is too short for {self.spec.label}", f"less than one sample at {rate} Hz", "leave it out"
            )
        return low.at(audio.rate).fit(audio.length)
