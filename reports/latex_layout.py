"""How a table fits into the width of a LaTeX page: its type size, what stands above what, and where it is split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

#: Width of the text and of a column in points: of ``article`` on A4 in two columns, the narrowest of the usual classes.
PAGE_PT, COLUMN_PT = 452.0, 221.0

#: ``\tabcolsep`` of the tables in points, on either side of every column.
SEPARATION_PT = 3.0

#: Type sizes in points, and how much wider Computer Modern runs at each than at 10 points, for its height.
_SIZES = {"small": (9.0, 1.03), "footnotesize": (8.0, 1.064), "scriptsize": (7.0, 1.151)}

#: A superscript letter with its script space, at any of the sizes.
_MARK_PT = 5.0

#: Bold extended against the roman.
_BOLD = 1.155


@dataclass(frozen=True)
class Piece:
    """Something printed in a cell.

    Attributes:
        tex: As LaTeX.
        text: As it is read, which has its width.
        bold: Whether it is printed bold.
        script: Whether it is printed in ``scriptsize``, beside or below the value.
        marks: Superscript letters behind it.
    """

    tex: str
    text: str
    bold: bool = False
    script: bool = False
    marks: int = 0


@dataclass(frozen=True)
class Printed:
    """A column as it is printed.

    Attributes:
        dataset: What it stands under.
        heading: Lines of its heading.
        cells: Pieces of each cell.
    """

    dataset: str
    heading: tuple[Piece, ...]
    cells: tuple[tuple[Piece, ...], ...]

    def width(self, size: str, stacked: bool) -> float:
        """Points at a type size, without the space on either side."""
        lines = [piece_width(line, size) for line in self.heading]
        for pieces in self.cells:
            widths = [piece_width(piece, size) for piece in pieces]
            # Pieces beside each other are separated by a space.
            lines.append(max(widths, default=0.0) if stacked else sum(widths) + 3.5 * max(len(widths) - 1, 0))
        return max(lines)


@dataclass(frozen=True)
class Layout:
    """How a table is printed.

    Attributes:
        size: Its type size.
        stacked: Whether intervals and published values stand below the values instead of beside them.
        blocks: Indices of columns side by side; each block begins with the names of the systems.
    """

    size: str
    stacked: bool
    blocks: tuple[tuple[int, ...], ...]


def fit(names: Sequence[Piece], columns: Sequence[Printed], width: float) -> Layout:
    """The largest and plainest print at which each dataset stands in one block; the smallest, split, where none does.

    Tried in order: everything in one line at ``small``, then stacked, then stacked and smaller.

    Args:
        names: Names of the rows.
        columns: The columns, those of a dataset together.
        width: Points there are.
    """
    layouts = []
    for size, stacked in (("small", False), ("small", True), ("footnotesize", True), ("scriptsize", True)):
        blocks, whole = _blocks(names, columns, width, size, stacked)
        layouts.append(Layout(size, stacked, blocks))
        if whole:
            return layouts[-1]
    # Smaller type that saves no block is only harder to read.
    fewest = min(len(layout.blocks) for layout in layouts)
    return next(layout for layout in layouts if len(layout.blocks) == fewest)


def _blocks(
    names: Sequence[Piece], columns: Sequence[Printed], width: float, size: str, stacked: bool
) -> tuple[tuple[tuple[int, ...], ...], bool]:
    """Columns packed side by side, datasets together where they fit; and whether no dataset is split."""
    first = max(piece_width(name, size) for name in names) + 2 * SEPARATION_PT
    room = width - first
    blocks: list[tuple[int, ...]] = []
    left, whole = 0.0, True
    for dataset in dict.fromkeys(column.dataset for column in columns):
        own = [index for index, column in enumerate(columns) if column.dataset == dataset]
        needs = {index: columns[index].width(size, stacked) + 2 * SEPARATION_PT for index in own}
        title = piece_width(Piece(dataset, dataset), size) + 2 * SEPARATION_PT
        total = max(sum(needs.values()), title)
        if blocks and total <= left:
            blocks[-1] += tuple(own)
            left -= total
            continue
        parts = _balanced(needs, room)
        whole = whole and len(parts) == 1
        blocks += parts
        # Nothing stands beside a part of a dataset.
        left = room - total if len(parts) == 1 else 0.0
    return tuple(blocks), whole


def piece_width(piece: Piece, size: str) -> float:
    r"""Points of a piece in Computer Modern, which is wider than the Times of most classes."""
    points, wider = _SIZES["scriptsize" if piece.script else size]
    typewriter = piece.tex.startswith(r"\texttt")
    # A minus is as wide as a plus, and no hyphen.
    text = piece.text if typewriter or piece.text == "--" else piece.text.replace("-", "+")
    em = sum(_advance(character, typewriter) for character in text)
    return em * points * wider * (_BOLD if piece.bold else 1.0) + piece.marks * _MARK_PT


@cache
def _advance(character: str, typewriter: bool) -> float:
    """Width of a character in em, of a digit where the font has not got it."""
    font = _font("cmtt10.ttf" if typewriter else "cmr10.ttf")
    code = ord(character) if font.get_char_index(ord(character)) else ord("0")
    return float(font.load_char(code).linearHoriAdvance) / 65536 / 10


def _balanced(needs: Mapping[int, float], room: float) -> list[tuple[int, ...]]:
    """Columns packed into as few blocks as the room allows, and these about equally wide."""

    def packed(most: float) -> list[tuple[int, ...]]:
        blocks: list[tuple[int, ...]] = [()]
        left = most
        for index, need in needs.items():
            if blocks[-1] and need > left:
                blocks.append(())
                left = most
            blocks[-1] += (index,)
            left -= need
        return blocks

    fewest = packed(room)
    return next(
        (blocks for share in range(50, 100, 2) if len(blocks := packed(room * share / 100)) == len(fewest)), fewest
    )


@cache
def _font(name: str) -> FT2Font:
    """Computer Modern as matplotlib brings it, at 10 points."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(f"{get_data_path()}/fonts/ttf/{name}")
    font.set_size(10, 72)
    return font
