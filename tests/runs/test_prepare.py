"""From Python: the public names, evaluating a suite, and a run without any checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import ldmbench
from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.runs.prepare import evaluate, prepare
from ldmbench.runs.request import Options, Request
from tests.present import present

SUITE = """
name = "tiny"
title = "Anchors"
task = "codec"
datasets = []
systems = ["reference", "lowpass@3.5khz"]
metrics = ["stft_dac", "fd_panns"]
"""


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "tiny.toml").write_text(SUITE)
    for name in ("a", "b"):
        audio.write(tmp_path / "clips" / f"{name}.wav", Audio.of([0.1, -0.1] * 8000, 16_000))
    return Request(str(tmp_path / "tiny.toml"), audio=tmp_path / "clips", out=tmp_path / "runs")


def test_public_names_are_there() -> None:
    for name in ldmbench.__all__:
        assert getattr(ldmbench, name).__module__.startswith("ldmbench."), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ldmbench.nothing


def test_a_suite_is_evaluated_from_python(tmp_path: Path, request_: Request) -> None:
    text = SUITE.replace(', "fd_panns"', "")
    Path(request_.suite).write_text(text)
    runs = evaluate(request_.suite, audio=request_.audio, out=request_.out, quiet=True)
    assert [run.info.system for run in runs] == ["reference", "lowpass@3.5khz"]
    first, second = (run.estimate("stft_dac", "clips") for run in runs)
    assert first is not None
    assert second is not None
    assert first.value == 0 < present(second.value)
    assert first.n == second.n == 2


def test_a_missing_checkpoint_starts_nothing(
    request_: Request, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(BenchError, match=r"fd_panns.*Cnn14_16k"):
        evaluate(request_.suite, audio=request_.audio, out=request_.out)
    assert not request_.out.exists()


def test_untrained_needs_no_checkpoint_and_says_so(
    request_: Request, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path / "none"))
    prepared = prepare(Request(request_.suite, audio=request_.audio, out=request_.out, untrained=True), Options())
    assert prepared.errors == []
    assert prepared.plan is not None
    assert prepared.plan.metrics == ("stft_dac", "fd_panns:untrained=true")
    # A system without weights is not untrained, whatever is asked of the metrics.
    assert not any(run.untrained for run in prepared.plan.runs)


def test_a_csv_without_a_folder_is_refused(request_: Request) -> None:
    with pytest.raises(BenchError, match="belongs to a folder"):
        prepare(Request(request_.suite, table=Path(os.devnull)), Options())
