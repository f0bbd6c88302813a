"""Runs made in parts, joined: shards beside each other in one folder, and folders of runs from other machines."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.runs.named import no_runs
from ldmbench.runs.records import ScoreRow, ShardInfo
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.shard import Shard, differing_versions, read_shard, shard_folders
from ldmbench.runs.store import is_run, read_record, read_records, run_folders, run_path
from ldmbench.runs.writer import RunWriter
from ldmbench.suite import runs_of


@dataclass(frozen=True)
class Merged:
    """A run after it was joined.

    Attributes:
        run: The run.
        shards: How many shards and folders were joined to it.
        pending: Clips without an output.
        unfinished: Numbers of the shards that these clips belong to, as far as the split is known.
        notes: What was different about the machines, where it can change numbers.
    """

    run: Run
    shards: int
    pending: int
    unfinished: tuple[int, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """What the command prints with ``--json``."""
        info = self.run.info
        return {
            "run": info.id, "suite": info.suite, "system": info.system, "path": str(self.run.path),
            "shards": self.shards, "outputs": len(self.run.outputs), "clips": len(info.clips),
            "scores": len(self.run.scores), "pending": self.pending, "unfinished": list(self.unfinished),
            "notes": list(self.notes),
        }  # fmt: skip


def merge(targets: Sequence[str], root: Path, others: Sequence[Path] = ()) -> list[Merged]:
    """Join the shards of runs, and bring in what other machines have made of the same runs.

    Nothing is computed, and what is joined already stays as it is.

    Args:
        targets: Suites, or run folders.
        root: Folder of all runs.
        others: Folders of runs from elsewhere, from which is copied.

    Raises:
        BenchError: If there is no run, or one is being written.
    """
    merged = []
    for target in targets:
        suite = runs_of(target)
        own = [Path(target)] if is_run(Path(target)) else run_folders(root, suite)
        sources: dict[Path, list[Path]] = {path: [] for path in own}
        for other in others:
            if other.absolute() == root.absolute():
                raise BenchError(f"{other} is the folder of all runs itself", fix="name another one with --from")
            for source in run_folders(other, suite):
                info = read_record(source)
                sources.setdefault(run_path(root.absolute(), info.suite, info.system, info.id), []).append(source)
        if not sources:
            raise no_runs(target, root)
        merged += [_join(path, copied) for path, copied in sources.items()]
    return merged


def _join(path: Path, sources: Sequence[Path]) -> Merged:
    """Join the shards of one run, then what lies in other folders."""
    folders = [folder for run in (path, *sources) for folder in shard_folders(run)]
    shards = [read_shard(folder) for folder in folders]
    for source in sources:
        _bring(source, path)
    if shard_folders(path):
        with RunWriter(path, read_record(path)):
            pass  # Whoever opens a run for writing has its shards joined.
    run = open_run(path)
    return Merged(run, len(folders) + len(sources), run.pending, _unfinished(run, shards), _notes(shards))


def _notes(shards: Sequence[ShardInfo]) -> tuple[str, ...]:
    return tuple(f"shards differ in {line}" for line in differing_versions(shards))


def _unfinished(run: Run, shards: Sequence[ShardInfo]) -> tuple[int, ...]:
    """Numbers of the shards that have a clip without an output; none where nobody says how it was split."""
    if not shards:
        return ()
    count, batch, clips = Shard.parse(shards[0].shard).count, shards[0].batch, run.info.clips
    return tuple(sorted({place // batch % count + 1 for place, clip in enumerate(clips) if clip.id not in run.outputs}))


def _bring(source: Path, path: Path) -> None:
    """Copy what one folder of a run has to another of the same run that has it not, or only as a failure."""
    info, outputs, scores = read_records(source)
    with RunWriter(path, info) as writer:
        ours = open_run(path)
        rows = []
        for clip, row in outputs.items():
            own = ours.outputs.get(clip)
            if own is None or (own.status == "failed" and row.status == "ok"):
                for name in filter(None, (row.audio, row.token_file)):
                    _copy(source, path, name)
                rows.append(row)
        writer.add_outputs([(row, None, None) for row in rows])
        taken = ours.outputs | {row.clip: row for row in rows}
        new = []
        for key, score in scores.items():
            own_score = ours.scores.get(key)
            same_sound = score.clip in taken and taken[score.clip].digest == score.output
            if same_sound and (own_score is None or (own_score.status == "failed" and score.status != "failed")):
                new.append(_with_vector(source, path, score))
        writer.add_scores(new)
        writer.add_took(info.took if rows or new else {})


def _with_vector(source: Path, path: Path, score: ScoreRow) -> ScoreRow:
    if isinstance(score.value, str):
        _copy(source, path, score.value)
    return score


def _copy(source: Path, path: Path, name: str) -> None:
    """Copy a file by its name in the run's folder; what a row names absolutely lies where it did."""
    if Path(name).is_absolute():
        return
    try:
        with (source / name).open("rb") as original, replacing(path / name, durable=True) as handle:
            shutil.copyfileobj(original, handle)
    except FileNotFoundError:
        raise BenchError(f"{source / name} is gone", fix="copy the whole folder from the other machine") from None
