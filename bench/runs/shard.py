"""Shards: which clips of a run are which machine's, and where each keeps its journals inside the run's folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ldmbench.errors import BenchError, describe
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.records import RunInfo, ShardInfo, as_record

T = TypeVar("T")

#: Folder of the shards in a run's, and the record in a shard's, beside its journals.
SHARDS, RECORD = "shards", "shard.json"


@dataclass(frozen=True)
class Shard:
    """One of so many parts of a run.

    Attributes:
        number: Which one, from 1 on.
        count: How many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard from ``3/16``.

        Raises:
            BenchError: If it is none.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        number, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= number <= count:
            fix = f"count them from 1/{count} to {count}/{count}" if count else "write 3/16 for the third of sixteen"
            raise BenchError(f"{text!r} is no shard", fix=fix)
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def part(self, clips: Sequence[T], batch: int = 1) -> list[T]:
        """The clips of this shard, in their order.

        Batches go round: what an unsharded run hands to a system together is together here.

        Args:
            clips: All planned clips, or their records.
            batch: Clips that a system gets at once.
        """
        return [clip for place, clip in enumerate(clips) if place // batch % self.count == self.number - 1]

    def folder(self, run: Path) -> Path:
        """Where the shard of a run keeps its journals."""
        return run / SHARDS / f"{self.number}-of-{self.count}"


def shard_folders(run: Path) -> list[Path]:
    """The shards in a run's folder that are not joined yet, by their numbers."""
    folders = [path.parent for path in (run / SHARDS).glob(f"*/{RECORD}")]
    return sorted(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)])


def read_shard(folder: Path) -> ShardInfo:
    """The record of a shard.

    Raises:
        BrokenRunError: If it cannot be read.
    """
    try:
        return as_record(ShardInfo, json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        fix = f"remove {folder} and run that shard again"
        raise BrokenRunError(f"{folder / RECORD} is not a shard of this version", describe(error), fix) from None


def remove_shard(folder: Path) -> None:
    """Remove a shard whose rows are the run's now; without its record, which goes first, it counts no more."""
    (folder / RECORD).unlink()
    shutil.rmtree(folder)
    with suppress(OSError):  # Another one is there, or a shard begins just now.
        folder.parent.rmdir()


def with_shards(info: RunInfo, shards: Iterable[ShardInfo]) -> RunInfo:
    """The record of a run with what its shards have to add to it."""
    for shard in shards:
        took = {key: info.took.get(key, 0.0) + shard.took.get(key, 0.0) for key in {**info.took, **shard.took}}
        info = replace(
            info,
            metrics=tuple(dict.fromkeys((*info.metrics, *shard.metrics))),
            parameters=info.parameters or shard.parameters,
            problem=info.problem or shard.problem,
            asked=max(info.asked, shard.asked),
            took=took,
        )
    return info


def differing_versions(shards: Sequence[ShardInfo]) -> list[str]:
    """Packages, and the device, of which shards had different ones: ``torch: 2.11.0 (shard 3/16), 2.10.0 (...)``."""
    notes = []
    for name in sorted({name for shard in shards for name in shard.environment} - {"platform"}):
        users: dict[str, list[str]] = {}
        for shard in shards:
            users.setdefault(shard.environment.get(name, "none"), []).append(shard.shard)
        if len(users) > 1:
            notes.append(f"{name}: " + ", ".join(f"{value} ({' '.join(who)})" for value, who in users.items()))
    return notes
