"""The deployment columns of systems: as a table of their own, and beside the metrics of runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ldmbench.deployment.latency import STREAMING_S
from ldmbench.deployment.profile import Profile
from ldmbench.errors import BenchError
from ldmbench.metrics._base import MetricFacts, load_metric
from ldmbench.names import some, spreadsheet_safe
from ldmbench.reports.cells import Beside, Column
from ldmbench.reports.listening import grids
from ldmbench.reports.listening.grids import Grid
from ldmbench.runs.identity import system_id
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate

#: The section of a table for what is measured of systems and not of their sounds.
DEPLOYMENT = "deployment"

_MACS = MetricFacts(
    "macs", "MACs", unit="G/s", better="lower", needs=("cost",), digits=2, low=0.0,
    source="ldmbench profile: multiply-accumulates in torch for a second of sound",
)  # fmt: skip
_LATENCY = MetricFacts(
    "latency", "Latency", unit="ms", better="lower", needs=("cost",), digits=1, low=0.0,
    source="ldmbench profile: how much of the future an output needs",
)  # fmt: skip


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


def read(path: Path) -> list[Profile]:
    """Profiles that ``ldmbench profile --to json`` wrote.

    Raises:
        BenchError: If the file is not there, or holds something else.
    """
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(list[Profile]).validate_json(path.read_bytes())
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "check the path") from None
    except ValueError as error:
        raise BenchError(f"{path} holds no profiles", str(error), "write it with ldmbench profile --to json") from None


def beside(path: Path, runs: Sequence[Run]) -> Beside:
    """Profiles as columns beside the metrics of runs: of each run the one of the same card, settings, code and weights.

    Args:
        path: What ``ldmbench profile --to json`` wrote.
        runs: The rows of the table.

    Raises:
        BenchError: If it cannot be read, or is of none of these systems.
    """
    profiles = read(path)
    by_identity = {item.identity: item for item in profiles if item.identity}
    own = [by_identity.get(system_id(run.info.identity)) for run in runs]
    names = {item.system for item in profiles}
    stale = [run.info.system for run, item in zip(runs, own, strict=True) if item is None and run.info.system in names]
    if not any(own):
        raise BenchError(
            f"{path} is of other systems, or of other versions of them",
            f"profiles: {some(sorted(names))}; runs: {some([run.info.system for run in runs])}",
            "measure these with ldmbench profile --to json",
        )  # fmt: skip
    values = {
        load_metric("parameters").facts: [None if item is None else _per(item.parameters, 1e6) for item in own],
        _MACS: [None if item is None else _per(item.macs, 1e9) for item in own],
        _LATENCY: [_per(item.future, 1e-3) if item is not None and item.streaming else None for item in own],
    }
    columns = tuple(
        (Column(DEPLOYMENT, facts, 0), tuple(None if value is None else Estimate(value) for value in column))
        for facts, column in values.items()
        if any(value is not None for value in column)
    )
    return Beside(columns, _notes(runs, own, stale, columns))


def _notes(
    runs: Sequence[Run], own: Sequence[Profile | None], stale: Sequence[str], columns: Sequence[tuple[Column, Any]]
) -> tuple[str, ...]:
    """What the columns are, and why cells of them are empty."""
    profiled = [item for item in own if item is not None]
    reasons: dict[str, list[str]] = {}
    for item in profiled:
        if item.note:
            reasons.setdefault(item.note, []).append(item.system)
    late = [item.system for item in profiled if item.streaming is False]
    names = [run.info.system for run, item in zip(runs, own, strict=True) if item is None]
    without = [name for name in names if name not in stale]
    titles = {column.facts.title: column.facts.source for column, _ in columns}
    notes = [
        *(f"{title}: {source}" for title, source in titles.items() if "profile" in source),
        f"Not streaming, more than {STREAMING_S:g} s of the future needed: {some(late)}" if late else "",
        f"Profiled in another version (card, settings, code or weights), not shown: {some(stale)}" if stale else "",
        f"Not profiled: {some(without)}" if without else "",
        *(f"{some(systems)}: {reason}" for reason, systems in reasons.items()),
    ]
    return tuple(filter(None, notes))


def _per(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit
