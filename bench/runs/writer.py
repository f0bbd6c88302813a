"""The one writer of a run folder: sounds and tokens first, then the rows that refer to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real, Tokens
from ldmbench.audio.sound import Audio
from ldmbench.audio.sound import write as write_audio
from ldmbench.host.files import replacing, safe_name, sync
from ldmbench.runs.journal import Journal, lock, read_journal
from ldmbench.runs.records import OutputRow, RunInfo, ScoreRow, ShardInfo
from ldmbench.runs.rows import flat, record_text
from ldmbench.runs.shard import read_shard, remove_shard, shard_folders
from ldmbench.runs.store import (
    AUDIO,
    JOURNALS,
    OUTPUTS,
    RECORD,
    SCORES,
    TOKENS,
    VECTORS,
    asked_last,
    is_run,
    last_asked,
    read_records,
)


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
        write_record(path / RECORD, info)


def keep_output(
    path: Path, row: OutputRow, audio: Audio | None, tokens: Tokens | None, durable: bool = True
) -> tuple[OutputRow, list[Path]]:
    """Put the audio and the tokens of a clip into the run folder ``path``, whoever writes its journal.

    Returns:
        The row, which refers to them now, and the files.
    """
    files = []
    if audio is not None and not row.audio:
        relative = Path(AUDIO) / f"{_file_name(row.clip)}.wav"
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
        relative = Path(TOKENS) / f"{_file_name(row.clip)}.npy"
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
        self._outputs, self._scores = Journal(folder / OUTPUTS), Journal(folder / SCORES)

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
        for name in JOURNALS:
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
                relative = Path(VECTORS) / safe_name(row.metric) / f"{_file_name(row.clip)}.npy"
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
        write_record(self.path / RECORD, self.info)


def _file_name(name: str) -> str:
    """A relative path without its suffix, that no two names share; ``/`` still makes folders.

    Dots of folders are escaped, so that the folder of ``a.wav/b`` never meets the file of ``a``.
    """
    *folders, last = name.split("/")
    return "/".join([*(safe_name(folder).replace(".", "%2E") for folder in folders), safe_name(last)])
