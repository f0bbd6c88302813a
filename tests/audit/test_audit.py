"""Audits: changes are what they say, and every answer is the metric's own on the changed sound."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.audit import records
from ldmbench.audit.carry_out import Options, audit, computable
from ldmbench.audit.changes import CHANGES, SHOWN, Case, Change
from ldmbench.audit.records import Answer, Audit, shows
from ldmbench.cli import cli
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import _base as base
from ldmbench.metrics._base import load_metric
from ldmbench.metrics._base import metric as define
from ldmbench.reports import audits as report
from ldmbench.stats import Estimate, mean
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError
from tests.conftest import Sound
from tests.present import present
from tests.registry import own_metrics

RATE = 16_000


def change(name: str) -> Change:
    return next(item for item in CHANGES if item.name == name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, speechlike: Sound) -> Path:
    """Two clips of 1.5 s, of which the second is stereo."""
    folder = tmp_path_factory.mktemp("clips")
    audio_io.write(folder / "one.wav", speechlike(1.5, seed=1))
    audio_io.write(folder / "two.wav", speechlike(1.5, seed=2).with_channels(2))
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, Audit]:
    options = Options((str(folder),), "speech", limit=0, quiet=True)
    names = ["snr", "si_sdr", "lsd", "stoi"]
    return {item.metric: item for item in audit(names, options)}


@pytest.fixture
def case(tone: Sound) -> Case:
    return Case(tone(1.0, channels=2), tone(1.0, channels=2, peak=0.25), tone(0.5, hz=100.0, channels=2))


def rms(sound: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(sound.samples, dtype=np.float64))))


def test_changes_have_names_of_their_own_and_a_summary_shows_some() -> None:
    names = [item.name for item in CHANGES]
    assert len(set(names)) == len(names)
    assert set(SHOWN) < set(names)


@pytest.mark.parametrize("item", CHANGES, ids=lambda item: item.name)
def test_a_change_leaves_what_it_is_given(item: Change, case: Case) -> None:
    before = [sound.digest() for sound in (case.reference, case.output, case.other)]
    reference, output = item.apply(case)
    assert [sound.digest() for sound in (case.reference, case.output, case.other)] == before
    assert np.isfinite(output.samples).all()
    if "both" not in item.name and not item.name.startswith(("level", "twice", "first")):
        assert reference is case.reference


@pytest.mark.parametrize(
    ("name", "decibels"), [("gain -1 dB", -1), ("gain -6 dB", -6), ("gain +6 dB", 6), ("level -20 dB", -20)]
)
def test_gains_are_those_of_their_names(name: str, decibels: float, case: Case) -> None:
    reference, output = change(name).apply(case)
    assert 20 * np.log10(rms(output) / rms(case.output)) == pytest.approx(decibels, abs=1e-4)
    own = decibels if name.startswith("level") else 0.0
    assert 20 * np.log10(rms(reference) / rms(case.reference)) == pytest.approx(own, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "samples"), [("delay 1 sample", 1), ("delay 1 ms", 16), ("delay 10 ms", 160), ("delay 100 ms", 1600)]
)
def test_delays_are_those_of_their_names(name: str, samples: int, case: Case) -> None:
    _, output = change(name).apply(case)
    assert output.length == case.output.length
    np.testing.assert_array_equal(output.samples[:, samples:], case.output.samples[:, :-samples])
    assert not output.samples[:, :samples].any()


def test_lengths_rates_channels_and_levels_are_those_of_their_names(case: Case) -> None:
    shapes = {item.name: tuple((s.duration, s.rate, s.channels) for s in item.apply(case)) for item in CHANGES}
    reference = (1.0, RATE, 2)
    assert shapes["zeros 40 ms"] == (reference, (1.04, RATE, 2))
    assert shapes["zeros 1 s both"] == ((2.0, RATE, 2), (2.0, RATE, 2))
    assert shapes["rate 44.1 kHz"] == (reference, (1.0, 44_100, 2))
    assert shapes["twice"] == ((2.0, RATE, 2), (2.0, RATE, 2))
    assert shapes["first half twice"] == (reference, reference)
    assert shapes["first half"] == ((0.5, RATE, 2), (0.5, RATE, 2))
    assert shapes["first 0.1 s"] == ((0.1, RATE, 2), (0.1, RATE, 2))
    assert shapes["another clip"] == (reference, reference)
    _, left = change("stereo left only").apply(case)
    np.testing.assert_array_equal(left.samples[0], case.output.mono().samples[0])
    assert not left.samples[1].any()
    _, clipped = change("clipped -6 dB").apply(case)
    assert np.abs(clipped.samples).max() == pytest.approx(10 ** (-6 / 20) * 0.25, rel=1e-3)
    _, noise = change("noise").apply(case)
    assert rms(noise) == pytest.approx(rms(case.output), rel=0.02)


def test_answers_are_what_the_definitions_say(made: dict[str, Audit]) -> None:
    snr, si_sdr, stoi = made["snr"], made["si_sdr"], made["stoi"]
    assert present(snr.step) > 0
    assert not snr.upside_down
    # Scale-invariant by definition, which plain SNR is not; neither stands a delay or another sign.
    assert abs(present(si_sdr.answer("gain -6 dB").steps)) < 1e-5
    assert present(snr.answer("gain -6 dB").steps) < -0.1
    assert si_sdr.answer("polarity").unchanged
    assert present(snr.answer("polarity").value) < 0
    assert present(snr.answer("delay 1 ms").difference) < -1
    # SNR of silence is 0 dB, of the reference infinite.
    assert snr.answer("silence").value == pytest.approx(0.0, abs=1e-9)
    assert snr.answer("reference").note.startswith("2 of 2 unscored: the output equals the reference")
    assert si_sdr.answer("zeros 1 s").note.startswith("2 of 2 refused: ")
    assert stoi.answer("first 0.1 s").clips == 0
    for item in made.values():
        assert item.answer("again").unchanged
        assert item.answer("stereo").unchanged
        assert item.clips == 2


def test_an_answer_is_the_metric_on_the_changed_sound(folder: Path, made: dict[str, Audit]) -> None:
    """The same by hand, from the system to the mean."""
    from ldmbench.system.registry import load_system, resolve

    system, metric = load_system(resolve("opus@12kbps")), load_metric("lsd")
    values, before = [], []
    for name in ("one", "two"):
        clip = Clip(name, "set", loaded=audio_io.read(folder / f"{name}.wav"))
        output = present(next(iter(system.process([clip]))).audio)
        quiet = Audio(output.samples * np.float32(10 ** (-6 / 20)), output.rate)
        values.append(float(metric.measure(clip, Output(quiet))))
        before.append(float(metric.measure(clip, Output(output))))
    answer = made["lsd"].answer("gain -6 dB")
    assert answer.value == pytest.approx(np.mean(values), rel=1e-12)
    assert answer.difference == pytest.approx(np.mean(values) - np.mean(before), rel=1e-9)
    assert answer.steps == pytest.approx(-present(answer.difference) / abs(present(made["lsd"].step)))


@pytest.mark.slow
def test_processes_change_nothing(folder: Path, made: dict[str, Audit]) -> None:
    options = Options((str(folder),), "speech", limit=0, jobs=2, quiet=True)
    assert audit(["snr"], options) == [made["snr"]]


def test_it_is_kept_and_read_back(tmp_path: Path, made: dict[str, Audit]) -> None:
    records.write(tmp_path / "audit.json", list(made.values()))
    again = records.read(tmp_path / "audit.json")
    assert {item.metric: item for item in again} == made
    (tmp_path / "other.json").write_text('[{"metric": "snr"}]')
    with pytest.raises(BenchError, match="holds no audits"):
        records.read(tmp_path / "other.json")


def test_tables_say_what_was_measured(made: dict[str, Audit]) -> None:
    rows = list(csv.DictReader(io.StringIO(report.to_csv(list(made.values())))))
    assert len(rows) == len(made) * len(CHANGES)
    row = next(row for row in rows if (row["metric"], row["change"]) == ("snr", "polarity"))
    assert float(row["difference"]) == made["snr"].answer("polarity").difference
    grid = report.summary(list(made.values()))
    assert [line[0] for line in grid.rows] == sorted(made)
    polarity = {line[0]: line[grid.columns.index("polarity")] for line in grid.rows}
    assert polarity["si_sdr"] == "="
    assert float(polarity["snr"]) < 0
    assert "| **snr** |" not in report.to_text([made["snr"]], "markdown")


def test_a_step_that_goes_the_wrong_way_is_said() -> None:
    answer = Answer("again", 1.0, 0.0, 0.0, 2)
    upside = Audit("m", 1, "M", "", "higher", 2, ("a", "b"), ("d",), 2, 1.0, -0.5, (answer,))
    assert upside.upside_down
    assert "takes for the worse" in report.step_text(upside)
    assert not Audit("m", 1, "M", "", "lower", 2, ("a", "b"), ("d",), 2, 1.0, -0.5, (answer,)).upside_down


def test_what_does_not_show_in_print_is_no_step() -> None:
    answer = Answer("again", 1.0, 0.5, None, 2)
    alike = Audit("m", 1, "M", "", "higher", 2, ("a", "b"), ("d",), 2, 1.0, 0.004, (answer,))
    assert "the same value, as far as it is printed" in report.step_text(alike)
    assert shows(0.005, 2)
    assert not shows(-0.0049, 2)
    assert not shows(None, 2)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> str:
    """A metric that raises where the output is silent, and has no number where it is noise."""
    own_metrics(monkeypatch)

    @define("odd_metric", title="Odd", source="this test")
    def odd_metric(reference: Any, estimate: Any, rate: int) -> float:
        if not estimate.any():
            raise ZeroDivisionError("nothing there")
        if len(reference) < 2000:
            raise Unscored("too short")
        return float("nan") if abs(np.corrcoef(reference, estimate)[0, 1]) < 0.05 else float(np.abs(estimate).max())

    return "odd_metric"


def _no_estimate(metric: base.Metric, values: Sequence[object]) -> Estimate:
    if metric.facts.name == "odd_estimate":
        raise ZeroDivisionError("too few")
    return mean(np.array(values, np.float64))


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, words), "--jobs", "1", "--quiet"])


def test_what_a_metric_raises_is_a_failure_and_sets_the_exit_code(folder: Path, odd: str) -> None:
    answer = run("audit", odd, "-d", folder, "--json")
    assert answer.exit_code == 1
    (row,) = json.loads(answer.stdout)
    notes = {item["change"]: item["note"] for item in row["answers"]}
    assert notes["silence"] == "2 of 2 failed: ZeroDivisionError: nothing there"
    assert notes["noise"] == "2 of 2 failed: the metric returned nan"
    assert notes["first 0.1 s"] == "2 of 2 unscored: too short"
    assert "failed: odd_metric, silence:" in answer.stderr
    assert run("audit", odd, "-d", folder, "--allow-failures").exit_code == 0


def test_a_page_and_a_table_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    answer = run("audit", "snr", "si_sdr", "-d", folder, "--to", "html", "-o", tmp_path / "page")
    assert answer.exit_code == 0, answer.output
    page = (tmp_path / "page" / "index.html").read_text()
    heads = re.findall(r'<th scope="col" title="(.*?)">(.*?)</th>', page)
    assert {(item.text, item.name) for item in CHANGES} <= {(html.unescape(a), html.unescape(b)) for a, b in heads}
    assert '<section id="si_sdr"' in page
    text = run("audit", "snr", "-d", folder, "--to", "markdown").stdout
    assert text.startswith("### snr: SNR (dB), ")
    assert "| polarity |" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no metric is named"),
        (("snr", "--every"), "--every and METRIC are both given"),
        (("kbps",), "kbps cannot be audited here: hears no output: it needs bits"),
        (("utmos",), "utmos cannot be audited here: weights of UTMOS22 strong are not in "),
        (("nothing",), "unknown metric 'nothing'"),
        (("snr", "-s", "opus"), "-s was given 1 times"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(words: tuple[str, ...], message: str) -> None:
    answer = run("audit", *words)
    assert answer.exit_code == 2
    assert f"error: {message}" in answer.stderr


def test_a_metric_of_speech_needs_speech(folder: Path) -> None:
    answer = run("audit", "estoi", "-d", folder)
    assert answer.exit_code == 2
    assert "error: estoi has nothing to hear: 0 clips with speech" in answer.stderr


def test_every_metric_is_computable_or_has_a_reason(folder: Path, tmp_path: Path) -> None:
    names, reasons = computable(base.list_metrics(), Options((str(folder),), "speech", weights=tmp_path))
    assert set(names) | set(reasons) == set(base.list_metrics())
    assert {"snr", "lsd", "stoi"} <= set(names)
    assert reasons["kbps"] == "hears no output: it needs bits"
    assert "needs tokens" in reasons["token_entropy"]
    assert "ldmbench fetch nisqa" in reasons["nisqa_mos"]
    assert reasons["onset_f"] == "0 clips with music" or reasons["onset_f"].startswith("needs ")


def test_a_package_that_is_not_installed_is_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = run("audit", "warpq", "-d", folder, "--content", "speech")
    assert answer.exit_code == 2
    assert "error: warpq cannot be audited here: needs distillmos, " in answer.stderr
    assert "pip install 'ldmbench[speech]'" in answer.stderr


class Odd(base.ModelMetric):
    """A metric with a model that cannot be loaded."""

    facts = base.MetricFacts("odd_model", "Odd", needs=("output",), device=True, source="this test")
    tries = 0

    def problem(self) -> str:
        return ""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[base.Value | Exception]:
        Odd.tries += 1
        raise CheckpointError("the file is torn", fix="fetch it again")


def test_every_goes_on_where_metrics_fail(folder: Path, odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One raises, one has no estimate, one has no model: the others are as they are alone; the exit code says so."""

    @define("odd_estimate", title="Odd", source="this test")
    def odd_estimate(reference: Any, estimate: Any, rate: int) -> float:
        return 1.0

    monkeypatch.setattr(base.SignalMetric, "aggregate", _no_estimate)
    base.register("odd_model", lambda name, settings: Odd())
    names = ["snr", odd, "odd_estimate", "odd_model", "onset_f", "kbps"]
    monkeypatch.setattr("ldmbench.metrics._base.list_metrics", lambda: names)
    answer = run("audit", "--every", "-d", folder, "--json")
    assert answer.exit_code == 1, answer.output
    rows = {row["metric"]: row for row in json.loads(answer.stdout)}
    assert rows.keys() == {"snr", odd, "odd_estimate", "odd_model"}
    assert rows["snr"] == json.loads(run("audit", "snr", "-d", folder, "--json").stdout)[0]
    said = answer.stderr.splitlines()
    assert "failed: odd_metric, silence: 2 of 2 failed: ZeroDivisionError: nothing there" in said
    assert "failed: odd_model, every change: 2 of 2 failed: the file is torn (fix: fetch it again)" in said
    (line,) = [line for line in said if line.startswith("failed: odd_estimate, ")]
    assert line.endswith(": failed: no estimate: ZeroDivisionError: too few")
    assert "left out: kbps: hears no output: it needs bits" in said
    assert any(line.startswith("left out: onset_f: ") for line in said)
    assert Odd.tries == 1
