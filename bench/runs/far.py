"""Systems and metrics on the machines of a Ray cluster: what runs there, and how it is asked from here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, describe
from ldmbench.host.apart import Apart
from ldmbench.host.cluster import Cluster, LostError, Remote
from ldmbench.host.executor import WorkerDiedError
from ldmbench.host.files import sync
from ldmbench.runs.produce import Made
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import SETUP_S
from ldmbench.runs.studio import Studio
from ldmbench.runs.writer import keep_output
from ldmbench.system import beside
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Adapter

R = TypeVar("R")

#: Times that a metric with a model may lose its worker on one batch.
_LOSSES = 3


class FarStudio:
    """On another machine: a studio that puts sounds into the run folder itself and sends rows only.

    Args:
        clips: Every planned clip, for setting systems up.
        build: How a spec becomes a system; importable.
        timeout: Seconds that a clip may take.
        folders: Folders of cards, in which modules are looked for.
    """

    def __init__(self, clips: Sequence[Clip], build: Adapter, timeout: float, folders: Sequence[str]) -> None:
        beside.look_into(folders)
        self._studio = Studio(clips, build, timeout)

    def sees(self, path: Path) -> str:
        """Nothing where a file is there, otherwise what this machine is called."""
        import platform

        return "" if path.is_file() else platform.node()

    def start(self, spec: SystemSpec) -> int | None:
        """Get a system ready."""
        return self._studio.start(spec)

    def process(self, run: Path, clips: Sequence[Clip], alone: bool) -> list[Made]:
        """Rows of clips, whose sounds are files of the run folder then."""
        rows, files = [], []
        for made in self._studio.process(clips, alone):
            try:
                row, own = keep_output(run, *made, durable=False)
            except BenchError:
                raise
            except Exception as error:
                row, own = OutputRow(made.row.clip, "failed", f"it cannot be stored: {describe(error)}"), []
            rows.append(Made(row))
            files += own
        sync(files)
        return rows


class FarLane:
    """A lane on a Ray cluster.

    Args:
        cluster: The cluster.
        clips: Every planned clip.
        build: How a spec becomes a system; importable.
        timeout: Seconds that a clip may take.
        gpus: Share of a GPU that it takes, 0 for none.
        root: A folder that every machine must see.
    """

    def __init__(
        self, cluster: Cluster, clips: Sequence[Clip], build: Adapter, timeout: float, gpus: float, root: Path
    ) -> None:
        self._remote = Remote(cluster, FarStudio, clips, build, timeout, beside.looked_into(), gpus=gpus)
        self._timeout, self._root = timeout, root
        self._spec: SystemSpec | None = None
        #: Which of the workers, by its number, sees the folder of runs, and which has the system.
        self._seeing = self._having = 0

    def ready(self, unneeded: Callable[[], bool]) -> bool:
        """Wait for a worker.

        Raises:
            BenchError: If there can be none, or it does not see the folder of runs.
        """
        while self._remote.ready(unneeded):
            if self._seeing == self._remote.times_made:
                return True
            try:
                self._refuse_unseen()
            except LostError:
                continue
            self._seeing = self._remote.times_made
        return False

    def start(self, spec: SystemSpec) -> int | None:
        """Get a system ready there; a worker that is lost meanwhile is a loss."""
        self._spec = spec
        parameters: int | None = self._remote.call("start", spec, limit=2 * max(self._timeout, SETUP_S))
        self._having = self._remote.times_made
        return parameters

    def process(self, run: Path, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        """Rows, all of them once the last one is ready."""
        if self._having != self._remote.times_made and self._spec is not None:
            self.start(self._spec)  # The worker was lost between two questions.
        # There a clip may be tried more than once, and a system be set up anew.
        limit = 3 * self._timeout * len(clips) + 2 * max(self._timeout, SETUP_S)
        yield from self._remote.call("process", run, clips, alone, limit=limit)

    def end(self) -> None:
        """End the worker."""
        self._remote.end()

    def _refuse_unseen(self) -> None:
        """Outputs that lie on one machine's own disk would look as if they had been stored."""
        self._root.mkdir(parents=True, exist_ok=True)
        path = self._root / f".{secrets.token_hex(8)}.seen"
        path.touch()
        try:
            blind = self._remote.call("sees", path, limit=60.0)
        finally:
            path.unlink(missing_ok=True)
        if blind:
            raise BenchError(
                f"{blind} does not see {self._root}", "its disk is its own",
                "choose an --out that all machines share", exit_code=1,
            )  # fmt: skip


class _FarProcess:
    """On another machine: a process beside the worker, as ``Apart`` has one here."""

    def __init__(self) -> None:
        self._apart = Apart()

    def call(self, function: Callable[..., R], args: tuple[Any, ...], limit: float | None) -> R:
        """See ``Apart.call``."""
        return self._apart.call(function, *args, limit=limit)


class FarApart:
    """What ``Apart`` is, on a Ray cluster: for metrics with a model, which stay loaded there."""

    def __init__(self, cluster: Cluster, gpus: float) -> None:
        self._remote = Remote(cluster, _FarProcess, gpus=gpus)
        self.ends = 0

    def call(self, function: Callable[..., R], *args: Any, limit: float | None = None) -> R:
        """See ``Apart.call``; tried again where the worker is lost."""
        last = ""
        for _ in range(_LOSSES):
            self._remote.ready()
            try:
                result: R = self._remote.call("call", function, args, limit, limit=2 * limit if limit else None)
            except LostError as error:
                last = str(error)
            except WorkerDiedError:
                self.ends += 1
                raise
            else:
                return result
            self.ends += 1
        raise WorkerDiedError(f"its worker was lost {_LOSSES} times ({last})")

    def end(self) -> None:
        """End the worker."""
        self._remote.end()
