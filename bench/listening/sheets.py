"""Rating sheets: blinded sounds, their prompts, and a table to fill in, as CSV and XLSX."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ldmbench.clips.table import write_table
from ldmbench.host.files import replacing
from ldmbench.listening.pack import Pack
from ldmbench.names import spreadsheet_safe

#: Columns of a sheet before those that a listener fills in.
HEADER = ("File name", "Text description")


def write_sheets(pack: Pack, folder: Path) -> list[Path]:
    """Write ``sheets/BLOCK.csv``, ``sheets/BLOCK.xlsx`` and ``sheets/audio/KEY.wav``."""
    target = folder / "sheets"
    audio = target / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    pages = {page.id: page for page in pack.pages}
    for page in pack.pages:
        (sound,) = page.stimuli
        copy = audio / f"{sound.key}.wav"
        try:
            os.link(folder / sound.file, copy)
        except OSError:
            shutil.copy2(folder / sound.file, copy)
    header = [*HEADER, *(criterion.title for criterion in pack.criteria)]
    paths = []
    for block in pack.blocks:
        rows = [[f"{pages[name].stimuli[0].key}.wav", pages[name].text] for name in block.pages]
        empty = [""] * len(pack.criteria)
        write_table(target / f"{block.id}.csv", header, [[*row, *empty] for row in rows])
        _write_xlsx(target / f"{block.id}.xlsx", pack, header, rows)
        paths += [target / f"{block.id}.csv", target / f"{block.id}.xlsx"]
    return paths


def _write_xlsx(path: Path, pack: Pack, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A sheet whose score cells take nothing but scores."""
    import openpyxl
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Ratings"
    sheet.append(list(header))
    for row in rows:
        sheet.append([spreadsheet_safe(cell) for cell in row])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = "C2"
    for column, width in zip("AB", (16, 60), strict=True):
        sheet.column_dimensions[column].width = width
    for number, criterion in enumerate(pack.criteria, len(HEADER) + 1):
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = 24
        rule = DataValidation(
            type="whole", operator="between", formula1=str(int(criterion.low)), formula2=str(int(criterion.high)),
            allow_blank=True, showErrorMessage=True, errorTitle=criterion.title,
            error=f"A whole number from {criterion.low:g} to {criterion.high:g}, please.",
        )  # fmt: skip
        sheet.add_data_validation(rule)
        rule.add(f"{letter}2:{letter}{len(rows) + 1}")
    for cells in sheet.iter_rows(min_row=2, min_col=2, max_col=2):
        cells[0].alignment = Alignment(wrap_text=True, vertical="top")
    words = book.create_sheet("Instructions")
    for text in (*pack.marks, *pack.words.instructions):
        words.append([text])
    words.column_dimensions["A"].width = 110
    with replacing(path) as handle:
        book.save(handle)
