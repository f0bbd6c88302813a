"""The lines beside a table: one for what many systems have in common, with counts that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ldmbench.metrics._base import load_metric
from ldmbench.reports.cells import Column
from ldmbench.reports.notes import heard
from ldmbench.runs.results import Run


def changed(run: Run, delay: float, channels: int, dataset: str) -> Run:
    """The run with this delay and this many channels in its first clip of ``dataset``."""
    first = next(clip.id for clip in run.info.clips if clip.dataset == dataset)
    return replace(
        run, outputs={**run.outputs, first: replace(run.outputs[first], delay=delay, channels=channels)}
    )  # fmt: skip


def test_delays_and_channels_of_all_systems_are_one_line_a_dataset(runs: Sequence[Run]) -> None:
    dataset = runs[0].info.datasets[0].name
    count = sum(clip.dataset == dataset for clip in runs[0].info.clips)
    late, early, plain = (
        changed(runs[0], 0.002, 2, dataset),
        changed(runs[1], -0.0251, 1, dataset),
        replace(runs[2], outputs=dict(runs[2].outputs)),
    )
    columns = [Column(dataset, load_metric("mel_dac").facts, count)]
    first, second = heard([late, early, plain], columns)
    names = f"{late.info.system}, {early.info.system}"
    assert first.startswith(f"{names} on {dataset}: 2 of {2 * count} outputs are late or early, by 25.1 ms at most")
    assert second.startswith(f"{late.info.system} on {dataset}: 1 of {count} outputs have more than one channel")
    assert heard([plain], columns) == []
    (line,) = heard([changed(runs[0], -2 / 48_000, 1, dataset)], columns)
    assert "late or early, by 0.04 ms at most" in line
