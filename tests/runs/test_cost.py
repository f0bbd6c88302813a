"""What a run will cost is reckoned from two clips: the disk to the byte nearly, and nothing of it is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.runs.cost import estimate
from ldmbench.runs.prepare import prepare
from ldmbench.runs.request import Options, Request
from tests.present import present

SUITE = """
name = "tiny"
title = "T"
task = "codec"
datasets = []
systems = ["noise", "lowpass@3.5khz", "./broken.toml"]
metrics = ["snr", "stft_dac", "pesq_wb"]
"""

BROKEN = """
from ldmbench import Codec

class Broken(Codec):
    def __init__(self, spec):
        raise RuntimeError("no codebook")
"""

CARD = 'name = "broken"\ntitle = "B"\ntasks = ["codec"]\nmodule = "broken:Broken"\nrate = 8000\nlicence = "MIT"\n'

#: Seconds: one short clip, a few of 1 s, one long clip.
LENGTHS = (0.5, *[1.0] * 10, 4.0)


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(SUITE)
    Path("broken.toml").write_text(CARD)
    Path("broken.py").write_text(BROKEN)
    generator = np.random.default_rng(3)
    for index, seconds in enumerate(LENGTHS):
        audio.write(
            Path(f"clips/{index:02}.wav"), Audio.of(0.1 * generator.standard_normal((1, int(8000 * seconds))), 8000)
        )
    return tmp_path


def test_the_estimate_of_a_suite(work: Path) -> None:
    asked = ("tiny.toml", "--audio", "clips")
    done = invoke("check", *asked, "--estimate", "--json", "--jobs", 2)
    assert done.exit_code == 0, done.output
    cost = json.loads(done.stdout)
    assert (cost["clips"], cost["seconds_audio"], cost["longest_s"]) == (len(LENGTHS), sum(LENGTHS), max(LENGTHS))
    assert not (work / "runs").exists(), "an estimate leaves nothing"
    noise, lowpass, broken = cost["systems"]
    assert broken["problem"].startswith("RuntimeError: no codebook")
    assert [noise["problem"], lowpass["problem"]] == ["", ""]
    # PESQ is of speech, and the folder holds anything.
    assert cost["metrics"].keys() == {"snr", "stft_dac"}
    for system in (noise, lowpass):
        assert system["generate_s"] == pytest.approx(system["clip_s"] * sum(LENGTHS) / max(LENGTHS))
        assert system["clip_s"] > 0
        assert system["memory"] is None or system["memory"] > 10 << 20
    scores = sum(cost["metrics"].values()) * sum(LENGTHS) / max(LENGTHS)
    assert noise["score_s"] + lowpass["score_s"] == pytest.approx(2 * scores)
    made = sum(system["start_s"] + system["generate_s"] for system in (noise, lowpass))
    assert cost["wall_s"] == pytest.approx(made + scores)  # Two processes score.
    assert invoke("run", *asked, "-s", "noise", "--quiet", "--jobs", 1).exit_code == 0
    (path,) = Path("runs/tiny+clips/noise").glob("*")
    real = sum(file.stat().st_size for file in path.rglob("*") if file.name != "run.json" and file.is_file())
    assert noise["disk"] == pytest.approx(real, rel=0.2)


def test_the_estimate_in_words(work: Path) -> None:
    done = invoke("check", "tiny.toml", "--audio", "clips", "-s", "noise", "--estimate", "--jobs", 1)
    assert done.exit_code == 0, done.output
    assert "12 clips, 15 s of sound; measured on the shortest and the longest:" in done.stdout
    assert "with 1 process for scores" in done.stdout
    assert "time and disk grow with the seconds of sound; memory with the longest clip" in done.stdout


def test_what_is_kept_has_no_estimate(work: Path) -> None:
    prepared = prepare(Request("tiny.toml", ("noise",), audio=Path("clips")), Options())
    plan = present(prepared.plan)
    embeds = replace(plan, suite=plan.suite.model_copy(update={"task": "embed"}))
    with pytest.raises(BenchError, match="has no estimate"):
        estimate(embeds, Options())
