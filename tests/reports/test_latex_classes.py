"""Tables compiled in the classes that papers use: nothing sticks out of a column or hangs below a page."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from ldmbench.reports import text as table
from ldmbench.reports.groups import Grouping
from ldmbench.reports.latex_layout import COLUMN_PT, PAGE_PT, SEPARATION_PT, Piece, Printed, fit, piece_width
from ldmbench.reports.latex_pages import ROOM_PT, in_floats, in_pages
from ldmbench.runs.results import Run

#: A class of the same widths and type as IEEEtran's: 10 point on letter paper, 516 and 252 points wide.
IEEE = r"""\documentclass[letterpaper,twocolumn]{article}
\setlength{\textwidth}{516pt}\setlength{\columnsep}{12pt}\setlength{\textheight}{696pt}
\setlength{\oddsidemargin}{-24pt}\setlength{\topmargin}{-40pt}\setlength{\columnwidth}{252pt}"""

#: The same of Interspeech's: 9 point on A4, 170 mm and 80 mm wide.
INTERSPEECH = r"""\documentclass[a4paper,twocolumn]{article}
\setlength{\textwidth}{170mm}\setlength{\columnsep}{10mm}\setlength{\textheight}{253mm}
\setlength{\oddsidemargin}{-5.4mm}\setlength{\topmargin}{-25mm}
\makeatletter\renewcommand\normalsize{\@setfontsize\normalsize{9}{10.98}}\makeatother\normalsize"""

CLASSES = {
    "article": (r"\documentclass[a4paper,twocolumn]{article}", 452.0, 221.0),
    "one column": (r"\documentclass[a4paper]{article}\usepackage[margin=25mm]{geometry}", 455.2, 455.2),
    "IEEEtran's widths": (IEEE, 516.0, 252.0),
    "IEEEtran": (r"\documentclass[journal]{IEEEtran}", 516.0, 252.0),
    "Interspeech's widths": (INTERSPEECH, 483.7, 227.6),
}


@pytest.fixture(scope="module")
def body(runs: list[Run]) -> str:
    """Tables of every kind: grouped, marked, averaged, with intervals, wide, and longer than a page."""
    marked = [
        replace(run, cells=tuple(replace(cell, differs=cell.rank > 0) for cell in run.cells))
        for run in table.build(runs).rows
    ]
    grouped = table.build(runs, grouping=Grouping(bands=(3.0, 20.0)), averages=("visqol_audio", "mel_dac"))
    long = replace(grouped, rows=tuple(row for row in grouped.rows for _ in range(6)))
    tables = (grouped, long, replace(table.build(runs), rows=tuple(marked)))
    return "".join(
        table.to_latex(item, intervals=intervals, width=width, label=f"tab:{number}{intervals:d}{width:g}")
        + "\\clearpage\n"
        for number, item in enumerate(tables)
        for intervals in ((False, True) if item is not long else (False,))
        for width in (PAGE_PT, COLUMN_PT)
    )


@pytest.mark.parametrize("name", CLASSES)
def test_tables_stay_within_columns_and_pages(body: str, name: str, tmp_path: Path) -> None:
    program, finder = shutil.which("pdflatex"), shutil.which("kpsewhich")
    if program is None or finder is None:
        pytest.skip("pdflatex is not installed")
    preamble, width, column = CLASSES[name]
    own = subprocess.run([finder, "IEEEtran.cls", "ptmr7t.tfm"], capture_output=True, text=True).stdout
    if name == "IEEEtran" and len(own.split()) < 2:
        pytest.skip("IEEEtran is not installed (apt-get install texlive-publishers texlive-fonts-recommended)")
    (tmp_path / "t.tex").write_text(
        f"{preamble}\n\\usepackage{{booktabs}}\\extrafloats{{99}}\n\\begin{{document}}\n"
        rf"\typeout{{WIDTHS \the\textwidth, \the\columnwidth}}{body}\end{{document}}" + "\n",
        encoding="utf-8",
    )
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    widths = re.search(r"WIDTHS ([\d.]+)pt, ([\d.]+)pt", done.stdout)
    assert widths is not None
    assert [float(item) for item in widths.groups()] == pytest.approx([width, column], abs=0.1)
    wrong = [line for line in done.stdout.splitlines() if "Overfull \\hbox" in line or "too large" in line]
    assert not wrong, wrong


def test_what_is_printed_is_no_wider_than_it_is_reckoned(tmp_path: Path) -> None:
    """Roman, bold and typewriter at every size, measured by TeX itself; and no more room is left than is needed."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("pdflatex is not installed")
    texts = ("3.214", "0.98", "100.0", "ViSQOL", "Opus Low", "[-12.3, 4.5]")
    pieces = [
        *(Piece(text, text) for text in texts),
        *(Piece(rf"\textbf{{{text}}}", text, bold=True) for text in texts[:3]),
        *(Piece(rf"\texttt{{{text}}}", text) for text in ("opus@6kbps", "kmeans-mel@1.20kbps:layer=all")),
        Piece("3.21$^{ab}$", "3.21", marks=2), Piece(r"3.21$^{\dagger}$", "3.21", marks=1),
    ]  # fmt: skip
    printed = [(piece, size) for size in ("small", "footnotesize", "scriptsize") for piece in pieces]
    lines = [
        rf"{{\{size}\sbox0{{{piece.tex.replace('-', '$-$') if piece.tex[0] == '[' else piece.tex}}}"
        rf"\typeout{{WIDE \the\wd0}}}}"
        for piece, size in printed
    ]
    text = "\n".join([r"\documentclass{article}", r"\begin{document}", *lines, r"\end{document}", ""])
    (tmp_path / "t.tex").write_text(text, encoding="utf-8")
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    widths = [float(item) for item in re.findall(r"WIDE ([\d.]+)pt", done.stdout)]
    for (piece, size), width in zip(printed, widths, strict=True):
        reckoned = piece_width(piece, size)
        assert width <= reckoned + 0.05, (piece, size)
        # The factor of a size is that of roman digits and brackets; typewriter runs narrower at the smaller ones.
        assert reckoned <= (1.15 if piece.tex.startswith(r"\texttt") else 1.04) * width + 1.5 * piece.marks, (
            piece,
            size,
        )


def test_a_long_table_is_continued_with_one_number_and_one_label(body: str) -> None:
    continued = body.count(r"\caption{(continued)}")
    assert continued > 3
    assert body.count(r"\addtocounter{table}{-1}") == continued
    labels = re.findall(r"\\label\{([^}]*)\}", body)
    assert len(labels) == len(set(labels)) == 10
    assert body.count(r"\begin{minipage}") == 10, "the notes stand once, at the end"
    assert body.count(r"\begin{tabular}") == body.count(r"\end{tabular}")


def test_every_row_stands_once_in_every_block(runs: list[Run]) -> None:
    built = table.build(runs, metrics=["visqol_audio"], datasets=["builtin-speech"])
    many = replace(built, rows=tuple(replace(row, label=f"{row.label}x{k}") for row in built.rows for k in range(8)))
    text = table.to_latex(many)
    for row in many.rows:
        assert text.count(rf"\texttt{{{row.label}}} &") == 1


def test_parts_and_floats_hold_what_they_can() -> None:
    assert in_pages([1.0] * 10, "small") == [list(range(10))]
    parts = in_pages([1.0] * 100, "small")
    assert [index for part in parts for index in part] == list(range(100))
    assert max(map(len, parts)) - min(map(len, parts)) <= 3
    assert in_floats([200.0, 200.0, 200.0], 100.0) == [[0, 1], [2]]
    assert in_floats([200.0, 200.0], ROOM_PT) == [[0], [1]], "the notes go with the last part"
    assert in_floats([200.0], 2 * ROOM_PT) == [[0]]


@pytest.mark.parametrize("width", [COLUMN_PT, PAGE_PT])
def test_columns_side_by_side_are_no_wider_than_the_page(width: float) -> None:
    """To the point: what is between them counts, and so do the names of the rows."""
    names = (Piece("System", "System"), Piece(r"\texttt{opus@6kbps}", "opus@6kbps"))
    full = 0
    for count, digits in product(range(1, 25), range(2, 12)):
        cells = tuple((Piece("3" * digits, "3" * digits),) for _ in names)
        columns = [Printed("d", (Piece("MEL", "MEL"),), cells) for _ in range(count)]
        layout = fit(names, columns, width)
        for block in layout.blocks:
            first = max(piece_width(name, layout.size) for name in names)
            widths = [first, *(columns[index].width(layout.size, layout.stacked) for index in block)]
            total = sum(widths) + 2 * SEPARATION_PT * len(widths)
            assert total <= width
            full += total > 0.97 * width
    assert full > 2, "tables that fill the page are among them"
