"""A directory of checkpoints as a user runs it: a curve over training steps, and the best one with its interval."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.reports import curves
from ldmbench.runs.prepare import open_runs

SYSTEM = '''
import numpy as np
from ldmbench.audio.sound import Audio
from ldmbench.system.protocol import Output

class Trained:
    """Adds noise, as loud as its checkpoint says."""

    def __init__(self, spec):
        self.card = spec.card
        file = spec.weights / "noise.txt" if spec.weights.is_dir() else spec.weights
        self.noise = float(file.read_text())

    def process(self, clips):
        for clip in clips:
            noise = np.random.default_rng(clip.seed).standard_normal(clip.audio.samples.shape)
            yield Output(Audio.of(clip.audio.samples + self.noise * noise, clip.audio.rate))
'''
CARD = """
name = "trained"
title = "Trained"
tasks = ["codec"]
module = "trained_system:Trained"
licence = "none"
[settings]
weights = ""
"""
NOISE = {"step_1000": 0.1, "step_2000": 0.0100001, "step_3000": 0.01, "step_10000": 0.05}


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> Path:
    """A folder with a system, a suite, 8 clips and 4 checkpoints."""
    module = f"trained_{tmp_path.name}"  # Importable from here on, so no other test may have its name.
    (tmp_path / f"{module}.py").write_text(SYSTEM)
    (tmp_path / "trained.toml").write_text(CARD.replace("trained_system", module))
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\ntask = "codec"\ndatasets = []\nsystems = []\nmetrics = ["snr"]\n'
    )
    for step, noise in NOISE.items():
        (tmp_path / "checkpoints" / step).mkdir(parents=True)
        (tmp_path / "checkpoints" / step / "noise.txt").write_text(str(noise))
    for index in range(8):
        sound = Audio.of(np.random.default_rng(index).uniform(-0.5, 0.5, (1, 8000)), 8000)
        (tmp_path / "clips").mkdir(exist_ok=True)
        audio_io.write(tmp_path / "clips" / f"{index}.wav", sound)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_directory_of_checkpoints_is_a_curve_with_a_best(trained: Path) -> None:
    done = invoke("run", "mine.toml", "-s", "trained.toml:weights=./checkpoints/*", "--audio", "clips", "--jobs", 1)
    assert done.exit_code == 0, done.output
    assert str(trained) not in done.stdout
    runs = open_runs(("mine+clips",), Path("runs"))
    assert [run.info.system for run in runs] == [f"trained:weights={step}" for step in NOISE]
    assert len({run.info.identity["weights"] for run in runs}) == 4
    (curve,) = curves.build(runs)
    assert (curve.axis, curve.axis_title, curve.families[0].name) == (
        "weights",
        "training step",
        "trained:weights=step_*",
    )
    assert [point.x for point in curve.families[0].points] == [1000, 2000, 3000, 10000]
    best = r"Best of trained:weights=step_\* by SNR on clips: step_3000, (\S+) \[(\S+), (\S+)\]; better than each"
    match = re.search(best, " ".join(done.stdout.split()))
    assert match is not None, done.stdout
    assert match[1] == f"{curve.families[0].points[2].value:.2f}"
    drawn = invoke("report", "mine+clips", "-s", "trained", "--to", "curves", "-o", "curves")
    assert re.search(best, drawn.stdout)
    assert {path.suffix for path in Path("curves").iterdir()} == {".pdf", ".svg"}


def test_equal_checkpoints_are_not_told_apart(trained: Path) -> None:
    (trained / "checkpoints" / "step_4000").mkdir()
    (trained / "checkpoints" / "step_4000" / "noise.txt").write_text("0.01")  # step_3000 once more
    names = [f"trained.toml:weights=checkpoints/{step}" for step in ("step_3000", "step_4000", "step_10000")]
    done = invoke("run", "mine.toml", *(w for name in names for w in ("-s", name)), "--audio", "clips", "--jobs", 1)
    assert done.exit_code == 0, done.output
    assert "not told from step_4000" in " ".join(done.stdout.split())
    # They are one run under two names: the files decide, and these are equal.
    first, second, _ = open_runs(("mine+clips",), Path("runs"))
    assert first.info.id == second.info.id


def test_a_checkpoint_that_changed_is_another_run(trained: Path) -> None:
    command = ("run", "mine.toml", "-s", "trained.toml:weights=checkpoints/step_1000", "--audio", "clips", "--jobs", 1)
    assert invoke(*command).exit_code == 0
    (trained / "checkpoints" / "step_1000" / "noise.txt").write_text("0.2")
    assert invoke(*command).exit_code == 0
    shown = invoke("report", "mine+clips")
    assert "other runs of trained:weights=step_1000" in " ".join(shown.stdout.split())
    missing = invoke("check", "mine.toml", "-s", "trained.toml:weights=checkpoints/step_7", "--audio", "clips")
    assert missing.exit_code == 2
    assert "there is no checkpoint checkpoints/step_7 for trained" in missing.stdout
