"""A result table as text: terminal, Markdown, CSV, JSON, LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ldmbench.names import spreadsheet_safe
from ldmbench.reports.cells import Cell, Column, Row, Table, number
from ldmbench.reports.differences import DAGGER
from ldmbench.reports.latex import to_latex
from ldmbench.reports.markdown import escape as _md
from ldmbench.reports.markdown import row as _md_row
from ldmbench.reports.notes import interval_notes
from ldmbench.reports.result import AVERAGE, build

__all__ = [
    "AVERAGE",
    "Cell",
    "Column",
    "Row",
    "Table",
    "build",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
    "to_terminal",
]

ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}

#: Columns of the CSV.
CSV_COLUMNS = (
    *("system", "run", "marks", "kbps", "dataset", "metric", "unit", "better", "value", "low", "high"),
    *("n", "failed", "unscored", "rank", "published", "difference", "p", "note"),
)

#: Width of a line in a file.
UNLIMITED = 100_000

#: Stands where a metric does not apply.
DASH = "–"


def to_terminal(table: Table, *, intervals: bool = False, width: int | None = None, colour: bool = False) -> str:
    """The table as fixed-width text, one section for each dataset.

    Where a dataset's columns do not fit into ``width``, they continue in a further section; numbers are never cut.

    Args:
        table: The table.
        intervals: Whether to show 95 % intervals below the values.
        width: Characters in a line; the terminal's own where None, and no limit where the output goes elsewhere.
        colour: Whether to colour the best (green) and the second (cyan) of each column.
    """
    from rich.console import Console

    width = _terminal_width() if width is None else width
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=max(width, 20),
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for line in table.banners:
        console.print(line, style="bold")
    for dataset in table.datasets:
        for positions in _sections(table, dataset, intervals, width):
            _print_section(console, table, dataset, positions, intervals)
    console.print()
    for line in (
        *(_legend(table, "green", "cyan") if colour else ()),
        *table.notes,
        *(interval_notes(table) if intervals else ()),
        *(f"Published: {source}" for source in table.sources),
    ):
        console.print(line)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _terminal_width() -> int:
    """Columns of the terminal, or as many as ``COLUMNS`` says; a file or a pipe has no end of the line."""
    import os
    import shutil
    import sys

    limited = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return shutil.get_terminal_size().columns if limited else UNLIMITED


def to_markdown(table: Table, *, intervals: bool = False) -> str:
    """The table as GitHub Markdown: a table for each dataset, best in bold, second in italics."""
    parts = [f"> **{_md(line)}**" for line in table.banners]
    for dataset in table.datasets:
        positions = table.positions(dataset)
        header = ["System", *(_md(_heading(table.columns[position])) for position in positions)]
        lines = [_md_row(header), _md_row([":---", *["---:"] * len(positions)])]
        shown = table.section(dataset)
        for row, before in zip(shown, [None, *shown], strict=False):
            if row.group != (before.group if before else ""):
                lines.append(_md_row([f"*{_md(row.group)}*", *("" for _ in positions)]))
            cells = []
            for position in positions:
                cell, column = row.cells[position], table.columns[position]
                first, *more = map(_md, cell_lines(cell, column, intervals))
                mark = {1: "**", 2: "*"}.get(cell.rank, "")
                cells.append("<br>".join([f"{mark}{first}{mark}", *more]))
            lines.append(_md_row([_md(row_name(table, row)), *cells]))
        parts.append(f"### {_md(dataset)}\n\n" + "\n".join(lines))
    notes = [*_legend(table, "bold", "italics"), *table.notes, *(interval_notes(table) if intervals else ())]
    notes += [f"Published: {source}" for source in table.sources]
    parts.append("\n".join(f"- {_md(line)}" for line in notes))
    return "\n\n".join(parts) + "\n"


def to_csv(table: Table) -> str:
    """One line for each cell, numbers in full precision."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for line in records(table):
        writer.writerow({key: spreadsheet_safe(item) if isinstance(item, str) else item for key, item in line.items()})
    return stream.getvalue()


def records(table: Table) -> Iterator[dict[str, Any]]:
    """What is known of each cell, by the names of ``CSV_COLUMNS``."""
    for row in table.rows:
        pairs = list(zip(table.columns, row.cells, strict=True))
        rates = {
            column.dataset: cell.estimate.value
            for column, cell in pairs
            if column.metric == "kbps" and cell.estimate is not None
        }
        for column, cell in pairs:
            if cell.estimate is None and cell.published is None:
                continue
            yield {
                "system": row.label,
                "run": row.run,
                "marks": "+".join(row.marks),
                "kbps": rates.get(column.dataset),
                "dataset": column.dataset,
                "metric": column.metric,
                "unit": column.facts.unit,
                "better": column.facts.better,
                "rank": cell.rank or None,
                "published": cell.published,
                "difference": cell.difference,
                "p": cell.p,
                **(asdict(cell.estimate) if cell.estimate else {}),
            }


def to_json(table: Table) -> str:
    """The table as JSON, numbers in full precision, ``null`` where there is none."""
    content = asdict(table)
    for column, entry in zip(table.columns, content["columns"], strict=True):
        facts = column.facts
        entry["metric"] = facts.name
        entry["facts"] = {
            "title": facts.title,
            "unit": facts.unit,
            "better": facts.better,
            "version": facts.version,
            "digits": facts.digits,
            "source": facts.source,
            "interval": facts.interval,
        }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def cell_lines(cell: Cell, column: Column, intervals: bool) -> list[str]:
    """What a cell says, a line for each kind of fact: value, interval, counts, published."""
    digits = column.facts.digits
    lines = [value_text(cell, column)]
    if intervals and (interval := interval_text(cell, column)):
        lines.append(interval)
    if counts := count_text(cell):
        lines.append(counts)
    if cell.published is not None:
        difference = "" if cell.difference is None else f" ({signed(cell.difference, digits)})"
        lines.append(f"publ. {number(cell.published, digits)}{difference}")
    return lines


def value_text(cell: Cell, column: Column) -> str:
    """The value as printed, a dash where there is none; ``count_text`` says why."""
    if cell.estimate is None or cell.estimate.value is None:
        return DASH
    return number(cell.estimate.value, column.facts.digits) + (DAGGER if cell.differs else "")


def interval_text(cell: Cell, column: Column) -> str:
    """``[0.12, 0.34]``, with a star where few clips stand behind it; without an interval why there is none."""
    estimate = cell.estimate
    if estimate is None or estimate.value is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"[{estimate.note}]" if estimate.note else ""
    ends = (number(end, column.facts.digits) for end in (estimate.low, estimate.high))
    return f"[{', '.join(ends)}]{'*' if estimate.note else ''}"


def count_text(cell: Cell) -> str:
    """``n=11, 1 FAILED`` where the cell stands on fewer clips than the column promises, else nothing."""
    estimate = cell.estimate
    if estimate is None or not cell.deviates:
        return ""
    parts = [f"n={estimate.n}"] if estimate.n else []
    parts += [f"{estimate.failed} FAILED"] if estimate.failed else []
    parts += [f"{estimate.unscored} unscored"] if estimate.unscored else []
    return ", ".join(parts) or "n=0"


def signed(value: float, digits: int) -> str:
    """A difference with its sign, ``±0`` spelt as ``+0.00``."""
    text = number(value, digits)
    return text if text.startswith("-") else f"+{text}"


def row_name(table: Table, row: Row) -> str:
    """The label of a row with its own marks in capitals."""
    return row.label + "".join(f" [{mark.upper()}]" for mark in table.own_marks(row))


def _heading(column: Column) -> str:
    unit = f" ({column.facts.unit})" if column.facts.unit else ""
    arrow = ARROWS[column.facts.better]
    return f"{column.facts.title}{unit}{' ' + arrow if arrow else ''}"


def _legend(table: Table, best: str, second: str) -> list[str]:
    ranked = any(cell.rank for row in table.rows for cell in row.cells)
    what = "column and group" if len(table.groups) > 1 else "column"
    return [f"Best of each {what} in {best}, second in {second}"] if ranked else []


def _sections(table: Table, dataset: str, intervals: bool, width: int) -> list[list[int]]:
    """The columns of a dataset, packed into as few sections as the width allows."""
    name = _name_width(table)
    sections: list[list[int]] = []
    room = 0
    for position in table.positions(dataset):
        needs = _column_width(table, position, intervals) + 3
        if not sections or needs > room:
            sections.append([])
            room = width - name
        sections[-1].append(position)
        room -= needs
    return sections


def _column_width(table: Table, position: int, intervals: bool) -> int:
    column = table.columns[position]
    lines = [line for row in table.rows for line in cell_lines(row.cells[position], column, intervals)]
    return max([_longest_word(_heading(column)), *map(len, lines)])


def _name_width(table: Table) -> int:
    return max([len("System"), *(_longest_word(f"{row.group} {row_name(table, row)}") for row in table.rows)])


def _longest_word(text: str) -> int:
    return max(map(len, text.split()))


def _print_section(console: Any, table: Table, dataset: str, positions: list[int], intervals: bool) -> None:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    # Every width is set: left alone, rich takes room from the wrong column and then exceeds the line.
    names = [row_name(table, row) for row in table.section(dataset)]
    names += table.groups
    least = [_name_width(table), *(_column_width(table, position, intervals) for position in positions)]
    full = [max(map(len, ["System", *names])), *(len(_heading(table.columns[position])) for position in positions)]
    spare = console.width - sum(least) - 3 * len(positions)
    widths = []
    for narrow, wide in zip(least, full, strict=True):
        extra = min(max(wide - narrow, 0), max(spare, 0))
        widths.append(narrow + extra)
        spare -= extra
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    grid.add_column(Text("System"), width=widths[0], overflow="fold")
    for position, width in zip(positions, widths[1:], strict=True):
        heading = Text(_heading(table.columns[position]), justify="right")
        grid.add_column(heading, justify="right", width=width, overflow="fold")
    group = ""
    for row in table.section(dataset):
        if row.group != group:
            group = row.group
            grid.add_section()
            grid.add_row(Text(group, "italic"))
        cells = []
        for position in positions:
            style = {1: "bold green", 2: "cyan"}.get(row.cells[position].rank, "")
            first, *more = cell_lines(row.cells[position], table.columns[position], intervals)
            cells.append(Text("\n").join([Text(first, style), *(Text(line) for line in more)]))
        grid.add_row(Text(row_name(table, row)), *cells)
    console.print()
    console.print(dataset, style="bold")
    # A column that is wider than the terminal wraps there rather than losing digits here.
    width = console.width
    console.width = max(width, sum(widths) + 3 * len(positions))
    console.print(grid)
    console.width = width
