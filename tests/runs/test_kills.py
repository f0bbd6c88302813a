"""Fifty kills, of the command and its workers, by TERM and KILL: nothing is left running, and the tables are equal."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.host.orphans import descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

LDMBENCH = [sys.executable, "-m", "ldmbench.cli"]
CARD = Path(__file__).parent / "misbehaving" / "misbehaving.toml"
SUITE = f"""
name = "tiny"
title = "Anchors"
task = "codec"
datasets = []
systems = ["noise", "lowpass@3.5khz", "{CARD}"]
metrics = ["stft_dac", "snr", "lsd_ssr_eval"]
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kills")
    (root / "tiny.toml").write_text(SUITE)
    generator = np.random.default_rng(7)
    for index in range(12):
        sound = Audio.of(0.1 * generator.standard_normal((1, 24_000 + 1000 * index)), 16_000)
        audio.write(root / "clips" / f"{index:02}.wav", sound)
    return root


def start(work: Path, out: Path, mark: str, jobs: int = 2) -> subprocess.Popen[bytes]:
    words = ["run", work / "tiny.toml", "--audio", work / "clips", "--out", out, "--quiet", "--jobs", jobs]
    return subprocess.Popen(
        [*LDMBENCH, *map(str, words)],
        env={**os.environ, "MARK_OF_A_TEST": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def table(out: Path) -> str:
    words = [*LDMBENCH, "report", "tiny+clips", "--out", str(out), "--to", "csv"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def uninterrupted(work: Path) -> str:
    assert start(work, work / "whole", "whole").wait() == 0
    return table(work / "whole")


def marked(mark: str) -> list[int]:
    """Processes that run with the mark in their environment, by whomever they were started."""

    def look() -> Iterator[int]:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and mark.encode() in (entry / "environ").read_bytes():
                    yield int(entry.name)

    return list(look())


def nothing_is_left(mark: str) -> None:
    deadline = time.monotonic() + 5
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, "these outlived the command by 5 s"


def written(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.jsonl"))


def wait_for(process: subprocess.Popen[bytes], out: Path, size: float) -> None:
    while written(out) < size and process.poll() is None:
        time.sleep(0.002)


def parent(work: Path, out: Path, kills: int, seed: int) -> int:
    """Kill the command alone at so many moments of its way; returns how many of them met it at work."""
    draw = random.Random(seed)
    whole = written(work / "whole")
    hits = 0
    for moment in sorted(draw.uniform(0, whole) for _ in range(kills)):
        mark = uuid.uuid4().hex
        process = start(work, out, mark, draw.choice([1, 2]))
        wait_for(process, out, moment)
        time.sleep(draw.uniform(0, 0.3))
        hits += process.poll() is None
        process.send_signal(draw.choice([signal.SIGTERM, signal.SIGKILL]))
        process.wait()
        nothing_is_left(mark)
    return hits


def workers(work: Path, out: Path, seed: int) -> int:
    """Kill a process of the command while it makes sound, and one while it scores; returns how many there were."""
    draw = random.Random(seed)
    whole = written(work / "whole")
    mark = uuid.uuid4().hex
    # With one job metrics work in a process that is kept, with two in a pool.
    process = start(work, out, mark, 1 + seed % 2)
    hits = 0
    for moment in (draw.uniform(0, 0.3) * whole, draw.uniform(0.45, 0.7) * whole):
        wait_for(process, out, moment)
        children = descendants(process.pid)
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(children), draw.choice([signal.SIGTERM, signal.SIGKILL]))
                hits += 1
    assert process.wait() == 0
    nothing_is_left(mark)
    return hits


def test_one_kill_of_the_command(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    parent(work, tmp_path, 1, 1)
    assert start(work, tmp_path, "again").wait() == 0
    assert table(tmp_path) == uninterrupted


@pytest.mark.slow
def test_kills_of_the_command(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    assert parent(work, tmp_path, 26, 2) >= 10
    assert start(work, tmp_path, "again").wait() == 0
    assert table(tmp_path) == uninterrupted


@pytest.mark.slow
def test_kills_of_workers(work: Path, uninterrupted: str, tmp_path: Path) -> None:
    hits = 0
    for seed in range(12):
        hits += workers(work, tmp_path / str(seed), seed)
        assert table(tmp_path / str(seed)) == uninterrupted
    assert hits >= 12
