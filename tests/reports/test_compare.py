"""What a comparison looks like: terminal, Markdown, JSON, JUnit, GitHub; and the command as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import junitparser
import pytest
from click.testing import CliRunner, Result

from ldmbench.cli import cli
from ldmbench.compare.gate import compare
from ldmbench.compare.records import Comparison, Rules
from ldmbench.reports.compare import to_json, to_junit, to_markdown, to_terminal
from tests.compare.conftest import make_run, write_run
from tests.compare.test_gate import scores

EVIL = "a<b> | `c` \"d\" & 'e'\n::error::\x00\x1b[31m]]>"

Write = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def fake_metrics() -> None:
    """The metrics are the bench's own here."""


@pytest.fixture(autouse=True)
def _no_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def comparison() -> Comparison:
    """A metric with each verdict."""
    lsd = [f"lsd:n_fft={256 * k}" for k in range(1, 5)]
    base = make_run({"stoi": scores(), "mel_dac": scores(), **{name: scores() for name in lsd}})
    new = make_run(
        {
            "stoi": scores(shift=-0.1, seed=1),  # worse
            "mel_dac": scores(shift=-0.1, seed=1),  # better
            lsd[0]: scores(seed=1),  # undecided
            lsd[1]: scores(),  # equal
            lsd[2]: [EVIL, *scores()[1:]],  # failed
        },
        id="r1",
    )
    return compare([base], [new], Rules())


def test_every_verdict_is_there(comparison: Comparison) -> None:
    assert [cell.verdict for cell in comparison.cells] == [
        "worse", "better", "undecided", "same", "failed", "not comparable",
    ]  # fmt: skip
    assert comparison.summary == (
        "WORSE: 1 worse, 1 failed, 1 not comparable, 1 undecided, 1 same, 1 better of 6 cells"
    )


def test_an_independent_parser_reads_the_junit(comparison: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(to_junit(comparison), encoding="utf-8")
    (suite,) = junitparser.JUnitXml.fromfile(str(path))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 2, 1, 1)
    kinds = {case.name: [type(result).__name__ for result in case.result] for case in suite}
    assert list(kinds.values()) == [["Failure"], [], ["Skipped"], [], ["Failure"], ["Error"]]
    assert next(iter(kinds)) == "stoi"
    failed = list(suite)[4].result[0]
    assert "a<b> | `c` \"d\" & 'e'" in failed.message
    assert "talk/00000" in failed.text
    counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == counted


def test_the_terminal_cuts_no_number(comparison: Comparison) -> None:
    for width in (60, 100, 160):
        text = to_terminal(comparison, width=width, colour=False)
        words = "STOI ↑", "worse", "better", "undecided", "same", "failed", "not comparable", "BASE", "codec@a (r1)"
        for word in words:
            assert word in text, (width, word)
        assert f"{comparison.cells[0].difference:+.4f} [" in text
        assert "worst clips: talk/" in text
    assert "\x1b[31m" in to_terminal(comparison, colour=True)


def test_the_markdown_is_a_table_that_github_reads(comparison: Comparison) -> None:
    from markdown_it import MarkdownIt

    text = to_markdown(comparison)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert html.count("<table>") == 2
    rows = html[: html.index("<details>")].count("<tr>")
    assert rows == 1 + 3  # worse, failed, not comparable
    assert html.count("<tr>") == rows + 1 + 6
    assert "<b>" not in html
    cells = {line.count("<td") for line in html.split("<tr>")[2:]}
    assert cells <= {8, 9, 0}
    assert "**worse**" not in html


def test_json_holds_everything(comparison: Comparison) -> None:
    content = json.loads(to_json(comparison))
    assert content["exit_code"] == 1
    assert [cell["verdict"] for cell in content["cells"]] == [cell.verdict for cell in comparison.cells]
    assert content["cells"][0]["metric"] == "stoi"
    assert content["cells"][0]["difference"] == comparison.cells[0].difference


@pytest.fixture
def compare_command(tmp_path: Path) -> Callable[..., Result]:
    """``compare_command(shift, *options)`` on two runs in folders."""

    def invoke(shift: float, *options: str, version: int = 1) -> Result:
        out = tmp_path / "runs"
        base = write_run(make_run({"stoi": scores()}), out)
        new = write_run(make_run({"stoi": scores(shift=shift, seed=1)}, id=f"r{shift}{version}", version=version), out)
        return CliRunner().invoke(cli, ["compare", str(base), str(new), *options], catch_exceptions=False)

    return invoke


def test_the_command_ends_with_the_verdict(compare_command: Callable[..., Result]) -> None:
    worse = compare_command(-0.1)
    assert worse.exit_code == 1
    assert "WORSE: 1 worse of 1 cells" in worse.stdout
    assert compare_command(0.1).exit_code == 0
    assert compare_command(0.0, "--undecided", "fail").exit_code == 1
    assert compare_command(0.0, "--undecided", "fail", "--margin", "stoi=0.05").exit_code == 0
    assert compare_command(0.0, version=2).exit_code == 3
    assert json.loads(compare_command(-0.1, "--json").stdout)["exit_code"] == 1


@pytest.mark.parametrize("option", ["stoi", "stoi=much", "=0.1", "stoi=-1", "stoi=nan"])
def test_wrong_usage_exits_2(compare_command: Callable[..., Result], option: str) -> None:
    result = compare_command(0.0, "--margin", option)
    assert result.exit_code == 2
    assert "METRIC=VALUE" in result.stderr
    assert compare_command(0.0, "-m", "stio").exit_code == 2
    missing = CliRunner().invoke(cli, ["compare", "nothing", "nowhere"])
    assert missing.exit_code == 2


def test_files_and_what_github_shows(
    compare_command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    files = tmp_path / "new" / "gate.md", tmp_path / "new" / "gate.xml"
    result = compare_command(-0.1, "--json", "--markdown", str(files[0]), "--junit", str(files[1]))
    assert json.loads(result.stdout)["exit_code"] == 1  # annotations do not get into the JSON
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=worse%3A stoi on talk::worse: 0.")
    text = summary.read_text()
    assert text.startswith("before\n## ldmbench compare: WORSE")
    assert files[0].read_text() in text
    assert junitparser.JUnitXml.fromfile(str(files[1])).failures == 1
    assert "::" not in compare_command(0.1).stderr


def test_annotations_keep_to_one_line(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    from ldmbench.reports.compare import write

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = write(comparison, None, None)
    assert [line.split()[0] for line in lines] == ["::error", "::notice", "::error", "::error"]
    assert not any("\n" in line for line in lines)
