"""Systems: the protocol, the cards with their variants and settings, and how a name becomes a system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.card import SystemCard


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
        audio: The sound, at whatever rate the system produces; None for systems that only embed.
        bits: Size of the coded representation in bits, measured on the packets or codes.
        tokens: Integer codes ``[layers, frames]``.
        details: Anything worth recording about this clip (down-mix, detected cut-off, ...), JSON-able.
        path: Set by systems whose output already is a file; the run then refers to it.
        cost: Filled in by the engine.
    """

    audio: Audio | None = None
    bits: int | None = None
    tokens: Tokens | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    cost: Cost = field(default_factory=Cost)


@runtime_checkable
class System(Protocol):
    """Anything that turns clips into outputs.

    ``process`` yields one ``Output`` per clip, in order. If it raises, the clips it had not yielded are
    tried again one by one, and those that raise alone become ``failed`` rows. Random choices are drawn
    from ``clip.seed`` only, so that batch, order and resuming change nothing.

    Optional members: ``setup(clips)`` is called once with every planned clip before the first ``process``, and
    is neither timed nor counted (loading, training, warming up); ``embed(clips)`` yields time-averaged
    embeddings ``{layer: [dim]}`` of each clip; ``parameters`` is the number of learned parameters.
    """

    card: SystemCard

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield one output per clip, in order."""
        ...
