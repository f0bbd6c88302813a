"""``run --against``: the run and its comparison in one command, stopped where it is certain to be worse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.runs.prepare import open_runs

SYSTEM = '''
import numpy as np
from ldmbench.audio.sound import Audio
from ldmbench.system.protocol import Output

class Noisy:
    """Noise of a given size; the seed of the clip decides which."""

    def __init__(self, spec):
        self.card, self.settings = spec.card, spec.settings

    def process(self, clips):
        for clip in clips:
            if clip.id.endswith(self.settings["breaks"]):
                raise ValueError("this one breaks it")
            noise = np.random.default_rng(clip.seed).standard_normal(clip.audio.samples.shape)
            yield Output(Audio.of(clip.audio.samples + self.settings["noise"] * noise, clip.audio.rate))
'''
CARD = """
name = "noisy"
title = "Noisy"
tasks = ["codec"]
module = "MODULE:Noisy"
licence = "none"
default = "good"
[settings]
noise = 0.01
breaks = "nothing"
[variants.good]
[variants.bad]
noise = 0.0102
"""
CLIPS = 30


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds") / "clips"
    for index in range(CLIPS):
        sound = Audio.of(np.random.default_rng(index).uniform(-0.5, 0.5, (1, 4000)), 8000)
        audio_io.write(folder / f"{index:02}.wav", sound)
    return folder


@pytest.fixture
def work(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> Path:
    """A folder with a system, a suite, and a baseline of the good variant."""
    module = f"noisy_{tmp_path.name}"  # Importable from here on, so no other test may have its name.
    (tmp_path / f"{module}.py").write_text(SYSTEM)
    (tmp_path / "noisy.toml").write_text(CARD.replace("MODULE", module))
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\ntask = "codec"\ndatasets = []\nsystems = []\nmetrics = ["si_sdr"]\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("noisy.toml", clips, "-m", "snr").exit_code == 0
    assert invoke("baseline", "save", "mine+clips", "-o", "baseline.parquet").exit_code == 0
    return tmp_path


def run(system: str, clips: Path, *words: object) -> Result:
    return invoke("run", "mine.toml", "-s", system, "--audio", clips, "--jobs", 1, *words)


def test_a_run_is_judged_when_it_is_complete(work: Path, clips: Path) -> None:
    same = run("noisy.toml", clips, "--against", "baseline.parquet", "--json", "--undecided", "fail")
    assert same.exit_code == 0
    assert {cell["verdict"] for cell in json.loads(same.stdout)["cells"]} == {"same"}
    bad = run("noisy.toml@bad", clips, "--against", "baseline.parquet", "--junit", "gate.xml", "--markdown", "gate.md")
    assert bad.exit_code == 1
    assert "WORSE: 2 worse of 2 cells" in bad.stdout  # snr is of BASE only, and NEW is scored with it too.
    assert "wrote gate.xml" in bad.stderr
    assert invoke("compare", "baseline.parquet", *Path("runs").glob("mine+clips/noisy@bad/*")).exit_code == 1
    better = run("noisy.toml:noise=0.001", clips, "--against", "mine+clips", "--quiet")
    assert better.exit_code == 2  # Several systems: BASE is none of them.
    assert "BASE has no run of noisy@good:noise=0.001" in better.stderr


def test_fail_fast_stops_a_bad_run_and_no_other(work: Path, clips: Path) -> None:
    bad = run("noisy.toml@bad", clips, "--seed", 5, "--against", "baseline.parquet", "--fail-fast")
    assert bad.exit_code == 1
    assert "look 1 of 5: 6 of 30 clips, not certain to be worse" in bad.stderr
    assert "look 4 of 5: 24 of 30 clips, worse: stopped" in bad.stderr  # 20 clips are needed.
    assert "PARTIAL: stopped after 24 of 30 clips" in bad.stdout
    (stopped,) = open_runs(("mine+clips",), Path("runs"), ["noisy@bad"])
    assert len(stopped.outputs) == 24
    refused = invoke("baseline", "save", stopped.path, "-o", "no.parquet")
    assert "6 of 30 clips are missing" in refused.stderr
    fine = run("noisy.toml", clips, "--against", "baseline.parquet", "--fail-fast", "--seed", 5)
    assert fine.exit_code == 0
    assert [line.split(",")[-1].strip() for line in fine.stderr.splitlines() if line.startswith("look")] == [
        "not certain to be worse"
    ] * 4
    assert "30" in fine.stdout
    assert "PARTIAL" not in fine.stdout


def test_clips_that_fail_stop_at_the_first_look(work: Path, clips: Path) -> None:
    done = run("noisy.toml:breaks=3", clips, "--seed", 5, "--against", "baseline.parquet", "--fail-fast")
    assert done.exit_code == 1
    assert "worse: stopped" in done.stderr
    assert "this one breaks it" in done.stdout


def test_other_clips_are_refused_before_anything_is_computed(work: Path, clips: Path) -> None:
    done = run("noisy.toml", clips, "--against", "baseline.parquet", "--limit", 10)
    assert done.exit_code == 3
    assert "30 clips in BASE, 10 in NEW" in done.stderr
    assert len(list(Path("runs").glob("mine+clips/*/*"))) == 1


def test_repeats_are_other_seeds_and_measure_noise(work: Path, clips: Path) -> None:
    done = run("noisy.toml", clips, "--repeats", 4, "-m", "snr")
    assert done.exit_code == 0
    (shown,) = open_runs(("mine+clips",), Path("runs"))
    assert shown.info.seed == 0  # The request's own is the one that is shown.
    saved = next(line for line in done.stderr.splitlines() if "baseline save" in line)
    command = saved.partition("ldmbench ")[2].split()
    assert invoke(*command).exit_code == 0
    noise = open_runs(("noise.parquet",), Path("runs"))
    assert [run.info.seed for run in noise] == [3, 2, 1]
    assert len({run.outputs["clips/00"].digest for run in (*noise, shown)}) == 4
    for system, code in (("noisy.toml", 0), ("noisy.toml@bad", 1)):
        words = ("--seed", 7, "--against", "baseline.parquet", "--noise", "noise.parquet")
        judged = run(system, clips, *words)
        assert judged.exit_code == code, judged.output


def test_options_of_a_comparison_need_one(work: Path, clips: Path) -> None:
    for words, text in (
        (["--junit", "x.xml"], "--junit belongs to a comparison"),
        (["--fail-fast"], "--fail-fast belongs to a comparison"),
        (["--against", "baseline.parquet", "--repeats", 2], "do not go together"),
        (["--against", "baseline.parquet", "--fail-fast", "--noise", "baseline.parquet"], "do not go together"),
    ):
        done = run("noisy.toml", clips, *words)
        assert done.exit_code == 2
        assert text in done.stderr
