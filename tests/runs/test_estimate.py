"""How long a run will take is what earlier ones took, and said before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.runs.baseline import read_baseline
from ldmbench.runs.estimate import duration, in_words, took_of
from ldmbench.runs.prepare import prepare
from ldmbench.runs.request import Options, Request
from ldmbench.runs.results import open_run
from ldmbench.runs.store import rows_in
from tests.present import present


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> Path:
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\ntask = "codec"\ndatasets = []\nsystems = []\nmetrics = ["snr"]\n'
    )
    for index in range(6):
        sound = Audio.of(np.random.default_rng(index).uniform(-0.5, 0.5, (1, 4000)), 8000)
        (tmp_path / "clips").mkdir(exist_ok=True)
        audio_io.write(tmp_path / "clips" / f"{index}.wav", sound)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_run_took_is_what_the_next_will_take(work: Path) -> None:
    request = Request("mine.toml", ("lowpass@3.5khz",), audio=Path("clips"))
    options = Options(quiet=True, jobs=1)
    before = duration(present(prepare(request, options).plan))
    assert (before.clips, before.unknown, str(before)) == (
        6, ("lowpass@3.5khz",), "not known before a first run of lowpass@3.5khz",
    )  # fmt: skip
    run = ("run", "mine.toml", "--audio", "clips", "--jobs", 1)
    assert invoke(*run, "-s", "lowpass@3.5khz").exit_code == 0
    (path,) = Path("runs").glob("mine+clips/*/*")
    took = open_run(path).info.took
    assert (took["outputs"], took["scores"]) == (6, 6)
    assert took["generate_s"] > 0
    assert took["score_s"] > 0
    again = duration(present(prepare(request, options).plan))
    assert str(again) == "every output is there already"
    other = duration(present(prepare(replace(request, systems=("lowpass@7khz", "noise")), options).plan))
    assert other.unknown == ("noise",)
    assert other.seconds == pytest.approx(took["generate_s"] + took["score_s"])
    assert f"as lowpass@3.5khz ({path.name}) took on cpu; not known of noise" in str(other)
    checked = invoke("check", "mine.toml", "--audio", "clips", "-s", "lowpass@7khz")
    assert "for 6 clips, as lowpass@3.5khz" in checked.stdout
    assert invoke("baseline", "save", path, "-o", "base.parquet").exit_code == 0
    assert read_baseline(Path("base.parquet"))[0].info.took == took
    # On a machine that has no run yet, the baseline says it.
    gate = invoke(*run, "-s", "lowpass@7khz", "--against", "base.parquet", "--out", "elsewhere")
    assert f"time: about {in_words(other.seconds)} for 6 clips, as lowpass@3.5khz" in gate.stderr


def test_work_in_two_parts_adds_up(work: Path) -> None:
    run = ("run", "mine.toml", "--audio", "clips", "--jobs", 1, "-s", "noise", "--quiet")
    assert invoke(*run).exit_code == 0
    (path,) = Path("runs").glob("mine+clips/*/*")
    first = open_run(path).info.took
    assert invoke(*run).exit_code == 0
    assert open_run(path).info.took == first  # Nothing was done.
    assert invoke(*run, "-m", "si_sdr").exit_code == 0
    second = open_run(path).info.took
    assert (second["outputs"], second["scores"]) == (6, 12)
    assert second["generate_s"] == first["generate_s"]
    assert second["score_s"] > first["score_s"]


def test_only_what_was_done_is_recorded(tmp_path: Path) -> None:
    assert took_of((3, 9), (3, 9), 1.0, 1.0) == {}
    assert took_of((3, 9), (3, 12), 1.0, 2.0) == {"outputs": 0.0, "generate_s": 0.0, "scores": 3.0, "score_s": 2.0}
    assert rows_in(tmp_path) == (0, 0)
    assert [in_words(seconds) for seconds in (0.2, 59.5, 60, 61, 5400)] == ["1 s", "60 s", "1 min", "2 min", "1.5 h"]
