"""Small tables of a listening test: one content, written as text, Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ldmbench.reports.latex import escape
from ldmbench.reports.markdown import escape as _md
from ldmbench.reports.markdown import row as _md_row


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes:
        title: What it shows.
        columns: Headings; the first names the rows.
        rows: Texts as printed.
        values: The same in full precision, for tables that are also written as CSV.
        bold: (row, column) of what is best.
        notes: What must be read below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    values: tuple[tuple[object, ...], ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()
    notes: tuple[str, ...] = ()


def to_text(grid: Grid) -> str:
    """Fixed-width text: names at the left, numbers at the right."""
    widths = [max(len(row[index]) for row in (grid.columns, *grid.rows)) for index in range(len(grid.columns))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]).rstrip()

    parts = [grid.title, line(grid.columns), "-" * (sum(widths) + 2 * len(widths) - 2)]
    return "\n".join([*parts, *map(line, grid.rows), *grid.notes])


def to_markdown(grid: Grid) -> str:
    """A table of GitHub's Markdown under a heading."""
    lines = [f"### {_md(grid.title)}", ""]
    lines += [_md_row([_md(text) for text in grid.columns]), _md_row([":---", *["---:"] * (len(grid.columns) - 1)])]
    for index, row in enumerate(grid.rows):
        cells = [f"**{_md(text)}**" if (index, at) in grid.bold else _md(text) for at, text in enumerate(row)]
        lines.append(_md_row(cells))
    return "\n".join([*lines, "", *(f"- {_md(note)}" for note in grid.notes)])


def to_latex(grid: Grid, label: str) -> str:
    r"""One ``table`` float; needs ``\usepackage{booktabs}`` and nothing else."""
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}[t]",
        r"  \centering\small",
        rf"  \caption{{{escape(grid.title)}. {' '.join(escape(note) + '.' for note in grid.notes)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(grid.columns) - 1)}}}",
        r"    \toprule",
        rf"    {' & '.join(map(escape, grid.columns))} \\",
        r"    \midrule",
    ]
    for index, row in enumerate(grid.rows):
        cells = [
            rf"\textbf{{{_number(text)}}}" if (index, at) in grid.bold else _number(text) for at, text in enumerate(row)
        ]
        lines.append(rf"    {' & '.join(cells)} \\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def _number(text: str) -> str:
    """A cell, with a minus sign where it begins with one."""
    return rf"${text[0]}${escape(text[1:])}" if text[:1] in "+-" and len(text) > 1 else escape(text)
