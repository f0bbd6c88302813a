"""Runs made of numbers: what their clips scored is said, and nothing is heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ldmbench.clips.card import Content
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import Run
from ldmbench.runs.writer import RunWriter

#: What a clip scored: a number, a ratio, or why there is none.
Scored = float | list[float] | str

MakeRun = Callable[..., Run]


def make_run(
    scores: Mapping[str, Sequence[Scored]],
    *,
    dataset: str = "talk",
    content: Content = "speech",
    digest: str = "d" * 64,
    groups: Sequence[str] = (),
    languages: Sequence[str] = (),
    sound: str = "",
    version: int = 1,
    rate: int = 16_000,
    reference: str = "r",
    failed: Mapping[int, str] | None = None,
    order: Sequence[int] | None = None,
    **facts: Any,
) -> Run:
    """A run on one dataset, ``scores`` by metric and clip; a text is the message of a failed score.

    Args:
        scores: Metric -> what each clip scored.
        dataset: Name of the dataset.
        content: What it holds.
        digest: Of its list.
        groups: Group of each clip.
        languages: Language of each clip.
        sound: Makes the outputs' digests; runs with one ``sound`` have equal outputs.
        version: Of the metrics.
        rate: Of the outputs.
        reference: Makes the digests of references.
        failed: Clip -> why it has no output.
        order: Positions in which the clips are planned.
        facts: Other fields of the run's record.
    """
    count = len(next(iter(scores.values())))
    clips = [
        ClipInfo(
            f"{dataset}/{index:05}", dataset,
            group=groups[index] if groups else "", language=languages[index] if languages else "",
        )
        for index in range(count)
    ]  # fmt: skip
    outputs, rows = {}, {}
    for index, clip in enumerate(clips):
        if message := (failed or {}).get(index):
            outputs[clip.id] = OutputRow(clip.id, "failed", message)
            continue
        output = f"{sound or facts.get('id', 'r0')}{index:05}"
        outputs[clip.id] = OutputRow(
            clip.id, "ok", digest=output, reference=f"{reference}{index}", rate=rate, channels=1, seconds_audio=1.0
        )
        for metric, values in scores.items():
            value = values[index]
            if isinstance(value, str):
                row = ScoreRow(clip.id, metric, version, "failed", message=value, output=output)
            else:
                row = ScoreRow(clip.id, metric, version, "ok", value, output=output)
            rows[clip.id, metric] = row
    planned = [clips[index] for index in order] if order is not None else clips
    record: dict[str, Any] = {
        "id": "r0", "suite": "tiny", "system": "codec@a", "title": "Codec", "task": "codec", "settings": {}, "seed": 1,
        "untrained": False, "limit": 0, "identity": {"version": "2"},
        "datasets": (DatasetInfo(dataset, "Talk", content, digest),), "clips": tuple(planned),
        "metrics": tuple(scores), "environment": {}, "created": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    return Run(Path("nowhere"), RunInfo(**record | facts), outputs, rows)


def write_run(run: Run, folder: Path) -> Path:
    """The run in a folder below ``folder``, as a run writes it."""
    path = folder / run.info.suite / run.info.system / run.info.id
    with RunWriter(path, run.info) as writer:
        for row in run.outputs.values():
            writer.add_output(row)
        writer.add_scores(run.scores.values())
    return path


@pytest.fixture
def made() -> MakeRun:
    return make_run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Run], Path]:
    return lambda run: write_run(run, tmp_path)
