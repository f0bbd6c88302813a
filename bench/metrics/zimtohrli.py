"""Zimtohrli: Google's perceptual distance of two sounds, and the opinion score that its authors fit to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.extractors import digest
from ldmbench.metrics._base import BaseMetric, MetricFacts, register, settings_title
from ldmbench.metrics._pair import refuse_silence, sounds
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

#: Rate in Hz at which it listens.
RATE = 48_000

#: Seconds below which the package writes beyond its memory (at about 0.08 s), with a margin.
SHORTEST = 0.1

#: Seconds above which nothing is computed: its memory grows with the square of the length, 1 GB at this one.
LONGEST = 120.0

_SOURCE = "google/zimtohrli; PyPI zimtohrli 0.2.1.post1, Pyohrli().distance at 48 kHz, full scale 80 dB"


@dataclass
class Zimtohrli(BaseMetric):
    """The distance, 0 for equal sounds, computed once for both columns.

    Attributes:
        facts: The metric's facts.
        scored: Map it to a scale of 1 to 5.
    """

    facts: MetricFacts
    scored: bool

    def measure(self, clip: Clip, output: Output) -> float:
        """The clip's value.

        Raises:
            Unscored: If the reference is silent, or shorter or longer than the package can hear.
        """
        reference, estimate = sounds(clip, output, RATE)
        refuse_silence(reference.samples)
        seconds = reference.duration
        if seconds > LONGEST:
            raise Unscored(f"{seconds:.1f} s are longer than the {LONGEST:g} s that Zimtohrli is computed for")
        if seconds < SHORTEST:
            raise Unscored(f"{seconds:.2f} s are shorter than the {SHORTEST} s that Zimtohrli needs")
        key = ("zimtohrli", digest(reference))
        value = remember(estimate, key, lambda: _distance(reference, estimate), small=True)
        if not self.scored:
            return value
        from zimtohrli import mos_from_zimtohrli

        return float(mos_from_zimtohrli(value))


def _distance(reference: Audio, output: Audio) -> float:
    return float(_judge().distance(reference.samples[0], output.samples[0]))


@cache
def _judge() -> Any:
    from zimtohrli import Pyohrli

    return Pyohrli()


def _distance_metric(asked: Name, settings: Mapping[str, Setting]) -> Zimtohrli:
    title = f"Zimtohrli{settings_title(asked)}"
    facts = MetricFacts(
        name=str(asked), title=title, better="lower", rate=RATE, digits=4, low=0.0, extras=("speech",), source=_SOURCE
    )
    return Zimtohrli(facts, False)


def _score_metric(asked: Name, settings: Mapping[str, Setting]) -> Zimtohrli:
    facts = MetricFacts(
        name=str(asked),
        title=f"Zimtohrli MOS{settings_title(asked)}",
        unit="MOS",
        rate=RATE,
        digits=2,
        low=1.0,
        high=5.0,
        extras=("speech",),
        source=f"{_SOURCE}, mos_from_zimtohrli",
    )
    return Zimtohrli(facts, True)


register("zimtohrli", _distance_metric)
register("zimtohrli_mos", _score_metric)
