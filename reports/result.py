"""Runs as one table: which cells there are, what stands in them, and which is best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ldmbench.errors import BenchError
from ldmbench.metrics._base import MetricFacts, load_metric
from ldmbench.names import unknown
from ldmbench.reports.cells import Cell, Column, Row, Table, number, unique
from ldmbench.reports.notes import banners, counts, incomparable, is_unranked, marks_of, refusals, sources
from ldmbench.reports.published import Published, PublishedValue
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate

#: The section of a table that averages over its datasets; published averages name it as their dataset.
AVERAGE = "average"

#: What a metric needs that is a property of the system and not of its sound.
SYSTEM_FACTS = frozenset({"bits", "tokens", "cost"})


def build(
    runs: Sequence[Run],
    metrics: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    published: Published | None = None,
    published_rows: bool = False,
    averages: Sequence[str] = (),
) -> Table:
    """Collect runs into a table.

    Ranks leave out ``UNRANKED`` systems, untrained runs, and cells that stand on fewer clips than the column's
    fullest: a system that failed on the hard clips would win by it.

    Args:
        runs: The rows, in order.
        metrics: Metrics to show, in order; all that were asked for where None.
        datasets: Datasets to show, in order; all where None.
        published: Published numbers to set beside the measured ones.
        published_rows: Also show published rows to which no system corresponds.
        averages: Metrics to average over the datasets, if these runs are on several.

    Raises:
        BenchError: If there is no run, or a metric or dataset is in none of them.
    """
    if not runs:
        raise BenchError("there is no run to report", fix="ldmbench run SUITE makes one")
    metrics = _choose("metric", metrics, (name for run in runs for name in run.info.metrics))
    datasets = _choose("dataset", datasets, (item.name for run in runs for item in run.info.datasets))
    columns: list[Column] = []
    estimates: list[list[Estimate | None]] = []
    notes: list[str] = []
    for dataset in datasets:
        for metric in metrics:
            found = [run.estimate(metric, dataset) for run in runs]
            facts = load_metric(metric).facts
            found, reasons = _drop_facts_without_value(runs, found, facts, dataset)
            if all(estimate is None for estimate in found):
                continue
            notes += reasons
            problem = incomparable(runs, metric, dataset)
            if problem:
                notes.append(problem)
            columns.append(_column(dataset, facts, found, not problem))
            estimates.append(found)
    for metric in averages if len(datasets) > 1 else ():
        # A run on some of the datasets only has no average that compares with the others'.
        whole = [{item.name for item in run.info.datasets} >= set(datasets) for run in runs]
        found = [run.average(metric) if every else None for run, every in zip(runs, whole, strict=True)]
        if any(estimate is not None for estimate in found):
            comparable = not any(incomparable(runs, metric, dataset) for dataset in datasets)
            columns.append(_column(AVERAGE, load_metric(metric).facts, found, comparable))
            estimates.append(found)
    labels = _labels(runs)
    rows = []
    for index, run in enumerate(runs):
        marks = marks_of(run)
        cells = []
        for column, found in zip(columns, estimates, strict=True):
            item = published.find(run.info.system, column.dataset, column.metric) if published and not marks else None
            cells.append(_cell(found[index], column, item))
        rows.append(Row(labels[index], run.info.system, run.info.title, run.info.id, marks, tuple(cells)))
    rows = _rank(rows, columns)
    if published:
        notes += refusals(runs, published)
        if published_rows:
            rows += [
                Row(name, "", name, "", ("published",), tuple(_published_cell(column, cells) for column in columns))
                for name, cells in published.extra_rows().items()
            ]
    table = Table(", ".join(unique(run.info.suite for run in runs)), tuple(columns), tuple(rows), banners(runs))
    shown = sources(table, published) if published else ()
    # What was left out of a folder, and built-in clips that came out differently here: the numbers stand on it.
    heard = (note for run in runs for item in run.info.datasets for note in item.notes)
    return replace(table, notes=unique((*counts(table), *notes, *heard)), sources=shown)


def _column(dataset: str, facts: MetricFacts, found: Sequence[Estimate | None], ranked: bool) -> Column:
    return Column(dataset, facts, max(estimate.n for estimate in found if estimate is not None), ranked)


def _choose(kind: str, asked: Sequence[str] | None, known: Iterable[str]) -> tuple[str, ...]:
    names = unique(known)
    for name in asked or ():
        if name not in names:
            raise unknown(f"{kind} of these runs", name, names)
    return names if asked is None else unique(asked)


def _drop_facts_without_value(
    runs: Sequence[Run], found: Sequence[Estimate | None], facts: MetricFacts, dataset: str
) -> tuple[list[Estimate | None], list[str]]:
    """A system that has no bits has no bitrate: a dash and a note instead of a count of unscored clips."""
    kept = list(found)
    without: dict[str, list[str]] = {}
    for index, (run, estimate) in enumerate(zip(runs, found, strict=True)):
        if estimate is None or not set(facts.needs) <= SYSTEM_FACTS or estimate.n or estimate.failed:
            continue
        kept[index] = None
        clips = {clip.id for clip in run.info.clips if clip.dataset == dataset}
        rows = (run.scores.get((clip, facts.name)) for clip in clips)
        reasons = sorted({row.message for row in rows if row is not None and row.message}) or ["no value"]
        without.setdefault("; ".join(reasons), []).append(run.info.system)
    return kept, [f"No {facts.title} for {', '.join(names)}: {reason}" for reason, names in without.items()]


def _cell(estimate: Estimate | None, column: Column, item: PublishedValue | None) -> Cell:
    if estimate is None:
        return Cell(published=item.value if item else None)
    deviates = bool(estimate.failed or estimate.unscored or estimate.n != column.n)
    if item is None:
        return Cell(estimate, deviates=deviates)
    difference = None if estimate.value is None else estimate.value - item.value
    return Cell(estimate, item.value, difference, deviates=deviates)


def _published_cell(column: Column, cells: dict[tuple[str, str], PublishedValue]) -> Cell:
    item = cells.get((column.dataset, column.metric))
    return Cell(published=item.value if item else None)


def _labels(runs: Sequence[Run]) -> list[str]:
    systems = [run.info.system for run in runs]
    return [
        system if systems.count(system) == 1 else f"{system} ({run.info.id[:8]})"
        for run, system in zip(runs, systems, strict=True)
    ]


def _rank(rows: list[Row], columns: Sequence[Column]) -> list[Row]:
    cells = [list(row.cells) for row in rows]
    for place, column in enumerate(columns):
        if not column.ranked or column.facts.better == "neither":
            continue
        values: dict[int, float] = {}
        for index, row in enumerate(rows):
            estimate = row.cells[place].estimate
            if estimate is None or estimate.value is None or estimate.n != column.n or estimate.failed:
                continue
            if "untrained" not in row.marks and not is_unranked(row.system):
                values[index] = float(number(estimate.value, column.facts.digits))
        if len(values) < 2:
            continue
        order = sorted(set(values.values()), reverse=column.facts.better == "higher")
        for index, value in values.items():
            rank = order.index(value) + 1
            if rank <= 2:
                cells[index][place] = replace(cells[index][place], rank=rank)
    return [replace(row, cells=tuple(new)) for row, new in zip(rows, cells, strict=True)]
