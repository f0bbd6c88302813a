"""The deployment columns of a system: size, multiply-accumulates, latency, streaming, and the time it takes here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.deployment import latency, macs
from ldmbench.errors import BenchError
from ldmbench.system.codec import Codec
from ldmbench.system.protocol import Prepares, System, parameters_of
from ldmbench.system.registry import load_system, resolve

#: Rate of the test sound for systems that take any, and its length for counting.
_ANY_RATE, _SECONDS = 48_000, 2.0


@dataclass(frozen=True)
class Profile:
    """One row.

    Attributes:
        system: Its label.
        rate: Rate in Hz at which it works, 0 for any.
        parameters: Learned values.
        macs: Multiply-accumulates for a second of sound; None where nothing is computed in torch.
        future: Algorithmic latency in seconds, by first change of the output: at least so much where it is no
            ``streaming``; None where it was not measured.
        residual: Delay in seconds that is left of an impulse; None where none comes out.
        streaming: Whether the output is made while the sound comes in.
        rtf: Seconds it took here for a second of sound, the second time.
        untrained: Whether it has random weights.
        note: What could not be had, and why.
        identity: What the system was: digest of its card, settings, code and weights, as in the ID of a run; empty
            where that was not asked for.
    """

    system: str
    rate: int
    parameters: int | None
    macs: float | None
    future: float | None
    residual: float | None
    streaming: bool | None
    rtf: float
    untrained: bool
    note: str = ""
    identity: str = ""


def profile(name: str, device: str = "cpu", weights: Path | None = None, untrained: bool = False) -> Profile:
    """Measure a codec or an enhancer.

    Raises:
        BenchError: If it cannot be built, makes no sound, or is asked for text.
    """
    spec = resolve(name, device, untrained, weights)
    if not {"codec", "enhance"} & set(spec.card.tasks):
        raise BenchError(f"{spec.label} turns no sound into another", ", ".join(spec.card.tasks), "name a codec")
    if spec.card.command:
        raise BenchError(f"{spec.label} runs in a process of its own", "nothing can be counted in it", "leave it out")
    system = load_system(spec)
    # Where the card leaves it to the variant, the codec itself knows.
    own = system.rate if isinstance(system, Codec) else spec.card.rate
    rate = own or _ANY_RATE
    channels = 1 if 1 in spec.card.channels else spec.card.channels[0]
    drawn = 0.1 * np.random.default_rng(0).standard_normal((channels, round(_SECONDS * rate)))
    clip = Clip("profile/test", "profile", "speech", loaded=Audio(drawn.astype(np.float32), rate))
    if isinstance(system, Prepares):
        system.setup([clip])
    products = _macs(system, clip)
    start = time.perf_counter()
    list(system.process([clip]))
    seconds = time.perf_counter() - start
    measured = latency.measure(system, rate, channels)
    notes = []
    if products is None:
        notes.append("nothing is computed in torch, so no multiply-accumulates are counted")
    if not measured.repeats:
        notes.append("equal sounds gave other outputs, so no latency was measured")
    return Profile(
        spec.label, own, parameters_of(system), products, measured.future, measured.residual,
        measured.streaming, seconds / _SECONDS, spec.untrained, "; ".join(notes),
    )  # fmt: skip


def _macs(system: System, clip: Clip) -> float | None:
    import sys

    # Also where torch is there: a system that does not use it has not imported it.
    if "torch" not in sys.modules:
        list(system.process([clip]))
        return None
    products, _ = macs.count(lambda: list(system.process([clip])))
    return products / _SECONDS or None
