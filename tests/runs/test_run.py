"""A run survives everything: torn journals, kill -9, Ctrl-C, a full disk; the tables end up the same."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio

SUITE = """
name = "tiny"
title = "Anchors"
task = "codec"
datasets = []
systems = ["reference", "noise", "lowpass@3.5khz", "resample@8khz"]
metrics = ["stft_dac", "mel_audiotools", "snr", "lsd_ssr_eval"]
"""

LDMBENCH = [sys.executable, "-m", "ldmbench.cli"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite and a folder of twelve clips."""
    root = tmp_path_factory.mktemp("run")
    (root / "tiny.toml").write_text(SUITE)
    generator = np.random.default_rng(7)
    for index in range(12):
        sound = Audio.of(0.1 * generator.standard_normal((1, 24_000 + 1000 * index)), 16_000)
        audio.write(root / "clips" / f"{index:02}.wav", sound)
    return root


def command(work: Path, out: Path, *more: str) -> list[str]:
    words = ["run", work / "tiny.toml", "--audio", work / "clips", "--out", out, "--quiet", *more]
    return [*LDMBENCH, *map(str, words)]


def finish(work: Path, out: Path, *more: str) -> str:
    """Run to the end; the table as CSV, all digits."""
    done = subprocess.run(command(work, out, *more), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    words = [*LDMBENCH, "report", "tiny+clips", "--out", str(out), "--to", "csv"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def uninterrupted(work: Path) -> str:
    return finish(work, work / "whole", "--jobs", "1")


def test_the_number_of_processes_changes_no_digit(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    assert finish(work, tmp_path, "--jobs", "2") == uninterrupted


def test_journals_cut_anywhere_are_completed(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    """Cutting files at any byte is what a crash leaves behind; rows after the cut are made again."""
    draw = random.Random(3)
    shutil.copytree(work / "whole", tmp_path / "cut")
    for journal in sorted((tmp_path / "cut").rglob("*.jsonl")):
        os.truncate(journal, draw.randrange(journal.stat().st_size))
    for sound in draw.sample(sorted((tmp_path / "cut").rglob("*.wav")), 5):
        sound.with_name(f".{sound.name}.1.tmp").write_bytes(b"RIFF")
    assert finish(work, tmp_path / "cut", "--jobs", "1") == uninterrupted


def journals_bytes(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.jsonl"))


@pytest.mark.slow
def test_kill_9_at_ten_random_moments(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    """Moments are drawn by how much is written, not by the clock: a fast machine is done before a slow one begins."""
    draw = random.Random(11)
    whole = journals_bytes(work / "whole")
    reached = []
    for moment in sorted(draw.uniform(0, whole) for _ in range(10)):
        process = subprocess.Popen(
            command(work, tmp_path, "--jobs", "2"),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while journals_bytes(tmp_path) < moment and process.poll() is None:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.02))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reached.append(journals_bytes(tmp_path))
    hits = sum(0 < size < whole for size in reached)
    assert hits >= 3, f"the kills missed the run at work: {reached} of {whole} bytes"
    assert finish(work, tmp_path, "--jobs", "2") == uninterrupted


def test_ctrl_c_says_how_to_go_on(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(work, tmp_path, "--jobs", "1"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in errors
    assert finish(work, tmp_path, "--jobs", "1") == uninterrupted


def test_a_full_disk_is_one_line_and_loses_nothing(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: writing fails half-way in the same manner."""
    limited = ["bash", "-c", 'ulimit -f 110; exec "$@"', "bash", *command(work, tmp_path, "--jobs", "1")]
    result = subprocess.run(limited, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "cannot write" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.tmp"))
    assert list(tmp_path.rglob("*.wav")), "what was written before stays"
    assert finish(work, tmp_path, "--jobs", "1") == uninterrupted
