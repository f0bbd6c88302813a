"""Input conditions of a dataset: how ``clip.input`` of an enhancement task is made from ``clip.audio``."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.audio import Audio
from bench.cards import Card


class Condition(Card):
    """One way to degrade a clip, declared in a dataset's card under ``[conditions.NAME]``.

    ``lowpass`` removes everything above ``cutoff_hz`` at the clip's own rate (Kaiser FIR, 60 dB);
    ``resample`` takes the clip to ``rate`` Hz and leaves it there; ``gap`` silences ``start_s`` to ``end_s``.
    """

    kind: Literal["lowpass", "resample", "gap"]
    cutoff_hz: float = 0.0
    rate: int = 0
    start_s: float = 0.0
    end_s: float = 0.0

    def apply(self, audio: Audio) -> Audio:
        """The degraded input for ``audio``."""
        from bench.filters import lowpass

        if self.kind == "lowpass":
            return lowpass(audio, self.cutoff_hz)
        if self.kind == "resample":
            return audio.at(self.rate)
        samples = np.array(audio.samples)
        samples[:, round(self.start_s * audio.rate) : round(self.end_s * audio.rate)] = 0.0
        return Audio(samples, audio.rate)
