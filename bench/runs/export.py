"""Runs as tidy tables in files: one row for each clip and metric, one row for each output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ldmbench.host.files import replacing
from ldmbench.names import spreadsheet_safe
from ldmbench.runs.records import OutputRow
from ldmbench.runs.results import Run
from ldmbench.runs.rows import flat

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["parquet", "csv"]


def export(runs: Sequence[Run], folder: Path, kind: Format) -> list[Path]:
    """Write ``scores`` and ``outputs`` of ``runs`` into ``folder``.

    A score row has run, suite, system, dataset, clip, group, metric, version, status, value, numerator,
    denominator and message; ``value`` is empty, never zero, where there is none, and for ratio metrics it is
    numerator over denominator.

    Returns:
        The files written.
    """
    written = []
    for name, table in frames(runs).items():
        path = folder / f"{name}.{kind}"
        with replacing(path) as handle:
            if kind == "parquet":
                table.to_parquet(handle, index=False)
            else:
                # Names and messages come from files and from systems.
                texts = table.map(lambda cell: spreadsheet_safe(cell) if isinstance(cell, str) else cell)
                texts.to_csv(handle, index=False, mode="wb")
        written.append(path)
    return written


def frames(runs: Sequence[Run]) -> dict[str, pd.DataFrame]:
    """``scores`` and ``outputs`` of runs, as ``export`` writes them."""
    import pandas as pd

    return {
        "scores": pd.DataFrame([row for run in runs for row in _scores(run)], columns=list(_SCORE_COLUMNS)),
        "outputs": pd.DataFrame([row for run in runs for row in _outputs(run)], columns=list(_OUTPUT_COLUMNS)),
    }


_SCORE_COLUMNS = (
    "run", "suite", "system", "dataset", "clip", "group", "metric", "version", "status",
    "value", "numerator", "denominator", "message",
)  # fmt: skip

_OUTPUT_COLUMNS = ("run", "suite", "system", "dataset", *(field.name for field in fields(OutputRow)))


def _scores(run: Run) -> list[dict[str, Any]]:
    rows = []
    for clip in run.info.clips:
        for metric in run.info.metrics:
            score = run.scores.get((clip.id, metric))
            if score is None:
                continue
            value, numerator, denominator = score.value, None, None
            if isinstance(value, list):
                # Two numbers are a ratio; a longer vector has no place in a table of numbers.
                pair = value if len(value) == 2 else None
                numerator, denominator = pair or (None, None)
                value = pair[0] / pair[1] if pair and pair[1] else None
            rows.append(
                {
                    "run": run.info.id,
                    "suite": run.info.suite,
                    "system": run.info.system,
                    "dataset": clip.dataset,
                    "clip": clip.id,
                    "group": clip.group,
                    "metric": metric,
                    "version": score.version,
                    "status": score.status,
                    "value": None if isinstance(value, str) else value,
                    "numerator": numerator,
                    "denominator": denominator,
                    "message": score.message,
                }
            )
    return rows


def _outputs(run: Run) -> list[dict[str, Any]]:
    rows = []
    for clip in run.info.clips:
        row = run.outputs.get(clip.id)
        if row is None:
            continue
        content = flat(row)
        details = content.pop("details")
        audio = run.audio_path(clip.id) if run.sounds is None else None  # Of a baseline there is no file to name.
        head = {"run": run.info.id, "suite": run.info.suite, "system": run.info.system, "dataset": clip.dataset}
        rows.append(
            {
                **head,
                **content,
                "audio": str(audio or ""),
                "details": json.dumps(details, ensure_ascii=False) if details else "",
            }
        )
    return rows
