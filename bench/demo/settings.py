"""What one server of the page is told: where runs lie, how systems are run, and what visitors may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.runs.request import Options


@dataclass(frozen=True)
class Limits:
    """Bounds on what visitors send and on what is kept.

    Attributes:
        upload_mb: Largest upload, MB.
        seconds: Longest sound.
        channels: Most channels of a sound.
        systems: Most systems of one run.
        waiting: Most visitors in the queue.
        kept_mb: Most MB of sounds, inputs and runs that the page keeps; the oldest go first. 0 keeps all runs.
    """

    upload_mb: float = 20.0
    seconds: float = 30.0
    channels: int = 2
    systems: int = 24
    waiting: int = 20
    kept_mb: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0 or (value == 0 and name != "kept_mb"):
                raise BenchError(f"{name} must be above 0", f"{value:g}")


@dataclass(frozen=True)
class Settings:
    """One server.

    Attributes:
        out: Folder of all runs.
        systems: Systems that are listed, all where empty.
        options: Device, weights and time-outs of every run.
        untrained: Build models with seeded random weights.
        limits: Bounds.
    """

    out: Path = Path("runs")
    systems: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    untrained: bool = False
    limits: Limits = field(default_factory=Limits)
