"""Folders scored against folders: they compare, keep apart from each other, and hide nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.runs.records import RunInfo
from ldmbench.runs.results import find_runs

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    def call(*words: object, out: Path = tmp_path / "runs") -> Result:
        return CliRunner().invoke(cli, [*map(str, words), "--out", str(out)])

    return call


@pytest.fixture
def score(invoke: Invoke) -> Invoke:
    def call(folder: Path, reference: Path, *more: object) -> Result:
        words = ("score", folder, "--reference", reference, "--quiet", "--jobs", "1", *more)
        return invoke(*words) if "-m" in more else invoke(*words, "-m", "snr")

    return call


def write(folder: Path, names: str = "abc", noise: float = 0.0) -> Path:
    for index, name in enumerate(names):
        tone = np.sin(2 * np.pi * (300 + 100 * ord(name)) * np.arange(4000) / 8000)
        hiss = np.random.default_rng(index).standard_normal(4000)
        audio.write(folder / f"{name}.wav", Audio.of(0.5 * tone + noise * hiss, 8000))
    return folder


def rows(invoke: Invoke, *targets: str) -> dict[str, float]:
    answer = invoke("report", *targets, "--to", "csv")
    assert answer.exit_code == 0, answer.output
    lines = csv.DictReader(io.StringIO(answer.stdout))
    return {line["system"]: round(float(line["value"]), 2) for line in lines}


def test_three_folders_against_one_reference_compare(tmp_path: Path, invoke: Invoke, score: Invoke) -> None:
    refs = write(tmp_path / "refs")
    for number, noise in enumerate((0.1, 0.05, 0.01), 1):
        assert score(write(tmp_path / f"out{number}", noise=noise), refs).exit_code == 0
    text = invoke("report", "folders+refs").stdout
    assert "differ" not in text
    assert list(rows(invoke, "folders+refs")) == ["out1", "out2", "out3"]
    ranked = json.loads(invoke("report", "folders+refs", "--to", "json").stdout)["rows"]
    assert [row["cells"][0]["rank"] for row in ranked] == [0, 2, 1]


def test_folders_of_one_name_do_not_hide_each_other(tmp_path: Path, invoke: Invoke, score: Invoke) -> None:
    refs = write(tmp_path / "refs")
    first, second = write(tmp_path / "first" / "out", noise=0.1), write(tmp_path / "second" / "out", noise=0.01)
    for folder in (first, second, first, second):
        assert score(folder, refs).exit_code == 0
    values = rows(invoke, "folders+refs")
    assert list(values) == ["out", "second-out"]
    assert values["second-out"] > values["out"]
    # The same folder with other sounds takes its own place, under the name that it has.
    write(first, noise=0.001)
    assert score(first, refs).exit_code == 0
    again = rows(invoke, "folders+refs")
    assert set(again) == {"out", "second-out"}
    assert again["out"] > again["second-out"] == values["second-out"]


def test_references_of_one_name_have_tables_of_their_own(tmp_path: Path, invoke: Invoke, score: Invoke) -> None:
    outputs = write(tmp_path / "out", noise=0.1)
    for name in ("one", "two", "one"):
        assert score(outputs, write(tmp_path / name / "refs", noise=0.2 * (name == "two"))).exit_code == 0
    assert list(rows(invoke, "folders+refs")) == ["out"]
    assert list(rows(invoke, "folders+two-refs")) == ["out"]
    assert rows(invoke, "folders+refs") != rows(invoke, "folders+two-refs")
    assert len(find_runs(tmp_path / "runs", "folders+refs")) == 1


@pytest.mark.parametrize("command", ["score", "run"])
@pytest.mark.parametrize("name", ["my refs", "a@b", "x:y=1", "50 %", "ä+ö", "[red]", "'q\" $HOME", "-m", "line\nbreak"])
def test_names_of_folders_are_labels(tmp_path: Path, invoke: Invoke, score: Invoke, name: str, command: str) -> None:
    refs = write(tmp_path / "r" / name)
    if command == "score":
        answer = score(write(tmp_path / "o" / name, noise=0.1), refs)
        suite, system = f"folders+{name}", name
    else:
        words = ("run", "folders", "-s", "noise", "--audio", refs, "--quiet", "--jobs", "1", "--limit", "1")
        answer = invoke(*words)
        suite, system = f"folders+{name}", "noise"
    assert answer.exit_code == 0, answer.output
    suite, system = suite.replace("\n", "?"), system.replace("\n", "?")
    for kind in ("md", "csv", "json", "latex"):
        shown = invoke("report", "--to", kind, suite)
        assert shown.exit_code == 0, shown.output
    assert {row["system"] for row in json.loads(invoke("report", "--to", "json", suite).stdout)["rows"]} == {system}
    page = invoke("report", "--to", "html", "-o", tmp_path / "page", suite)
    assert page.exit_code == 0, page.output


@pytest.mark.parametrize("batch", [("b",), ("a", "c"), ("b", "c", "d")])
def test_a_reference_without_an_output_is_a_failed_row(
    tmp_path: Path, invoke: Invoke, score: Invoke, batch: tuple[str, ...]
) -> None:
    refs = write(tmp_path / "refs", "abcd")
    outputs = write(tmp_path / "out", "abcd", noise=0.1)
    for name in batch:
        (outputs / f"{name}.wav").unlink()
    answer = score(outputs, refs)
    assert answer.exit_code == 1
    assert f"{len(batch)} FAILED" in answer.stdout
    assert "none failed" not in answer.stdout
    for name in batch:
        assert f"failed: out, refs/{name}: out has no file for refs/{name}" in answer.stderr
    assert invoke("report", "folders+refs").exit_code == 1
    # What was missing is made, and the folder scored again.
    write(outputs, "abcd", noise=0.1)
    again = score(outputs, refs)
    assert again.exit_code == 0, again.output
    assert "n = 4 clips, none failed" in again.stdout


def test_folders_with_other_files_missing_still_compare(tmp_path: Path, invoke: Invoke, score: Invoke) -> None:
    refs = write(tmp_path / "refs")
    score(write(tmp_path / "whole", noise=0.1), refs)
    assert score(write(tmp_path / "part", "ab", noise=0.05), refs).exit_code == 1
    text = invoke("report", "folders+refs").stdout
    assert "clip lists differ" not in text
    assert "1 FAILED" in text


def test_metrics_for_other_content_are_named_or_refused(tmp_path: Path, score: Invoke) -> None:
    refs, outputs = write(tmp_path / "refs"), write(tmp_path / "out", noise=0.1)
    refused = score(outputs, refs, "-m", "pesq_wb", "-m", "stoi")
    assert refused.exit_code == 2
    assert "nothing to compute: pesq_wb, stoi are defined for speech only" in refused.stderr
    assert "say --content speech" in refused.stderr
    assert not (tmp_path / "runs").exists()
    mixed = score(outputs, refs, "-m", "snr", "-m", "pesq_wb")
    assert mixed.exit_code == 0
    assert "No PESQ-WB: for speech only, and refs holds general" in " ".join(mixed.stdout.split())
    added = score(outputs, refs, "-m", "snr", "-m", "stoi", "--content", "speech")
    assert "STOI" in added.stdout


def test_runs_of_before_keep_their_place(tmp_path: Path, invoke: Invoke, score: Invoke) -> None:
    """Earlier runs record no folder: it is read from the outputs they refer to."""
    refs, outputs = write(tmp_path / "refs"), write(tmp_path / "first" / "out", noise=0.1)
    score(outputs, refs)
    (run,) = find_runs(tmp_path / "runs", "folders+refs")
    record = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    del record["environment"]["folder"]
    (run.path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    score(write(tmp_path / "second" / "out", noise=0.01), refs)
    score(outputs, refs, "-m", "si_sdr")
    assert set(rows(invoke, "folders+refs")) == {"out", "second-out"}


def test_a_label_with_a_space_is_read_from_runs_of_before(tmp_path: Path, score: Invoke) -> None:
    score(write(tmp_path / "out", noise=0.1), write(tmp_path / "refs"))
    (run,) = find_runs(tmp_path / "runs", "folders+refs")
    info: RunInfo = replace(run.info, system="my outputs")
    assert (info.name.name, info.name.variant, dict(info.name.settings)) == ("my outputs", "", {})
