"""Sweeps of a setting: the systems a suite names by one, and the curves that runs of them give."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import MetricFacts, RecordedMetric
from ldmbench.names import parse
from ldmbench.reports import bdrate, curves, drawing
from ldmbench.runs.prepare import evaluate
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import Run
from ldmbench.suite import load_suite

FACTS = (
    MetricFacts("kbps", "Bitrate", unit="kbit/s", better="neither", needs=("bits",), kind="ratio"),
    MetricFacts("test_fd", "FD", better="lower", digits=2),
    MetricFacts("test_is", "IS", better="higher", digits=2),
)


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.list_metrics()
    for facts in FACTS:
        entry = metrics._Entry(lambda name, settings, facts=facts: RecordedMetric(facts), {}, {})
        monkeypatch.setitem(metrics._registry, facts.name, entry)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """``run(system, fd)``: a finished run on three clips, with ``fd`` and a bitrate where one is given."""

    def make(system: str, fd: float, kbps: float | None = None, untrained: bool = False) -> Run:
        clips = tuple(ClipInfo(f"d/{index}", "d") for index in range(3))
        info = RunInfo(
            id=f"{abs(hash(system)):012x}", suite="s", system=system, title=system, task="generate",
            settings=dict(parse(system).settings), seed=0, untrained=untrained, limit=0, identity={},
            datasets=(DatasetInfo("d", "D", "general", "0" * 64),), clips=clips,
            metrics=("kbps", "test_fd", "test_is"), environment={}, created="2026-01-01T00:00:00Z",
        )  # fmt: skip
        outputs = {clip.id: OutputRow(clip.id, "ok", digest="x") for clip in clips}
        scores = {}
        for index, clip in enumerate(clips):
            row = ScoreRow(clip.id, "test_fd", 1, "ok", fd + index, output="x")
            scores[clip.id, "test_fd"] = row
            scores[clip.id, "test_is"] = ScoreRow(clip.id, "test_is", 1, "ok", 10 - fd / 10, output="x")
            if kbps is None:
                scores[clip.id, "kbps"] = ScoreRow(clip.id, "kbps", 1, "unscored", message="no bits", output="x")
            else:
                scores[clip.id, "kbps"] = ScoreRow(clip.id, "kbps", 1, "ok", [kbps, 1.0], output="x")
        return Run(tmp_path / system, info, outputs, scores)

    return make


def _suite(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    head = 'name = "mine"\ntitle = "Mine"\ntask = "generate"\ndatasets = ["d"]\nmetrics = ["m"]\n'
    path.write_text(head + text)
    return path


def test_a_sweep_names_its_systems_behind_those_of_the_suite(tmp_path: Path) -> None:
    text = 'systems = ["reference"]\n[sweep]\nsystems = ["a@b", "c:eta=1"]\nsteps = [10, 200]\ncfg = [2.5]\n'
    suite = load_suite(str(_suite(tmp_path, text)))
    assert suite.systems == (
        *("reference", "a@b:steps=10", "a@b:steps=200", "a@b:cfg=2.5"),
        *("c:eta=1,steps=10", "c:eta=1,steps=200", "c:cfg=2.5,eta=1"),
    )
    assert suite.sweep is not None
    assert suite.sweep.settings == {"steps": (10, 200), "cfg": (2.5,)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sweep]\nsteps = [1, 2]\n", "sweep.systems: .*empty"),
        ('[sweep]\nsystems = ["a"]\n', "sweep.settings: .*empty"),
        ('[sweep]\nsystems = ["a"]\nsteps = []\n', "sweep.settings: .*empty"),
        ('[sweep]\nsystems = ["a"]\nsteps = 10\n', "sweep.settings.steps"),
        ('[sweep]\nsystems = ["a"]\nsteps = [[1], [2]]\n', "sweep.settings.steps"),
        ('[sweep]\nsystems = ["a:steps=5"]\nsteps = [10]\n', "a:steps=5 sets steps, which the sweep sets too"),
        ('[sweep]\nsystems = ["a"]\nsteps = [10, 10]\n', "names systems twice: a:steps=10"),
        ('systems = ["a:steps=10"]\n[sweep]\nsystems = ["a"]\nsteps = [10]\n', "names systems twice: a:steps=10"),
        ('[sweep]\nsystems = ["a b"]\nsteps = [10]\n', "'a b' is not a name"),
    ],
)
def test_a_sweep_that_means_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        load_suite(str(_suite(tmp_path, text)))


def test_runs_of_a_sweep_are_a_curve_against_the_setting(run: Callable[..., Run]) -> None:
    runs = [run(f"a@b:steps={steps}", 60 - steps / 5) for steps in (200, 10, 50)] + [run("tango", 25.0)]
    fd, inception = curves.build(runs)
    assert (fd.axis, fd.facts.name, inception.facts.name) == ("steps", "test_fd", "test_is")
    (family,) = fd.families
    assert family.name == "a@b"
    assert [(point.x, point.value) for point in family.points] == [(10, 59.0), (50, 51.0), (200, 21.0)]
    assert family.points[0].low is not None
    assert fd.levels == (("tango", 26.0),)
    assert fd.position(family.points[1]) == "steps = 50"


def test_two_settings_and_two_systems_are_kept_apart(run: Callable[..., Run]) -> None:
    names = [*(f"a@b:steps={n}" for n in (10, 20)), *(f"a@c:steps={n}" for n in (10, 20))]
    names += [
        *(f"a@b:cfg={n}" for n in (0.0, 1.5, 3.0)),
        "a@b:cfg=2.0,steps=10",
        "x:steps=10",
        "y:mode=fast",
        "y:mode=slow",
    ]
    runs = [run(name, float(index)) for index, name in enumerate(names)]
    found = {curve.axis: curve for curve in curves.build(runs, ["test_fd"])}
    assert list(found) == ["steps", "cfg"]
    assert [family.name for family in found["steps"].families] == ["a@b", "a@c"]
    assert [[point.x for point in family.points] for family in found["cfg"].families] == [[0.0, 1.5, 3.0]]
    # What has the setting at one value only, or together with another, is neither a curve nor a level of this one.
    assert "x:steps=10" not in dict(found["steps"].levels)
    assert {"y:mode=fast", "y:mode=slow"} <= dict(found["steps"].levels).keys()


def test_the_system_at_its_own_value_is_a_point_of_its_sweep(run: Callable[..., Run]) -> None:
    own = {"steps": 50, "cfg": 2.0}
    runs = [run(name, 9.0 - n, 1.4) for n, name in enumerate(("a@b", "a@b:steps=10", "a@b:steps=200", "a@b:cfg=3.0"))]
    runs = [*(replace(item, info=replace(item.info, settings=own)) for item in runs), run("opus@6kbps", 5.0, 6.0)]
    found = {curve.axis: curve for curve in curves.build(runs, ["test_fd"])}
    assert [point.x for point in found["steps"].families[0].points] == [10, 50, 200]
    assert found["steps"].families[0].points[1].system == "a@b"
    assert found["steps"].levels == (("opus@6kbps", 6.0),)
    # Against the bitrate the system stands for what differs from it in the swept setting alone.
    assert {point.system for family in found["kbps"].families for point in family.points} == {
        "a@b", "a@b:cfg=3.0", "opus@6kbps",
    }  # fmt: skip
    without = {curve.axis: curve for curve in curves.build(runs[1:3], ["test_fd"])}
    assert [point.x for point in without["steps"].families[0].points] == [10, 200]
    assert len(without["kbps"].families) == 2


def test_an_untrained_run_is_another_line(run: Callable[..., Run]) -> None:
    runs = [run("a:steps=10", 1.0), run("a:steps=20", 2.0, untrained=True), run("a:steps=30", 3.0)]
    (family,) = curves.build(runs, ["test_fd"])[0].families
    assert [point.x for point in family.points] == [10, 30]


def test_codecs_keep_their_bitrates_beside_a_sweep(run: Callable[..., Run]) -> None:
    runs = [run(f"opus@{kbps}kbps", 100 / kbps, kbps) for kbps in (6, 12, 24, 48)]
    runs += [run(f"codec@1k:steps={steps}", 30.0 - steps, 1.0) for steps in (5, 10)]
    by_rate, by_steps = curves.build(runs, ["test_fd"])
    assert (by_rate.axis, by_steps.axis) == ("kbps", "steps")
    assert by_rate.position(by_rate.families[0].points[0]) == "6.00 kbit/s"
    assert bdrate.choose_anchor([by_steps]) == ""
    assert {row.family for row in bdrate.bd_table([by_rate, by_steps], "opus")} == {"codec:steps=5", "codec:steps=10"}
    with pytest.raises(BenchError, match="no system has a measured bitrate"):
        bdrate.bd_table([by_steps], "codec@1k")


@pytest.mark.parametrize(
    ("values", "scale"),
    [((10, 25, 50, 100, 200), "log scale"), ((1.0, 2.0, 3.5), "linear scale"), ((0.0, 9.0), "linear")],
)
def test_a_sweep_is_drawn_with_its_own_axis(
    run: Callable[..., Run], values: tuple[float, ...], scale: str, tmp_path: Path
) -> None:
    from matplotlib.figure import Figure

    setting = "steps" if values[0] == 10 else "cfg"
    runs = [run(f"a:{setting}={value}", 50 - 3 * index) for index, value in enumerate(values)]
    found = curves.build(runs, ["test_fd"])
    axes = Figure().add_subplot()
    drawing._panel(axes, found[0], drawing.family_names(found))
    assert axes.get_xlabel().startswith(setting)
    assert scale in axes.get_xlabel()
    assert list(axes.get_xticks()) == list(values)
    low, high = axes.get_xlim()
    assert low < values[0]
    assert high > values[-1]
    first, second = (drawing.render(found), drawing.render(found))
    assert first == second
    assert len(re.findall(rb'id="point-0-\d+"', first)) == len(values)
    assert {path.suffix for path in drawing.write(found, tmp_path / "out")} == {".pdf", ".svg"}


def test_a_suite_with_a_sweep_runs_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud_system.py").write_text(
        "import numpy as np\n"
        "from ldmbench.audio.sound import Audio\n"
        "from ldmbench.system.protocol import Output\n"
        "class Loud:\n"
        "    def __init__(self, spec):\n"
        "        self.card, self.factor = spec.card, spec.settings['factor']\n"
        "    def process(self, clips):\n"
        "        for clip in clips:\n"
        "            yield Output(Audio(clip.audio.samples * np.float32(self.factor), clip.audio.rate))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    card = tmp_path / "loud.toml"
    card.write_text(
        'name = "loud"\ntitle = "Gain"\ntasks = ["codec"]\nmodule = "loud_system:Loud"\nlicence = "none"\n'
        "[settings]\nfactor = 1.0\n"
    )
    suite = tmp_path / "gains.toml"
    suite.write_text(
        'name = "gains"\ntitle = "Gains"\ntask = "codec"\ndatasets = []\nmetrics = ["snr"]\n'
        f'[sweep]\nsystems = ["{card}"]\nfactor = [0.5, 0.9, 0.25]\n'
    )
    sound = Audio.of(np.random.default_rng(0).uniform(-0.5, 0.5, (1, 16000)), 16000)
    (tmp_path / "clips").mkdir()
    audio_io.write(tmp_path / "clips" / "one.wav", sound)
    runs = evaluate(str(suite), audio=tmp_path / "clips", out=tmp_path / "runs", quiet=True)
    assert [run.info.system for run in runs] == ["loud:factor=0.5", "loud:factor=0.9", "loud:factor=0.25"]
    assert len({run.info.id for run in runs}) == 3
    (curve,) = curves.build(runs, ["snr"])
    assert (curve.axis, curve.families[0].name) == ("factor", "loud")
    # What is lost of a signal scaled by f is 1 - f of it.
    expected = [-20 * math.log10(1 - factor) for factor in (0.25, 0.5, 0.9)]
    assert [point.x for point in curve.families[0].points] == [0.25, 0.5, 0.9]
    assert [point.value for point in curve.families[0].points] == pytest.approx(expected, abs=1e-3)


def test_nothing_to_draw_says_how_to_get_a_curve(run: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no curve to draw.*or run a sweep such as"):
        drawing.write(curves.build([run("a:steps=10", 1.0), run("b", 2.0)]), tmp_path)
