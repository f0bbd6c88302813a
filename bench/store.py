"""The run folder ``runs/SUITE/SYSTEM/ID/``: the only module that knows what lies in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.audio import Audio
from bench.audio import write as write_audio
from bench.errors import BenchError
from bench.journal import Journal, lock, not_written, read_journal
from bench.metric import load_metric
from bench.records import SCHEMA, ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from bench.stats import Estimate

#: Characters of a file name; most file systems allow 255 bytes, suffixes and temporary names included.
_LONGEST_NAME = 180

__all__ = [
    "SCHEMA",
    "ClipInfo",
    "DatasetInfo",
    "OutputRow",
    "Run",
    "RunInfo",
    "RunWriter",
    "ScoreRow",
    "find_runs",
    "open_run",
    "run_path",
]


@dataclass
class Run:
    """One system on one suite, as read from disk.

    Attributes:
        path: The run folder.
        info: ``run.json``.
        outputs: Newest row of each clip.
        scores: Newest row of each (clip, metric) that belongs to the clip's present output.
        problem: Why the system could not be set up just now, empty where it could.
    """

    path: Path
    info: RunInfo
    outputs: dict[str, OutputRow]
    scores: dict[tuple[str, str], ScoreRow]
    problem: str = ""

    @property
    def pending(self) -> int:
        """Planned clips that have no output row yet: above 0 the run was interrupted."""
        return sum(clip.id not in self.outputs for clip in self.info.clips)

    @property
    def failures(self) -> list[tuple[str, str, str]]:
        """(clip, stage or metric, message) of everything that failed, in planned order."""
        rows = [("every clip", "setup", self.problem)] if self.problem else []
        for clip in self.info.clips:
            output = self.outputs.get(clip.id)
            if output is not None and output.status == "failed":
                rows.append((clip.id, "output", output.message))
            for metric in self.info.metrics:
                score = self.scores.get((clip.id, metric))
                if score is not None and score.status == "failed":
                    rows.append((clip.id, metric, score.message))
        return rows

    def audio_path(self, clip: str) -> Path | None:
        """The output file of a clip, None where it failed or has no audio."""
        row = self.outputs.get(clip)
        return self.path / row.audio if row is not None and row.status == "ok" and row.audio else None

    def estimate(self, metric: str, dataset: str | None = None) -> Estimate | None:
        """The estimate of ``metric`` over the clips of ``dataset`` (all datasets where None).

        None where the metric does not apply to the dataset or was never asked for.
        """
        loaded = load_metric(metric)
        names = [name for name in self._applying(metric) if dataset in (None, name)]
        if not names:
            return None
        values, failed, unscored = self._values(metric, names)
        return replace(loaded.aggregate(values), failed=failed, unscored=unscored)

    def average(self, metric: str) -> Estimate | None:
        """The mean of ``metric`` over the datasets, each counting the same however many clips it has.

        None where the metric applies to fewer than two datasets, or is no mean over clips.
        """
        names = self._applying(metric)
        if len(names) < 2 or load_metric(metric).facts.kind != "mean":
            return None
        found = [self._values(metric, [name]) for name in names]
        estimate = stats.mean_of_means([values for values, _, _ in found])
        failed, unscored = sum(item[1] for item in found), sum(item[2] for item in found)
        return replace(estimate, failed=failed, unscored=unscored)

    def _applying(self, metric: str) -> list[str]:
        """Datasets that the metric was asked for and applies to."""
        facts = load_metric(metric).facts
        if metric not in self.info.metrics:
            return []
        return [item.name for item in self.info.datasets if facts.applies_to(item.content)]

    def _values(self, metric: str, datasets: Sequence[str]) -> tuple[list[Any], int, int]:
        """Values of the scored clips of some datasets, and how many clips failed and are unscored."""
        values: list[Any] = []
        failed = unscored = 0
        for clip in self.info.clips:
            if clip.dataset not in datasets:
                continue
            output, score = self.outputs.get(clip.id), self.scores.get((clip.id, metric))
            if output is not None and output.status == "failed":
                failed += 1
            elif score is not None and score.status == "ok":
                values.append(self._value(score))
            elif score is not None:
                failed += score.status == "failed"
                unscored += score.status == "unscored"
        return values, failed, unscored

    def _value(self, row: ScoreRow) -> Any:
        if not isinstance(row.value, str):
            return row.value
        try:
            return np.load(self.path / row.value, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BenchError(
                f"{self.path / row.value} cannot be read", str(error), "remove the run and start it again"
            ) from None


def open_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        BenchError: If the folder is not a run, or was written by another version of the layout.
    """
    path = Path(path)
    try:
        content = json.loads((path / "run.json").read_text(encoding="utf-8"))
        schema = content.get("schema")
    except (FileNotFoundError, NotADirectoryError):
        raise BenchError(f"{path} is not a run", "no run.json in it", "name a suite or a folder below runs/") from None
    except (ValueError, AttributeError) as error:
        raise BenchError(
            f"{path}/run.json is not a JSON record", str(error), "remove the run and start it again"
        ) from None
    if schema != SCHEMA:
        raise BenchError(f"{path} has layout {schema}", f"this version reads {SCHEMA}", "run it again")
    try:
        return Run(path, *_records(path, content))
    except (TypeError, KeyError) as error:
        # Valid JSON with other fields: written by another version, or by hand.
        raise BenchError(f"{path} is not a run of this version", str(error), "run it again") from None


def _records(
    path: Path, content: dict[str, Any]
) -> tuple[RunInfo, dict[str, OutputRow], dict[tuple[str, str], ScoreRow]]:
    content["datasets"] = tuple(DatasetInfo(**{**item, "notes": tuple(item["notes"])}) for item in content["datasets"])
    content["clips"] = tuple(ClipInfo(**item) for item in content["clips"])
    content["metrics"] = tuple(content["metrics"])
    outputs = {row["clip"]: OutputRow(**row) for row in read_journal(path / "outputs.jsonl")}
    scores = {}
    for line in read_journal(path / "scores.jsonl"):
        row = ScoreRow(**line)
        output = outputs.get(row.clip)
        if output is not None and row.output == output.digest:
            scores[row.clip, row.metric] = row
    return RunInfo(**content), outputs, scores


def find_runs(root: Path, suite: str) -> list[Run]:
    """Runs of a suite below ``root``: the newest of each system, in the order in which they were made."""
    newest: dict[str, Run] = {}
    for path in sorted((root / _folder_name(suite)).glob("*/*/run.json")):
        run = open_run(path.parent)
        other = newest.get(run.info.system)
        if other is None or run.info.created > other.info.created:
            newest[run.info.system] = run
    return sorted(newest.values(), key=lambda run: (run.info.created, run.info.system))


def run_path(root: Path, suite: str, system: str, run_id: str) -> Path:
    """Where a run lies: ``ROOT/SUITE/SYSTEM/ID``."""
    return root / _folder_name(suite) / _folder_name(system) / run_id


class RunWriter:
    """The single writer of a run folder; use as a context manager.

    Raises:
        BenchError: If another process writes to the same run, or the folder cannot be written.
    """

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self._lock = lock(path)
        try:
            if (path / "run.json").exists():
                old = open_run(path).info
                # What was asked for before stays part of the run; what it is and when it began does not change.
                metrics = (*old.metrics, *(name for name in info.metrics if name not in old.metrics))
                info = replace(old, metrics=metrics, parameters=info.parameters or old.parameters)
            self.info = info
            self._write_info()
            self._outputs = Journal(path / "outputs.jsonl")
            self._scores = Journal(path / "scores.jsonl")
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._outputs.close()
        self._scores.close()
        self._lock.close()

    def add_output(self, row: OutputRow, audio: Audio | None = None) -> OutputRow:
        """Store the audio, then the row that refers to it; returns the row as stored."""
        if audio is not None and not row.audio:
            relative = Path("audio") / f"{_file_name(row.clip)}.wav"
            write_audio(self.path / relative, audio)
            row = replace(row, audio=relative.as_posix())
        if audio is not None:
            row = replace(
                row, digest=audio.digest(), rate=audio.rate, channels=audio.channels, seconds_audio=audio.duration
            )
        self._outputs.append([asdict(row)])
        return row

    def add_scores(self, rows: Iterable[ScoreRow]) -> None:
        """Append score rows in one flush."""
        self._scores.append([asdict(row) for row in rows])

    def store_vector(self, clip: str, metric: str, vector: NDArray[np.float64]) -> str:
        """Store a vector beside the journal; returns the name to put into the score row."""
        relative = Path("vectors") / _folder_name(metric) / f"{_file_name(clip)}.npy"
        target = self.path / relative
        temporary = target.with_suffix(".tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as handle:
                np.save(handle, vector, allow_pickle=False)
            temporary.replace(target)
        except OSError as error:
            raise not_written(target, error) from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return relative.as_posix()

    def set_parameters(self, parameters: int | None) -> None:
        """Record the number of learned parameters once the system is built."""
        if parameters != self.info.parameters:
            self.info = replace(self.info, parameters=parameters)
            self._write_info()

    def _write_info(self) -> None:
        text = json.dumps(asdict(self.info), indent=1, ensure_ascii=False)
        target = self.path / "run.json"
        if target.exists() and target.read_text(encoding="utf-8") == text:
            return
        temporary = target.with_suffix(".tmp")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target)
        except OSError as error:
            raise not_written(target, error) from None


def _file_name(name: str) -> str:
    """A relative path without its suffix, that no two names share; ``/`` still makes folders.

    Dots of folders are escaped, so that the folder of ``a.wav/b`` never meets the file of ``a``.
    """
    *folders, last = name.split("/")
    return "/".join([*(_part(folder).replace(".", "%2E") for folder in folders), _part(last)])


def _folder_name(name: str) -> str:
    """One folder for ``name``, whatever is in it; settings of a system may hold a path."""
    return _part(name)


def _part(text: str) -> str:
    """``text`` as one file name that is safe on every file system and at most 180 characters long."""
    part = quote(text, safe="@=,+- ")
    if set(part) <= {"."}:
        part = "%" + part.replace(".", "%2E")  # "", "." and ".." are no names; no quoted text begins like this.
    if len(part) > _LONGEST_NAME:
        # Only here does a "%~" occur: "~" itself is never quoted.
        part = f"{part[: _LONGEST_NAME - 34]}%~{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    return part
