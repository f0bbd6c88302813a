"""Runs as one table: which cells there are, what stands in them, and which is best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.errors import BenchError
from bench.metric import MetricFacts, load_metric
from bench.names import parse, unknown
from bench.stats import Estimate
from bench.store import Run
from reports.published import Published, PublishedValue

#: Systems that are never best or second: the reference itself, and the anchors that show a scale's ends.
UNRANKED = frozenset({"reference", "resample", "lowpass", "noise", "shuffled", "unprocessed"})


@dataclass(frozen=True)
class Column:
    """One metric on one dataset.

    Attributes:
        dataset: Dataset with its condition.
        facts: What the metric declares.
        n: Clips behind a full cell: the largest n of the column.
        ranked: Whether best and second are marked; not where versions or clip lists differ between rows.
    """

    dataset: str
    facts: MetricFacts
    n: int
    ranked: bool = True

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.facts.name


@dataclass(frozen=True)
class Cell:
    """What stands where a row and a column meet.

    Attributes:
        estimate: The measured estimate, None where the metric does not apply or was not asked for.
        published: The published number of the same system, dataset and metric.
        difference: Measured minus published.
        rank: 1 for the best of the column, 2 for the second, else 0; equal printed numbers share a rank.
        deviates: Whether the cell stands on fewer clips than the column promises, so that it must say its n.
    """

    estimate: Estimate | None = None
    published: float | None = None
    difference: float | None = None
    rank: int = 0
    deviates: bool = False


@dataclass(frozen=True)
class Row:
    """A system with its cells, in the order of the columns.

    Attributes:
        label: What names the row; with the start of the run's id where two runs have one system.
        system: The system's label, empty for a row that was only published.
        title: The system's title.
        run: Id of the run.
        marks: ``untrained``, ``partial``, ``interrupted``, ``published``.
        cells: One for each column.
    """

    label: str
    system: str
    title: str
    run: str
    marks: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table of a suite, ready to be printed.

    Attributes:
        suite: Name of the suite (several, joined by commas).
        columns: Grouped by dataset.
        rows: In the order of the runs.
        banners: What must be read before any number: UNTRAINED, PARTIAL, INTERRUPTED, FAILED.
        notes: What must be read beside the numbers: n, marks, refusals.
        sources: Where the published numbers come from.
    """

    suite: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    banners: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets, in order."""
        return unique(column.dataset for column in self.columns)

    def places(self, dataset: str) -> list[int]:
        """Indices of the columns of a dataset."""
        return [place for place, column in enumerate(self.columns) if column.dataset == dataset]


def build(
    runs: Sequence[Run],
    metrics: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    published: Published | None = None,
    published_rows: bool = False,
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
            if all(estimate is None for estimate in found):
                continue
            problem = _incomparable(runs, metric, dataset)
            if problem:
                notes.append(problem)
            n = max(estimate.n for estimate in found if estimate is not None)
            columns.append(Column(dataset, load_metric(metric).facts, n, ranked=not problem))
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
        notes += _refusals(runs, published)
        if published_rows:
            rows += [
                Row(name, "", name, "", ("published",), tuple(_published_cell(column, cells) for column in columns))
                for name, cells in published.extra_rows().items()
            ]
    table = Table(", ".join(unique(run.info.suite for run in runs)), tuple(columns), tuple(rows), banners(runs))
    sources = _sources(table, published) if published else ()
    return replace(table, notes=(*_counts(table), *notes), sources=sources)


def marks_of(run: Run) -> tuple[str, ...]:
    """What keeps the numbers of a run from standing for its system: empty for a whole run of a trained one."""
    flags = {"untrained": run.info.untrained, "partial": run.info.limit > 0, "interrupted": run.pending > 0}
    return tuple(mark for mark, holds in flags.items() if holds)


def banners(runs: Sequence[Run]) -> tuple[str, ...]:
    """The lines that must be read before any number of these runs."""
    lines = []
    untrained = [run.info.system for run in runs if run.info.untrained]
    if untrained:
        lines.append(f"UNTRAINED: random weights in {', '.join(untrained)}; these numbers say nothing about quality")
    partial = [run for run in runs if run.info.limit]
    if partial:
        limits = ", ".join(unique(str(run.info.limit) for run in partial))
        who = "all systems" if len(partial) == len(runs) else ", ".join(run.info.system for run in partial)
        lines.append(f"PARTIAL: at most {limits} clips of each dataset for {who}")
    lines += unique(
        f"INCOMPLETE: {item.missing} of {sum(clip.dataset == item.name for clip in run.info.clips)} reference files of"
        f" {item.name} are missing; what needs them stands on the other clips"
        for run in runs
        for item in run.info.datasets
        if item.missing
    )
    for run in runs:
        if run.pending:
            done = len(run.info.clips) - run.pending
            lines.append(f"INTERRUPTED: {run.info.system} has {done} of {len(run.info.clips)} clips; run it again")
    for run in runs:
        if run.failures:
            clips = unique(clip for clip, _, _ in run.failures)
            clip, stage, message = run.failures[0]
            more = f" and {len(run.failures) - 1} more" if len(run.failures) > 1 else ""
            what = f"{clip} ({stage}): {' '.join(message.split())}{more}"
            lines.append(f"FAILED: {run.info.system} on {len(clips)} of {len(run.info.clips)} clips: {what}")
    return tuple(lines)


def number(value: float, digits: int) -> str:
    """A number as printed, without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def unique(items: Iterable[str]) -> tuple[str, ...]:
    """The items in order, each once."""
    return tuple(dict.fromkeys(items))


def _choose(kind: str, asked: Sequence[str] | None, known: Iterable[str]) -> tuple[str, ...]:
    names = unique(known)
    for name in asked or ():
        if name not in names:
            raise unknown(f"{kind} of these runs", name, names)
    return names if asked is None else unique(asked)


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


def is_unranked(system: str) -> bool:
    """Whether the system is the reference or an anchor."""
    return parse(system).name in UNRANKED


def _incomparable(runs: Sequence[Run], metric: str, dataset: str) -> str:
    """Why the cells of a column do not compare, empty where they do."""
    versions = {row.version for run in runs for (_, name), row in run.scores.items() if name == metric}
    if len(versions) > 1:
        shown = ", ".join(map(str, sorted(versions)))
        return f"{metric} on {dataset}: versions {shown} are mixed, the rows do not compare; run the older ones again"
    digests = {item.digest for run in runs for item in run.info.datasets if item.name == dataset}
    if len(digests) > 1:
        return f"{metric} on {dataset}: the clip lists differ between the runs, the rows do not compare"
    return ""


def _counts(table: Table) -> list[str]:
    """One line of n for each dataset, and what the marks mean."""
    lines = []
    for dataset in table.datasets:
        columns = [table.columns[place] for place in table.places(dataset)]
        counts = unique(str(column.n) for column in columns)
        each = counts[0] if len(counts) == 1 else ", ".join(f"{column.n} ({column.facts.title})" for column in columns)
        cells = [row.cells[place] for row in table.rows for place in table.places(dataset) if row.cells[place].estimate]
        whole = not any(cell.deviates for cell in cells)
        lines.append(f"{dataset}: n = {each} clips" + (", none failed" if whole else " unless a cell says otherwise"))
    lines += _too_few(table)
    if any(row.system and is_unranked(row.system) for row in table.rows) and len(table.rows) > 1:
        lines.append(f"Not ranked: the reference and anchors ({', '.join(sorted(UNRANKED))}), and cells short of clips")
    return lines


def _too_few(table: Table) -> list[str]:
    """Metrics over sets that have scored clips and no value all the same."""
    who: dict[tuple[int, int], list[str]] = {}
    for row in table.rows:
        for place, cell in enumerate(row.cells):
            if cell.estimate is not None and cell.estimate.value is None and cell.estimate.n:
                who.setdefault((place, cell.estimate.n), []).append(row.label)
    return [
        f"No {table.columns[place].facts.title} for {', '.join(labels)} on {table.columns[place].dataset}: "
        f"{n} {'clip is' if n == 1 else 'clips are'} too few"
        for (place, n), labels in who.items()
    ]


def _refusals(runs: Sequence[Run], published: Published) -> list[str]:
    lines = []
    systems = {item.system for item in published.values}
    for run in runs:
        marks = marks_of(run)
        if marks and run.info.system in systems:
            lines.append(f"No published numbers beside {run.info.system}: the run is {' and '.join(marks)}")
    return lines


def _sources(table: Table, published: Published) -> tuple[str, ...]:
    shown = {
        (row.system or row.label, column.dataset, column.metric)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell.published is not None
    }
    return unique(
        f"{item.row}: {item.source}"
        for item in published.values
        if (item.system or item.row, item.dataset, item.metric) in shown
    )
