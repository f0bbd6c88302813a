"""The run folder ``runs/SUITE/SYSTEM/ID/``: what lies in it, and how it is read; ``writer`` alone writes it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real, Tokens
from ldmbench.errors import BenchError, describe
from ldmbench.host.files import safe_name
from ldmbench.names import parse
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.records import (
    SCHEMA,
    OutputRow,
    RunInfo,
    ScoreRow,
    as_clip,
    as_record,
)
from ldmbench.runs.rows import rows_of, unless_read
from ldmbench.runs.shard import read_shard, shard_folders, with_shards
from ldmbench.system.card import Role
from ldmbench.system.registry import list_systems, load_system_card

#: What lies in a run folder.
RECORD, OUTPUTS, SCORES = "run.json", "outputs.jsonl", "scores.jsonl"
JOURNALS = (OUTPUTS, SCORES)
AUDIO, VECTORS, TOKENS = "audio", "vectors", "tokens"

T = TypeVar("T")

Records = tuple[RunInfo, dict[str, OutputRow], dict[tuple[str, str], ScoreRow]]


def read_records(path: Path) -> Records:
    """What a run folder holds: its record, the newest row of each clip, and of each (clip, metric).

    Raises:
        BenchError: If the folder is not a run.
        BrokenRunError: If it cannot be read, or was written by another version of the layout.
    """
    return _as_this_version(path, lambda info: _records(path, info))


def read_record(path: Path) -> RunInfo:
    """The record of a run alone, without its rows.

    Raises:
        BenchError: If the folder is not a run.
        BrokenRunError: If it cannot be read, or was written by another version of the layout.
    """
    return _as_this_version(path, lambda info: info)


def _as_this_version(path: Path, read: Callable[[RunInfo], T]) -> T:
    """What ``read`` makes of the record of a run; see ``read_records`` for what it raises."""
    try:
        (info,) = unless_read(path / RECORD, lambda: [read_info(_content(path))])
        return read(info)
    except BenchError:
        raise
    except Exception as error:
        # Valid JSON with other fields or values: written by another version, or by hand.
        fix = f"use the ldmbench that wrote it, or remove {path} and run it again"
        raise BrokenRunError(f"{path} is not a run of this version", describe(error), fix) from None


def _content(path: Path) -> dict[str, Any]:
    """The record of a run as JSON, of the layout of this version."""
    try:
        content: dict[str, Any] = json.loads((path / RECORD).read_text(encoding="utf-8"), object_hook=as_clip)
        schema = content.get("schema")
    except (FileNotFoundError, NotADirectoryError):
        raise BenchError(f"{path} is not a run", f"no {RECORD} in it", "name a suite or a folder below runs/") from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise BrokenRunError(
            f"{path / RECORD} is not a JSON record", str(error), f"remove {path} and run it again"
        ) from None
    if schema != SCHEMA:
        fix = f"use the ldmbench that wrote it, or remove {path} and run it again"
        raise BrokenRunError(f"{path} has layout {schema}", f"this version reads {SCHEMA}", fix)
    return content


def read_info(content: dict[str, Any]) -> RunInfo:
    """The record of a run from its JSON.

    Raises:
        ValueError: If a field is there that this version does not know, or one lacks or is not what it should be.
    """
    if "role" not in content:
        # A folder of outputs has no code, and its label is no name of a system.
        content["role"] = "system" if content["identity"].get("code") == "" else _role_of(content["system"])
    return as_record(RunInfo, content)


def _records(path: Path, info: RunInfo) -> Records:
    shards = shard_folders(path)
    # What a shard says comes after what it began with.
    folders = [path, *shards]
    info = with_shards(info, map(read_shard, shards))
    outputs = {}
    for made in chain.from_iterable(rows_of(folder / OUTPUTS, OutputRow) for folder in folders):
        outputs[made.clip] = made
    scores = {}
    for row in chain.from_iterable(rows_of(folder / SCORES, ScoreRow) for folder in folders):
        if isinstance(row.value, str) and not (row.value.startswith(f"{VECTORS}/") and ".." not in row.value):
            raise ValueError(f"the {row.metric} of {row.clip} is {row.value}")
        output = outputs.get(row.clip)
        if output is not None and row.output == output.digest:
            scores[row.clip, row.metric] = row
    return info, _as_planned(info, outputs), scores


def _as_planned(info: RunInfo, outputs: dict[str, OutputRow]) -> dict[str, OutputRow]:
    """Rows in the order of the clips, in whichever order several workers made them."""
    ordered = {clip.id: outputs[clip.id] for clip in info.clips if clip.id in outputs}
    return ordered | outputs


def _role_of(system: str) -> Role:
    """The role of a system whose run was written before runs recorded it: what its card says, where it is installed."""
    name = parse(system).name
    return load_system_card(name).role if name in list_systems() else "system"


def run_path(root: Path, suite: str, system: str, run_id: str) -> Path:
    """Where a run lies: ``ROOT/SUITE/SYSTEM/ID``."""
    return root / safe_name(suite) / safe_name(system) / run_id


def is_run(path: Path) -> bool:
    """Whether the folder ``path`` is a run."""
    return (path / RECORD).exists()


def run_folders(root: Path, suite: str) -> list[Path]:
    """The runs of a suite below ``root``, of every system and ID, by their paths."""
    return sorted(path.parent for path in (root / safe_name(suite)).glob(f"*/*/{RECORD}"))


def suites_in(root: Path) -> list[str]:
    """The suites that have runs below ``root``, by what their folders are called."""
    return sorted({unquote(path.parents[2].name) for path in root.glob(f"*/*/*/{RECORD}")})


def rows_in(path: Path) -> tuple[int, int]:
    """How many lines the journals of outputs and of scores of a run, or of a shard, have; 0 where there is none."""
    outputs, scores = (sum(_lines(folder / name) for folder in (path, *shard_folders(path))) for name in JOURNALS)
    return outputs, scores


def _lines(journal: Path) -> int:
    try:
        return journal.read_bytes().count(b"\n")
    except OSError:
        return 0


def last_asked(info: RunInfo) -> str:
    """When a run was last asked for; for runs that do not record it, when it was made."""
    return info.asked or info.created


def asked_last(folder: Path) -> str:
    """When any of the runs in a system's folder was last asked for; those that cannot be read do not count."""
    times = [""]
    for path in folder.glob(f"*/{RECORD}"):
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            content = json.loads(path.read_text(encoding="utf-8"), object_hook=as_clip)
            times.append("" + (content.get("asked") or content.get("created", "")))
    return max(times)


def read_vector(path: Path, name: str) -> Real:
    """The vector that a score row of the run at ``path`` calls ``name``.

    Raises:
        BenchError: If it is missing or damaged.
    """
    vector: Real = _read_array(path / name)
    return vector


def read_tokens(path: Path) -> Tokens:
    """The tokens ``[layers, frames]`` in the file ``path`` of a run.

    Raises:
        BenchError: If it is missing or damaged.
    """
    return _read_array(path).astype(np.int64)


def _read_array(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BenchError(f"{path} cannot be read", str(error), "remove it, and run or score again") from None
    return array
