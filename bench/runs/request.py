"""What somebody asks for, and how it is to be carried out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ldmbench.clips.card import Content
from ldmbench.errors import BenchError
from ldmbench.runs.shard import Shard

#: Seconds that a clip may take in a system or a metric, where nothing else is asked for.
TIMEOUT_S = 3600.0

#: Seconds that a system may at least take to be set up, which loads, trains or compiles.
SETUP_S = 3600.0


@dataclass(frozen=True)
class Request:
    """What somebody asks for, in names; with the versions and checkpoints at hand it decides every number.

    Attributes:
        suite: Name or TOML file.
        systems: Names, the suite's where empty.
        metrics: Metrics beyond the suite's.
        datasets: Those of the suite's datasets that are wanted, all where empty.
        audio: Folder in place of the suite's datasets, under each of their conditions.
        table: CSV of texts and groups for that folder.
        content: What that folder holds.
        limit: Clips of each dataset, None for those of the suite.
        seed: Seed of the runs, None for the suite's.
        untrained: Build models with seeded random weights.
        out: Folder of all runs.
        align: Remove each output's delay before metrics compare it with its reference.
        conditions: Input conditions of that folder in place of the suite's (``ldmbench.clips.adhoc``).
        prompts: Texts in place of the suite's datasets, for systems that generate.

    Raises:
        BenchError: If the limit is below 1.
    """

    suite: str
    systems: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    audio: Path | None = None
    table: Path | None = None
    content: Content = "general"
    limit: int | None = None
    seed: int | None = None
    untrained: bool = False
    out: Path = Path("runs")
    align: bool = False
    conditions: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # What systems and metrics do to the current folder is then of no consequence.
        for name in ("audio", "table", "out"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, path.absolute())
        if self.limit is not None and self.limit < 1:
            raise BenchError("limit must be 1 or more", f"{self.limit}", "leave it out for the clips of the suite")


@dataclass(frozen=True)
class Options:
    """How a request is carried out: where, how fast, and what happens to what cannot be done.

    Attributes:
        device: Where systems and metrics with a model run: ``cpu``, ``cuda``, ``cuda:1``, ..., or several of them with
            commas between.
        weights: Folder of official checkpoints of both, None for the weights home.
        batch: Clips handed to a system at once; time and memory are measured at 1 only.
        jobs: Processes for metrics without a model.
        retry_failed: Try clips and scores again that failed before.
        skip_unavailable: Leave out systems whose preflight fails.
        quiet: Show no progress.
        timeout: Seconds that a clip may take in a system or a metric; then it has failed.
        shard: The part of the clips that is done here, ``3/16``, empty for all of them.
        ray: Address of a Ray cluster on which it is done, ``auto`` for the one that this machine belongs to; or empty.
        gpus: On Ray, the share of a GPU that a system, or a metric with a model, takes.

    Raises:
        BenchError: If ``batch`` or ``jobs`` is below 1, ``timeout`` not above 0, ``gpus`` is no share, or ``shard`` is
            none.
    """

    device: str = "cpu"
    weights: Path | None = None
    batch: int = 1
    jobs: int = 1
    retry_failed: bool = False
    skip_unavailable: bool = False
    quiet: bool = False
    timeout: float = TIMEOUT_S
    shard: str = ""
    ray: str = ""
    gpus: float = 1.0

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", self.weights.absolute())
        if not all(self.devices):
            raise BenchError(f"{self.device!r} names no device", fix="write cpu, cuda, cuda:1 or cuda:0,cuda:1")
        if self.shard:
            Shard.parse(self.shard)
        if not 0 < self.gpus <= 1:
            raise BenchError("a share of a GPU must be above 0 and at most 1", f"{self.gpus:g}")
        if not self.timeout > 0:
            raise BenchError("timeout must be above 0", f"{self.timeout:g}")
        for name, value in (("batch", self.batch), ("jobs", self.jobs)):
            if value < 1:
                raise BenchError(f"{name} must be 1 or more", f"{value}")
        if self.ray and len(self.devices) > 1:
            raise BenchError("--ray and several devices do not go together", fix="write --device cuda")

    @property
    def devices(self) -> tuple[str, ...]:
        """All devices that were asked for."""
        return tuple(name.strip() for name in self.device.split(","))

    @property
    def local_device(self) -> str:
        """Where what has no device of its own runs: the first one, but a cluster's GPUs are not this machine's."""
        return "cpu" if self.ray else self.devices[0]

    @property
    def part(self) -> Shard | None:
        """The shard; None for all clips."""
        return Shard.parse(self.shard) if self.shard else None
