"""The writer of one shard of a run: journals of its own, beside those of other machines, in the run's one folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.runs.journal import lock
from ldmbench.runs.records import RunInfo, ShardInfo
from ldmbench.runs.shard import RECORD, Shard, read_shard, shard_folders
from ldmbench.runs.store import asked_last, last_asked, read_record
from ldmbench.runs.writer import RunWriter, begin_run, write_record


class ShardWriter(RunWriter):
    """Writes what one shard makes; use as a context manager.

    Sounds, tokens and vectors go where those of the whole run are: no two shards have a clip in common.

    Args:
        path: The run folder, which other shards hold at the same time.
        info: The run, as planned.
        shard: Which part of it.
        batch: Clips that a system gets at once.

    Raises:
        BenchError: If the run is being written as a whole, this shard is by somebody else, or its folder holds shards
            of another split; or if the folder cannot be written.
    """

    def __init__(self, path: Path, info: RunInfo, shard: Shard, batch: int) -> None:
        self.path, self._shard, self._batch = path, shard, batch
        self._folder = shard.folder(path)
        with ExitStack() as stack:
            stack.enter_context(lock(path, shared=True))
            stack.enter_context(lock(self._folder))
            self._refuse_another_split()
            begin_run(path, info)
            run = read_record(path)
            own = read_shard(self._folder) if (self._folder / RECORD).exists() else None
            asked = info.asked if asked_last(path.parent) > last_asked(run) else run.asked
            # Of the run itself only what this shard has to add is kept here.
            self.info = replace(
                info,
                asked=max(asked, own.asked if own else ""),
                metrics=tuple(dict.fromkeys((*(own.metrics if own else ()), *info.metrics))),
                parameters=info.parameters or (own.parameters if own else None),
                took=own.took if own else {},
            )
            self._write_info()
            self._open_journals(self._folder)
            self._lock = stack.pop_all()

    def _write_info(self) -> None:
        info = self.info
        record = ShardInfo(
            str(self._shard), self._batch, info.metrics, info.environment, info.parameters, info.problem, info.asked,
            info.took,
        )  # fmt: skip
        write_record(self._folder / RECORD, record)

    def _refuse_another_split(self) -> None:
        for folder in shard_folders(self.path):
            other = read_shard(folder)
            if Shard.parse(other.shard).count != self._shard.count or other.batch != self._batch:
                raise BenchError(
                    f"{self.path} has shards of another split",
                    f"{other.shard} with batches of {other.batch}, asked for {self._shard} with {self._batch}",
                    "go on with that split, or join it first with ldmbench merge",
                )


def open_writer(path: Path, info: RunInfo, shard: Shard | None, batch: int) -> RunWriter:
    """The writer of a run, or of one shard of it; see there for what is raised."""
    return RunWriter(path, info) if shard is None else ShardWriter(path, info, shard, batch)
