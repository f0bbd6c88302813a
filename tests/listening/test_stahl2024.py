"""A real test, 21 listeners and 7 neural codecs: screened and analysed as its authors and others did (CC BY 4.0)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import friedmanchisquare, wilcoxon

from ldmbench.cli import cli
from ldmbench.listening.analysis import Analysis, analyse
from ldmbench.listening.crossed import crossed, cube
from ldmbench.listening.joined import read_names
from ldmbench.listening.outcome import carry_out, read_outcome, write_outcome
from ldmbench.listening.pairs import Pair
from ldmbench.listening.read import HowToRead, read_ratings
from ldmbench.listening.screening import Screening, screen
from ldmbench.listening.validation import validate
from ldmbench.runs.records import ClipInfo, DatasetInfo, RunInfo, ScoreRow
from ldmbench.runs.results import Run

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "examples" / "stahl2024"
RATINGS = FOLDER / "ratings.csv"


@pytest.fixture(scope="module")
def screened() -> Screening:
    names = read_names(items=FOLDER / "items.csv")
    return screen(read_ratings([RATINGS], HowToRead(names)))


@pytest.fixture(scope="module")
def analysis(screened: Screening) -> Analysis:
    return analyse(screened.ratings)


def pair(analysis: Analysis, first: str, second: str) -> Pair:
    return next(item for item in analysis.whole.pairs if (item.first, item.second) == (first, second))


def test_everything_is_read(screened: Screening) -> None:
    ratings = screened.before
    assert (len(ratings.rows), len(ratings.listeners), len(ratings.items), len(ratings.systems)) == (1512, 21, 16, 7)
    assert ratings.named("reference") == "Reference"
    assert ratings.named("low anchor") == "Anchor"
    assert not ratings.notes


def test_the_listeners_whom_the_authors_excluded_go(screened: Screening) -> None:
    """The authors' own filtered table has 1,368 ratings of 19 listeners; one bad reference of eight is allowed."""
    assert screened.excluded == ("6", "17")
    assert screened.counts == {"listeners": (21, 19), "items": (16, 16), "ratings": (1512, 1368)}
    reasons = {item.name: item.reason for item in screened.log}
    assert "5 of 8" in reasons["6"]
    assert "2 of 8" in reasons["17"]
    assert "low anchor above 90 on 4 of 8" in reasons["21"], "flagged, not excluded"


def test_medians(analysis: Analysis) -> None:
    """Medians of the filtered table, computed beside the bench."""
    medians = {item.name: item.median for item in analysis.whole.summaries}
    expected = {"Reference": 100, "AudioDec": 77, "Proposed 5.51": 62, "Lyra 6": 47, "Lyra 3": 29, "Anchor": 15.5}
    assert {name: medians[name] for name in expected} == expected


def test_differences_for_other_listeners_and_items(analysis: Analysis) -> None:
    """A two-way bootstrap gave [5.0, 23.6] and [-8.4, 19.5]; listener means alone 14.9 +- 7.0."""
    proposed = pair(analysis, "Proposed 5.51", "Lyra 6").difference
    assert proposed.value == pytest.approx(14.895, abs=0.001)
    assert [proposed.low, proposed.high] == pytest.approx([5.0, 23.6], abs=1.6)
    audiodec = pair(analysis, "Proposed 5.51", "AudioDec")
    assert audiodec.difference.value == pytest.approx(-6.27, abs=0.01)
    assert [audiodec.difference.low, audiodec.difference.high] == pytest.approx([-19.5, 8.4], abs=1.6)
    assert audiodec.wilcoxon == pytest.approx(0.03, abs=0.001), "for these items it differs"
    assert audiodec.adjusted == 1, "for others it need not"


def test_the_two_way_bootstrap_agrees(screened: Screening) -> None:
    scores = cube(screened.ratings, ["Proposed 5.51", "Lyra 6"])
    cells = scores[:, :, 0] - scores[:, :, 1]
    random = np.random.default_rng(0)
    listeners, items = cells.shape
    draws = []
    for _ in range(2000):
        drawn = cells[random.integers(0, listeners, listeners)][:, random.integers(0, items, items)]
        draws.append(np.nanmean(drawn))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert (low, high) == (pytest.approx(5.0, abs=1.5), pytest.approx(23.6, abs=1.5))
    closed = crossed(cells)
    assert [closed.low, closed.high] == pytest.approx([low, high], abs=2.5)


def test_tests_for_these_items_are_scipys(screened: Screening, analysis: Analysis) -> None:
    from statsmodels.stats.multitest import multipletests

    systems = screened.ratings.systems
    means = np.nanmean(cube(screened.ratings, systems), axis=1)
    friedman = friedmanchisquare(*means.T)
    assert analysis.whole.friedman is not None
    assert analysis.whole.friedman.statistic == pytest.approx(float(friedman.statistic))
    assert analysis.whole.friedman.p == pytest.approx(float(friedman.pvalue))
    expected = []
    for item in analysis.whole.pairs:
        first, second = systems.index(item.first), systems.index(item.second)
        expected.append(float(wilcoxon(means[:, first], means[:, second]).pvalue))
    assert [item.wilcoxon for item in analysis.whole.pairs] == pytest.approx(expected)
    holm = multipletests(expected, method="holm")[1]
    assert [item.wilcoxon_adjusted for item in analysis.whole.pairs] == pytest.approx(list(holm))
    crossed = [item.difference.p for item in analysis.whole.pairs]
    holm = multipletests(crossed, method="holm")[1]
    assert [item.adjusted for item in analysis.whole.pairs] == pytest.approx(list(holm))


def test_variance_components(analysis: Analysis) -> None:
    """Computed with statsmodels' MixedLM beside the bench: 12.5, 3.6, 9.9, 6.0, 17.3."""
    parts = analysis.components
    assert parts is not None
    found = (parts.listener, parts.item, parts.item_system, parts.listener_system, parts.residual)
    assert found == pytest.approx((12.5, 3.6, 9.9, 6.0, 17.3), abs=0.06)
    assert parts.half_width(20, 10) == pytest.approx(10, abs=0.1)
    assert parts.half_width(20, 30) == pytest.approx(6.5, abs=0.1)


def test_groups_show_what_the_mean_hides(analysis: Analysis) -> None:
    means = {
        group.name: {item.name: item.mean.value for item in group.summaries if item.mean.value is not None}
        for group in analysis.groups
    }
    assert means["TSP"]["AudioDec"] == pytest.approx(78, abs=0.5)
    assert means["VCTK"]["AudioDec"] == pytest.approx(56, abs=0.5)


@pytest.mark.slow
def test_from_the_command_line_to_tables_plots_and_latex(tmp_path: Path) -> None:
    words = ["mushra", "analyse", str(RATINGS), "--items", str(FOLDER / "items.csv"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, [*words, "--systems", str(FOLDER / "systems.csv"), "--title", "Stahl 2024"])
    assert done.exit_code == 0, done.output
    assert "EXCLUDED listener 6 (BS.1534 A)" in done.output
    assert "prop_55 − lyra_6" in done.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    drawn = {f"scores-{kind}.{suffix}" for kind in ("box", "violin") for suffix in ("pdf", "svg")}
    tables = {"ratings.csv", "screening.csv", "scores.csv", "differences.csv", "tables.tex", "tables.md"}
    assert written == drawn | tables | {"analysis.json", "methods.txt"}
    methods = (tmp_path / "out" / "methods.txt").read_text(encoding="utf-8")
    assert "21 listeners rated 8 of 16 items" in methods
    assert "excluded 2 listeners (6: hidden reference below 90 on 5 of 8 items" in methods
    latex = (tmp_path / "out" / "tables.tex").read_text(encoding="utf-8")
    assert r"prop\_55 $-$ lyra\_6 & $+$14.9" in latex
    again = CliRunner().invoke(cli, ["mushra", "analyse", str(tmp_path / "out" / "ratings.csv")])
    assert "19 of 19 listeners, 16 of 16 items, 1368 of 1368 ratings" in again.output, "what it writes it reads"


def test_an_outcome_is_kept_whole(screened: Screening, tmp_path: Path) -> None:
    outcome, _ = carry_out(screened.before, "a test")
    write_outcome(tmp_path / "analysis.json", outcome)
    assert read_outcome(tmp_path) == outcome


def golden_runs() -> list[Run]:
    """PESQ-WB and ESTOI of the bench on the test's sounds, as runs."""
    path = Path(__file__).resolve().parents[1] / "golden" / "stahl2024_metrics.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    runs = []
    for system in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == system]
        clips = tuple(ClipInfo(f"audio/{row['clip']}", "audio") for row in own)
        scores = {
            (f"audio/{row['clip']}", name): ScoreRow(f"audio/{row['clip']}", name, 1, "ok", float(row[name]))
            for row in own
            for name in ("pesq_wb", "estoi")
        }
        info = RunInfo(
            id=system, suite="folders+audio", system=system, title=system, task="codec", settings={}, seed=0,
            untrained=False, limit=0, identity={"code": ""}, clips=clips,
            datasets=(DatasetInfo("audio", "", "speech", ""),), metrics=("pesq_wb", "estoi"), environment={},
            created="",
        )  # fmt: skip
        runs.append(Run(path, info, {}, scores))
    return runs


def test_metrics_against_these_listeners() -> None:
    """Computed beside the bench: PESQ-WB r -.10, per condition -.38, errors 16.2, 8.0, .33; ESTOI -.09.

    Its interval over items alone was [-.24, .03]; over items and listeners it is wider.
    """
    names = read_names(systems=FOLDER / "systems.csv", items=FOLDER / "items.csv")
    ratings = screen(read_ratings([RATINGS], HowToRead(names))).ratings
    validation = validate(ratings, golden_runs(), "Stahl 2024")
    rows = {row.metric: row for row in validation.sections[0].rows}
    pesq, estoi = rows["pesq_wb"], rows["estoi"]
    assert (pesq.sounds, pesq.systems, pesq.items) == (112, 7, 16)
    found = pesq.agreements["sounds pearson"]
    assert found.value == pytest.approx(-0.10, abs=0.005)
    assert found.low is not None
    assert found.high is not None
    assert -0.35 < found.low < -0.24
    assert 0.03 < found.high < 0.15
    assert pesq.agreements["systems pearson"].value == pytest.approx(-0.38, abs=0.005)
    assert estoi.agreements["sounds pearson"].value == pytest.approx(-0.09, abs=0.005)
    assert pesq.linear is not None
    assert pesq.linear.rmse == pytest.approx(16.2, abs=0.05)
    assert pesq.linear.rmse_star == pytest.approx(8.0, abs=0.05)
    assert pesq.linear.outliers == pytest.approx(0.33, abs=0.005)
    assert [section.name for section in validation.sections] == ["all", "group VCTK", "group TSP"]
