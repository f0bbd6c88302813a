"""A result table as LaTeX with booktabs, ready to paste into a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ldmbench.reports.cells import Cell, Column, Row, Table, number, unique
from ldmbench.reports.latex_layout import COLUMN_PT, PAGE_PT, SEPARATION_PT, Layout, Piece, Printed, fit
from ldmbench.reports.notes import NOT_SHOWN, interval_notes
from ldmbench.stats import Estimate

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
    table: Table,
    *,
    intervals: bool = False,
    caption: str = "",
    label: str = "",
    width: float = PAGE_PT,
) -> str:
    r"""The table as one float; needs ``\usepackage{booktabs}`` and nothing else.

    Type size, stacking and splitting follow from the width (``ldmbench.reports.latex_layout``). The best of each column
    is bold, the second underlined. Why clips failed is not said in a paper: how many did is.

    Args:
        table: The table.
        intervals: Whether 95 % intervals stand with the values.
        caption: Text of the caption; names the suite where empty.
        label: For ``\ref``; ``tab:SUITE`` where empty.
        width: Points that the table may be wide; up to ``COLUMN_PT * 1.3`` it is a float of one column.
    """
    rows = [row for row in table.rows if any(row in table.section(dataset) for dataset in table.datasets)]
    marks = _marks(table)
    columns = [_printed(table, position, rows, intervals, marks) for position in range(len(table.columns))]
    layout = fit([Piece("System", "System"), *(_name(table, row) for row in rows)], columns, width)
    kind = "table" if width <= COLUMN_PT * 1.3 else "table*"
    said = [line for line in table.banners if not line.startswith("FAILED")]
    warning = "".join(rf"\textbf{{{escape(line)}}}. " for line in said)
    text = escape(caption) if caption else f"Results on {escape(table.suite)}."
    lines = [
        r"% Needs \usepackage{booktabs}.",
        *(f"% {_one_line(line)}" for line in (*table.banners, *(n for n in table.notes if n.startswith(NOT_SHOWN)))),
        rf"\begin{{{kind}}}[t]",
        rf"  \centering\{layout.size}\setlength{{\tabcolsep}}{{{SEPARATION_PT:g}pt}}",
        rf"  \caption{{{warning}{text}}}",
        rf"  \label{{{label or 'tab:' + ''.join(c if c.isalnum() else '-' for c in table.suite)}}}",
    ]
    for block in layout.blocks:
        lines += [f"  {line}" for line in _tabular(table, block, columns, rows, layout)]
        lines.append(r"  \par\smallskip")
    notes = " ".join(_notes(table, intervals, marks))
    lines.append(rf"  \begin{{minipage}}{{\linewidth}}\footnotesize\raggedright {notes}\end{{minipage}}")
    lines.append(rf"\end{{{kind}}}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX prints it literally; characters outside ASCII are kept (UTF-8 is LaTeX's default)."""
    return "".join(_ESCAPES.get(character, character) for character in _one_line(text))


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


def _tabular(
    table: Table,
    block: Sequence[int],
    columns: Sequence[Printed],
    rows: Sequence[Row],
    layout: Layout,
) -> list[str]:
    groups: list[tuple[str, int, int]] = []
    for place, position in enumerate(block):
        dataset = columns[position].dataset
        if groups and groups[-1][0] == dataset:
            groups[-1] = (dataset, groups[-1][1], place)
        else:
            groups.append((dataset, place, place))
    headings = [rf"\multicolumn{{{last - first + 1}}}{{c}}{{{escape(name)}}}" for name, first, last in groups]
    rules = " ".join(rf"\cmidrule(lr){{{first + 2}-{last + 2}}}" for _, first, last in groups)
    titles = [_stack([piece.tex for piece in columns[position].heading]) for position in block]
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(block)}}}",
        r"  \toprule",
        rf"  & {' & '.join(headings)} \\",
        f"  {rules}",
        rf"  System & {' & '.join(titles)} \\",
        r"  \midrule",
    ]
    shown = {row for dataset in table.datasets for row in table.section(dataset) if _of(table, block, dataset)}
    for number_, row in enumerate(rows):
        if row in shown:
            cells = [columns[position].cells[number_] for position in block]
            lines += _lines(_name(table, row).tex, cells, layout.stacked)
    return [*lines, r"  \bottomrule", r"\end{tabular}"]


def _of(table: Table, block: Sequence[int], dataset: str) -> bool:
    return any(table.columns[position].dataset == dataset for position in block)


def _name(table: Table, row: Row) -> Piece:
    """A row's name; a mark that all rows bear is in the caption."""
    marks = table.own_marks(row)
    text = row.label
    tex = escape(text) if row.named or not row.system else rf"\texttt{{{escape(text)}}}"
    return Piece(tex + "".join(rf" \textsc{{{mark}}}" for mark in marks), " ".join([text, *marks]))


def _printed(
    table: Table,
    position: int,
    rows: Sequence[Row],
    intervals: bool,
    marks: Mapping[str, str],
) -> Printed:
    column = table.columns[position]
    cells = tuple(_pieces(row.cells[position], column, intervals, marks) for row in rows)
    return Printed(column.dataset, _heading(column), cells)


def _heading(column: Column) -> tuple[Piece, ...]:
    """Title, unit and arrow; in two lines, broken at the space nearest the middle."""
    unit = f" ({column.facts.unit})" if column.facts.unit else ""
    text = f"{column.facts.title}{unit}"
    spaces = [index for index, character in enumerate(text) if character == " "]
    arrow = _ARROWS[column.facts.better]
    wide = "  0" if arrow else ""
    if not spaces:
        return (Piece(escape(text) + arrow, text + wide),)
    middle = min(spaces, key=lambda index: abs(index - len(text) / 2))
    first, second = text[:middle], text[middle:].strip()
    return Piece(escape(first), first), Piece(escape(second) + arrow, second + wide)


def _pieces(cell: Cell, column: Column, intervals: bool, marks: Mapping[str, str]) -> tuple[Piece, ...]:
    """The value, and what stands beside or below it."""
    digits = column.facts.digits
    estimate = cell.estimate
    plain = "--" if estimate is None or estimate.value is None else number(estimate.value, digits)
    tex = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(cell.rank, "%s") % _number(plain) if plain != "--" else plain
    letters = marks[_counts(cell)] if cell.deviates else ""
    pieces = [Piece(tex + (f"$^{{{letters}}}$" if letters else ""), plain, cell.rank == 1, False, len(letters))]
    if estimate is not None and estimate.value is not None and intervals:
        pieces.append(_interval(estimate, digits))
    if cell.published is not None:
        printed, difference = number(cell.published, digits), ""
        if cell.difference is not None:
            value = number(cell.difference, digits)
            difference = value if value.startswith("-") else f"+{value}"
        tex = ", ".join(filter(None, [_number(printed), difference and _number(difference)]))
        pieces.append(Piece(f"({tex})", f"({', '.join(filter(None, [printed, difference]))})", script=True))
    return tuple(pieces)


def _lines(name: str, cells: Sequence[tuple[Piece, ...]], stacked: bool) -> list[str]:
    """A row of the table, with what stands below its values in lines of their own."""
    parts = [[rf"{{\scriptsize {piece.tex}}}" if piece.script else piece.tex for piece in pieces] for pieces in cells]
    if not stacked:
        return [rf"  {name} & {' & '.join(' '.join(cell) for cell in parts)} \\"]
    lines = []
    for depth in range(max(map(len, parts))):
        line = " & ".join(cell[depth] if depth < len(cell) else "" for cell in parts)
        lines.append(rf"  {'' if depth else name} & {line} \\")
    return lines if len(lines) == 1 else [*lines, r"  \addlinespace[2pt]"]


def _stack(lines: Sequence[str]) -> str:
    return lines[0] if len(lines) == 1 else r"\shortstack[r]{" + r"\\".join(lines) + "}"


def _interval(estimate: Estimate, digits: int) -> Piece:
    """The ends in brackets, starred where few clips stand behind them; dashes where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return Piece("[--]", "[--]", script=True)
    ends = [number(end, digits) for end in (estimate.low, estimate.high)]
    tex = f"[{', '.join(map(_number, ends))}]{'$^{*}$' if estimate.note else ''}"
    return Piece(tex, f"[{', '.join(ends)}]", script=True, marks=int(bool(estimate.note)))


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
    notes += [escape(note) + "." for note in table.notes if not note.startswith(NOT_SHOWN)]
    notes += [f"Published: {escape(source)}." for source in table.sources]
    return notes


def _one_line(text: str) -> str:
    return " ".join(text.split())
