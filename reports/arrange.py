"""A table as its reader wants it: rows in the order of a metric, and names as a paper prints them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ldmbench.names import unknown
from ldmbench.reports.cells import Row, Table, unique


def in_order(table: Table, metric: str) -> Table:
    """The rows of each group with the best of a metric first, on the first dataset that has it; the reference stays.

    Rows without a value come last, in the order they had.

    Args:
        table: The table.
        metric: Name of the metric.

    Raises:
        BenchError: If the table has no such column.
    """
    names = [column.metric for column in table.columns]
    if metric not in names:
        raise unknown("metric of this table", metric, unique(names))
    position = names.index(metric)
    sign = -1.0 if table.columns[position].facts.better == "higher" else 1.0

    def key(row: Row) -> tuple[int, bool, bool, float]:
        cell = row.cells[position]
        value = cell.estimate.value if cell.estimate is not None else cell.published
        return (
            table.groups.index(row.group),
            row.role != "reference",
            value is None,
            0.0 if value is None else sign * value,
        )

    return replace(table, rows=tuple(sorted(table.rows, key=key)))


def renamed(table: Table, names: Mapping[str, str]) -> Table:
    """The table with other names of systems, metrics (their units then are in the name) and datasets.

    Args:
        table: The table.
        names: What a row, metric or dataset is called -> how it is printed.

    Raises:
        BenchError: If something is named that the table does not show.
    """
    shown = unique((*(row.label for row in table.rows), *(column.metric for column in table.columns), *table.datasets))
    for name in names:
        if name not in shown:
            raise unknown("row, metric or dataset of this table", name, shown)
    columns = []
    for column in table.columns:
        facts = column.facts
        if facts.name in names:
            facts = replace(facts, title=names[facts.name], unit="")
        columns.append(replace(column, dataset=names.get(column.dataset, column.dataset), facts=facts))
    rows = (replace(row, label=names[row.label], named=True) if row.label in names else row for row in table.rows)
    spoken = {name: text for name, text in names.items() if name not in {column.metric for column in table.columns}}
    notes = tuple(_spoken(note, spoken) for note in table.notes)
    return replace(table, columns=tuple(columns), rows=tuple(rows), notes=notes)


def _spoken(note: str, names: Mapping[str, str]) -> str:
    """A note with rows and datasets under the names that are printed, where they stand as words of their own."""
    if not names:
        return note
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w@.:/=-])({either})(?![\w@/=-]|[.:]\w)", lambda match: names[match[1]], note)
