"""A page of two runs: BASE beside NEW on every clip, the worst first, without a server or a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ldmbench.compare.clips import Change, ClipChanges, worst_first
from ldmbench.compare.gate import couples
from ldmbench.compare.records import Cell, Comparison
from ldmbench.errors import BenchError
from ldmbench.reports import encoding, media
from ldmbench.reports.cells import number, unique
from ldmbench.reports.compare.links import Links, anchor
from ldmbench.reports.compare.text import cell_row, cell_text, signed
from ldmbench.reports.page import WORKERS, clear, render
from ldmbench.reports.text import ARROWS
from ldmbench.runs.results import Run

#: Clips of each pair of runs on a page, where nothing else is asked for.
MOST = 50

#: The page's script.
SCRIPTS = ("versus.js",)

#: In which order cells are listed.
_ORDER = ("failed", "worse", "not comparable", "undecided", "same", "better")


@dataclass(frozen=True)
class _Row:
    """A clip on the page: its changes, its sounds, and what names it."""

    item: ClipChanges
    sounds: media.ClipMedia
    anchor: str
    name: str


def write_page(
    comparison: Comparison,
    base: Sequence[Run],
    new: Sequence[Run],
    folder: Path,
    address: str = "",
    most: int = MOST,
    audio: str = "flac",
) -> Links:
    """Write a page of a comparison; a page that was written there before is replaced.

    Args:
        comparison: What was found.
        base: The stored runs.
        new: The runs that were judged.
        folder: Where ``index.html`` and ``clips/`` go.
        address: Under which the folder will be found, for links to its clips; its path where empty.
        most: Most clips of each pair of runs; those that cells name as the worst are always there.
        audio: Format of the sounds, ``flac`` or ``opus``.

    Returns:
        Links to the clips.

    Raises:
        BenchError: If the folder holds something else, or cannot be written.
    """
    try:
        clear(folder)
        rows: list[_Row] = []
        total = 0
        for label, before, after in couples(base, new, []):
            if after is None:
                continue
            ranked = worst_first(label, before, after, comparison.cells)
            total += len(ranked)
            named = {
                change.clip for cell in comparison.cells if cell.system == label and _bad(cell) for change in cell.worst
            }
            chosen = [item for place, item in enumerate(ranked) if place < most or item.clip.id in named]
            rows += _with_sounds(chosen, before, after, folder / "clips", len(rows), audio)
        path = folder / "index.html"
        path.write_text(_render(comparison, rows, total, encoding.WORDS[audio]), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {folder}", error.strerror or str(error), "free disk space", 1) from None
    shown = frozenset((row.item.label, row.item.clip.id) for row in rows)
    return Links(f"{address.rstrip('/')}/index.html" if address else quote(path.as_posix()), shown)


def _bad(cell: Cell) -> bool:
    return cell.verdict in ("worse", "failed")


def _with_sounds(items: Sequence[ClipChanges], base: Run, new: Run, folder: Path, start: int, audio: str) -> list[_Row]:
    """The clips with their sounds; references are those of NEW, since a baseline has no paths."""
    references = {clip.id: clip for clip in new.info.clips}

    def write(number: int, item: ClipChanges) -> _Row:
        clip = references.get(item.clip.id, item.clip)
        name = f"{number:03}_{media.file_name(clip.id)}"
        sounds = media.write_clip(clip, [base, new], folder, name, audio)
        return _Row(item, sounds, anchor(item.label, clip.id), clip.id.removeprefix(f"{clip.dataset}/"))

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(write, range(start, start + len(items)), items))


def _render(comparison: Comparison, rows: Sequence[_Row], total: int, sound: str) -> str:
    cells = sorted(comparison.cells, key=lambda cell: _ORDER.index(cell.verdict))
    facts = {change.facts.name: change.facts for row in rows for change in row.item.changes}
    context = {
        "comparison": comparison,
        "cells": [(cell, cell_row(cell)) for cell in cells],
        "rows": rows,
        "total": total,
        "sound": sound,
        "several": len(unique(row.item.label for row in rows)) > 1,
        "datasets": unique(row.item.clip.dataset for row in rows),
        "metrics": list(facts.values()),
        "arrows": ARROWS,
        "change_texts": _texts,
        "size": _size,
        "cell_text": cell_text,
    }
    return render("versus.html.j2", SCRIPTS, context, styles=("page.css", "versus.css"))


def _texts(change: Change) -> dict[str, Any]:
    """What a change prints as: both values, the difference, and how bad it is."""
    digits = change.facts.digits
    values = ["" if value is None else number(value, digits) for value in (change.base, change.new)]
    difference = change.message or "" if change.difference is None else signed(change.difference, digits)
    kind = "bad" if change.message or change.size <= -1 else "good" if change.size >= 1 else ""
    return {"base": values[0], "new": values[1], "difference": difference, "kind": kind}


def _size(change: Change) -> str:
    """The size as a number that a script sorts by."""
    return "-1e9" if math.isinf(change.size) else f"{change.size:.4f}"
