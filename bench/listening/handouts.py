"""What an organiser holds in hands: links, how to run the pack, reports, and rating sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ldmbench.clips.table import write_table
from ldmbench.host.files import replacing
from ldmbench.listening import webmushra
from ldmbench.listening.excerpts import Excerpt
from ldmbench.listening.pack import Pack
from ldmbench.listening.sheets import write_sheets
from ldmbench.listening.stimuli import Treated


def write(pack: Pack, folder: Path) -> None:
    """Write ``links.csv``, ``README.md`` and, of a sheet, the sheets."""
    rows: list[list[object]] = []
    for block in pack.blocks:
        link = f"?config={webmushra.config_name(pack, block)}" if pack.method == "mushra" else ""
        rows.append([block.id, link, len(block.pages), " ".join(block.pages)])
    write_table(folder / "links.csv", ["block", "webmushra", "count", "pages"], rows)
    with replacing(folder / "README.md") as handle:
        handle.write(_readme(pack, folder.name).encode())
    if pack.method == "sheet":
        write_sheets(pack, folder)


def write_reports(
    sealed: Path, treated: Sequence[Treated], chosen: Sequence[Excerpt], rehearsed: Sequence[Excerpt]
) -> None:
    """Write what was done to each sound, and why each excerpt was chosen; both name systems."""
    names = [field.name for field in fields(Treated)]
    write_table(sealed / "loudness.csv", names, ([_cell(asdict(row)[name]) for name in names] for row in treated))
    rows: list[list[object]] = []
    for excerpt in (*chosen, *(item for item in rehearsed if item not in chosen)):
        use = "training" if excerpt in rehearsed else "test"
        use = "training and test" if excerpt in rehearsed and excerpt in chosen else use
        cells = [excerpt.item.clip.id, excerpt.start, excerpt.end, excerpt.item.group, use]
        rows.append([*map(_cell, cells), _cell(excerpt.spread), excerpt.closest, excerpt.why])
    write_table(sealed / "excerpts.csv", ["clip", "start", "end", "group", "use", "spread_db", "closest", "why"], rows)


def _cell(value: Any) -> object:
    if isinstance(value, float):
        return round(value, 3) + 0.0
    return "" if value is None else value


def _readme(pack: Pack, name: str) -> str:
    """How to run the pack, in the words of its method."""
    lines = [
        f"# {pack.title}",
        "",
        *(f"**{mark}**\n" for mark in pack.marks),
        f"Method `{pack.method}`, {len(pack.pages)} pages, {len(pack.blocks)} blocks of {len(pack.blocks[0].pages)}, "
        f"about {pack.minutes} minutes a listener. Made by ldmbench.",
        "",
        f"Nothing in this folder says what the sounds are. `{name}.sealed/key.json` does: keep it away from listeners",
        "and from whoever runs the test. `pack.json` holds its SHA-256, so that it cannot change.",
        "",
        "Check it, run it, and read the ratings:",
        "",
        f"    ldmbench mushra check {name}",
        f"    ldmbench mushra serve {name}",
        f"    ldmbench mushra results {name} --unseal --output ratings.csv",
    ]
    if pack.method == "mushra":
        lines += [
            "",
            "## With webMUSHRA",
            "",
            "Copy what is in `web/` onto a clone of webMUSHRA, and only that. Every listener gets one link of",
            "`links.csv`, one after the other. Block and listener are not in webMUSHRA's table, so each block has a",
            f"`testId` of its own: `results/{pack.id}-b01/mushra.csv`, and so on.",
            "",
            "- Forbid the folder `results/` in the web server: webMUSHRA lets anybody read it.",
            "- With PHP 8, `service/write.php` stores the ratings, then fails at `count(null)` (line 244): listeners",
            "  read that an error occurred. The ratings are there; PHP 7 and pymushra do not have this fault.",
            "- Add no question with free text: an `&` in an answer loses the listener's session.",
            f"- Read its tables with `ldmbench mushra analyse results/*/mushra.csv --pack {name}`.",
            "- webMUSHRA does not make listeners hear or move anything. `ldmbench mushra serve` does.",
        ]
    if pack.method == "sheet":
        lines += [
            "",
            "## With rating sheets",
            "",
            "Give every listener one of the files in `sheets/` (each has another order) and the folder `sheets/audio`.",
        ]
    return "\n".join(lines) + "\n"
