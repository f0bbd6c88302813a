"""What a system must be, what it may offer beyond that, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.card import SystemCard, SystemSpec


@dataclass(frozen=True)
class Cost:
    """What producing one output took, measured by the engine; None where it was not measured serially.

    Attributes:
        seconds: Wall time of the system on this clip alone.
        peak_memory: Bytes: the process's largest resident set (CPU) or the allocator's peak (CUDA).
        parameters: Learned parameters of the system, None for systems without any.
    """

    seconds: float | None = None
    peak_memory: int | None = None
    parameters: int | None = None


@dataclass(frozen=True, eq=False)
class Output:
    """What a system made of one clip.

    Attributes:
        audio: The sound, at whatever rate the system produces; None where it was asked for embeddings.
        bits: Size of the coded representation in bits, measured on the packets or codes, side information included.
        tokens: Integer codes ``[layers, frames]``; -1 where a layer has none in a frame.
        codebooks: How many codes each layer has, where ``tokens`` are transmitted.
        side_bits: How many of ``bits`` are not tokens: scales, for instance.
        nominal_kbps: The bitrate that the system claims, None where it claims none.
        details: Anything worth recording about this clip (down-mix, detected cut-off, ...), JSON-able.
        embedding: Layer -> ``[dim]``, where that was asked for.
        path: Set by systems whose output already is a file; the run then refers to it.
        cost: Filled in by the engine.
    """

    audio: Audio | None = None
    bits: int | None = None
    tokens: Tokens | None = None
    codebooks: tuple[int, ...] = ()
    side_bits: int = 0
    nominal_kbps: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    embedding: Mapping[str, NDArray[np.float32]] | None = None
    path: Path | None = None
    cost: Cost = field(default_factory=Cost)


@runtime_checkable
class System(Protocol):
    """Anything that turns clips into outputs.

    ``process`` yields one ``Output`` per clip, in order. If it raises, the clips it had not yielded are
    tried again one by one, and those that raise alone become ``failed`` rows. Random choices are drawn
    from ``clip.seed`` only, so that batch, order and resuming change nothing.

    It may offer more: ``Prepares``, ``Learned``, ``Embeds``, and its class ``Checks``. The engine asks with
    ``isinstance``; nothing needs to be derived from these.
    """

    card: SystemCard

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield one output per clip, in order."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A system with work to do before the first clip: loading, training, warming up."""

    def setup(self, clips: Sequence[Clip]) -> None:
        """Called once with every planned clip before the first ``process``; neither timed nor counted."""
        ...


@runtime_checkable
class Learned(Protocol):
    """A system with learned parameters."""

    @property
    def parameters(self) -> int:
        """How many there are; asked after ``setup``."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """A system whose representation of a clip can be looked at."""

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Yield layer -> time-averaged embedding ``[dim]`` of each clip, in order."""
        ...


@runtime_checkable
class Checks(Protocol):
    """A class of systems that need more of the machine than a card can say: a static method ``available``."""

    @staticmethod
    def available() -> str:
        """Why it cannot be used on this machine, or empty; the preflight asks before anything is built."""
        ...


#: What a card names as its module: it makes the system of a spec.
Adapter = Callable[[SystemSpec], System]


def parameters_of(system: System) -> int | None:
    """Number of learned parameters, None for a system without any."""
    return system.parameters if isinstance(system, Learned) else None
