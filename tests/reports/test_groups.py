"""Rows in groups with a best of their own, and marks where a system differs from a chosen one."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from ldmbench.cli import cli
from ldmbench.compare.either import either_way
from ldmbench.compare.paired import paired
from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from ldmbench.reports import latex, render
from ldmbench.reports import text as table
from ldmbench.reports.arrange import in_order
from ldmbench.reports.groups import WITHOUT_RATE, Grouping
from ldmbench.reports.table_spec import TableSpec, load_table_spec
from ldmbench.runs.records import ScoreRow
from ldmbench.runs.results import Run
from tests.present import present

BANDS = Grouping(bands=(3.0, 20.0))


def label(built: table.Table, group: str) -> list[str]:
    return [row.label for row in built.rows if row.group == group]


def test_bands_hold_the_rows_of_their_bitrates(runs: list[Run]) -> None:
    built = table.build(runs, grouping=BANDS)
    assert built.groups == ("", "up to 3 kbit/s", "3 to 20 kbit/s", "above 20 kbit/s", WITHOUT_RATE)
    for row, run in ((row, next(r for r in runs if r.info.system == row.system)) for row in built.rows):
        rate = present(run.estimate("kbps")).value
        low, high = {"up to 3 kbit/s": (0, 3), "3 to 20 kbit/s": (3, 20), "above 20 kbit/s": (20, 1e9)}.get(
            row.group, (0, 0)
        )
        assert (rate is None) if not high else low < present(rate) <= high
    assert label(built, "") == ["reference"]
    assert label(built, WITHOUT_RATE) == ["lowpass@3.5khz"]


def test_each_group_has_a_best_and_a_second(runs: list[Run]) -> None:
    built = table.build(runs, grouping=BANDS)
    for index, column in enumerate(built.columns):
        for group in built.groups:
            cells = [row.cells[index] for row in built.rows if row.group == group and row.role == "system"]
            whole = [cell for cell in cells if not cell.deviates and cell.estimate is not None]
            if column.facts.better == "neither" or len(whole) < 2:
                assert all(cell.rank == 0 for cell in cells)
                continue
            sign = 1 if column.facts.better == "higher" else -1
            best = max(whole, key=lambda cell: sign * present(present(cell.estimate).value))
            assert best.rank == 1
            assert {1, 2} <= {cell.rank for cell in whole} or len({table.value_text(c, column) for c in whole}) == 1
    ungrouped = table.build(runs)
    assert sum(c.rank == 1 for row in built.rows for c in row.cells) > sum(
        c.rank == 1 for row in ungrouped.rows for c in row.cells
    )


def test_groups_by_name_take_labels_before_names(runs: list[Run]) -> None:
    named = {"Classical": ["opus", "mp3"], "Special": ["opus@6kbps"]}
    built = table.build(runs, grouping=Grouping(named=named))
    assert label(built, "Special") == ["opus@6kbps"]
    assert label(built, "Classical")[:2] == ["opus@12kbps", "opus@24kbps"]
    assert label(built, "")[0] == "reference"
    assert built.groups == ("", "Classical", "Special")
    ordered = in_order(built, "visqol_audio")
    assert ordered.groups == built.groups
    cells = {row.label: row.cells[[c.metric for c in built.columns].index("visqol_audio")] for row in built.rows}
    values = [present(present(cells[name].estimate).value) for name in label(ordered, "Classical")]
    assert values == sorted(values, reverse=True), "the best of the group first"


@pytest.mark.parametrize(
    ("grouping", "words"),
    [
        (Grouping(bands=(8, 3)), "do not ascend"),
        (Grouping(bands=(0,)), "do not ascend"),
        (Grouping(named={"x": ["opos"]}), "did you mean opus"),
        (Grouping((3,), {"x": ["opus"]}), "grouped once"),
    ],
)
def test_groups_that_are_none_say_so(runs: list[Run], grouping: Grouping, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        table.build(runs, grouping=grouping)


def test_without_a_bitrate_there_are_no_bands(runs: list[Run]) -> None:
    with pytest.raises(BenchError, match="no row has a bitrate"):
        table.build([run for run in runs if run.info.system in ("reference", "lowpass@3.5khz")], grouping=BANDS)


def test_every_format_has_the_headings(runs: list[Run]) -> None:
    built = table.build(runs, grouping=BANDS)
    text = table.to_terminal(built, width=60, colour=False)
    assert text.count("up to 3 kbit/s") == len(built.datasets) * text.count("3 to 20 kbit/s") / len(built.datasets)
    assert all(len(line) <= 60 for line in text.splitlines() if "kbit/s" in line)
    assert "| *up to 3 kbit/s* | |" in re.sub(" +", " ", table.to_markdown(built))
    tex = latex.to_latex(built, width=1000)
    assert tex.index(r"\emph{up to 3 kbit/s}") < tex.index(r"\texttt{kmeans-mel@0.35kbps}") < tex.index("3 to 20")
    assert "Best of each column and group" in tex
    assert "Best of each column and group" in table.to_markdown(built)


# ---- marks against a row

CLIPS = 12


def numbers(runs: list[Run], system: str, values: dict[str, np.ndarray]) -> Run:
    """The run of a system with other values on the music clips, of which there are then twelve."""
    run = next(run for run in runs if run.info.system == system)
    template = next(clip for clip in run.info.clips if clip.dataset == "builtin-music")
    clips = tuple(replace(template, id=f"builtin-music/{index:02}") for index in range(CLIPS))
    output = run.outputs[template.id]
    rows = {clip.id: replace(output, clip=clip.id, digest=f"{system}{clip.id}") for clip in clips}
    scores = {
        (clip.id, name): ScoreRow(clip.id, name, 1, "ok", float(value))
        for name, own in values.items()
        for clip, value in zip(clips, own, strict=True)
    }
    music = tuple(item for item in run.info.datasets if item.name == "builtin-music")
    return replace(
        run, info=replace(run.info, clips=clips, datasets=music, metrics=tuple(values)), outputs=rows, scores=scores
    )


@pytest.fixture
def four(runs: list[Run]) -> list[Run]:
    """A base, one that is better in both metrics, one that is worse in one, one that is the same but for noise."""
    random = np.random.default_rng(3)
    base = random.normal(3, 0.4, CLIPS)
    shifts = {"opus@6kbps": 0.0, "opus@12kbps": 0.5, "opus@24kbps": -0.3, "mp3@16kbps": 0.0}
    made = []
    for system, shift in shifts.items():
        noise = 0.1 * random.standard_normal(CLIPS) * (system != "opus@6kbps")
        mel = 2 - base / 4 - (0.4 if shift > 0 else 0.0) + 0.05 * random.standard_normal(CLIPS)
        made.append(numbers(runs, system, {"visqol_audio": base + shift + noise, "mel_dac": mel}))
    return made


def test_marks_are_holms_over_all_cells(four: list[Run]) -> None:
    built = table.build(four, against="opus@6kbps")
    p, cells = [], []
    for row, run in zip(built.rows[1:], four[1:], strict=True):
        for index, column in enumerate(built.columns):
            own, base = ([r.scores[clip.id, column.metric].value for clip in run.info.clips] for r in (run, four[0]))
            p.append(either_way(four[0], run, column.facts, "builtin-music"))
            cells.append(row.cells[index])
            assert p[-1] >= ttest_rel(own, base).pvalue - 1e-12, "never bolder than the t test"
    adjusted = multipletests(p, method="holm")[1]
    assert [cell.p for cell in cells] == pytest.approx(adjusted.tolist())
    assert [cell.differs for cell in cells] == [value <= 0.05 for value in adjusted]
    marks = {(r.label, c.metric): r.cells[k].differs for r in built.rows for k, c in enumerate(built.columns)}
    assert [key for key, differs in marks.items() if differs] == [
        ("opus@12kbps", "visqol_audio"), ("opus@12kbps", "mel_dac"), ("opus@24kbps", "visqol_audio"),
    ]  # fmt: skip
    assert all(cell.p is None for cell in built.rows[0].cells)


def test_times_and_anchors_are_no_part_of_the_family(four: list[Run], runs: list[Run]) -> None:
    """Whatever else is in the table, Holm's adjustment is over the systems' cells of metrics that are no times."""
    values = {name: np.array([row.value for (_, own), row in four[1].scores.items() if own == name], float)
              for name in four[1].info.metrics}  # fmt: skip
    anchor = numbers(runs, "lowpass@3.5khz", {name: own - 1 for name, own in values.items()})
    more = [
        numbers(runs, run.info.system, {
            **{name: np.array([run.scores[clip.id, name].value for clip in run.info.clips], float) for name in values},
            "rtf": np.linspace(1, 2, CLIPS) * (position + 1),
        })
        for position, run in enumerate(four)
    ]  # fmt: skip
    plain, built = (table.build(each, against="opus@6kbps") for each in (four, [*more, anchor]))
    assert any("over 6 cells" in note for note in built.notes)
    for row in plain.rows:
        (own,) = [item for item in built.rows if item.label == row.label]
        p = {column.metric: cell.p for column, cell in zip(built.columns, own.cells, strict=True)}
        assert p.pop("rtf") is None
        assert p == {column.metric: cell.p for column, cell in zip(plain.columns, row.cells, strict=True)}
    assert all(cell.p is None for row in built.rows if row.role != "system" for cell in row.cells)


def test_the_note_states_test_and_correction(four: list[Run]) -> None:
    built = table.build(four, against="opus@6kbps")
    (note,) = [note for note in built.notes if note.startswith("†")]
    assert "differs from opus@6kbps" in note
    assert "paired" in note
    assert "Holm's adjustment over 6 cells, 5 %" in note
    text = table.to_markdown(built)
    assert re.search(r"opus@12kbps \| \**3\.\d\d†", text)
    tex = latex.to_latex(built)
    assert re.search(r"\\texttt\{opus@24kbps\} & 2\.\d\d\$\^\{\\dagger\}\$", tex)
    assert r"$^\dagger$ differs from opus@6kbps" in tex
    lines = list(csv.DictReader(io.StringIO(table.to_csv(built))))
    assert {line["p"] != "" for line in lines if line["system"] == "opus@6kbps"} == {False}
    assert all(0 <= float(line["p"]) <= 1 for line in lines if line["system"] != "opus@6kbps")


def test_what_is_not_tested_is_said(runs: list[Run]) -> None:
    built = table.build(runs, against="opus@12kbps", averages=("visqol_audio",))
    assert not any(cell.differs for row in built.rows for cell in row.cells)
    notes = [note for note in built.notes if "Not tested against opus@12kbps" in note]
    assert any("4 clips are too few, 6 are needed" in note for note in notes)
    assert not any("lowpass" in note or "RTF" in note for note in notes), "anchors and times are no rivals"
    with pytest.raises(BenchError, match="row of this table"):
        table.build(runs, against="opus")


def test_order_of_the_two_does_not_matter_and_equal_ones_do_not_differ(four: list[Run]) -> None:
    facts = load_metric("visqol_audio").facts
    for run in four[1:]:
        assert either_way(four[0], run, facts, "builtin-music") == pytest.approx(
            either_way(run, four[0], facts, "builtin-music")
        )
    assert either_way(four[0], four[0], facts, "builtin-music") == 1.0


def test_other_output_rates_compare_and_other_references_do_not(four: list[Run]) -> None:
    facts = load_metric("visqol_audio").facts
    base, new = four[0], four[1]
    other = {name: replace(row, rate=44_100) for name, row in new.outputs.items()}
    assert isinstance(either_way(base, replace(new, outputs=other), facts, "builtin-music"), float)
    sides = [
        replace(run, outputs={name: replace(row, reference=text) for name, row in run.outputs.items()})
        for run, text in ((base, "a"), (new, "b"))
    ]
    assert "references" in str(either_way(sides[0], sides[1], facts, "builtin-music"))


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential"])
def test_systems_that_are_equal_are_rarely_marked(draw: str) -> None:
    """Differences of two equally good systems are symmetric, whatever the scores are."""
    random = np.random.default_rng(11)
    count = 1500
    marked = 0
    for _ in range(count):
        differences = getattr(random, draw)(CLIPS) - getattr(random, draw)(CLIPS)
        marked += 2 * min(present(paired(differences)).p, present(paired(-differences)).p) <= 0.05
    assert marked / count <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / count)


def test_an_average_on_request(runs: list[Run]) -> None:
    spec = TableSpec(average=("visqol_audio",), datasets=("builtin-speech", "builtin-music"), metrics=("visqol_audio",))
    built = render.build(runs, spec)
    assert built.datasets == ("builtin-speech", "builtin-music", "average")
    for row, run in zip(built.rows, runs, strict=True):
        parts = [present(present(run.estimate("visqol_audio", name)).value) for name in built.datasets[:2]]
        assert present(present(row.cells[-1].estimate).value) == pytest.approx(np.mean(parts))
    for metrics in (("pesq_wb",), ("rtf",)):
        wanted = spec.model_copy(update={"average": metrics, "metrics": (), "datasets": ("builtin-speech",)})
        with pytest.raises(BenchError, match="has no average here"):
            render.build(runs, wanted)


def test_a_table_file_has_groups_and_a_row_to_test_against(four: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    path.write_text(
        'runs = ["quickstart"]\nto = "md"\nagainst_row = "opus@6kbps"\n[groups]\nOurs = ["mp3"]\nTheirs = ["opus"]\n'
    )
    text = "\n".join(render.table(four, load_table_spec(path)))
    assert text.index("*Ours*") < text.index("mp3@16kbps") < text.index("*Theirs*") < text.index("opus@6kbps")
    assert "†" in text


@pytest.mark.parametrize(
    "words", [("--bands", "3,x"), ("--to", "html", "--bands", "3"), ("--to", "curves", "--sort", "snr")]
)
def test_options_that_do_not_fit_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    answer = CliRunner().invoke(cli, ["report", "quickstart", "--out", str(tmp_path), *words])
    assert answer.exit_code == 2
    assert re.search("are no bitrates|belongs to tables", answer.output)
