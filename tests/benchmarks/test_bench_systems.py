"""The table of all systems: what is measured, and what a row says where nothing could be."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ldmbench.system.registry import list_systems, load_system_card, resolve


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("bench_systems")


def test_every_sampler_is_timed_by_a_setting_of_its_own(script: ModuleType) -> None:
    """A system that samples, by its card, is timed at few steps, whatever it calls them."""
    samplers = {name: script.steps_of(load_system_card(name)) for name in list_systems()}
    assert samplers["semanticodec"] == ("steps", 50)
    assert samplers["ladiffcodec"] == ("tau", 100)
    assert samplers["src-gaudio"] == ("steps", 200)
    assert samplers["opus"] == samplers["encodec"] == ("", 0)
    for name, (key, usual) in samplers.items():
        if key:
            assert resolve(f"{name}:{key}=2").settings[key] == 2
            assert usual > 4


def test_a_row_for_a_system_and_one_for_what_went_wrong(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.jsonl"
    words = ["x", "--systems", "noise", "no-such", "--devices", "cpu", "--seconds", "0.5", "--results", str(results)]
    monkeypatch.setattr(sys, "argv", words)
    script.main()
    noise, unknown = (json.loads(line) for line in results.read_text().splitlines())
    assert 0 < noise["times"]["0"] < 5
    assert noise["peak_bytes"] is None or noise["peak_bytes"] > 2**20
    assert "unknown system 'no-such'" in unknown["failed"]
    # Another go adds to what is there.
    monkeypatch.setattr(sys, "argv", [*words[:2], "opus", *words[4:]])
    script.main()
    text = capsys.readouterr().out
    assert text.count("| opus | cpu |") == 1
    assert text.count("| noise | cpu |") == 2


def test_seconds_at_the_usual_number_of_steps_are_a_straight_line(script: ModuleType) -> None:
    row = {
        "system": "a", "device": "cuda", "load_s": 2.0, "parameters": 5_000_000, "peak_bytes": 2**30,
        "times": {"2": 3.0, "4": 4.0}, "usual": 200, "step_s": 0.5, "whole_s": 102.0,
    }  # fmt: skip
    assert "| a | cuda | 5.0 M | 2.00 | 3 (2 steps) | 0.5 | 102 (200) | 1.00 |" in script.table([row])
