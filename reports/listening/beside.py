"""An analysed listening test beside the metrics of runs: a column of scores, its tables, and its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.listening.analysis import Part
from ldmbench.listening.matched import clips_of
from ldmbench.listening.outcome import Outcome, Result, read_outcome
from ldmbench.listening.votes import QUALITY
from ldmbench.metrics._base import MetricFacts
from ldmbench.names import some
from ldmbench.reports.cells import Beside, Column
from ldmbench.reports.listening import tables
from ldmbench.reports.listening.grids import Grid
from ldmbench.reports.published import OTHER_COMPANY, PublishedValue, of_listening_tests
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate

#: The section of a table for a test whose items are of several datasets, and what published scores name as theirs.
LISTENING = "listening test"


@dataclass(frozen=True)
class Heard:
    """A test as reports show it.

    Attributes:
        outcome: The test.
        folder: What ``mushra analyse`` wrote, None where only its JSON is there.
        beside: Its columns.
        grids: Its tables.
        log: Its screening in words.
    """

    outcome: Outcome
    folder: Path | None
    beside: Beside
    grids: tuple[Grid, ...]
    log: tuple[str, ...]

    def published(self) -> tuple[PublishedValue, ...]:
        """Published scores of tests of these systems, under the datasets of the columns."""
        systems = {item.name for result in self.outcome.results for item in result.analysis.whole.summaries}
        return tuple(
            replace(item, dataset=column.dataset, source=f"{item.source}; {OTHER_COMPANY}")
            for column, _ in self.beside.columns
            for item in of_listening_tests(systems)
            if item.metric == column.metric
        )

    def pictures(self, page: Path) -> list[tuple[str, str]]:
        """Copy the plots beside a page; returns their files relative to it, with what they show."""
        if self.folder is None:
            return []
        copied = []
        for result in self.outcome.results:
            stem = "" if result.analysis.scale == QUALITY else f"{result.analysis.scale}-"
            source = self.folder / f"{stem}scores-violin.svg"
            if source.is_file():
                target = page / "clips" / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
                copied.append((f"clips/{source.name}", f"Ratings of every condition: {result.analysis.scale}"))
        return copied


def hear(path: Path, runs: Sequence[Run]) -> Heard:
    """Read an analysed test, and hold it against runs.

    Args:
        path: The folder that ``mushra analyse`` wrote, or its ``analysis.json``.
        runs: The rows of the table.

    Raises:
        BenchError: If it cannot be read, or none of its systems is among the runs.
    """
    outcome = read_outcome(path)
    systems = {item.name for result in outcome.results for item in result.analysis.whole.summaries}
    if not systems & {run.info.system for run in runs}:
        raise BenchError(
            f"{path} is a test of other systems",
            f"rated: {some(sorted(systems))}; runs: {some([run.info.system for run in runs])}",
            "say which is which with --systems of ldmbench mushra analyse",
        )
    clips = clips_of(outcome.items, outcome.clips, runs)
    datasets = {clip.id: clip.dataset for run in runs for clip in run.info.clips}
    own = list(dict.fromkeys(datasets[clip] for clip in clips.values()))
    columns = tuple(column for result in outcome.results for column in _columns(result, own, runs))
    grids = tuple(tables.everything(outcome))
    folder = path if path.is_dir() else None
    return Heard(
        outcome, folder, Beside(columns, _notes(outcome, systems, runs)), grids, tuple(tables.log_lines(outcome))
    )


def _columns(
    result: Result, own: Sequence[str], runs: Sequence[Run]
) -> list[tuple[Column, tuple[Estimate | None, ...]]]:
    """A column for each dataset that the test had items of, where they are told apart; else one."""
    parts: Mapping[str, Part] = {own[0] if len(own) == 1 else LISTENING: result.analysis.whole}
    if len(own) > 1 and set(own) == set(result.datasets):
        parts = result.datasets
    analysis = result.analysis
    quality = analysis.scale == QUALITY
    facts = MetricFacts(
        name="mushra" if quality else analysis.scale,
        title="MUSHRA" if quality and (analysis.low, analysis.high) == (0, 100) else analysis.scale.upper(),
        unit="points",
        # Heard by people: it needs the sounds, and no delay or channel of theirs is compared.
        needs=("output",),
        source="listening test, analysed by ldmbench mushra analyse",
        digits=tables.digits_of(analysis),
        low=analysis.low,
        high=analysis.high,
        interval="over listeners and items, both taken as samples",
    )
    columns = []
    for dataset, part in parts.items():
        means = {item.name: item.mean for item in part.summaries}
        estimates = tuple(
            None
            if mean is None or mean.value is None
            else Estimate(mean.value, mean.low, mean.high, mean.items, note="" if mean.low is not None else mean.note)
            for mean in (means.get(run.info.system) for run in runs)
        )
        if any(estimates):
            most = max(item.n for item in estimates if item is not None)
            columns.append((Column(dataset, facts, most), estimates))
    return columns


def _notes(outcome: Outcome, systems: set[str], runs: Sequence[Run]) -> tuple[str, ...]:
    notes = []
    for result in outcome.results:
        before, after = result.counts["listeners"]
        whole = result.analysis.whole
        conditions = ", ".join(item.name for item in whole.summaries)
        notes.append(
            f"{outcome.title} ({result.analysis.scale}): means over {after} of {before} listeners and {whole.items} "
            f"items, in the company of {conditions}"
        )
    if outcome.marks:
        notes.append(f"{outcome.title}: the sounds were {' and '.join(outcome.marks)}")
    unrated = [run.info.system for run in runs if run.info.system not in systems]
    if unrated:
        notes.append(f"{outcome.title}: not in the test: {some(unrated)}")
    return tuple(notes)
