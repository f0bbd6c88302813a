"""A table and the sounds of a clip as HTML fragments that carry everything in them, for notebooks."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ldmbench.names import unknown
from ldmbench.reports import media
from ldmbench.reports import text as tables
from ldmbench.reports.cells import Cell, Column, Table, number
from ldmbench.reports.notes import interval_notes
from ldmbench.runs.records import ClipInfo
from ldmbench.runs.results import Run

#: Types of the files that a page may hold.
_TYPES = {".flac": "audio/flac", ".opus": "audio/ogg"}

_HEAD = "text-align:right;vertical-align:bottom"
_CELL = "text-align:right;white-space:nowrap;vertical-align:top"
_NAME = "text-align:left;white-space:nowrap;vertical-align:top"


def to_html(table: Table) -> str:
    """A fragment with a table for each dataset: best in bold, second underlined, intervals in small type below."""
    parts = [f"<p><b>{escape(line)}</b></p>" for line in table.banners]
    for dataset in table.datasets:
        positions = table.positions(dataset)
        heads = "".join(f'<th scope="col" style="{_HEAD}">{_heading(table.columns[p])}</th>' for p in positions)
        rows, group = [], ""
        for row in table.section(dataset):
            if row.group != group:
                group = row.group
                rows.append(f'<tr><th colspan="{1 + len(positions)}" style="{_NAME}"><i>{escape(group)}</i></th></tr>')
            cells = "".join(f'<td style="{_CELL}">{_cell(row.cells[p], table.columns[p])}</td>' for p in positions)
            title = escape(row.title, quote=True)
            name = escape(tables.row_name(table, row))
            rows.append(f'<tr><th scope="row" style="{_NAME}" title="{title}">{name}</th>{cells}</tr>')
        parts.append(
            f'<table><caption style="{_NAME}">{escape(dataset)}</caption>'
            f'<thead><tr><th scope="col" style="{_NAME}">System</th>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )
    ranked = any(cell.rank for row in table.rows for cell in row.cells)
    notes = ["Best of each column in bold, second underlined"] if ranked else []
    notes += [*table.notes, *interval_notes(table), *(f"Published: {source}" for source in table.sources)]
    parts.append(f"<small>{'<br>'.join(map(escape, notes))}</small>")
    return f"<div>{''.join(parts)}</div>"


def to_players(runs: Sequence[Run], clip: str, audio: str) -> str:
    """A fragment with a player for the reference and every output of a clip, their scores beside them.

    Args:
        runs: The systems.
        clip: Id of a clip, or its end after the dataset; the first clip where empty.
        audio: ``flac``, exact to 16 bits, or ``opus``.

    Raises:
        BenchError: If there is no such clip.
    """
    chosen = _clip(runs, clip)
    columns = [column for column in tables.build(runs).columns if column.dataset == chosen.dataset]
    # Only what has a value of single clips.
    columns = [c for c in columns if any(_value(run, chosen.id, c) is not None for run in runs)]
    heads = "".join(f'<th scope="col" style="{_HEAD}">{_heading(column)}</th>' for column in columns)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sounds = media.write_clip(chosen, runs, Path(folder) / "clips", "clip", audio)
        for item in sounds.stimuli:
            reference = next((run for run in runs if run.info.role == "reference"), None)
            run = reference if item.run < 0 else runs[item.run]
            values = [None if run is None else _value(run, chosen.id, column) for column in columns]
            cells = "".join(f'<td style="{_CELL}">{tables.DASH if v is None else v}</td>' for v in values)
            name = "Reference" if item.run < 0 else runs[item.run].info.system
            player = _player(Path(folder) / item.audio, name) if item.audio else f"<b>{escape(item.status)}</b>"
            words = "".join(f"<br><small>{escape(text)}</small>" for text in (item.facts, item.message) if text)
            heard = f'<td style="{_NAME}">{player}{words}</td>'
            rows.append(f'<tr><th scope="row" style="{_NAME}">{escape(name)}</th>{heard}{cells}</tr>')
    note = f"<small>{escape(sounds.note)}</small>" if sounds.note else ""
    text = f"<p>{escape(chosen.text)}</p>" if chosen.text else ""
    return (
        f'<div>{text}<table><caption style="{_NAME}">{escape(chosen.id)}</caption>'
        f'<thead><tr><th scope="col" style="{_NAME}">System</th><th scope="col">Sound</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{note}</div>"
    )


def _clip(runs: Sequence[Run], name: str) -> ClipInfo:
    clips = {clip.id: clip for run in runs for clip in run.info.clips}
    named = [clip for key, clip in clips.items() if not name or key == name]
    named = named or [clip for key, clip in clips.items() if key.removeprefix(f"{clip.dataset}/") == name]
    if not named:
        raise unknown("clip of these runs", name, clips)
    return named[0]


def _player(path: Path, name: str) -> str:
    sound = base64.b64encode(path.read_bytes()).decode()
    label = escape(name, quote=True)
    source = f"data:{_TYPES[path.suffix]};base64,{sound}"
    return f'<audio controls preload="metadata" aria-label="{label}" src="{source}"></audio>'


def _heading(column: Column) -> str:
    unit = f"<br><small>{escape(column.facts.unit)}</small>" if column.facts.unit else ""
    return f"{escape(column.facts.title)} {tables.ARROWS[column.facts.better]}{unit}"


def _cell(cell: Cell, column: Column) -> str:
    first, *more = map(escape, tables.cell_lines(cell, column, intervals=True))
    mark = {1: "<b>{}</b>", 2: "<u>{}</u>"}.get(cell.rank, "{}").format(first)
    return "<br>".join([mark, *(f"<small>{line}</small>" for line in more)])


def _value(run: Run, clip: str, column: Column) -> str | None:
    """The value of one clip as it is printed, None where there is none."""
    row = run.scores.get((clip, column.metric))
    if row is None or row.status != "ok" or row.value is None or isinstance(row.value, str):
        return None
    if isinstance(row.value, list):
        return (
            number(row.value[0] / row.value[1], column.facts.digits) if len(row.value) == 2 and row.value[1] else None
        )
    return number(row.value, column.facts.digits)
