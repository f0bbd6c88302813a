"""Sixteen shards, two of them killed and started again, give the tables of a run in one piece, byte for byte."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.runs.results import open_run
from ldmbench.runs.shard import Shard, shard_folders
from ldmbench.runs.store import rows_in

SUITE = """
name = "tiny"
title = "Anchors"
task = "codec"
datasets = []
systems = ["noise", "lowpass@3.5khz"]
metrics = ["stft_dac", "snr"]
"""

CLIPS = 33


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def words(work: Path, out: Path, *more: object) -> list[str]:
    return [
        str(word) for word in ("run", work / "tiny.toml", "--audio", work / "clips", "--out", out, "--quiet", *more)
    ]


def table(out: Path) -> str:
    done = invoke("report", "tiny+clips", "--out", out, "--to", "csv", "--intervals")
    assert done.exit_code == 0, done.output
    return done.stdout


def runs(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("*/*/*/run.json"))


def shards(work: Path, out: Path, numbers: range, count: int, *more: object) -> None:
    for number in numbers:
        done = invoke(*words(work, out, "--jobs", 1, "--shard", f"{number}/{count}", *more))
        assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    (root / "tiny.toml").write_text(SUITE)
    generator = np.random.default_rng(7)
    for index in range(CLIPS):
        sound = Audio.of(0.1 * generator.standard_normal((1, 4000 + 100 * index)), 8000)
        audio.write(root / "clips" / f"{index:02}.wav", sound)
    return root


@pytest.fixture(scope="module")
def whole(work: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        here(patch)
        assert invoke(*words(work, work / "whole", "--jobs", 1)).exit_code == 0
    return table(work / "whole")


def here(patch: pytest.MonkeyPatch) -> None:
    """Work in this process: what is looked at here are the journals."""
    from contextlib import nullcontext
    from typing import Any

    from ldmbench.runs.generate import generate

    def in_this(*args: Any, isolate: bool = False, **options: Any) -> list[tuple[str, str]]:
        return generate(*args, **options)

    patch.setattr("ldmbench.runs.carry_out.generate", in_this)
    patch.setattr("ldmbench.runs.carry_out.Apart", nullcontext)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 60))
def test_every_clip_is_in_one_shard_and_batches_stay_together(count: int, batch: int, clips: int) -> None:
    names = [str(number) for number in range(clips)]
    parts = [Shard(number, count).part(names, batch) for number in range(1, count + 1)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    batches = [names[start : start + batch] for start in range(0, clips, batch)]
    in_shards = [part[start : start + batch] for part in parts for start in range(0, len(part), batch)]
    assert sorted(in_shards) == sorted(batches)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= batch


@pytest.mark.parametrize("text", ["0/16", "17/16", "3", "3/0", "-1/4", "1/4/2", "a/b", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="is no shard"):
        Shard.parse(text)
    assert str(Shard.parse(" 3/16 ")) == "3/16"


def test_shards_joined_by_merge_give_the_same_tables(
    work: Path, whole: str, tmp_path: Path, in_this_process: None
) -> None:
    shards(work, tmp_path, range(1, 4), 4)
    early = invoke("merge", "tiny+clips", "--out", tmp_path)
    assert early.exit_code == 1
    assert early.stdout.count(f"{CLIPS - CLIPS // 4} of {CLIPS} outputs") == 2
    assert early.stdout.count("not finished: shard 4\n") == 2
    # The shards are joined: those that come later find the rest done, whichever way it is split.
    shards(work, tmp_path, range(4, 5), 4)
    (path, *_) = runs(tmp_path)
    assert len(shard_folders(path)) == 1
    # Before they are joined, they are read all the same.
    assert table(tmp_path) == whole
    late = invoke("merge", "tiny+clips", "--out", tmp_path, "--json")
    assert late.exit_code == 0
    assert '"pending": 0, "unfinished": []' in late.stdout
    assert table(tmp_path) == whole
    for path in runs(tmp_path):
        assert rows_in(path) == (CLIPS, 2 * CLIPS)
        assert {entry.name for entry in path.iterdir()} == {
            ".lock",
            "run.json",
            "outputs.jsonl",
            "scores.jsonl",
            "audio",
        }
    assert open_run(path).info.took["outputs"] == CLIPS


def test_plain_continuation_joins_and_does_the_rest(
    work: Path, whole: str, tmp_path: Path, in_this_process: None
) -> None:
    shards(work, tmp_path, range(2, 4), 5, "--batch", 2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    assert invoke(*words(work, tmp_path, "--jobs", 1)).exit_code == 0
    assert table(tmp_path) == whole
    assert {path: path.stat().st_mtime_ns for path in before} == before, "made again"
    assert not any(path.joinpath("shards").exists() for path in runs(tmp_path))


def test_a_metric_can_be_added_in_shards(work: Path, whole: str, tmp_path: Path, in_this_process: None) -> None:
    shutil.copytree(work / "whole", tmp_path / "runs")
    sounds = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    shards(work, tmp_path / "runs", range(1, 3), 2, "-m", "si_sdr")
    assert invoke("merge", "tiny+clips", "--out", tmp_path / "runs").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")} == sounds
    for path in runs(tmp_path / "runs"):
        assert rows_in(path) == (CLIPS, 3 * CLIPS)
        assert open_run(path).info.metrics == ("stft_dac", "snr", "si_sdr")


def test_folders_of_other_machines_are_brought_together(
    work: Path, whole: str, tmp_path: Path, in_this_process: None
) -> None:
    for number in (1, 2, 3):
        shards(work, tmp_path / str(number), range(number, number + 1), 3)
    others = [word for number in (2, 3) for word in ("--from", tmp_path / str(number))]
    assert invoke("merge", "tiny+clips", "--out", tmp_path / "1", *others).exit_code == 0
    assert table(tmp_path / "1") == whole
    size = sum(path.stat().st_size for path in (tmp_path / "1").rglob("*.jsonl"))
    assert invoke("merge", "tiny+clips", "--out", tmp_path / "1", *others).exit_code == 0
    assert sum(path.stat().st_size for path in (tmp_path / "1").rglob("*.jsonl")) == size, "brought twice"
    assert len(list((tmp_path / "1").rglob("*.wav"))) == 2 * CLIPS


def test_a_kill_while_shards_are_joined_loses_nothing(
    work: Path, whole: str, tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(work, tmp_path, range(1, 3), 2)

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ldmbench.runs.writer.remove_shard", killed)
        assert invoke("merge", "tiny+clips", "--out", tmp_path).exit_code == 130
    assert table(tmp_path) == whole
    assert invoke("merge", "tiny+clips", "--out", tmp_path).exit_code == 0
    assert table(tmp_path) == whole


def test_what_does_not_go_together_is_refused(work: Path, tmp_path: Path, in_this_process: None) -> None:
    from ldmbench.runs.journal import lock

    shards(work, tmp_path, range(1, 2), 5)
    other = invoke(*words(work, tmp_path, "--shard", "1/4"))
    assert other.exit_code == 2
    assert "has shards of another split" in other.stderr
    (path, *_) = runs(tmp_path)
    with lock(shard_folders(path)[0]):
        assert "is in use" in invoke(*words(work, tmp_path, "--shard", "1/5")).stderr
    with lock(path, shared=True):
        assert "is in use" in invoke(*words(work, tmp_path)).stderr
        assert "is in use" in invoke("merge", "tiny+clips", "--out", tmp_path).stderr
        shards(work, tmp_path, range(2, 3), 5)
    with lock(path):
        assert "is in use" in invoke(*words(work, tmp_path, "--shard", "1/5")).stderr
    assert "there are no runs of 'nothing'" in invoke("merge", "nothing", "--out", tmp_path).stderr
    assert "do not go together" in invoke(*words(work, tmp_path, "--shard", "1/5", "--against", path)).stderr


@pytest.mark.slow
def test_sixteen_shards_two_of_them_killed_and_started_again(work: Path, whole: str, tmp_path: Path) -> None:
    """As a job array does it: processes beside each other, which know of nothing but their number."""

    def start(number: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "ldmbench.cli", *words(work, tmp_path, "--jobs", 1, "--shard", f"{number}/16")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def written(number: int) -> int:
        return sum(rows_in(folder)[0] for folder in tmp_path.glob(f"*/*/*/shards/{number}-of-16"))

    for first in range(1, 17, 4):
        processes = {number: start(number) for number in range(first, first + 4)}
        for number, rows in ((2, 1), (11, 3)):  # In its first system, and in the second.
            if number in processes:
                process = processes.pop(number)
                while written(number) < rows and process.poll() is None:
                    time.sleep(0.002)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
        assert {number: process.wait() for number, process in processes.items()} == dict.fromkeys(processes, 0)
    early = invoke("merge", "tiny+clips", "--out", tmp_path)
    assert early.exit_code == 1
    assert "not finished: shards 2,11" in early.stdout
    again = [start(number) for number in (2, 11)]
    assert [process.wait() for process in again] == [0, 0]
    done = invoke("merge", "tiny+clips", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert table(tmp_path) == whole
    assert {rows_in(path)[0] for path in runs(tmp_path)} == {CLIPS}
