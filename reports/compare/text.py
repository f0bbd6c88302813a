"""A comparison as text: terminal, Markdown, JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ldmbench.compare.records import Cell, ClipChange, Comparison
from ldmbench.reports.cells import number
from ldmbench.reports.compare.links import NO_LINKS, Links
from ldmbench.reports.markdown import escape, row
from ldmbench.reports.text import ARROWS, DASH

#: Raised when fields of the JSON change their meaning.
JSON_VERSION = 1

_COLOURS = {"worse": "red", "failed": "red", "not comparable": "magenta", "undecided": "yellow", "better": "green"}

#: Characters that reasons and lines of text have at least.
_NARROWEST = 30

_HEADER = ("Metric", "Clips", "BASE", "NEW", "Difference [90 %]", "n", "Verdict", "Why")


def to_terminal(comparison: Comparison, width: int | None = None, colour: bool | None = None) -> str:
    """Fixed-width text, a table for each system and dataset; long reasons are wrapped, numbers never cut."""
    import os
    import shutil
    import sys

    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if colour is None:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size().columns if width is None else width
    stream = io.StringIO()
    console = Console(
        file=stream, width=max(width, _NARROWEST), force_terminal=colour, color_system="standard" if colour else None,
        highlight=False, markup=False, emoji=False, legacy_windows=False, _environ={},
    )  # fmt: skip
    for line in (*_head(comparison), *comparison.banners):
        console.print(line, style="bold")
    for title, cells in _sections(comparison):
        console.print(f"\n{title}", style="bold")
        rows = [cell_row(cell) for cell in cells]
        # Where the terminal is narrower than the numbers, lines are longer than it: rich would drop columns.
        numbers = sum(
            max(map(cell_len, column)) + 3 for column in zip(_HEADER[:-1], *(texts[:-1] for texts in rows), strict=True)
        )
        console.width = max(width, numbers + _NARROWEST)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, name in enumerate(_HEADER[:-1]):
            table.add_column(name, justify="right" if 2 <= index <= 5 else "left", no_wrap=True)
        table.add_column(_HEADER[-1], overflow="fold")
        for cell, texts in zip(cells, rows, strict=True):
            verdict = Text(texts[6], _COLOURS.get(cell.verdict, ""))
            table.add_row(*map(Text, texts[:6]), verdict, Text(texts[7]))
        console.print(table)
        console.width = max(width, _NARROWEST)
    console.print()
    for line in (*_worst_of_all(comparison), *comparison.notes, comparison.summary):
        console.print(line)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def to_markdown(comparison: Comparison, links: Links = NO_LINKS) -> str:
    """GitHub Markdown: the outcome, what is not fine, then everything folded away; clips are links to their page."""
    parts = [f"## ldmbench compare: {escape(comparison.summary)}"]
    parts += [escape(line) for line in _head(comparison)]
    parts += [f"> **{escape(line)}**" for line in comparison.banners]
    wrong = [cell for cell in comparison.cells if cell.verdict in ("worse", "failed", "not comparable")]
    if wrong:
        parts.append(_markdown_table(wrong, True))
    if worst := [_markdown_worst(cell, links) for cell in _with_worst(comparison)]:
        parts.append("\n".join(f"- {line}" for line in worst))
    if links.address:
        parts.append(f"[Listen to BASE beside NEW]({links.address}), the worst clips first.")
    for title, cells in _sections(comparison):
        body = _markdown_table(cells, False)
        parts.append(f"<details><summary>{escape(title)}</summary>\n\n{body}\n\n</details>")
    if comparison.notes:
        parts.append("\n".join(f"- {escape(line)}" for line in comparison.notes))
    return "\n\n".join(parts) + "\n"


def to_json(comparison: Comparison, links: Links = NO_LINKS) -> str:
    """Everything, numbers in full precision; the worst clips with their address on the page."""
    cells = []
    for cell in comparison.cells:
        record: dict[str, Any] = asdict(cell)
        record["worst"] = [{**asdict(item), "page": links.of(cell.system, item.clip)} for item in cell.worst]
        facts = record.pop("facts")
        record |= {"metric": facts["name"], "unit": facts["unit"], "better": facts["better"]}
        cells.append(record)
    content = {
        "version": JSON_VERSION,
        "exit_code": comparison.exit_code,
        "summary": comparison.summary,
        "base": comparison.base,
        "new": comparison.new,
        "banners": comparison.banners,
        "notes": comparison.notes,
        "page": links.address,
        "rules": asdict(comparison.rules),
        "cells": cells,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def cell_name(cell: Cell) -> str:
    """``metric on dataset, part``."""
    part = "" if cell.part == "all" else f", {cell.part}"
    return f"{cell.metric} on {cell.dataset}{part}"


def cell_text(cell: Cell) -> str:
    """A cell in one line, without its name."""
    numbers = ""
    if cell.base is not None and cell.new is not None:
        _, _, base, new, difference, n, *_ = cell_row(cell)
        numbers = f"{base} → {new} ({difference}), n = {n}"
    return ": ".join(filter(None, [cell.verdict, "; ".join(filter(None, [numbers, cell.reason]))]))


def worst_lines(cell: Cell, links: Links = NO_LINKS) -> list[str]:
    """The clips that got worst, one in a line, with their addresses where they are on a page."""
    lines = [f"{item.clip}: {_lost(cell, item)}" for item in cell.worst]
    addresses = [links.of(cell.system, item.clip) for item in cell.worst]
    return [f"{line} ({address})" if address else line for line, address in zip(lines, addresses, strict=True)]


def _lost(cell: Cell, item: ClipChange) -> str:
    return item.message if item.difference is None else signed(item.difference, cell.facts.digits)


def _head(comparison: Comparison) -> list[str]:
    return [f"BASE {', '.join(comparison.base)}", f"NEW {', '.join(comparison.new)}"]


def _sections(comparison: Comparison) -> Iterator[tuple[str, list[Cell]]]:
    sections: dict[tuple[str, str], list[Cell]] = {}
    for cell in comparison.cells:
        sections.setdefault((cell.system, cell.dataset), []).append(cell)
    for (system, dataset), cells in sections.items():
        yield f"{system} on {dataset}", cells


def cell_row(cell: Cell) -> list[str]:
    """A cell as a line of a table: metric, clips, BASE, NEW, difference with interval, n, verdict, why."""
    digits = cell.facts.digits
    heading = f"{cell.facts.title} {ARROWS[cell.facts.better]}"
    sides = [DASH if value is None else number(value, digits) for value in (cell.base, cell.new)]
    difference = DASH if cell.difference is None else signed(cell.difference, digits)
    if cell.low is not None and cell.high is not None:
        difference += f" [{signed(cell.low, digits)}, {signed(cell.high, digits)}]"
    recovered = f"{cell.recovered} recovered" if cell.recovered else ""
    without = f"{cell.without} in neither" if cell.without else ""
    why = "; ".join(filter(None, [cell.reason, recovered, without]))
    return [heading, cell.part, *sides, difference, str(cell.n), cell.verdict, why]


def signed(value: float, digits: int) -> str:
    """A difference with its sign, with one more digit than the metric's values."""
    text = number(value, digits + 1)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def _with_worst(comparison: Comparison) -> list[Cell]:
    """The cells that are worse or failed and have clips to listen to."""
    return [cell for cell in comparison.cells if cell.verdict in ("worse", "failed") and cell.worst]


def _worst_of_all(comparison: Comparison) -> list[str]:
    return [f"{cell_name(cell)}, worst clips: {'; '.join(worst_lines(cell))}" for cell in _with_worst(comparison)]


def _markdown_worst(cell: Cell, links: Links) -> str:
    clips = []
    for item in cell.worst:
        name, address = escape(item.clip), links.of(cell.system, item.clip)
        clips.append(f"{f'[{name}]({address})' if address else name}: {escape(_lost(cell, item))}")
    return f"{escape(cell_name(cell))}, worst clips: {'; '.join(clips)}"


def _markdown_table(cells: list[Cell], with_dataset: bool) -> str:
    header = ["Dataset", *_HEADER] if with_dataset else [*_HEADER]
    right = {"BASE", "NEW", "Difference [90 %]", "n"}
    lines = [row(header), row(["---:" if name in right else ":---" for name in header])]
    for cell in cells:
        *start, verdict, why = map(escape, cell_row(cell))
        bold = f"**{verdict}**" if cell.verdict in ("worse", "failed", "not comparable") else verdict
        lines.append(row([*([escape(cell.dataset)] if with_dataset else []), *start, bold, why]))
    return "\n".join(lines)
