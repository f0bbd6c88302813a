"""Runs as one table: which cells there are, what stands in them, and which is best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ldmbench.errors import BenchError
from ldmbench.metrics._base import MetricFacts, load_metric
from ldmbench.names import unknown
from ldmbench.reports.cells import Beside, Cell, Column, Row, Table, marks_of, number, unique
from ldmbench.reports.checkpoints import best_checkpoints
from ldmbench.reports.differences import marked
from ldmbench.reports.groups import Grouping, grouped
from ldmbench.reports.notes import (
    banners,
    counts,
    heard,
    inapplicable,
    incomparable,
    nothing_published,
    older,
    others,
    over_folds,
    refusals,
    sources,
    stated,
)
from ldmbench.reports.published import Published, PublishedValue
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate

#: The section of a table that averages over its datasets; published averages name it as their dataset.
AVERAGE = "average"

#: What a metric needs that is a property of the system and not of its sound.
SYSTEM_FACTS = frozenset({"bits", "tokens", "cost"})


@dataclass(frozen=True)
class _Measured:
    """A column with the estimate of each run, in the order of the runs."""

    column: Column
    estimates: tuple[Estimate | None, ...]


def build(
    runs: Sequence[Run],
    metrics: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    published: Published | None = None,
    published_rows: bool = False,
    averages: Sequence[str] = (),
    beside: Beside | None = None,
    grouping: Grouping = Grouping(),  # noqa: B008 (frozen)
    against: str = "",
) -> Table:
    """Collect runs into a table.

    Ranks leave out the reference, anchors and bounds, untrained runs, and cells that stand on fewer clips than the
    column's fullest: a system that failed on the hard clips would win by it. Each group of rows has ranks of its own.

    Args:
        runs: The rows, in order.
        metrics: Metrics to show, in order; all that were asked for where None.
        datasets: Datasets to show, in order; all where None.
        published: Published numbers to set beside the measured ones.
        published_rows: Also show published rows to which no system corresponds.
        averages: Metrics to average over the datasets, if these runs are on several.
        beside: Columns that do not come from the runs: the scores of a listening test.
        grouping: Which rows stand together.
        against: Label of the row that all ranked systems are tested against; none where empty.

    Raises:
        BenchError: If there is no run, or a metric or dataset is in none of them.
    """
    if not runs:
        raise BenchError("there is no run to report", fix="ldmbench run SUITE makes one")
    metrics = _choose("metric", metrics, (name for run in runs for name in run.info.metrics))
    datasets = _choose("dataset", datasets, (item.name for run in runs for item in run.info.datasets))
    measured, notes = _measure(runs, metrics, datasets)
    notes += inapplicable(runs, metrics)
    measured += _average(runs, averages, datasets) if len(datasets) > 1 else []
    best = best_checkpoints(runs, [item.column for item in measured])
    if beside is not None:
        measured += [_Measured(column, estimates) for column, estimates in beside.columns]
        notes += beside.notes
    columns = tuple(item.column for item in measured)
    rows = _rows(runs, measured, published)
    if against:
        rows, tested = marked(rows, runs, columns, against)
        notes += tested
    if published:
        notes += refusals(runs, published)
        rows += _published_rows(published, columns) if published_rows else []
    rows = _rank(grouped(rows, runs, grouping), columns)
    table = Table(", ".join(unique(run.info.suite for run in runs)), columns, tuple(rows), banners(runs))
    return _with_notes(table, runs, [*best, *older(runs), *others(runs), *notes], published)


def _with_notes(table: Table, runs: Sequence[Run], notes: Sequence[str], published: Published | None) -> Table:
    """The table with everything that must be read beside its numbers."""
    nothing = nothing_published(table, published) if published else []
    # What was left out of a folder, and built-in clips that came out differently here: the numbers stand on it.
    left_out = (note for run in runs for item in run.info.datasets for note in item.notes)
    of_runs = (*stated(runs), *over_folds(runs, table.columns), *heard(runs, table.columns), *left_out)
    shown = sources(table, published) if published else ()
    return replace(table, notes=unique((*counts(table), *notes, *nothing, *of_runs)), sources=shown)


def _choose(kind: str, asked: Sequence[str] | None, present: Iterable[str]) -> tuple[str, ...]:
    names = unique(present)
    for name in asked or ():
        if name not in names:
            raise unknown(f"{kind} of these runs", name, names)
    return names if asked is None else unique(asked)


def _measure(runs: Sequence[Run], metrics: Sequence[str], datasets: Sequence[str]) -> tuple[list[_Measured], list[str]]:
    """The columns in which a run has an estimate, and notes on those that lack values or do not compare."""
    measured, notes = [], []
    for dataset in datasets:
        for metric in metrics:
            facts = load_metric(metric).facts
            estimates, reasons = _drop_without_value(runs, facts, dataset)
            if all(estimate is None for estimate in estimates):
                notes += reasons  # Asked for and not there: the reason stands in place of the column.
                continue
            problem = incomparable(runs, metric, dataset)
            notes += [*reasons, problem] if problem else reasons
            measured.append(_column(dataset, facts, estimates, not problem))
    return measured, notes


def _average(runs: Sequence[Run], metrics: Sequence[str], datasets: Sequence[str]) -> list[_Measured]:
    """The columns of the section ``average``: metrics averaged over all of the datasets."""
    measured = []
    # A run on some of the datasets only has no average that compares with the others'.
    whole = [{item.name for item in run.info.datasets} >= set(datasets) for run in runs]
    for metric in metrics:
        estimates = [run.average(metric, datasets) if every else None for run, every in zip(runs, whole, strict=True)]
        if any(estimate is not None for estimate in estimates):
            comparable = not any(incomparable(runs, metric, dataset) for dataset in datasets)
            measured.append(_column(AVERAGE, load_metric(metric).facts, estimates, comparable))
    return measured


def _column(dataset: str, facts: MetricFacts, estimates: Sequence[Estimate | None], ranked: bool) -> _Measured:
    fullest = max(estimate.n for estimate in estimates if estimate is not None)
    return _Measured(Column(dataset, facts, fullest, ranked), tuple(estimates))


def _drop_without_value(
    runs: Sequence[Run], facts: MetricFacts, dataset: str
) -> tuple[list[Estimate | None], list[str]]:
    """The estimates, without those that a system cannot have, and a note for each reason.

    A system that has no bits has no bitrate, and a perfect reference has no finite signal-to-noise ratio: a dash and a
    note instead of a count of unscored clips.
    """
    estimates = [run.estimate(facts.name, dataset) for run in runs]
    without: dict[str, list[str]] = {}
    for index, (run, estimate) in enumerate(zip(runs, estimates, strict=True)):
        cannot = set(facts.needs) <= SYSTEM_FACTS or run.info.role == "reference"
        if estimate is None or not cannot or estimate.n or estimate.failed:
            continue
        estimates[index] = None
        clips = {clip.id for clip in run.info.clips if clip.dataset == dataset}
        rows = (run.scores.get((clip, facts.name)) for clip in clips)
        reasons = sorted({row.message for row in rows if row is not None and row.message}) or ["no value"]
        without.setdefault("; ".join(reasons), []).append(run.info.system)
    return estimates, [f"No {facts.title} for {', '.join(names)}: {reason}" for reason, names in without.items()]


def _rows(runs: Sequence[Run], measured: Sequence[_Measured], published: Published | None) -> list[Row]:
    """A row for each run, with published numbers beside those of whole runs of trained systems."""
    rows = []
    for index, (run, label) in enumerate(zip(runs, _labels(runs), strict=True)):
        info, marks = run.info, marks_of(run)
        cells = []
        for item in measured:
            column = item.column
            printed = published.find(info.system, column.dataset, column.metric) if published and not marks else None
            cells.append(_cell(item.estimates[index], column, printed))
        rows.append(Row(label, info.system, info.title, info.id, info.role, marks, tuple(cells)))
    return rows


def _published_rows(published: Published, columns: Sequence[Column]) -> list[Row]:
    """The rows to which no system corresponds."""
    rows = []
    for name, numbers in published.extra_rows().items():
        rates = {dataset: item.kbps for (dataset, _), item in numbers.items()}
        cells = []
        for column in columns:
            item = numbers.get((column.dataset, column.metric))
            rate = rates.get(column.dataset) if column.metric == "kbps" else None
            cells.append(Cell(published=item.value if item else rate))
        rows.append(Row(name, "", name, "", "system", ("published",), tuple(cells)))
    return rows


def _cell(estimate: Estimate | None, column: Column, printed: PublishedValue | None) -> Cell:
    if estimate is None:
        return Cell(published=printed.value if printed else None)
    deviates = bool(estimate.failed or estimate.unscored or estimate.n != column.n)
    if printed is None:
        return Cell(estimate, deviates=deviates)
    difference = None if estimate.value is None else estimate.value - printed.value
    return Cell(estimate, printed.value, difference, deviates=deviates)


def _labels(runs: Sequence[Run]) -> list[str]:
    systems = [run.info.system for run in runs]
    return [
        system if systems.count(system) == 1 else f"{system} ({run.info.id[:8]})"
        for run, system in zip(runs, systems, strict=True)
    ]


def _rank(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """The rows with the best and the second of each column and group marked; equal printed numbers share a rank."""
    cells = [list(row.cells) for row in rows]
    for group in unique(row.group for row in rows):
        for index, column in enumerate(columns):
            for position, rank in _ranks(rows, index, column, group).items():
                cells[position][index] = replace(cells[position][index], rank=rank)
    return [replace(row, cells=tuple(ranked)) for row, ranked in zip(rows, cells, strict=True)]


def _ranks(rows: Sequence[Row], index: int, column: Column, group: str) -> dict[int, int]:
    """Position of a row -> 1 or 2, of those of a group that are best and second in a column."""
    if not column.ranked or column.facts.better == "neither":
        return {}
    values = {
        position: float(number(estimate.value, column.facts.digits))
        for position, row in enumerate(rows)
        if row.group == group and row.role == "system" and "untrained" not in row.marks
        for estimate in [row.cells[index].estimate]
        if estimate is not None and estimate.value is not None and estimate.n == column.n and not estimate.failed
    }
    if len(values) < 2:
        return {}
    order = sorted(set(values.values()), reverse=column.facts.better == "higher")[:2]
    return {position: order.index(value) + 1 for position, value in values.items() if value in order}
