"""The GPU script's plan covers what ldmbench lists, keeps to its time, and its table shows what was and was not had."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ldmbench.system.registry import list_systems, load_system_card

pytest.importorskip("torch", reason="the extra 'models' is not installed")

FOLDER = Path(__file__).parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("bench_gpu")


def test_every_system_with_weights_and_every_network_is_planned(script: ModuleType, tmp_path: Path) -> None:
    tasks = [vars(task) for task in script.plan(script.parse([]), tmp_path)]
    cards = [load_system_card(name) for name in list_systems()]
    neural = {card.name: card for card in cards if card.weights and card.extras}
    assert len(neural) >= 6
    for name, card in neural.items():
        own = [(task["kind"], task["device"], task["precision"]) for task in tasks if task["name"] == name]
        precisions = ["float32", "bfloat16"] if "precision" in card.settings else [""]
        assert own == [
            ("reference", "cpu", precisions[0]), *(("system", "cuda", precision) for precision in precisions)
        ]  # fmt: skip
    metrics = [task["name"] for task in tasks if task["kind"] == "metric"]
    for network in ("panns", "panns@32khz", "vggish", "clap", "whisper_base_en", "whisper_large_v3"):
        assert any(network in name for name in metrics), network
    assert len(metrics) == len(set(metrics))
    # Half of each share is for timing, the rest for building.
    assert sum(2 * task["limit_s"] for task in tasks if task["kind"] != "reference") <= 7 * 60 + 1e-6


def test_the_dry_run_is_small(script: ModuleType, tmp_path: Path) -> None:
    tasks = [vars(task) for task in script.plan(script.parse(["--dry-run"]), tmp_path)]
    assert {task["kind"] for task in tasks} == {"distribution", "system", "metric"}
    assert {task["device"] for task in tasks} == {"cpu"}
    assert max(task["largest"] for task in tasks) == 2
    assert max(task["steps"] for task in tasks) == 2
    assert [task["precision"] for task in tasks].count("bfloat16") == 1


def test_systems_can_be_chosen(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [vars(task) for task in script.plan(script.parse(["--systems", "tango", "audiosr"]), tmp_path)]
    assert {task["name"] for task in tasks} == {"tango", "audiosr"}
    assert {task["kind"] for task in tasks} == {"reference", "system"}
    with pytest.raises(SystemExit):
        script.parse(["--systems", "tango", "opus"])
    assert "invalid choice: 'opus'" in capsys.readouterr().err


def test_what_fails_and_what_comes_too_late_are_results(script: ModuleType, tmp_path: Path) -> None:
    wrong = script.Task("system", "no-such-system", "cpu", "", 0, 1.0, 1, 1, 1.0, str(tmp_path))
    script.carry_out([wrong], 1, time.monotonic() + 300)
    script.carry_out([wrong], 1, time.monotonic() - 1)
    rows = [json.loads(line) for line in (tmp_path / "gpu.jsonl").read_text().splitlines()]
    assert "unknown system 'no-such-system'" in rows[0]["failed"]
    assert rows[1]["failed"] == "time was up before it began"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_terminated_run_leaves_no_process_and_writes_its_table(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "bench_gpu.py"), "--dry-run", "--pairs", "2"]
    process = subprocess.Popen(command, env={**os.environ, "OUT": str(tmp_path)}, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("distribution")

    def below(number: int) -> list[int]:
        """Processes below one, those that they began included."""
        path = Path(f"/proc/{number}/task/{number}/children")
        own = [int(word) for word in path.read_text().split()] if path.exists() else []
        return own + [other for child in own for other in below(child)]

    deadline = time.monotonic() + 120
    # The process of the task, and the benchmark that it began.
    while len(own := below(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 0
    assert len(own) >= 2
    # What is killed is there until whoever inherits it has asked for its end.
    deadline = time.monotonic() + 5
    while (left := [number for number in own if Path(f"/proc/{number}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    assert "Ended by hand before all was measured" in (tmp_path / "gpu.md").read_text()


def test_the_table(script: ModuleType, tmp_path: Path) -> None:
    name = {"kind": "system", "name": "audiosr", "device": "cuda"}
    rows: list[dict[str, Any]] = [
        {**name, "precision": "float32", "built_s": 9.0, "parameters": 7},
        {**name, "precision": "float32", "batch": 1, "steps": 20, "seconds": 2.0, "audio_s": 10.0, "peak_bytes": 2**30},
        {**name, "precision": "float32", "batch": 2, "steps": 20, "seconds": 3.0, "audio_s": 20.0, "peak_bytes": 2**31},
        {**name, "precision": "float32", "batch": 4, "steps": 20, "seconds": 8.0, "audio_s": 40.0, "peak_bytes": 2**32},
        {**name, "precision": "float32", "stopped": "batch 8 does not fit the device's memory"},
        {**name, "precision": "bfloat16", "failed": "time was up"},
        {"kind": "metric", "name": "fd", "precision": "", "batch": 8, "sounds": 16, "seconds": 2.0, "peak_bytes": 0},
        {"kind": "distribution", "name": "FD", "precision": "", "pairs": 4, "seconds": {"ours": 1.0, "theirs": 2.0},
         "differences": {"fd": 1e-6, "fad": 3e-7}},
    ]  # fmt: skip
    sound = np.random.default_rng(0).standard_normal((1, 100))
    np.save(tmp_path / "audiosr-reference-float32.npy", sound)
    np.save(tmp_path / "audiosr-system-float32.npy", 1.5 * sound)
    lines = script.table(rows, tmp_path, ["what it ran on"]).splitlines()
    note = "batch 8 does not fit the device's memory"
    assert lines[4:] == [
        f"| audiosr | float32 | 1 | RTF 0.2 (20 steps; at 50 at most 0.5) | 1.00 | 5.0e-01 | {note} |",
        "| audiosr | float32 | 2 | RTF 0.15 (20 steps; at 50 at most 0.375) | 2.00 |  |  |",
        "| audiosr | bfloat16 |  |  |  |  | time was up |",
        "| fd | float32 | 8 | 8 sounds/s |  |  |  |",
        "| FD: ours | float32 | 4 pairs | 1 s |  | 1.0e-06 |  |",
        "| FD: theirs | float32 | 4 pairs | 2 s |  |  |  |",
    ]
