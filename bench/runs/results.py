"""A run as it is read back: its rows, and the estimates over them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ldmbench import stats
from ldmbench.audio.arrays import Real
from ldmbench.errors import BenchError, describe, one_line
from ldmbench.host.interrupt import from_keyboard
from ldmbench.metrics._base import is_metric, load_metric, remember
from ldmbench.names import some
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.records import OutputRow, RunInfo, ScoreRow
from ldmbench.runs.store import last_asked, read_records, read_vector, run_folders
from ldmbench.stats import Estimate

_log = logging.getLogger(__name__)


@dataclass
class Run:
    """One system on one suite, as read from disk.

    Attributes:
        path: The run folder, or the file of a baseline.
        info: ``run.json``.
        outputs: Newest row of each clip.
        scores: Newest row of each (clip, metric) that belongs to the clip's present output.
        problem: Why the system could not be set up, or the run not be read; empty where they could.
        vectors: Vectors by the names that score rows give them, where they are not files of the run folder.
        others: Other runs of the same system on the suite, not shown beside it.
        sounds: Where the output of a clip is, for runs that are no folder.
        faults: Why the values of a metric gave no estimate, for every one that was asked for and could not be had.
    """

    path: Path
    info: RunInfo
    outputs: dict[str, OutputRow]
    scores: dict[tuple[str, str], ScoreRow]
    problem: str = ""
    vectors: dict[str, Real] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    sounds: Callable[[str], Path | None] | None = field(default=None, compare=False)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """Planned clips that have no output row yet: above 0 the run was interrupted."""
        return sum(clip.id not in self.outputs for clip in self.info.clips)

    @property
    def failures(self) -> list[tuple[str, str, str]]:
        """(clip, stage or metric, message) of everything that failed, in planned order."""
        rows = [("every clip", "setup", one_line(self.problem))] if self.problem else []
        rows += [("every clip", metric, message) for metric, message in self.faults.items()]
        for clip in self.info.clips:
            output = self.outputs.get(clip.id)
            if output is not None and output.status == "failed":
                rows.append((clip.id, "output", one_line(output.message)))
            for metric in self.info.metrics:
                score = self.scores.get((clip.id, metric))
                if score is not None and score.status == "failed":
                    rows.append((clip.id, metric, one_line(score.message)))
        return rows

    def audio_path(self, clip: str) -> Path | None:
        """The output file of a clip, None where it failed or has no audio.

        Raises:
            BenchError: If it is in a baseline and damaged there.
        """
        if self.sounds is not None:
            return self.sounds(clip)
        row = self.outputs.get(clip)
        return self.path / row.audio if row is not None and row.status == "ok" and row.audio else None

    def estimate(self, metric: str, dataset: str | None = None) -> Estimate | None:
        """The estimate of ``metric`` over the clips of ``dataset`` (all datasets where None).

        None where the metric does not apply to the dataset or was never asked for. Where the metric fails on the values
        there is none, and all of them count as failed.
        """
        loaded = load_metric(metric)
        names = [name for name in self._applying(metric) if dataset in (None, name)]
        if not names:
            return None
        try:
            values, failed, unscored = self._values(metric, names)
        except BenchError as error:  # A vector is gone, or is none.
            self.faults[metric] = str(error)
            return Estimate(None, failed=sum(clip.dataset in names for clip in self.info.clips))
        try:
            return replace(loaded.aggregate(values), failed=failed, unscored=unscored)
        except BaseException as error:
            if isinstance(error, BenchError) or from_keyboard(error):
                raise
            self.faults[metric] = f"no estimate: {describe(error)}"
            return Estimate(None, failed=failed + len(values), unscored=unscored)

    def average(self, metric: str, datasets: Sequence[str] | None = None) -> Estimate | None:
        """The mean of ``metric`` over ``datasets`` (all where None), each counting the same however many clips it has.

        None where the metric applies to fewer than two datasets, or is no mean over clips nor a ratio of sums.
        """
        names = [name for name in self._applying(metric) if datasets is None or name in datasets]
        facts = load_metric(metric).facts
        if len(names) < 2 or facts.kind not in ("mean", "ratio"):
            return None
        found = [self._values(metric, [name]) for name in names]
        groups = [values for values, _, _ in found]
        if facts.kind == "ratio":
            groups = [stats.ratio_terms(pairs).tolist() if pairs else [] for pairs in groups]
        estimate = stats.mean_of_means(groups, facts.low, facts.high)
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
        return self.vector(row.value) if isinstance(row.value, str) else row.value

    def vector(self, name: str) -> Real:
        """The vector that a score row calls ``name``."""
        return self.vectors[name] if name in self.vectors else read_vector(self.path, name)


def open_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        BenchError: If the folder is not a run.
        BrokenRunError: If it cannot be read, or was written by another version of the layout.
    """
    info, outputs, scores = read_records(Path(path))
    remember(info.facts)
    unknown = [metric for metric in info.metrics if not is_metric(metric)]
    if unknown:
        # Of a package that is not installed here: the rest of the run is as good as it was.
        _log.warning("%s: left out, metrics that are not known here: %s", path, some(unknown))
        info = replace(info, metrics=tuple(metric for metric in info.metrics if metric not in unknown))
    return Run(Path(path), info, outputs, scores, info.problem)


def find_runs(root: Path, suite: str) -> list[Run]:
    """Runs of a suite below ``root``, in the order in which they were made: of each system the one asked for last.

    A run that cannot be read is named and set aside.

    Raises:
        BrokenRunError: If none of them can be read.
    """
    by_system: dict[str, list[Run]] = {}
    broken: list[BrokenRunError] = []
    for path in run_folders(root, suite):
        try:
            run = open_run(path)
        except BrokenRunError as error:
            broken.append(error)
        else:
            by_system.setdefault(run.info.system, []).append(run)
    if broken and not by_system:
        raise broken[0]
    for problem in broken:
        _log.warning("set aside: %s", problem)
    chosen = []
    for runs in by_system.values():
        *others, last = sorted(runs, key=lambda run: last_asked(run.info))
        names = (f"{run.info.id}" + (f" (limit {run.info.limit})" if run.info.limit else "") for run in others)
        chosen.append(replace(last, others=tuple(names)))
    return sorted(chosen, key=lambda run: (run.info.created, run.info.system))
