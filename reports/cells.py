"""The table's model: columns, cells and rows, ready to be printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ldmbench.metrics._base import MetricFacts
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate
from ldmbench.system.card import Role


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
        p: Of "no difference from the row that others are tested against", after Holm's adjustment; None where nothing
            was tested.
        differs: Whether that p is small enough for a mark.
    """

    estimate: Estimate | None = None
    published: float | None = None
    difference: float | None = None
    rank: int = 0
    deviates: bool = False
    p: float | None = None
    differs: bool = False


@dataclass(frozen=True)
class Row:
    """A system with its cells, in the order of the columns.

    Attributes:
        label: What names the row; with the start of the run's id where two runs have one system.
        system: The system's label, empty for a row that was only published.
        title: The system's title.
        run: Id of the run.
        role: What the row is for; only a ``system`` is ranked.
        marks: ``untrained``, ``partial``, ``interrupted``, ``published``.
        cells: One for each column.
        named: Whether ``label`` is a name that somebody chose, and none that the bench knows.
        group: Heading of the rows among which it is ranked, empty where it stands under none.
    """

    label: str
    system: str
    title: str
    run: str
    role: Role
    marks: tuple[str, ...]
    cells: tuple[Cell, ...]
    named: bool = False
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a suite, ready to be printed.

    Attributes:
        suite: Name of the suite (several, joined by commas).
        columns: Grouped by dataset.
        rows: In the order of the runs; those of a group stand together.
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

    def own_marks(self, row: Row) -> tuple[str, ...]:
        """Marks of a row that not all measured rows bear: what holds for all of them is said once, in a banner."""
        measured = [other.marks for other in self.rows if other.run]
        return tuple(m for m in row.marks if len(measured) < 2 or not all(m in marks for marks in measured))

    def positions(self, dataset: str) -> list[int]:
        """Indices of the columns of a dataset."""
        return [index for index, column in enumerate(self.columns) if column.dataset == dataset]

    @property
    def groups(self) -> tuple[str, ...]:
        """Headings of the groups of rows, in order; a single empty one where rows are not grouped."""
        return unique(row.group for row in self.rows)

    def section(self, dataset: str) -> list[Row]:
        """The rows that have something to show on a dataset: all measured ones, and published ones with a number."""
        return [
            row
            for row in self.rows
            if row.run or any(row.cells[index].published is not None for index in self.positions(dataset))
        ]


@dataclass(frozen=True)
class Beside:
    """Columns that come from elsewhere than the runs.

    Attributes:
        columns: Each with the estimate of every run, in the order of the runs.
        notes: What must be read beside their numbers.
    """

    columns: tuple[tuple[Column, tuple[Estimate | None, ...]], ...]
    notes: tuple[str, ...] = ()


def joined(*parts: Beside | None) -> Beside | None:
    """Columns from several sources, in order; None where there is none."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    return Beside(
        tuple(column for part in there for column in part.columns), tuple(note for part in there for note in part.notes)
    )


def marks_of(run: Run) -> tuple[str, ...]:
    """What keeps the numbers of a run from standing for its system: empty for a whole run of a trained one."""
    flags = {"untrained": run.info.untrained, "partial": run.info.limit > 0, "interrupted": run.pending > 0}
    return tuple(mark for mark, holds in flags.items() if holds)


def number(value: float, digits: int) -> str:
    """A number as printed, without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def unique(items: Iterable[str]) -> tuple[str, ...]:
    """The items in order, each once."""
    return tuple(dict.fromkeys(items))
