"""An analysed listening test beside the metrics: in tables, LaTeX, on the page, with published scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ldmbench.cli import cli
from ldmbench.deployment.profile import Profile
from ldmbench.errors import BenchError
from ldmbench.listening.outcome import carry_out, write_outcome
from ldmbench.listening.votes import Ratings, Vote
from ldmbench.reports import published, render
from ldmbench.reports.listening import write
from ldmbench.reports.listening.beside import LISTENING, hear
from ldmbench.reports.profiles import to_text
from ldmbench.reports.table_spec import TableSpec
from ldmbench.runs.identity import system_id
from ldmbench.runs.results import Run


def rated(runs: list[Run], items: list[str], listeners: int = 6) -> Ratings:
    """The n-th run has 20 + 10 n points, a bit more from every listener and on every item."""
    rows = [
        Vote(f"l{who}", f"l{who}", item, run.info.system, 20.0 + 10 * number + who + (3 * number + page) % 5)
        for who in range(listeners)
        for page, item in enumerate(items)
        for number, run in enumerate(runs)
    ]
    return Ratings(tuple(rows), clips={item: item for item in items})


@pytest.fixture
def test_folder(runs: list[Run], tmp_path: Path) -> Path:
    """What ``mushra analyse`` writes of a test on the first dataset."""
    items = [clip.id for clip in runs[0].info.clips if clip.dataset == runs[0].info.datasets[0].name]
    outcome, screened = carry_out(rated(runs, items), "A test", "none")
    write.everything(tmp_path / "test", outcome, screened, {})
    return tmp_path / "test"


def test_the_scores_are_a_column_of_the_dataset_that_was_heard(runs: list[Run], test_folder: Path) -> None:
    heard = hear(test_folder, runs)
    ((column, estimates),) = heard.beside.columns
    assert (column.dataset, column.metric) == (runs[0].info.datasets[0].name, "mushra")
    assert [item is not None and item.low is not None for item in estimates] == [True] * len(runs)
    text = "\n".join(render.table(runs, TableSpec(to="md", listening=str(test_folder))))
    assert "MUSHRA (points) ↑" in text
    assert "A test (quality): means over 6 of 6 listeners" in text
    spec = TableSpec(to="latex", intervals=True, listening=str(test_folder))
    assert "MUSHRA" in "\n".join(render.table(runs, spec))
    assert ",mushra," in "\n".join(render.table(runs, TableSpec(to="csv", listening=str(test_folder))))
    assert "MUSHRA" not in "\n".join(render.table(runs, TableSpec(to="md")))


def test_a_test_over_several_datasets_or_of_unknown_clips_has_a_section_of_its_own(
    runs: list[Run], tmp_path: Path
) -> None:
    for items in ([clip.id for clip in runs[0].info.clips], ["x", "y", "z"]):
        outcome, _ = carry_out(rated(runs, items), "A test", "none")
        outcome = replace(outcome, results=tuple(replace(result, datasets={}) for result in outcome.results))
        write_outcome(tmp_path / "analysis.json", outcome)
        ((column, _),) = hear(tmp_path, runs).beside.columns
        assert column.dataset == LISTENING


def test_datasets_are_told_apart(runs: list[Run], tmp_path: Path) -> None:
    outcome, _ = carry_out(rated(runs, [clip.id for clip in runs[0].info.clips]), "A test", "none")
    write_outcome(tmp_path / "analysis.json", outcome)
    columns = hear(tmp_path / "analysis.json", runs).beside.columns
    assert [column.dataset for column, _ in columns] == [item.name for item in runs[0].info.datasets]


def test_the_page_shows_the_test_and_profiles(runs: list[Run], test_folder: Path, tmp_path: Path) -> None:
    own = Profile("x", 0, None, None, 0.0123, None, True, 0.1, False, identity=system_id(runs[0].info.identity))
    (tmp_path / "profiles.json").write_text(to_text([own], "json"))
    index = render.page(
        runs, tmp_path / "page", (), "", 2, True, test_folder, profiled=tmp_path / "profiles.json"
    )  # fmt: skip
    html = index.read_text(encoding="utf-8")
    assert "Deployment" in html
    assert "12.3" in html
    assert '<a href="#listening">' in html
    assert 'src="clips/scores-violin.svg"' in html
    assert (tmp_path / "page" / "clips" / "scores-violin.svg").is_file()
    assert "Paired differences in points" in html


def test_a_test_of_other_systems_is_refused(runs: list[Run], test_folder: Path, tmp_path: Path) -> None:
    others = [replace(run, info=replace(run.info, system=f"other-{run.info.system}")) for run in runs]
    with pytest.raises(BenchError, match="test of other systems"):
        hear(test_folder, others)
    (tmp_path / "no.json").write_text("{}")
    done = CliRunner().invoke(cli, ["mushra", "analyse", str(tmp_path / "no.json")])
    assert done.exit_code == 2
    with pytest.raises(BenchError, match="no analysed test"):
        hear(tmp_path / "no.json", runs)


def test_published_scores_come_with_their_company() -> None:
    """SemantiCodec's whole test where one of its systems was rated; a hidden reference makes no test comparable."""
    assert published.of_listening_tests(["reference", "opus@6kbps", ""]) == ()
    rows = published.of_listening_tests(["semanticodec@0.70kbps"])
    assert {(item.row, item.value) for item in rows} >= {("SemantiCodec 0.70 kbps", 62.8), ("EnCodec 1.50 kbps", 47.8)}
    outcome, _ = carry_out(_semanticodec(), "A test")
    known = write.published_scores(outcome)
    assert known == {"reference": 93.9, "semanticodec@0.70kbps": 62.8}
    text = write.to_terminal(outcome, known)
    assert "62.8" in text
    assert "of other listeners, items and systems" in text


def _semanticodec() -> Ratings:
    scores = {"reference": 95.0, "semanticodec@0.70kbps": 60.0, "opus@6kbps": 30.0}
    rows = [
        Vote(f"l{who}", f"l{who}", f"i{page}", system, score + who - page)
        for who in range(4)
        for page in range(3)
        for system, score in scores.items()
    ]
    return Ratings(tuple(rows), {"reference": "reference"})
