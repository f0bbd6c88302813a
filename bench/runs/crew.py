"""Who does the work where it is done at several places at once: devices of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.apart import Apart
from ldmbench.host.cluster import Cluster
from ldmbench.host.device import check_device
from ldmbench.host.executor import Executor, Processes
from ldmbench.runs.far import FarApart, FarLane
from ldmbench.runs.lanes import Lane, NearLane
from ldmbench.runs.request import Options
from ldmbench.runs.studio import Studio
from ldmbench.system.protocol import Adapter


class Crew(Protocol):
    """Lanes for systems, and workers for metrics beside them.

    Attributes:
        size: Lanes that there can be.
        scorers: For metrics without a model.
        chunk: Outputs that should wait before scorers are sent for, which may have to be started.
    """

    size: int
    scorers: Executor
    chunk: int

    def lanes(self, count: int, clips: Sequence[Clip], build: Adapter, root: Path) -> list[Lane]:
        """So many lanes at most.

        Args:
            count: How many are of use.
            clips: Every planned clip, for setting systems up.
            build: How a spec becomes a system; importable.
            root: Folder of the runs.
        """
        ...

    def models(self, count: int) -> list[tuple[Apart | FarApart, str]]:
        """So many processes at most for metrics with a model, each with its device."""
        ...


class Devices:
    """Devices of this machine, a process for each; metrics on its cores.

    Raises:
        BenchError: If one of several devices is not there.
    """

    def __init__(self, options: Options, stack: ExitStack) -> None:
        for device in options.devices if len(options.devices) > 1 else ():
            # A single one is looked at by what runs on it. Whether there is a CPU is not worth loading torch.
            if device != "cpu":
                check_device(device)
        self._options, self._stack = options, stack
        self.size = len(options.devices)
        self.chunk = 16 * options.jobs
        self.scorers: Executor = Processes(options.jobs) if options.jobs > 1 else stack.enter_context(Apart())

    def lanes(self, count: int, clips: Sequence[Clip], build: Adapter, root: Path) -> list[Lane]:
        """A lane for each device."""
        return [NearLane(Studio(clips, build, self._options.timeout), name) for name in self._options.devices[:count]]

    def models(self, count: int) -> list[tuple[Apart | FarApart, str]]:
        """A process for each device."""
        return [(self._stack.enter_context(Apart()), name) for name in self._options.devices[:count]]


class OnRay:
    """A Ray cluster: actors on shares of its GPUs, or beside its CPUs where none are asked for; metrics on its CPUs.

    Raises:
        BenchError: If GPUs are asked for and there is none.
    """

    def __init__(self, options: Options, cluster: Cluster, stack: ExitStack) -> None:
        self._options, self._cluster, self._stack = options, cluster, stack
        self._gpus = options.gpus if options.device.startswith("cuda") else 0.0
        if self._gpus:
            # A share of one card after the other: two halves of different cards hold no model.
            self.size = int(cluster.has("GPU")) * int(1 / self._gpus + 1e-9)
        else:
            self.size = max(1, int(cluster.has("CPU")) // 2)
        if not self.size:
            raise BenchError("the cluster has no GPU", fix="leave --device cuda out, or add a machine that has one")
        self.chunk = 1
        self.scorers: Executor = cluster

    def lanes(self, count: int, clips: Sequence[Clip], build: Adapter, root: Path) -> list[Lane]:
        """An actor for each lane."""
        args = (clips, build, self._options.timeout, self._gpus, root)
        return [FarLane(self._cluster, *args) for _ in range(min(count, self.size))]

    def models(self, count: int) -> list[tuple[Apart | FarApart, str]]:
        """An actor for each."""
        made = [FarApart(self._cluster, self._gpus) for _ in range(min(count, self.size))]
        for one in made:
            self._stack.callback(one.end)
        return [(one, self._options.device) for one in made]


@contextmanager
def crew_of(options: Options) -> Iterator[Crew | None]:
    """Whoever does the work at several places; None where one process after the other does it here.

    On a GPU metrics go on beside the system only where no time is measured, at a batch above 1.

    Raises:
        BenchError: If a device or a cluster is not there.
    """
    with ExitStack() as stack:
        if options.ray:
            yield OnRay(options, stack.enter_context(Cluster(options.ray)), stack)
        elif len(options.devices) > 1 or (options.device.startswith("cuda") and options.batch > 1):
            yield Devices(options, stack)
        else:
            yield None
