"""Mel-cepstral distortion on WORLD's spectral envelopes, frame by frame or along the best path of a time warping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.metrics._base import BaseMetric, MetricFacts, register, settings_title
from ldmbench.metrics._pair import refuse_silence, sounds
from ldmbench.metrics._world import MEL_CEPSTRA, mel_cepstra
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

#: Seconds beyond which no path is looked for: its matrix grows with the square of the length.
LONGEST_WARPED = 60.0


@dataclass
class McdWorld(BaseMetric):
    """Mel-cepstral distortion in dB; a sound's cepstra are computed once for all metrics.

    Attributes:
        facts: The metric's facts.
        rate: Rate in Hz at which WORLD listens.
        warped: Let time run unevenly.
    """

    facts: MetricFacts
    rate: int
    warped: bool

    def measure(self, clip: Clip, output: Output) -> float:
        """The clip's value.

        Raises:
            Unscored: If the reference is silent, or the sounds are too long to be warped.
        """
        reference, estimate = sounds(clip, output, self.rate)
        refuse_silence(reference.samples)
        if self.warped and reference.duration > LONGEST_WARPED:
            raise Unscored(f"{reference.duration:.1f} s are longer than the {LONGEST_WARPED:g} s that can be warped")
        first, second = mel_cepstra(reference, "dio"), mel_cepstra(estimate, "dio")
        return warped_distortion(first, second) if self.warped else float(distortion(first, second).mean())


def distortion(reference: Real, output: Real) -> Real:
    """Distortion in dB of each frame of mel-cepstra ``[frames, order + 1]``; the energy, which is first, is left out.

    Source: Kubichek, Mel-cepstral distance measure for objective speech quality assessment, PACRIM 1993.
    """
    return np.asarray(10 / np.log(10) * np.sqrt(2 * np.sum((reference[:, 1:] - output[:, 1:]) ** 2, axis=1)))


def warped_distortion(reference: Real, output: Real) -> float:
    """The mean distortion along the path of least total distortion, on which both go on by one frame or one waits."""
    from scipy.spatial.distance import cdist

    cost = 10 / np.log(10) * np.sqrt(2) * cdist(reference[:, 1:], output[:, 1:])
    return least_path(cost)


def least_path(cost: Real) -> float:
    """The mean of ``cost`` ``[rows, columns]`` along the path of least sum between two corners.

    Steps go one row on, one column on, or both. Among paths of equal sum the diagonal step is preferred, backwards.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    costs, sums = cost.ravel(), total.ravel()
    # Along antidiagonals: all entries of one depend on the two before it only, and lie one row less an entry apart.
    for diagonal in range(2, rows + columns + 1):
        low, high = max(1, diagonal - columns), min(rows, diagonal - 1)
        first, last = low * columns + diagonal, high * columns + diagonal + 1
        above, left, corner = (sums[first - back : last - back : columns] for back in (columns + 1, 1, columns + 2))
        begin, stride = (low - 1) * (columns - 1) + diagonal - 2, max(1, columns - 1)
        here = costs[begin : begin + (high - low) * stride + 1 : stride]
        sums[first:last:columns] = here + np.minimum(np.minimum(above, left), corner)
    length, row, column = 1, rows, columns
    while (row, column) != (1, 1):
        steps = ((row - 1, column - 1), (row - 1, column), (row, column - 1))
        row, column = min(steps, key=lambda at: total[at])
        length += 1
    return float(total[rows, columns] / length)


def _register(name: str, warped: bool) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> McdWorld:
        rate = cast(int, settings.get("rate", 16_000))
        order, alpha = MEL_CEPSTRA[rate]
        facts = MetricFacts(
            name=str(asked),
            title=f"MCD WORLD{' DTW' if warped else ''}{f' {asked.variant}' if asked.variant else ''}"
            + settings_title(asked),
            unit="dB",
            better="lower",
            rate=rate,
            content=("speech",),
            digits=2,
            low=0.0,
            extras=("speech",),
            source=f"Kubichek, PACRIM 1993; WORLD 0.3.6 (DIO, StoneMask, CheapTrick), mel-cepstra 1 to {order} of "
            f"all-pass {alpha}, frames of 5 ms" + (", exact dynamic time warping" if warped else ""),
        )
        return McdWorld(facts, rate, warped)

    variants = {f"{rate // 1000}khz": {"rate": rate} for rate in MEL_CEPSTRA if rate != 16_000}
    register(name, build, variants=variants)


_register("mcd_world", False)
_register("mcd_world_dtw", True)
