"""The deployment columns of systems as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields

from ldmbench.deployment.latency import STREAMING_S
from ldmbench.deployment.profile import Profile
from ldmbench.names import spreadsheet_safe
from ldmbench.reports.listening import grids
from ldmbench.reports.listening.grids import Grid


def to_text(profiles: Sequence[Profile], kind: str) -> str:
    """``terminal``, ``markdown``, ``csv`` or ``json``."""
    if kind == "json":
        return json.dumps([asdict(item) for item in profiles], indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if kind == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([field.name for field in fields(Profile)])
        for item in profiles:
            writer.writerow([spreadsheet_safe(v) if isinstance(v, str) else v for v in asdict(item).values()])
        return stream.getvalue()
    return (grids.to_markdown if kind == "markdown" else grids.to_text)(table(profiles)) + "\n"


def table(profiles: Sequence[Profile]) -> Grid:
    """A row for each system."""
    columns = ("System", "kHz", "Parameters (M)", "GMAC/s", "Latency (ms)", "Left (ms)", "Streaming", "RTF")
    rows = tuple(
        (
            item.system + (" [UNTRAINED]" if item.untrained else ""),
            f"{item.rate / 1000:g}" if item.rate else "any",
            _number(item.parameters, 1e6, 2),
            _number(item.macs, 1e9, 3),
            f"> {1000 * STREAMING_S:g}" if item.streaming is False else _number(item.future, 1e-3, 1),
            _number(item.residual, 1e-3, 2),
            {True: "yes", False: "no", None: "–"}[item.streaming],
            f"{item.rtf:.3f}",
        )
        for item in profiles
    )
    notes = (
        "GMAC/s: multiply-accumulates in torch for a second of sound, encoder and decoder",
        "Latency: how much of the future an output needs, by its first change when the future is another; "
        f"streaming: at most {STREAMING_S:g} s of it",
        "Left: how late an impulse comes out, after whatever delay the adapter makes up for",
        *(f"{item.system}: {item.note}" for item in profiles if item.note),
    )
    return Grid("Deployment", columns, rows, notes=notes)


def _number(value: float | None, unit: float, digits: int) -> str:
    return "–" if value is None else f"{value / unit:.{digits}f}"
