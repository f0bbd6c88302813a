"""An output counts as long as it is, sample for sample, what the system made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.errors import BenchError
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import BaseMetric, MetricFacts
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.existing import rescore
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.scoring import forget_metrics
from ldmbench.runs.verify import changed_outputs
from ldmbench.suite import Suite
from ldmbench.system.protocol import Output
from ldmbench.system.registry import resolve

Sound = Callable[..., Audio]
QUIET = Options(quiet=True)


@pytest.fixture
def data(tmp_path: Path, tone: Sound) -> Dataset:
    clips = []
    for index, name in enumerate("abc"):
        audio.write(tmp_path / "clips" / f"{name}.wav", tone(0.2, hz=300 + 50 * index))
        clips.append(Clip(f"d/{name}", "d", path=tmp_path / "clips" / f"{name}.wav"))
    return Dataset("d", "D", "general", tuple(clips), "digest")


@pytest.fixture
def plan(tmp_path: Path, data: Dataset, in_this_process: None) -> Plan:
    suite = Suite(name="mini", title="Mini", task="codec", datasets=("d",), metrics=("lsd_ssr_eval",))
    return make_plan(suite, [data], [resolve("lowpass@3.5khz")], tmp_path / "runs")


def swap(run: Run) -> None:
    """Two outputs under each other's name, with the times they had."""
    first, second = run.path / "audio/d/a.wav", run.path / "audio/d/b.wav"
    contents, times = (first.read_bytes(), second.read_bytes()), [path.stat().st_mtime_ns for path in (first, second)]
    for path, content, time in zip((second, first), contents, reversed(times), strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(time, time))


DAMAGES: dict[str, tuple[Callable[[Run], Any], set[str]]] = {
    "swapped": (swap, {"d/a", "d/b"}),
    "gone": (lambda run: (run.path / "audio/d/b.wav").unlink(), {"d/b"}),
    "empty": (lambda run: (run.path / "audio/d/b.wav").write_bytes(b""), {"d/b"}),
    "cut": (lambda run: os.truncate(run.path / "audio/d/b.wav", 500), {"d/b"}),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("looked_at_before", [True, False])
def test_what_changed_is_made_again(
    plan: Plan, damage: str, looked_at_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = carry_out(plan, QUIET)
    if looked_at_before:
        with monkeypatch.context() as patch:
            patch.setattr("ldmbench.host.homes._SETTLED_S", -100.0)
            assert changed_outputs(whole) == set()
    act, clips = DAMAGES[damage]
    act(whole)
    assert changed_outputs(whole) == clips
    (again,) = carry_out(plan, QUIET)
    assert changed_outputs(again) == set()
    assert {clip: row.digest for clip, row in again.outputs.items()} == {
        clip: row.digest for clip, row in whole.outputs.items()
    }
    assert again.scores == whole.scores


def test_what_was_read_is_not_read_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = carry_out(plan, QUIET)
    monkeypatch.setattr("ldmbench.host.homes._SETTLED_S", -100.0)
    assert changed_outputs(run) == set()
    monkeypatch.setattr("ldmbench.runs.verify.audio_io.read", lambda path: pytest.fail(f"{path} was read again"))
    assert changed_outputs(run) == set()


@pytest.mark.parametrize("damage", DAMAGES)
def test_scoring_says_by_name_what_changed(plan: Plan, damage: str) -> None:
    (whole,) = carry_out(plan, QUIET)
    act, clips = DAMAGES[damage]
    act(whole)
    (run,) = rescore([whole], ["snr"], QUIET)
    failed = {clip for clip, metric, _ in run.failures if metric == "snr"}
    assert failed == clips
    if damage == "swapped":
        assert "the output of d/a changed since it was made" in run.scores["d/a", "snr"].message


def test_a_run_that_cannot_be_read_is_named_and_the_others_go_on(plan: Plan, data: Dataset, tmp_path: Path) -> None:
    both = make_plan(plan.suite, [data], [*plan.specs, resolve("noise")], tmp_path / "runs")
    carry_out(both, QUIET)
    journal = both.paths[0] / "outputs.jsonl"
    journal.write_text("{oops}\n" + journal.read_text())
    (both.paths[1] / "outputs.jsonl").unlink()
    broken, whole = carry_out(both, QUIET)
    assert "outputs.jsonl line 1 is not valid JSON" in broken.problem
    assert str(both.paths[0]) in broken.problem
    assert broken.failures
    assert len(whole.outputs) == 3
    assert whole.failures == []


def test_a_metric_that_lacks_something_stores_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    class Needy(BaseMetric):
        facts = MetricFacts("needy", "Needy", extras=("models",))

        def measure(self, clip: Clip, output: Output) -> float:
            return 0.0

    (run,) = carry_out(plan, QUIET)
    metrics._import_all()
    monkeypatch.setitem(metrics._registry, "needy", metrics._Entry(lambda *_: Needy(), {}, {}))
    monkeypatch.setattr("ldmbench.runs.check.missing_extras", lambda extras: ["torch"] if extras else [])
    forget_metrics()
    before = (run.path / "scores.jsonl").read_bytes(), (run.path / "run.json").read_bytes()
    with pytest.raises(BenchError, match="needy: needs torch") as error:
        rescore([run], ["needy"], QUIET)
    assert error.value.exit_code == 2
    assert before == ((run.path / "scores.jsonl").read_bytes(), (run.path / "run.json").read_bytes())
    assert open_run(run.path).info.metrics == ("lsd_ssr_eval",)
