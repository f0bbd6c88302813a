"""Metrics against listeners: the libraries' correlations, P.1401's errors, sets on disk, pages that play."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from scipy.stats import kendalltau, pearsonr, spearmanr

from ldmbench.audio.arrays import Real
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.listening import agreement
from ldmbench.listening.rated import find_sounds
from ldmbench.listening.read import HowToRead, read_ratings, references_of
from ldmbench.listening.validation import validate
from ldmbench.runs.prepare import open_runs

#: Systems by the level of their noise; the last one is the best.
SYSTEMS = {"rough": -10, "poor": 0, "fair": 10, "fine": 30}
ITEMS = [f"item{index}" for index in range(6)]


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ITEM/CONDITION.wav`` as ODAQ has it, with ratings that follow the level of the noise."""
    folder = tmp_path_factory.mktemp("rated")
    random = np.random.default_rng(3)
    lines = ["listener,item,system,score"]
    for item in ITEMS:
        (folder / item).mkdir()
        sound = 0.1 * random.standard_normal(8000)
        soundfile.write(folder / item / "reference.wav", sound, 8000, subtype="FLOAT")
        for system, level in SYSTEMS.items():
            noisy = sound + 0.1 * 10 ** (-level / 20) * random.standard_normal(8000) * random.uniform(0.5, 2)
            soundfile.write(folder / item / f"{system}.wav", noisy, 8000, subtype="FLOAT")
        for listener in range(5):
            lines.append(f"l{listener},{item},reference,{95 + listener}")
            for system, level in SYSTEMS.items():
                score = float(np.clip(35 + level + 12 * random.standard_normal(), 0, 100))
                lines.append(f"l{listener},{item},{system},{score:.1f}")
    (folder / "ratings.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def validation_words(rated: Path, answer: dict[str, Any]) -> list[str]:
    """The command on runs that are there: the set was scored once for all tests."""
    return ["validate", str(rated / "ratings.csv"), "--runs", f"folders+{rated.name}", "--out", str(answer["runs"])]


@pytest.fixture(scope="module")
def answer(rated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    runs = tmp_path_factory.mktemp("runs")
    words = [
        "validate",
        str(rated / "ratings.csv"),
        "--audio",
        str(rated),
        "-m",
        "snr",
        "-m",
        "lsd_ssr_eval",
        "--quiet",
    ]
    done = call(*words, "--jobs", "1", "--to", "json", "--out", runs)
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.output)
    return {"result": result, "runs": runs}


def table(answer: dict[str, Any], metric: str) -> tuple[Real, Real]:
    points = [point for point in answer["result"]["points"] if metric in point["values"]]
    scores = np.array([point["score"] for point in points])
    return scores, np.array([point["values"][metric] for point in points])


@pytest.mark.parametrize(("metric", "sign"), [("snr", 1), ("lsd_ssr_eval", -1)])
def test_correlations_are_scipys(answer: dict[str, Any], metric: str, sign: int) -> None:
    """A metric of which less is better has its sign turned: positive is on the listeners' side."""
    scores, values = table(answer, metric)
    assert len(scores) == 24
    (row,) = (row for row in answer["result"]["sections"][0]["rows"] if row["metric"] == metric)
    for name, function in (("pearson", pearsonr), ("spearman", spearmanr), ("kendall", kendalltau)):
        expected = sign * float(function(scores, values).statistic)
        found = row["agreements"][f"sounds {name}"]
        assert found["value"] == pytest.approx(expected)
        assert found["low"] < found["value"] < found["high"]
    by_system = scores.reshape(6, 4).mean(axis=0), values.reshape(6, 4).mean(axis=0)
    assert row["agreements"]["systems pearson"]["value"] == pytest.approx(sign * float(pearsonr(*by_system).statistic))
    inside = [
        np.arctanh(pearsonr(*pair).statistic) for pair in zip(scores.reshape(6, 4), values.reshape(6, 4), strict=True)
    ]
    assert row["agreements"]["within items pearson"]["value"] == pytest.approx(sign * float(np.tanh(np.mean(inside))))


def test_errors_of_p1401(answer: dict[str, Any]) -> None:
    scores, values = table(answer, "snr")
    halves = np.array([point["half"] for point in answer["result"]["points"]])
    slope, start = np.polyfit(values, scores, 1)
    errors = np.abs(scores - slope * values - start)
    (row,) = (row for row in answer["result"]["sections"][0]["rows"] if row["metric"] == "snr")
    assert row["linear"]["rmse"] == pytest.approx(float(np.sqrt((errors**2).sum() / 22)))
    outside = np.maximum(errors - halves, 0)
    assert row["linear"]["rmse_star"] == pytest.approx(float(np.sqrt((outside**2).sum() / 22)))
    assert row["linear"]["outliers"] == pytest.approx(float((errors > halves).mean()))


def test_a_cubic_does_not_turn() -> None:
    x = np.linspace(-1, 1, 60)
    curve = 50 + 20 * x**3 + 10 * x
    exact = agreement.mapped(curve, x, None, cubic=True)
    assert exact is not None
    assert exact.rmse == pytest.approx(0, abs=0.02)
    bent = agreement.mapped(50 + 30 * x**2, x, None, cubic=True)
    line = agreement.mapped(50 + 30 * x**2, x, None)
    assert bent is not None
    assert line is not None
    assert 5 < bent.rmse <= line.rmse * 1.05, "a parabola cannot be followed without turning"
    assert agreement.mapped(x[:4], x[:4], None, cubic=True) is None, "no more sounds than coefficients"


def test_nothing_is_scored_twice_and_a_page_plays(rated: Path, answer: dict[str, Any], tmp_path: Path) -> None:
    words = validation_words(rated, answer)
    done = call(*words, "--to", "html", "-o", tmp_path / "page", "--title", "A <test>")
    assert done.exit_code == 0, done.output
    html = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "A &lt;test&gt;: metrics against listeners" in html
    data = json.loads(html.split('id="data">')[1].split("</script>")[0])
    assert len(data["points"]) == 24
    for point in data["points"]:
        assert (tmp_path / "page" / point["audio"]).is_file()
        assert (tmp_path / "page" / point["reference"]).is_file()


def test_every_format(rated: Path, answer: dict[str, Any], tmp_path: Path) -> None:
    words = validation_words(rated, answer)
    text = call(*words).output
    assert "Left out, ends of the scale: reference" in text
    assert "SNR − LSD" in text
    rows = list(csv.DictReader(io.StringIO(call(*words, "--to", "csv").output)))
    assert {row["level"] for row in rows} == {"sounds", "systems", "within items", "linear", "monotone cubic"}
    assert r"\begin{tabular}" in call(*words, "--to", "latex").output
    written = call(*words, "--to", "md", "-o", tmp_path / "v.md")
    assert written.output.startswith("wrote ")
    assert (tmp_path / "v.md").read_text(encoding="utf-8").startswith("### ")


def test_kinds_and_groups_stand_apart(rated: Path, answer: dict[str, Any], tmp_path: Path) -> None:
    systems, items = tmp_path / "systems.csv", tmp_path / "items.csv"
    kinds = dict(zip(SYSTEMS, ("classical", "classical", "neural", "neural"), strict=True))
    systems.write_text("condition,kind\n" + "".join(f"{name},{kind}\n" for name, kind in kinds.items()))
    items.write_text("item,group\n" + "".join(f"{name},{'ab'[index % 2]}\n" for index, name in enumerate(ITEMS)))
    words = validation_words(rated, answer)
    result = json.loads(call(*words, "--systems", systems, "--items", items, "--to", "json").output)
    names = [section["name"] for section in result["sections"]]
    assert names == ["all", "classical systems", "neural systems", "group a", "group b"]
    assert [section["rows"][0]["sounds"] for section in result["sections"]] == [24, 12, 12, 12, 12]


def test_a_metric_against_the_listeners_has_a_negative_value(rated: Path, answer: dict[str, Any]) -> None:
    ratings = read_ratings([rated / "ratings.csv"], HowToRead())
    turned = replace(ratings, rows=tuple(replace(row, score=100 - row.score) for row in ratings.rows))
    result = validate(turned, open_runs((f"folders+{rated.name}",), answer["runs"]), "turned", draws=50)
    value = result.sections[0].rows[0].agreements["sounds pearson"].value
    assert value is not None
    assert value < -0.5


def test_two_metrics_of_equal_values_do_not_differ() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(50, 10, (8, 10, 5))
    draws = agreement.Draws(scores, 200)
    values = scores.mean(axis=0) + random.normal(0, 3, (10, 5))
    drawn = draws.statistics(lambda one, other: agreement.per_cell(agreement.pearson, one, other), values)
    apart = agreement.difference(0.5, 0.5, (drawn, drawn), 10)
    assert apart == (0.0, 0.0, 1.0)


def test_openace_layout(rated: Path, answer: dict[str, Any], tmp_path: Path) -> None:
    """Means only: intervals are over items, and errors have no interval of a mean to lie outside of."""
    lines = ["speaker,emotion,codec,reference_file,distorted_file,distorted_mushra_rating,visqol_score,polqa_score"]
    for index, item in enumerate(ITEMS):
        for system, level in SYSTEMS.items():
            score = 40 + level + index
            lines.append(
                f"p1,{'joy' if index % 2 else 'awe'},{system},{item}/reference.wav,{item}/{system}.wav,{score},4,4"
            )
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    ratings = read_ratings([tmp_path / "metadata.csv"], HowToRead())
    sounds = find_sounds(ratings, rated, references_of([tmp_path / "metadata.csv"]))
    assert {name: len(own) for name, own in sounds.outputs.items()} == dict.fromkeys(SYSTEMS, 6)
    clips = {item: f"{rated.name}/{item}" for item in sounds.references}
    assert set(clips) == {f"{item}/reference" for item in ITEMS}
    result = validate(
        replace(ratings, clips=clips), open_runs((f"folders+{rated.name}",), answer["runs"]), "means", draws=100
    )
    row = result.sections[0].rows[0]
    assert row.sounds == 24
    assert row.linear is not None
    assert row.linear.outliers is None
    assert [section.name for section in result.sections] == ["all", "group awe", "group joy"]


def test_sounds_that_are_not_there_are_named(rated: Path, tmp_path: Path) -> None:
    ratings = read_ratings([rated / "ratings.csv"], HowToRead())
    with pytest.raises(BenchError, match="no folder"):
        find_sounds(ratings, tmp_path / "nowhere")
    with pytest.raises(BenchError, match="lay them as ITEM/CONDITION"):
        find_sounds(ratings, tmp_path)


def test_ratings_of_other_sounds_are_refused(rated: Path, answer: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("listener,item,system,score\na,x,reference,100\na,x,codec,50\n")
    done = call("validate", tmp_path / "r.csv", "--runs", f"folders+{rated.name}", "--out", answer["runs"])
    assert done.exit_code == 2
    assert "no sound was both rated and measured" in done.output
    assert "--systems" in done.output
    done = call("validate", tmp_path / "r.csv")
    assert "--runs" in done.output


@pytest.mark.slow
def test_points_play_by_pointer_and_by_keyboard(
    rated: Path, answer: dict[str, Any], tmp_path: Path, browsers: Callable[..., Any]
) -> None:
    """In real Chromium: a point chosen plays its own sound, R its reference, and arrow keys go along the metric."""
    done = call(*validation_words(rated, answer), "--to", "html", "-o", tmp_path / "page")
    assert done.exit_code == 0, done.output
    browser = browsers("autoplay-policy=no-user-gesture-required", "window-size=1400,1000")
    browser.get((tmp_path / "page" / "index.html").as_uri())
    points = browser.find_elements("css selector", "circle.point")
    assert len(points) == 24

    def chosen() -> tuple[str, str]:
        return tuple(browser.find_element("id", name).text for name in ("name", "where"))

    def pressed(name: str) -> bool:
        return bool(browser.find_element("id", name).get_attribute("aria-pressed") == "true")

    browser.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", points[3])
    first = chosen()
    assert first[0] in SYSTEMS
    assert pressed("output")
    browser.execute_script("arguments[0].focus()", points[3])
    values = []
    for _ in range(3):
        browser.switch_to.active_element.send_keys("\ue014")
        values.append(float(browser.execute_script("return document.activeElement.getAttribute('cx')")))
    assert values == sorted(values)
    assert chosen() != first
    browser.switch_to.active_element.send_keys("r")
    assert pressed("reference")
    assert not pressed("output")
    browser.switch_to.active_element.send_keys("\ue00c")
    assert not pressed("reference")
    for button in browser.find_elements("css selector", "[data-system]")[1:]:
        button.click()
    assert len(browser.find_elements("css selector", "circle.point")) == 6
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
