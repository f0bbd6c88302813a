"""Which rows of a table differ from one of them by more than chance: paired tests over clips, adjusted together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ldmbench.compare.either import either_way
from ldmbench.compare.paired import ALPHA, holm
from ldmbench.names import some, unknown
from ldmbench.reports.cells import Column, Row, unique
from ldmbench.runs.results import Run

#: Stands at a value that differs from that of the chosen row.
DAGGER = "†"


def marked(
    rows: Sequence[Row], runs: Sequence[Run], columns: Sequence[Column], against: str
) -> tuple[list[Row], list[str]]:
    """The rows with marks where a cell differs from the chosen row's, and what a reader must know of the tests.

    Tested are all systems, not the reference, anchors and bounds; metrics with a direction, not measured times. Holm's
    adjustment is over all tested cells of the table.

    Args:
        rows: A row for each run, in their order.
        runs: The runs.
        columns: The columns.
        against: Label of the chosen row.

    Raises:
        BenchError: If no row is called so.
    """
    labels = [row.label for row in rows]
    if against not in labels:
        raise unknown("row of this table", against, labels)
    chosen = labels.index(against)
    p: dict[tuple[int, int], float] = {}
    untested: dict[str, list[str]] = {}
    present = {item.name for run in runs for item in run.info.datasets}
    for index, column in enumerate(columns):
        facts = column.facts
        if column.dataset not in present or facts.better == "neither" or facts.timed or not column.ranked:
            continue
        for position, row in enumerate(rows):
            if position == chosen or row.role != "system" or row.cells[index].estimate is None:
                continue
            answer = either_way(runs[chosen], runs[position], facts, column.dataset)
            if isinstance(answer, float):
                p[position, index] = answer
            else:
                untested.setdefault(answer, []).append(f"{facts.title} of {row.label} on {column.dataset}")
    adjusted = dict(zip(p, holm(list(p.values())), strict=True))
    cells = [list(row.cells) for row in rows]
    for (position, index), value in adjusted.items():
        cells[position][index] = replace(cells[position][index], p=value, differs=value <= ALPHA)
    return [replace(row, cells=tuple(own)) for row, own in zip(rows, cells, strict=True)], [
        *([_what(against, runs, columns, adjusted)] if adjusted else []),
        *(f"Not tested against {against}: {some(names)}: {reason}" for reason, names in untested.items()),
    ]


def _what(
    against: str, runs: Sequence[Run], columns: Sequence[Column], adjusted: Mapping[tuple[int, int], float]
) -> str:
    """What the mark means, and what bears none although nothing was tested there."""
    tested = {index for _, index in adjusted}
    sets = any(columns[index].facts.kind == "set" for index in tested)
    how = "two-sided paired tests over clips (the larger p of Student's t test and Hall's"
    how += "; of random signs for distances between sets)" if sets else ")"
    cells = "1 cell" if len(adjusted) == 1 else f"{len(adjusted)} cells"
    text = f"{DAGGER} differs from {against}: {how}, Holm's adjustment over {cells}, {100 * ALPHA:g} %"
    present = {item.name for run in runs for item in run.info.datasets}
    elsewhere = unique(column.dataset for column in columns if column.dataset not in present)
    return text + (f"; not tested: {', '.join(elsewhere)}" if elsewhere else "")
