"""What TensorBoard and Weights & Biases are handed is what the runs hold, at the steps of the checkpoints."""

from __future__ import annotations

import hashlib
import importlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldmbench.reports.exports.series import scores, series
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import Run
from tests.present import present

VALUES = {1000: (3.0, 3.5, 2.5, 4.0), 2000: (3.5, 4.0, 3.25, 4.5), 50_000: (5.0, 5.5, 4.75, 6.0)}


def make(system: str, values: tuple[float, ...], **facts: Any) -> Run:
    clips = tuple(ClipInfo(f"talk/{index}", "talk") for index in range(len(values)))
    name = hashlib.sha256(f"{system}{values}".encode()).hexdigest()[:16]
    info = RunInfo(
        id=name, suite="mini", system=system, title="Mine", task="codec",
        settings={"bits": 4}, seed=7, untrained=False, limit=0, identity={},
        datasets=(DatasetInfo("talk", "Talk", "speech", "d" * 64),), clips=clips, metrics=("snr", "si_sdr"),
        environment={}, created="2026-01-02T03:04:05.000+00:00",
    )  # fmt: skip
    outputs = {clip.id: OutputRow(clip.id, "ok", audio=f"{clip.id}.wav", digest="0") for clip in clips}
    rows = {(clip.id, "snr"): ScoreRow(clip.id, "snr", 2, "ok", v) for clip, v in zip(clips, values, strict=True)}
    return Run(Path(system), replace(info, **facts), outputs, rows)


@pytest.fixture
def runs() -> list[Run]:
    """Three checkpoints of one training, out of order, and a system without a step."""
    steps = [2000, 50_000, 1000]
    return [*(make(f"mine:weights=step_{step}", VALUES[step]) for step in steps), make("opus@6kbps", (1.0, 2.0, 3.0))]


def expected(runs: list[Run]) -> dict[tuple[str, int], dict[str, float]]:
    """(name of the series, step) -> what was measured."""
    wanted = {}
    for item in series(runs):
        for step, run in item.steps:
            (estimate,) = [estimate for _, facts, estimate in scores(run) if facts.name == "snr"]
            wanted[item.name, step] = {
                "talk/snr": present(estimate.value), "low": present(estimate.low), "high": present(estimate.high)
            }  # fmt: skip
    return wanted


def test_checkpoints_are_one_series_by_step(runs: list[Run]) -> None:
    first, second = series(runs)
    assert first.name == "mine:weights=step_*"
    assert [step for step, _ in first.steps] == [1000, 2000, 50_000]
    assert (second.name, [step for step, _ in second.steps]) == ("opus@6kbps", [0])
    alone = series([runs[1]])
    assert [step for step, _ in alone[0].steps] == [50_000], "one checkpoint has its step, too"
    assert series(runs[::-1])[1].id == first.id


def test_two_runs_of_one_system_are_two_series(runs: list[Run]) -> None:
    other = make("opus@6kbps", (1.0, 2.0, 4.0), seed=8, untrained=True)
    assert [item.name for item in series([runs[3], other])] == ["opus@6kbps", "opus@6kbps [UNTRAINED]"]
    again = make("opus@6kbps", (1.0, 2.0, 5.0))
    assert series([runs[3], again])[1].name == f"opus@6kbps ({again.info.id[:8]})"


def test_event_files_hold_every_score_at_its_step(runs: list[Run], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
    from tensorboard.plugins.custom_scalar import layout_pb2
    from tensorboard.util import tensor_util

    from ldmbench.reports.exports.tensorboard import write

    for _ in range(2):  # The second export replaces the first.
        folders = write(runs, tmp_path)
    (tmp_path / "mini" / "opus@6kbps" / "events.out.tfevents.1.other").write_bytes(b"")
    write(runs, tmp_path)
    assert (tmp_path / "mini" / "opus@6kbps" / "events.out.tfevents.1.other").exists(), "somebody else's stay"
    measured: dict[tuple[str, int], dict[str, float]] = {}
    for item, folder in zip(series(runs), folders, strict=True):
        read = EventAccumulator(str(next(folder.glob("*.ldmbench"))), size_guidance={TENSORS: 0})
        read.Reload()
        columns = {"talk/snr": "talk/snr", "low": "interval low/talk/snr", "high": "interval high/talk/snr"}
        for name, tag in columns.items():
            for event in read.Tensors(tag):
                number = float(tensor_util.make_ndarray(event.tensor_proto))
                measured.setdefault((item.name, event.step), {})[name] = number
                assert event.wall_time == 1767323045.0
        assert read.SummaryMetadata("talk/snr").plugin_data.plugin_name == "scalars"
        about = read.Tensors("run")[0].tensor_proto.string_val[0].decode()
        assert item.steps[0][1].info.id in about
        (layout,) = read.Tensors("custom_scalars__config__")
        parsed = layout_pb2.Layout.FromString(layout.tensor_proto.string_val[0])
        assert parsed.category[0].chart[0].margin.series[0].lower == "interval low/talk/snr"
    wanted = expected(runs)
    assert measured.keys() == wanted.keys()
    for key, numbers in measured.items():
        assert numbers == pytest.approx(wanted[key], rel=1e-6), key


def stored(path: Path) -> Iterator[bytes]:
    """The records of an offline run: a log as LevelDB writes it, in blocks of 32 KiB, after a header of 7 bytes."""
    data, position, record = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while position + 7 <= len(data):
        if (left := 32768 - position % 32768) < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # Whole, or the last part.
            yield record
            record = b""


@pytest.mark.slow
def test_an_offline_run_holds_every_score_at_its_step(runs: list[Run], tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    from wandb.proto import wandb_internal_pb2

    from ldmbench.reports.exports.wandb_offline import write

    messages: Any = wandb_internal_pb2

    # A caller's own session stays open, also one whose service the process was started with.
    wandb: Any = importlib.import_module("wandb")
    own = wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(console="off", silent=True))
    folders = write(runs, tmp_path)
    assert wandb.run is own
    own.log({"loss": 0.25}, step=3)
    mine = Path(own.dir).parent
    own.finish()
    wandb.teardown()
    logged = [messages.Record.FromString(data) for data in stored(next(mine.glob("*.wandb")))]
    assert [record.history.step.num for record in logged if record.HasField("history")] == [3]
    measured: dict[tuple[str, int], dict[str, float]] = {}
    for item, folder in zip(series(runs), folders, strict=True):
        records = [messages.Record.FromString(data) for data in stored(next(folder.glob("*.wandb")))]
        (head,) = [record.run for record in records if record.HasField("run")][:1]
        assert (head.display_name, head.run_id, head.run_group, head.project) == (
            item.name,
            item.id,
            "mini",
            "ldmbench",
        )
        config = {entry.key: json.loads(entry.value_json) for entry in head.config.update}
        assert config["runs"] == {str(step): run.info.id for step, run in item.steps}
        for record in (record.history for record in records if record.HasField("history")):
            row = {entry.key or entry.nested_key[0]: json.loads(entry.value_json) for entry in record.item}
            numbers = {"talk/snr": row["talk/snr"], "low": row["talk/snr/low"], "high": row["talk/snr/high"]}
            measured[item.name, row["_step"]] = numbers
            assert row["talk/snr/failed"] == 0
    assert measured == expected(runs)
