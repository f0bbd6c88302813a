"""A result table as LaTeX with booktabs, ready to paste into a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ldmbench.reports.cells import Cell, Column, Row, Table, number, unique
from ldmbench.reports.notes import interval_notes
from ldmbench.stats import Estimate

#: Data columns that fit side by side into a page of two text columns; half as many with intervals or published values.
MAX_COLUMNS = 8

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "²": r"$^2$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "°": r"$^\circ$",
}

_ARROWS = {"higher": r" $\uparrow$", "lower": r" $\downarrow$", "neither": ""}


def to_latex(
    table: Table, *, intervals: bool = False, caption: str = "", label: str = "", max_columns: int | None = None
) -> str:
    r"""The table as one ``table*`` float; needs ``\usepackage{booktabs}`` and nothing else.

    Datasets stand side by side under ``\multicolumn`` headings until ``max_columns`` is reached, then continue
    in a block below. The best of each column is bold, the second underlined.

    Args:
        table: The table.
        intervals: Whether 95 % intervals stand behind the values.
        caption: Text of the caption; names the suite where empty.
        label: For ``\ref``; ``tab:SUITE`` where empty.
        max_columns: Data columns side by side; as many as fit where None.
    """
    if max_columns is None:
        max_columns = MAX_COLUMNS // 2 if intervals or table.sources else MAX_COLUMNS
    lines = [r"% Needs \usepackage{booktabs}.", *(f"% {_one_line(line)}" for line in table.banners)]
    warning = "".join(rf"\textbf{{{escape(line)}}}. " for line in table.banners)
    text = escape(caption) if caption else f"Results on {escape(table.suite)}."
    lines += [
        r"\begin{table*}[t]",
        r"  \centering\small",
        rf"  \caption{{{warning}{text}}}",
        rf"  \label{{{label or 'tab:' + ''.join(c if c.isalnum() else '-' for c in table.suite)}}}",
    ]
    marks = _marks(table)
    for positions in _blocks(table, max_columns):
        lines += [f"  {line}" for line in _tabular(table, positions, intervals, marks)]
        lines.append(r"  \par\smallskip")
    lines.append(
        rf"  \begin{{minipage}}{{\textwidth}}\footnotesize {' '.join(_notes(table, intervals, marks))}\end{{minipage}}"
    )
    lines.append(r"\end{table*}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX prints it literally; characters outside ASCII are kept (UTF-8 is LaTeX's default)."""
    return "".join(_ESCAPES.get(character, character) for character in _one_line(text))


def _blocks(table: Table, most: int) -> list[list[int]]:
    blocks: list[list[int]] = []
    for dataset in table.datasets:
        positions = table.positions(dataset)
        if blocks and len(blocks[-1]) + len(positions) <= most:
            blocks[-1] += positions
        else:
            blocks.append(positions)
    return blocks


def _marks(table: Table) -> dict[str, str]:
    """What cells on fewer clips have to say, each with the superscript letter that stands for it."""
    texts = unique(_counts(cell) for row in table.rows for cell in row.cells if cell.deviates)
    return {text: "abcdefghijklmnopqrstuvwxyz"[i % 26] * (i // 26 + 1) for i, text in enumerate(texts)}


def _counts(cell: Cell) -> str:
    estimate = cell.estimate
    if estimate is None:
        return ""
    parts = [f"$n={estimate.n}$"]
    parts += [rf"\textbf{{{estimate.failed} failed}}"] if estimate.failed else []
    parts += [f"{estimate.unscored} unscored"] if estimate.unscored else []
    return ", ".join(parts)


def _tabular(table: Table, positions: Sequence[int], intervals: bool, marks: Mapping[str, str]) -> list[str]:
    columns = [table.columns[position] for position in positions]
    groups: list[tuple[str, int, int]] = []
    for position, column in enumerate(columns):
        if groups and groups[-1][0] == column.dataset:
            groups[-1] = (column.dataset, groups[-1][1], position)
        else:
            groups.append((column.dataset, position, position))
    headings = [rf"\multicolumn{{{last - first + 1}}}{{c}}{{{escape(name)}}}" for name, first, last in groups]
    rules = " ".join(rf"\cmidrule(lr){{{first + 2}-{last + 2}}}" for _, first, last in groups)
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"  \toprule",
        rf"  & {' & '.join(headings)} \\",
        f"  {rules}",
        rf"  System & {' & '.join(map(_heading, columns))} \\",
        r"  \midrule",
    ]
    rows = {row: None for name, _, _ in groups for row in table.section(name)}
    for row in (row for row in table.rows if row in rows):
        cells = [_cell(row.cells[position], table.columns[position], intervals, marks) for position in positions]
        lines.append(rf"  {_name(row)} & {' & '.join(cells)} \\")
    return [*lines, r"  \bottomrule", r"\end{tabular}"]


def _name(row: Row) -> str:
    name = escape(row.label) if not row.system else rf"\texttt{{{escape(row.label)}}}"
    return name + "".join(rf" \textsc{{{mark}}}" for mark in row.marks)


def _heading(column: Column) -> str:
    """Title, unit and arrow; in two lines, broken at the space nearest the middle."""
    unit = f" ({column.facts.unit})" if column.facts.unit else ""
    text = f"{column.facts.title}{unit}"
    spaces = [index for index, character in enumerate(text) if character == " "]
    arrow = _ARROWS[column.facts.better]
    if not spaces:
        return escape(text) + arrow
    middle = min(spaces, key=lambda index: abs(index - len(text) / 2))
    return rf"\shortstack[r]{{{escape(text[:middle])}\\{escape(text[middle:].strip())}{arrow}}}"


def _cell(cell: Cell, column: Column, intervals: bool, marks: Mapping[str, str]) -> str:
    digits = column.facts.digits
    estimate = cell.estimate
    if estimate is None or estimate.value is None:
        text = "--"
    else:
        text = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(cell.rank, "%s") % _number(number(estimate.value, digits))
    if cell.deviates:
        text += f"$^{{{marks[_counts(cell)]}}}$"
    small = []
    if estimate is not None and estimate.value is not None and intervals:
        small.append(_interval(estimate, digits))
    if cell.published is not None:
        difference = ""
        if cell.difference is not None:
            value = number(cell.difference, digits)
            difference = ", " + _number(value if value.startswith("-") else f"+{value}")
        small.append(f"({_number(number(cell.published, digits))}{difference})")
    return text + "".join(rf" {{\scriptsize {part}}}" for part in small)


def _interval(estimate: Estimate, digits: int) -> str:
    """The ends in brackets, starred where few clips stand behind them; dashes where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return "[--]"
    ends = ", ".join(_number(number(end, digits)) for end in (estimate.low, estimate.high))
    return f"[{ends}]{'$^{*}$' if estimate.note else ''}"


def _number(text: str) -> str:
    return f"${text[0]}${text[1:]}" if text[0] in "+-" else text


def _notes(table: Table, intervals: bool, marks: Mapping[str, str]) -> list[str]:
    notes = [f"$^{{{letter}}}$~{text}." for text, letter in marks.items()]
    if any(cell.rank for row in table.rows for cell in row.cells):
        notes.append("Best of each column in bold, second underlined.")
    if intervals:
        notes += [escape(line) + "." for line in interval_notes(table)]
    if table.sources:
        notes.append("In parentheses: published value, and ours minus it.")
    notes += [escape(note) + "." for note in table.notes]
    notes += [f"Published: {escape(source)}." for source in table.sources]
    return notes


def _one_line(text: str) -> str:
    return " ".join(text.split())
