"""Exported tables are tidy, and a missing value is empty, never zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pandas as pd
import pytest

from ldmbench.errors import BenchError
from ldmbench.runs.export import export
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import Run

INFO = RunInfo(
    id="a123", suite="mini", system="opus@6kbps", title="", task="codec", settings={}, seed=0, untrained=False, limit=0,
    identity={}, datasets=(DatasetInfo("d", "D", "speech", "0"),),
    clips=(ClipInfo("d/a", "d", group="f"), ClipInfo("d/b", "d"), ClipInfo("d/c", "d")),
    metrics=("snr", "kbps", "fad"), environment={}, created="",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    outputs = {
        "d/a": OutputRow("d/a", "ok", audio="audio/a.wav", digest="0", rate=8000, bits=100, details={"x": 1}),
        "d/b": OutputRow("d/b", "failed", 'it "broke", badly'),
    }
    scores = [
        ScoreRow("d/a", "snr", 2, "ok", 1.5, output="0"),
        ScoreRow("d/a", "kbps", 1, "ok", [3.0, 2.0], output="0"),
        ScoreRow("d/a", "fad", 1, "ok", "vectors/a.npy", output="0"),
        ScoreRow("d/b", "snr", 1, "unscored", message="silent"),
        ScoreRow("d/b", "kbps", 1, "ok", [3.0, 0.0]),
        ScoreRow("d/b", "fad", 1, "ok", [1.0, 2.0, 3.0]),
    ]
    return Run(tmp_path / "run", INFO, outputs, {(row.clip, row.metric): row for row in scores})


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables(tmp_path: Path, run: Run, kind: Literal["csv", "parquet"]) -> None:
    files = export([run], tmp_path / "out", kind)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"outputs.{kind}", f"scores.{kind}"]
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    scores: Any = read(tmp_path / "out" / f"scores.{kind}").set_index(["clip", "metric"])
    assert len(scores) == 6
    first: Any = scores.loc[("d/a", "snr")]
    assert (first["run"], first["suite"], first["system"], first["dataset"], first["group"], first["version"]) == (
        "a123", "mini", "opus@6kbps", "d", "f", 2,
    )  # fmt: skip
    assert first["value"] == 1.5
    assert pd.isna(first["numerator"])
    assert scores.loc[("d/a", "kbps"), ["value", "numerator", "denominator"]].tolist() == [1.5, 3.0, 2.0]
    for key in (("d/a", "fad"), ("d/b", "snr"), ("d/b", "kbps"), ("d/b", "fad")):
        assert pd.isna(scores.loc[key, "value"]), key
    assert scores.loc[("d/b", "snr"), ["status", "message"]].tolist() == ["unscored", "silent"]
    outputs: Any = read(tmp_path / "out" / f"outputs.{kind}").set_index("clip")
    assert outputs.loc["d/a", "audio"] == str(tmp_path / "run" / "audio" / "a.wav")
    assert outputs.loc["d/a", "bits"] == 100
    assert pd.isna(outputs.loc["d/b", "bits"])
    assert outputs.loc["d/a", "details"] == '{"x": 1}'
    assert outputs.loc["d/b", ["status", "message"]].tolist() == ["failed", 'it "broke", badly']
    assert len(outputs) == 2, "a clip that is still to come has no row"


def test_names_and_messages_are_no_formulas(tmp_path: Path, run: Run) -> None:
    rows = {"d/a": OutputRow("d/a", "failed", "=HYPERLINK(1)"), "d/b": OutputRow("d/b", "ok", "", digest="-1")}
    scores = {("d/b", "snr"): ScoreRow("d/b", "snr", 1, "ok", -1.5, output="-1")}
    export([replace(run, outputs=rows, scores=scores, info=replace(INFO, system="@x"))], tmp_path, "csv")
    table = pd.read_csv(tmp_path / "outputs.csv")
    assert table.loc[0, "message"] == "'=HYPERLINK(1)"
    assert set(table["system"]) == {"'@x"}
    assert pd.read_csv(tmp_path / "scores.csv").loc[0, "value"] == -1.5


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_no_rows_still_make_tables(tmp_path: Path, run: Run, kind: Literal["csv", "parquet"]) -> None:
    export([Run(run.path, INFO, {}, {})], tmp_path, kind)
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    scores, outputs = read(tmp_path / f"scores.{kind}"), read(tmp_path / f"outputs.{kind}")
    assert (len(scores), len(outputs)) == (0, 0)
    assert "value" in scores.columns
    assert "status" in outputs.columns


def test_several_runs_in_one_table(tmp_path: Path, run: Run) -> None:
    export([run, run], tmp_path, "csv")
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 12


def test_a_folder_that_cannot_be_written(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"cannot write .*file/scores\.csv.*choose another --out") as caught:
        export([run], tmp_path / "file", "csv")
    assert caught.value.exit_code == 1


def test_a_failing_write_leaves_no_half_file(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: pd.DataFrame, handle: BinaryIO, **_: object) -> None:
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(BenchError, match="No space left on device"):
        export([run], tmp_path / "out", "csv")
    assert list((tmp_path / "out").iterdir()) == []
