"""A result table as LaTeX with booktabs, ready to paste into a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ldmbench.reports.cells import Cell, Column, Row, Table, number, unique
from ldmbench.reports.latex_layout import COLUMN_PT, PAGE_PT, SEPARATION_PT, Layout, Piece, Printed, fit
from ldmbench.reports.latex_pages import block_height, in_floats, in_pages, notes_height
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
    "†": r"$^\dagger$",
    "\0": "{}",
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
    r"""The table as a float, as several where a page cannot hold it; needs ``\usepackage{booktabs}`` and nothing else.

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
    names = [Piece("System", "System"), *(_name(table, row) for row in rows)]
    layout = fit(names, columns, width)
    kind = "table" if width <= COLUMN_PT * 1.3 else "table*"
    said = [line for line in table.banners if not line.startswith("FAILED")]
    warning = "".join(rf"\textbf{{{escape(line)}}}. " for line in said)
    text = escape(caption) if caption else f"Results on {escape(table.suite)}."
    lines = [
        r"% Needs \usepackage{booktabs}.",
        *(f"% {_one_line(line)}" for line in (*table.banners, *(n for n in table.notes if n.startswith(NOT_SHOWN)))),
    ]
    notes = " ".join(_notes(table, intervals, marks))
    parts = [part for block in layout.blocks for part in _parts(table, block, columns, rows, layout)]
    floats = in_floats([height for _, height in parts], notes_height(notes, width))
    for count, own in enumerate(floats):
        lines += [
            *([rf"\begin{{{kind}}}[t]"] if not count else [rf"\begin{{{kind}}}[t]\addtocounter{{table}}{{-1}}"]),
            rf"  \centering\{layout.size}\setlength{{\tabcolsep}}{{{SEPARATION_PT:g}pt}}",
            rf"  \caption{{{warning}{text}}}" if not count else r"  \caption{(continued)}",
            *([] if count else [rf"  \label{{{label or 'tab:' + _slug(table.suite)}}}"]),
        ]
        for index in own:
            lines += [*(f"  {line}" for line in parts[index][0]), r"  \par\smallskip"]
        if count == len(floats) - 1:
            # Never larger than the table.
            size = "scriptsize" if layout.size == "scriptsize" else "footnotesize"
            lines.append(rf"  \begin{{minipage}}{{\linewidth}}\{size}\raggedright {notes}\end{{minipage}}")
        lines.append(rf"\end{{{kind}}}")
    return "\n".join(lines) + "\n"


def _slug(text: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in text)


def escape(text: str) -> str:
    """Text as LaTeX prints it literally; characters outside ASCII are kept (UTF-8 is LaTeX's default)."""
    # Two hyphens of ``--align`` would be set as a dash.
    return "".join(_ESCAPES.get(character, character) for character in _one_line(text).replace("--", "-\0-"))


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


def _parts(
    table: Table, block: Sequence[int], columns: Sequence[Printed], rows: Sequence[Row], layout: Layout
) -> list[tuple[list[str], float]]:
    """A block as tabulars that a page can hold, each with its height: mostly one, several where the rows are many."""
    here = {row for dataset in table.datasets for row in table.section(dataset) if _of(table, block, dataset)}
    shown = [index for index, row in enumerate(rows) if row in here]
    depths = [max((len(columns[position].cells[index]) for position in block), default=1) for index in shown]
    lines = [1.0 + 0.85 * (depth - 1) if layout.stacked else 1.0 for depth in depths]
    parts = []
    for own in in_pages(lines, layout.size):
        groups = len({rows[shown[index]].group for index in own} - {""})
        height = block_height(sum(lines[index] for index in own) + 1.6 * groups, layout.size)
        parts.append((_tabular(table, block, columns, rows, [shown[index] for index in own], layout), height))
    return parts


def _tabular(
    table: Table,
    block: Sequence[int],
    columns: Sequence[Printed],
    rows: Sequence[Row],
    shown: Sequence[int],
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
    group = ""
    for index in shown:
        row = rows[index]
        if row.group != group:
            group = row.group
            lines += [*([] if index == shown[0] else [r"  \addlinespace"]), _group(group, block)]
        cells = [columns[position].cells[index] for position in block]
        lines += _lines(_name(table, row).tex, cells, layout.stacked)
    return [*lines, r"  \bottomrule", r"\end{tabular}"]


def _group(heading: str, block: Sequence[int]) -> str:
    """The heading of a group of rows, over all columns of a block."""
    return rf"  \multicolumn{{{len(block) + 1}}}{{l}}{{\emph{{{escape(heading)}}}}} \\"


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
    above = [_above(row.cells[position], marks) for row in rows]
    widest = max(above, key=len, default=())
    cells = tuple(
        _pieces(row.cells[position], column, intervals, own, widest) for row, own in zip(rows, above, strict=True)
    )
    return Printed(column.dataset, _heading(column), cells)


def _above(cell: Cell, marks: Mapping[str, str]) -> tuple[str, ...]:
    """What stands above and behind a value: the letter of its count, and whether it differs."""
    return (*([marks[_counts(cell)]] if cell.deviates else []), *([r"\dagger"] if cell.differs else []))


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


def _pieces(
    cell: Cell, column: Column, intervals: bool, above: tuple[str, ...], widest: tuple[str, ...]
) -> tuple[Piece, ...]:
    """The value, and what stands beside or below it; room for the column's marks, so that digits stand in line."""
    digits = column.facts.digits
    estimate = cell.estimate
    plain = "--" if estimate is None or estimate.value is None else number(estimate.value, digits)
    tex = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(cell.rank, "%s") % _number(plain) if plain != "--" else plain
    if above or widest:
        tex += f"$^{{{''.join(above)}}}$" if above else rf"\phantom{{$^{{{''.join(widest)}}}$}}"
    pieces = [Piece(tex, plain, cell.rank == 1, marks=sum(len(item) if item.isalpha() else 1 for item in widest))]
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
        what = "column and group" if len(table.groups) > 1 else "column"
        notes.append(f"Best of each {what} in bold, second underlined.")
    if intervals:
        notes += [escape(line) + "." for line in interval_notes(table)]
    if table.sources:
        notes.append("In parentheses: published value, and ours minus it.")
    notes += [escape(note) + "." for note in table.notes if not note.startswith(NOT_SHOWN)]
    notes += [f"Published: {escape(source)}." for source in table.sources]
    return notes


def _one_line(text: str) -> str:
    return " ".join(text.split())
