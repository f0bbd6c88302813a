"""Zimtohrli: Google's perceptual distance of two sounds, and the opinion score that its authors fit to it."""

from __future__ import annotations

from functools import cache
from typing import Any

from ldmbench.audio.arrays import Signal
from ldmbench.errors import Unscored
from ldmbench.metrics._base import metric
from ldmbench.metrics._pair import refuse_silence

#: Rate in Hz at which it listens.
RATE = 48_000

#: Seconds below which the package writes beyond its memory (at about 0.08 s), with a margin.
SHORTEST = 0.1

#: Seconds above which nothing is computed: its memory grows with the square of the length, 1 GB at this one.
LONGEST = 120.0

_SOURCE = "google/zimtohrli; PyPI zimtohrli 0.2.1.post1, Pyohrli().distance at 48 kHz, full scale 80 dB"


@metric(
    "zimtohrli", title="Zimtohrli", better="lower", rate=RATE, digits=4, low=0.0, extras=("speech",), source=_SOURCE
)
def zimtohrli(reference: Signal, estimate: Signal, rate: int) -> float:
    """The distance, 0 for equal sounds.

    Raises:
        Unscored: If the reference is silent, or shorter or longer than the package can hear.
    """
    refuse_silence(reference)
    if len(reference) > LONGEST * rate:
        raise Unscored(
            f"{len(reference) / rate:.1f} s are longer than the {LONGEST:g} s that Zimtohrli is computed for"
        )
    if len(reference) < SHORTEST * rate:
        raise Unscored(f"{len(reference) / rate:.2f} s are shorter than the {SHORTEST} s that Zimtohrli needs")
    return float(_judge().distance(reference, estimate))


@metric(
    "zimtohrli_mos",
    title="Zimtohrli MOS",
    unit="MOS",
    rate=RATE,
    digits=2,
    low=1.0,
    high=5.0,
    extras=("speech",),
    source=f"{_SOURCE}, mos_from_zimtohrli",
)
def zimtohrli_mos(reference: Signal, estimate: Signal, rate: int) -> float:
    """The distance mapped to a scale of 1 to 5.

    Raises:
        Unscored: As ``zimtohrli``.
    """
    from zimtohrli import mos_from_zimtohrli

    return float(mos_from_zimtohrli(zimtohrli(reference, estimate, rate)))


@cache
def _judge() -> Any:
    from zimtohrli import Pyohrli

    return Pyohrli()
