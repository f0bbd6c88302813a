"""The run folder ``runs/SUITE/SYSTEM/ID/``: the only module that knows what lies in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real, Tokens
from ldmbench.audio.sound import Audio
from ldmbench.audio.sound import write as write_audio
from ldmbench.errors import BenchError, describe
from ldmbench.host.files import replacing, safe_name, sync
from ldmbench.names import parse
from ldmbench.runs.journal import BrokenRunError, Journal, lock, read_journal
from ldmbench.runs.records import (
    SCHEMA,
    OutputRow,
    RunInfo,
    ScoreRow,
    ShardInfo,
    as_clip,
    as_record,
)
from ldmbench.runs.rows import flat, record_text, rows_of, unless_read
from ldmbench.runs.shard import read_shard, remove_shard, shard_folders, with_shards
from ldmbench.system.card import Role
from ldmbench.system.registry import list_systems, load_system_card

#: What lies in a run folder.
_RECORD, _OUTPUTS, _SCORES = "run.json", "outputs.jsonl", "scores.jsonl"
_JOURNALS = (_OUTPUTS, _SCORES)
_AUDIO, _VECTORS, _TOKENS = "audio", "vectors", "tokens"

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
        (info,) = unless_read(path / _RECORD, lambda: [read_info(_content(path))])
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
        content: dict[str, Any] = json.loads((path / _RECORD).read_text(encoding="utf-8"), object_hook=as_clip)
        schema = content.get("schema")
    except (FileNotFoundError, NotADirectoryError):
        raise BenchError(
            f"{path} is not a run", f"no {_RECORD} in it", "name a suite or a folder below runs/"
        ) from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise BrokenRunError(
            f"{path / _RECORD} is not a JSON record", str(error), f"remove {path} and run it again"
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
    for made in chain.from_iterable(rows_of(folder / _OUTPUTS, OutputRow) for folder in folders):
        outputs[made.clip] = made
    scores = {}
    for row in chain.from_iterable(rows_of(folder / _SCORES, ScoreRow) for folder in folders):
        if isinstance(row.value, str) and not (row.value.startswith(f"{_VECTORS}/") and ".." not in row.value):
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


def write_record(target: Path, record: RunInfo | ShardInfo) -> None:
    """Write a record, unless it is there as it is."""
    text = record_text(record)
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return
    with replacing(target, durable=True) as handle:
        handle.write(text.encode())


def begin_run(path: Path, info: RunInfo) -> None:
    """Write the record of a run that is not there yet, whoever else may do so at the same moment."""
    if not is_run(path):
        write_record(path / _RECORD, info)


def is_run(path: Path) -> bool:
    """Whether the folder ``path`` is a run."""
    return (path / _RECORD).exists()


def run_folders(root: Path, suite: str) -> list[Path]:
    """The runs of a suite below ``root``, of every system and ID, by their paths."""
    return sorted(path.parent for path in (root / safe_name(suite)).glob(f"*/*/{_RECORD}"))


def suites_in(root: Path) -> list[str]:
    """The suites that have runs below ``root``, by what their folders are called."""
    return sorted({unquote(path.parents[2].name) for path in root.glob(f"*/*/*/{_RECORD}")})


def rows_in(path: Path) -> tuple[int, int]:
    """How many lines the journals of outputs and of scores of a run, or of a shard, have; 0 where there is none."""
    outputs, scores = (sum(_lines(folder / name) for folder in (path, *shard_folders(path))) for name in _JOURNALS)
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
    for path in folder.glob(f"*/{_RECORD}"):
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


def keep_output(
    path: Path, row: OutputRow, audio: Audio | None, tokens: Tokens | None, durable: bool = True
) -> tuple[OutputRow, list[Path]]:
    """Put the audio and the tokens of a clip into the run folder ``path``, whoever writes its journal.

    Returns:
        The row, which refers to them now, and the files.
    """
    files = []
    if audio is not None and not row.audio:
        relative = Path(_AUDIO) / f"{_file_name(row.clip)}.wav"
        write_audio(path / relative, audio, durable)
        files.append(path / relative)
        row = replace(row, audio=relative.as_posix())
    if audio is not None and not row.digest:
        row = replace(
            row, digest=audio.digest(), rate=audio.rate, channels=audio.channels, seconds_audio=audio.duration
        )
    if tokens is not None:
        # In the smallest type that holds them and the -1 of "none here".
        small = tokens.astype(np.min_scalar_type(-int(tokens.max(initial=0)) - 1))
        relative = Path(_TOKENS) / f"{_file_name(row.clip)}.npy"
        _write_array(path / relative, small, durable)
        files.append(path / relative)
        row = replace(row, token_file=relative.as_posix())
    return row, files


def _write_array(path: Path, array: NDArray[Any], durable: bool) -> None:
    with replacing(path, durable=durable) as handle:
        np.save(handle, array, allow_pickle=False)


class RunWriter:
    """The single writer of a run folder; use as a context manager. What shards have made is joined first.

    Raises:
        BenchError: If another process writes to the same run or a shard of it, or the folder cannot be written.
    """

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self._lock: IO[bytes] | ExitStack = lock(path)
        try:
            self._join()
            if is_run(path):
                old = read_records(path)[0]
                # What was asked for before stays part of the run; what it is and when it began does not change. What is
                # said about the clips, such as that they are speech, is not part of the ID and holds as said last.
                metrics = (*old.metrics, *(name for name in info.metrics if name not in old.metrics))
                parameters = info.parameters or old.parameters
                # Nothing is written as long as it is the one that was asked for last all the same.
                asked = info.asked if asked_last(path.parent) > last_asked(old) else old.asked
                info = replace(
                    old,
                    metrics=metrics,
                    parameters=parameters,
                    datasets=info.datasets,
                    asked=asked,
                    facts={**old.facts, **info.facts},
                    clips=info.clips if info.clips == old.clips else old.clips,  # In memory once.
                )
            self.info = info
            self._write_info()
            self._open_journals(path)
        except BaseException:
            self._lock.close()
            raise

    def _open_journals(self, folder: Path) -> None:
        self._outputs, self._scores = Journal(folder / _OUTPUTS), Journal(folder / _SCORES)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._outputs.close()
        self._scores.close()
        self._lock.close()

    def _join(self) -> None:
        """Take over what shards have journalled; a kill at any moment leaves rows twice, never none."""
        folders = shard_folders(self.path)
        if not folders:
            return
        self.info, _, _ = read_records(self.path)
        shards = [read_shard(folder) for folder in folders]
        took = {key: value - sum(shard.took.get(key, 0.0) for shard in shards) for key, value in self.info.took.items()}
        order = {clip.id: position for position, clip in enumerate(self.info.clips)}
        for name in _JOURNALS:
            rows = [row for folder in folders for row in read_journal(folder / name)]
            with closing(Journal(self.path / name)) as journal:
                journal.append(sorted(rows, key=lambda row: order.get(row["clip"], len(order))))
        # Seconds are added last: rather lost than counted twice.
        joined, self.info = self.info, replace(self.info, took=took)
        self._write_info()
        for folder in folders:
            remove_shard(folder)
        self.info = joined
        self._write_info()

    def add_output(self, row: OutputRow, audio: Audio | None = None, tokens: Tokens | None = None) -> OutputRow:
        """Store the audio and the tokens, then the row that refers to them; returns the row as stored."""
        (stored,) = self.add_outputs([(row, audio, tokens)])
        return stored

    def add_outputs(self, made: Sequence[tuple[OutputRow, Audio | None, Tokens | None]]) -> list[OutputRow]:
        """Store sounds and tokens of several clips, then the rows that refer to them, in one flush."""
        rows, files = [], []
        for row, audio, tokens in made:
            stored, own = keep_output(self.path, row, audio, tokens, durable=len(made) == 1)
            rows.append(stored)
            files += own
        if len(made) > 1:
            sync(files)
        self._outputs.append([flat(row) for row in rows])
        return rows

    def add_scores(self, rows: Iterable[ScoreRow | tuple[ScoreRow, Real | None]]) -> list[ScoreRow]:
        """Store the vectors of score rows, then the rows that refer to them, in one flush; returns these as stored."""
        stored, files = [], []
        for item in rows:
            row, vector = item if isinstance(item, tuple) else (item, None)
            if vector is not None:
                relative = Path(_VECTORS) / safe_name(row.metric) / f"{_file_name(row.clip)}.npy"
                _write_array(self.path / relative, vector, durable=False)
                files.append(self.path / relative)
                row = replace(row, value=relative.as_posix())
            stored.append(row)
        sync(files)
        self._scores.append([flat(row) for row in stored])
        return stored

    def set_parameters(self, parameters: int | None) -> None:
        """Record the number of learned parameters once the system is built."""
        if parameters != self.info.parameters:
            self.info = replace(self.info, parameters=parameters)
            self._write_info()

    def set_problem(self, problem: str) -> None:
        """Record why the system cannot be set up, empty once it can."""
        if problem != self.info.problem:
            self.info = replace(self.info, problem=problem)
            self._write_info()

    def add_took(self, took: Mapping[str, float]) -> None:
        """Add to what the run took; nothing where nothing was done."""
        if took:
            old = self.info.took
            self.info = replace(self.info, took={key: old.get(key, 0.0) + value for key, value in took.items()})
            self._write_info()

    def _write_info(self) -> None:
        write_record(self.path / _RECORD, self.info)


def _file_name(name: str) -> str:
    """A relative path without its suffix, that no two names share; ``/`` still makes folders.

    Dots of folders are escaped, so that the folder of ``a.wav/b`` never meets the file of ``a``.
    """
    *folders, last = name.split("/")
    return "/".join([*(safe_name(folder).replace(".", "%2E") for folder in folders), safe_name(last)])
