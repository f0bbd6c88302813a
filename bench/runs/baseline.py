"""A baseline: runs in one small Parquet file, to commit or to send, read wherever runs are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.metrics._base import remember
from ldmbench.names import some
from ldmbench.runs.labels import FOLDER
from ldmbench.runs.records import OutputRow, ScoreRow
from ldmbench.runs.results import Run
from ldmbench.runs.rows import flat
from ldmbench.runs.sounds import Sounds
from ldmbench.runs.store import read_info

#: Raised when the file is laid out anew; ``UPGRADES`` then reads the older ones. 2: sounds, where they were asked for.
SCHEMA = 2

#: Schema -> what turns the head of a file of that schema into that of the next.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: lambda head: {**head, "schema": 2}}

#: Bytes of sound that are kept together; reading one of them reads as many.
_TOGETHER = 16 * 2**20

#: Where the file's own head is kept among Parquet's metadata.
_KEY = b"ldmbench.baseline"


def is_baseline(path: Path) -> bool:
    """Whether a name is that of a baseline file."""
    return path.suffix == ".parquet" and path.is_file()


def save_baseline(runs: Sequence[Run], path: Path, audio: bool = False) -> Path:
    """Write runs into one file: their records, what became of each clip with its digest, all scores and vectors.

    A row is an output (its metric is empty) or a score: run, clip, metric, version, status, value, numerator,
    denominator, vector, message, output (digest) and, of an output, its record as JSON and its sound where ``audio``
    asks for it, as the file that it is. The record of each run is in the file's metadata. Paths are left out: they
    mean nothing on another machine.

    Raises:
        BenchError: If a run was interrupted, two runs are the same, a sound is not there any more, or the file cannot
            be written.
    """
    from pyarrow import parquet

    ids = [run.info.id for run in runs]
    if doubled := sorted({run for run in ids if ids.count(run) > 1}):
        raise BenchError(f"run {some(doubled)} is named twice", fix="name each run once")
    for run in runs:
        if run.pending:
            clips = f"{run.pending} of {len(run.info.clips)} clips are missing"
            raise BenchError(f"{run.info.system} is no baseline", clips, "the same command finishes it")
    head = {"schema": SCHEMA, "runs": [_portable(run) for run in runs]}
    schema = _schema().with_metadata({_KEY: json.dumps(head, ensure_ascii=False).encode()})
    with replacing(path) as handle, parquet.ParquetWriter(handle, schema, compression="zstd") as writer:
        for table in _tables(runs, schema, audio):
            writer.write_table(table)
    return path


def _tables(runs: Sequence[Run], schema: Any, audio: bool) -> Iterator[Any]:
    """All rows, in tables of so many sounds as are kept together; in one where there are none."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    size = 0
    for run in runs:
        for row in _rows(run, audio):
            rows.append(row)
            size += len(row.get("sound") or b"")
            if size > _TOGETHER:
                yield pa.Table.from_pylist(rows, schema=schema)
                rows, size = [], 0
    yield pa.Table.from_pylist(rows, schema=schema)


def read_baseline(path: Path) -> list[Run]:
    """The runs of a baseline, in the order in which they were saved; sounds that it has are read when they are played.

    Raises:
        BenchError: If the file is no baseline, is damaged, or was written by a newer version.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        columns = [name for name in parquet.read_schema(path).names if name != "sound"]
        table = parquet.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise BenchError(f"{path} cannot be read", str(error), "save the baseline again") from None
    stored = (table.schema.metadata or {}).get(_KEY)
    if stored is None:
        raise BenchError(f"{path} is no baseline", "a Parquet file without its head", "ldmbench baseline save RUN")
    try:
        head = _upgraded(path, json.loads(stored))
        runs = {content["id"]: Run(path, read_info(content), {}, {}) for content in head["runs"]}
        for row in _lines(table):
            _add(runs[row["run"]], row)
    except (TypeError, KeyError, ValueError) as error:
        raise BenchError(f"{path} is not a baseline of this version", str(error), "save it again") from None
    for run in runs.values():
        remember(run.info.facts)
        run.sounds = Sounds(path, run.info.id, run.outputs).path
    return list(runs.values())


def _upgraded(path: Path, head: dict[str, Any]) -> dict[str, Any]:
    while head["schema"] != SCHEMA:
        upgrade = UPGRADES.get(head["schema"])
        if upgrade is None:
            found = f"this version reads up to {SCHEMA}"
            raise BenchError(f"{path} has schema {head['schema']}", found, "install a newer ldmbench, or save it again")
        head = upgrade(head)
    return head


def _portable(run: Run) -> dict[str, Any]:
    clips = tuple(replace(clip, path="") for clip in run.info.clips)
    environment = {name: text for name, text in run.info.environment.items() if name != FOLDER}
    return asdict(replace(run.info, clips=clips, environment=environment))


def _schema() -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    fields = [("run", text), ("clip", text), ("metric", text), ("version", pa.int32()), ("status", text)]
    numbers = [("value", pa.float64()), ("numerator", pa.float64()), ("denominator", pa.float64())]
    rest = [("vector", pa.list_(pa.float64())), ("message", text), ("output", text), ("record", pa.string())]
    return pa.schema([*fields, *numbers, *rest, ("sound", pa.binary())])


def _rows(run: Run, audio: bool) -> Iterator[dict[str, Any]]:
    for number, clip in enumerate(run.info.clips):
        file = run.audio_path(clip.id) if audio else None
        output = replace(run.outputs[clip.id], audio=f"{number:06}{file.suffix}" if file else "", token_file="")
        yield {
            "sound": _sound(clip.id, file) if file else None,
            "run": run.info.id,
            "clip": clip.id,
            "metric": "",
            "version": 0,
            "status": output.status,
            "message": output.message,
            "output": output.digest,
            "record": json.dumps(flat(output), ensure_ascii=False),
        }
        for metric in run.info.metrics:
            score = run.scores.get((clip.id, metric))
            if score is not None:
                yield {"run": run.info.id, **flat(score), **_value(run, score)}


def _sound(clip: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"the output of {clip} cannot be read", f"{file}: {reason}", "run the suite again") from None


def _value(run: Run, score: ScoreRow) -> dict[str, Any]:
    """The value in the column of its kind; the others stay empty."""
    value = score.value
    if isinstance(value, str):
        return {"value": None, "vector": run.vector(value)}
    if isinstance(value, list):
        if len(value) != 2:
            raise BenchError(f"{score.metric} of {score.clip} has {len(value)} numbers", "a ratio has 2")
        return {"value": None, "numerator": value[0], "denominator": value[1]}
    return {"value": value}


def _lines(table: Any) -> Iterator[dict[str, Any]]:
    """Rows of a table, some at a time: all of them as objects would be ten times as large as the table."""
    for batch in table.to_batches(max_chunksize=4096):
        vectors = batch.column("vector")
        columns = batch.drop_columns(["vector"]).to_pydict()
        for index, values in enumerate(zip(*columns.values(), strict=True)):
            row = dict(zip(columns, values, strict=True))
            row["vector"] = np.asarray(vectors[index].values, np.float64) if vectors[index].is_valid else None
            yield row


def _add(run: Run, row: dict[str, Any]) -> None:
    clip, metric = row["clip"], row["metric"]
    if not metric:
        run.outputs[clip] = OutputRow(**json.loads(row["record"]))
        return
    value: float | list[float] | str | None = row["value"]
    if row["vector"] is not None:
        value = f"{metric}/{clip}"
        vector: Real = row["vector"]
        run.vectors[value] = vector
    elif row["numerator"] is not None:
        value = [row["numerator"], row["denominator"]]
    run.scores[clip, metric] = ScoreRow(
        clip, metric, row["version"], row["status"], value, row["message"], row["output"]
    )
