"""Numbers of other tools beside ours, as a table, and runs in the files that those tools read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ldmbench.compare.peer_names import CODEC_SUPERB, VERSA, PeerName, of_metric
from ldmbench.compare.peers import PARTS, Beside
from ldmbench.host.files import replacing, safe_name
from ldmbench.metrics._base import load_metric
from ldmbench.reports.listening.grids import Grid
from ldmbench.runs.results import Run

WORDS = {"same": "same definition", "near": "nearly", "other": "another measure"}


def comparison(peer: str, rows: Sequence[Beside]) -> Grid:
    """Ours beside theirs, and why a number differs."""
    table = []
    for item in rows:
        digits = load_metric(item.name.ours).facts.digits + 2
        largest = "–" if item.largest is None else f"{item.largest:.{digits}f}"
        ours, theirs = ("–" if value is None else f"{value:.{digits}f}" for value in (item.ours, item.theirs))
        sides = (item.name.ours, ours, item.name.theirs, theirs)
        table.append((item.system, *sides, largest, str(item.clips), WORDS[item.name.how]))
    notes = [f"{item.theirs}: {item.why}" for item in dict.fromkeys(row.name for row in rows)]
    lost = {row.name.theirs: row.left_out for row in rows if row.left_out}
    notes += [f"{name}: no number, or one that stands for an error, for {count} clips" for name, count in lost.items()]
    columns = ("System", "Metric", "Ours", peer, "Theirs", "Largest", "Clips", "Definition")
    return Grid(f"Beside {peer}", columns, tuple(table), notes=tuple(notes))


def names(peer: Sequence[PeerName]) -> list[list[str]]:
    """Rows of a table of names: theirs, ours, how near, why a number differs."""
    return [[item.theirs, item.ours, WORDS[item.how], item.why] for item in peer]


def write_versa(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write a JSONL as VERSA's for each run: an object for each clip, with ``key`` and its scores.

    A score has VERSA's name where the definition is the same, and ours elsewhere. What has no value is left out.
    """
    paths = []
    for run in runs:
        lines = []
        for clip in run.info.clips:
            row: dict[str, object] = {"key": clip.id.partition("/")[2]}
            for metric in run.info.metrics:
                score = run.scores.get((clip.id, metric))
                if score is None or score.status != "ok" or isinstance(score.value, str) or score.value is None:
                    continue
                value = np.ravel(np.asarray(score.value, np.float64))
                name = of_metric(VERSA, metric)
                key = name.theirs if name is not None and name.how == "same" else metric
                if len(value) == 1 or value[1]:
                    row[key] = float(value[0] / value[1]) if len(value) > 1 else float(value[0])
            lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False))
        paths.append(folder / f"{safe_name(run.info.system)}-{run.info.id}.jsonl")
        with replacing(paths[-1]) as handle:
            handle.write(("\n".join(lines) + "\n").encode())
    return paths


def write_codec_superb(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write one JSON as Codec-SUPERB's: system, part of the data, metric, mean.

    A metric has Codec-SUPERB's name where the definition is the same, and ours elsewhere. A part of several datasets
    has the mean of their means.
    """
    codecs: dict[str, dict[str, dict[str, float]]] = {}
    for run in runs:
        parts: dict[str, dict[str, float]] = {}
        for part in dict.fromkeys([*(PARTS[item.content] for item in run.info.datasets), "overall"]):
            names_of = [item.name for item in run.info.datasets if part == PARTS[item.content]]
            for metric in run.info.metrics:
                name = of_metric(CODEC_SUPERB, metric)
                key = name.theirs if name is not None and name.how == "same" else metric
                if part == "overall":
                    estimate = run.estimate(metric)
                elif len(names_of) == 1:
                    estimate = run.estimate(metric, names_of[0])
                else:
                    estimate = run.average(metric, names_of)
                if estimate is not None and estimate.value is not None:
                    parts.setdefault(part, {})[key] = estimate.value
        label = run.info.system if run.info.system not in codecs else f"{run.info.system} {run.info.id}"
        codecs[label] = parts
    path = folder / "codec-superb.json"
    with replacing(path) as handle:
        handle.write((json.dumps(codecs, indent=4, ensure_ascii=False, allow_nan=False) + "\n").encode())
    return [path]
