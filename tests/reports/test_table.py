from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldmbench import stats
from ldmbench.errors import BenchError
from ldmbench.metrics._base import MetricFacts
from ldmbench.reports import latex
from ldmbench.reports import text as table
from ldmbench.reports.arrange import in_order, renamed
from ldmbench.reports.cells import Cell, Column, Row, Table, number
from ldmbench.reports.latex_layout import COLUMN_PT, PAGE_PT
from ldmbench.reports.notes import counts, interval_notes
from ldmbench.reports.published import Published, PublishedValue
from ldmbench.reports.table_spec import TableSpec
from ldmbench.runs.records import OutputRow, ScoreRow
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate
from ldmbench.suite import load_suite
from tests.present import present

PUBLISHED = Published(
    (
        PublishedValue("Opus 12", "opus@12kbps", 12.0, "builtin-speech", "visqol_audio", 3.41, "Doe 2024, table 2"),
        PublishedValue("FancyCodec", "", 1.0, "builtin-speech", "visqol_audio", 3.9, "Doe 2024, table 3"),
        PublishedValue("Elsewhere", "absent@1kbps", 1.0, "builtin-speech", "visqol_audio", 1.0, "Roe 2023"),
    )
)


def cell_of(built: table.Table, system: str, dataset: str, metric: str) -> table.Cell:
    row = next(row for row in built.rows if row.label == system)
    return next(
        cell
        for column, cell in zip(built.columns, row.cells, strict=True)
        if (column.dataset, column.metric) == (dataset, metric)
    )


def value_of(cell: Cell) -> float:
    return present(present(cell.estimate).value)


def with_values(run: Run, metric: str, values: list[float], **facts: Any) -> Run:
    """The run with other values of one metric, clip by clip."""
    clips = [clip.id for clip in run.info.clips]
    scores = {
        **run.scores,
        **{(c, metric): ScoreRow(c, metric, 1, "ok", v) for c, v in zip(clips, values, strict=True)},
    }
    return Run(run.path, replace(run.info, **facts), dict(run.outputs), scores)


def test_cells_hold_the_estimates_of_the_runs(runs: list[Run]) -> None:
    built = table.build(runs)
    for run in runs:
        for column in built.columns:
            cell = cell_of(built, run.info.system, column.dataset, column.metric)
            expected = run.estimate(column.metric, column.dataset)
            if expected is not None and expected.value is None:
                assert cell.estimate is None, "only a bitrate of a system without bits may be dropped"
                assert column.metric == "kbps"
            else:
                assert cell.estimate == expected


def test_rows_and_columns_keep_their_order(runs: list[Run]) -> None:
    built = table.build(runs)
    assert [row.label for row in built.rows] == [run.info.system for run in runs]
    assert built.datasets == ("builtin-speech", "builtin-music", "builtin-general")
    assert [c.metric for c in built.columns if c.dataset == "builtin-speech"] == list(runs[0].info.metrics)
    chosen = table.build(list(reversed(runs)), ["mel_dac", "visqol_audio"], ["builtin-music", "builtin-speech"])
    assert [(c.dataset, c.metric) for c in chosen.columns] == [
        ("builtin-music", "mel_dac"),
        ("builtin-music", "visqol_audio"),
        ("builtin-speech", "mel_dac"),
        ("builtin-speech", "visqol_audio"),
    ]
    assert chosen.rows[0].label == runs[-1].info.system


def test_a_metric_has_no_column_where_it_does_not_apply(runs: list[Run]) -> None:
    built = table.build(runs)
    assert [c.dataset for c in built.columns if c.metric == "pesq_wb"] == ["builtin-speech"]


def test_unknown_choices_name_the_nearest(runs: list[Run]) -> None:
    with pytest.raises(BenchError, match="visqol_audio"):
        table.build(runs, ["visqol_audo"])
    with pytest.raises(BenchError, match="builtin-music"):
        table.build(runs, None, ["builtin-musik"])
    with pytest.raises(BenchError, match="no run"):
        table.build([])


def test_best_and_second_follow_the_direction(runs: list[Run]) -> None:
    built = table.build(runs)
    for column_index, column in enumerate(built.columns):
        ranks = {row.label: row.cells[column_index].rank for row in built.rows}
        if column.facts.better == "neither":
            assert set(ranks.values()) == {0}
            continue
        values = {
            row.label: round(value_of(row.cells[column_index]), column.facts.digits)
            for row in built.rows
            if row.label not in ("reference", "lowpass@3.5khz") and not row.cells[column_index].deviates
        }
        order = sorted(set(values.values()), reverse=column.facts.better == "higher")
        assert {name for name, rank in ranks.items() if rank == 1} == {n for n, v in values.items() if v == order[0]}
        assert {name for name, rank in ranks.items() if rank == 2} == {n for n, v in values.items() if v == order[1]}


def test_equal_printed_numbers_share_a_rank(runs: list[Run]) -> None:
    opus = [run for run in runs if run.info.system.startswith("opus")]
    a = with_values(opus[0], "visqol_audio", [4.001] * 12)
    b = with_values(opus[1], "visqol_audio", [4.004] * 12)
    c = with_values(opus[2], "visqol_audio", [3.0] * 12)
    built = table.build([a, b, c], ["visqol_audio"])
    assert [row.cells[0].rank for row in built.rows] == [1, 1, 2]


def test_the_reference_and_anchors_never_win(runs: list[Run]) -> None:
    built = table.build(runs)
    for row in built.rows:
        if row.system in ("reference", "lowpass@3.5khz"):
            assert all(cell.rank == 0 for cell in row.cells)
    assert "Not ranked: the reference and anchors (lowpass, reference), and cells short of clips" in built.notes


def test_the_role_decides_over_ranks_and_not_the_name(runs: list[Run], change: Callable[..., Run]) -> None:
    """A third party's anchor or bound wins nothing; a system that happens to be called noise may."""
    opus = [run for run in runs if run.info.system.startswith("opus")]
    best = with_values(opus[0], "visqol_audio", [4.7] * 12)
    rest = [with_values(opus[1], "visqol_audio", [4.0] * 12), with_values(opus[2], "visqol_audio", [3.0] * 12)]
    for role in ("anchor", "bound", "reference"):
        built = table.build([change(best, system="mine@1", role=role), *rest], ["visqol_audio"])
        assert [row.cells[0].rank for row in built.rows] == [0, 1, 2]
    built = table.build([change(best, system="noise"), *rest], ["visqol_audio"])
    assert [row.cells[0].rank for row in built.rows] == [1, 2, 0]
    assert not any("Not ranked" in note for note in built.notes)


def test_the_note_names_the_rows_that_are_not_ranked(runs: list[Run], change: Callable[..., Run]) -> None:
    roles = {"reference": "reference", "opus@6kbps": "bound", "opus@12kbps": "bound", "lowpass@3.5khz": "anchor"}
    built = table.build([change(run, role=roles.get(run.info.system, "system")) for run in runs])
    note = "Not ranked: the reference, anchors and bounds (lowpass, opus, reference), and cells short of clips"
    assert note in built.notes
    built = table.build([change(run, role=roles.get(run.info.system, "system")) for run in runs[1:]])
    assert note.replace("the reference, ", "").replace(", reference", "") in built.notes


def test_a_system_that_failed_on_clips_is_not_ranked(runs: list[Run]) -> None:
    opus = [run for run in runs if run.info.system.startswith("opus")]
    clip = opus[0].info.clips[0].id
    winner = with_values(opus[0], "visqol_audio", [4.7] * 12)
    winner.outputs[clip] = OutputRow(clip, "failed", "boom")
    built = table.build([winner, *opus[1:]], ["visqol_audio"], ["builtin-speech"])
    assert [row.cells[0].rank for row in built.rows] == [0, 0, 2, 1]
    assert built.rows[0].cells[0].deviates


def test_untrained_runs_are_marked_everywhere_and_never_ranked(runs: list[Run], change: Callable[..., Run]) -> None:
    marked = [change(run, untrained=True) if run.info.system == "opus@64kbps" else run for run in runs]
    built = table.build(marked, published=PUBLISHED)
    row = next(row for row in built.rows if row.system == "opus@64kbps")
    assert row.marks == ("untrained",)
    assert all(cell.rank == 0 for cell in row.cells)
    for text in (
        table.to_terminal(built, width=120),
        table.to_markdown(built),
        table.to_latex(built),
        table.to_csv(built),
        table.to_json(built),
    ):
        assert "untrained" in text.lower()
    assert built.banners[0].startswith("UNTRAINED")
    assert "opus@64kbps" in built.banners[0]


def test_partial_and_interrupted_runs_are_announced(runs: list[Run], change: Callable[..., Run]) -> None:
    run = change(runs[1], limit=2)
    short = Run(run.path, runs[2].info, dict(list(runs[2].outputs.items())[:5]), runs[2].scores)
    built = table.build([run, short])
    assert built.rows[0].marks == ("partial",)
    assert built.rows[1].marks == ("interrupted",)
    assert any(line.startswith("PARTIAL") and "at most 2" in line for line in built.banners)
    assert any(line.startswith("INTERRUPTED") and "5 of 12" in line for line in built.banners)


def test_failures_are_loud_in_every_format(runs: list[Run]) -> None:
    built = table.build(runs)
    assert any(line.startswith("FAILED: mp3@8kbps on 1 of 12") and "8 kHz" in line for line in built.banners)
    assert "n=3, 1 FAILED" in table.to_terminal(built, width=200)
    assert "n=3, 1 FAILED" in table.to_markdown(built)
    assert r"$n=3$, \textbf{1 failed}" in table.to_latex(built)
    rows = list(csv.DictReader(io.StringIO(table.to_csv(built))))
    failed = [row for row in rows if row["failed"] not in ("0", "")]
    assert {row["system"] for row in failed} == {"mp3@8kbps"}
    assert {row["dataset"] for row in failed} == {"builtin-speech"}
    assert all(row["n"] == "3" for row in failed)


def test_n_is_said_once_where_all_cells_agree(runs: list[Run]) -> None:
    built = table.build([run for run in runs if run.info.system.startswith("opus")])
    assert "builtin-speech: n = 4 clips, none failed" in built.notes
    assert "n=" not in table.to_terminal(built, width=200).split("builtin-speech: n")[0]
    mixed = table.build(runs)
    assert "builtin-speech: n = 4 clips unless a cell says otherwise" in mixed.notes
    assert "builtin-music: n = 4 clips, none failed" in mixed.notes


def test_a_system_without_bits_gets_a_dash_and_a_note(runs: list[Run]) -> None:
    built = table.build(runs)
    assert cell_of(built, "reference", "builtin-speech", "kbps").estimate is None
    assert "No Bitrate for reference, lowpass@3.5khz: no bits" in built.notes
    unscored = cell_of(built, "kmeans-mel@0.35kbps", "builtin-speech", "pesq_wb")
    estimate = present(unscored.estimate)
    assert (estimate.n, estimate.unscored, unscored.deviates) == (3, 1, True)


def test_published_values_and_differences(runs: list[Run]) -> None:
    built = table.build(runs, published=PUBLISHED, published_rows=True)
    cell = cell_of(built, "opus@12kbps", "builtin-speech", "visqol_audio")
    assert cell.published == 3.41
    assert cell.difference == pytest.approx(value_of(cell) - 3.41, abs=1e-12)
    assert cell_of(built, "opus@12kbps", "builtin-music", "visqol_audio").published is None
    extra = built.rows[-1]
    assert (extra.label, extra.marks) == ("FancyCodec", ("published",))
    assert [row.label for row in built.section("builtin-speech")][-1] == "FancyCodec"
    assert "FancyCodec" not in [row.label for row in built.section("builtin-music")]
    rates = [position for position, item in enumerate(built.columns) if item.metric == "kbps"]
    of_speech = [built.columns[position].dataset == "builtin-speech" for position in rates]
    assert [extra.cells[position].published for position in rates] == [1.0 if speech else None for speech in of_speech]
    assert built.sources == ("Doe 2024, table 2: Opus 12", "Doe 2024, table 3: FancyCodec")
    digits = f"publ. 3.41 ({cell.difference:+.2f})"
    assert digits in table.to_terminal(built, width=200)
    assert "3.41" in table.to_latex(built)
    assert "Doe 2024, table 2" in table.to_latex(built)
    assert "Doe 2024, table 2" in table.to_markdown(built)


@pytest.mark.parametrize("facts", [{"untrained": True}, {"limit": 1}])
def test_published_values_are_refused_for_untrained_and_partial_runs(
    runs: list[Run], change: Callable[..., Run], facts: Any
) -> None:
    run = next(run for run in runs if run.info.system == "opus@12kbps")
    built = table.build([change(run, **facts)], published=PUBLISHED)
    assert all(cell.published is None and cell.difference is None for cell in built.rows[0].cells)
    assert built.sources == ()
    word = "untrained" if "untrained" in facts else "partial"
    assert f"No published numbers beside opus@12kbps: the run is {word}" in built.notes


def test_runs_with_an_older_identity_are_named(runs: list[Run], change: Callable[..., Run]) -> None:
    assert not any("older identity" in note for note in table.build(runs).notes)
    parts = {part: digest for part, digest in runs[1].info.identity.items() if part != "version"}
    built = table.build([runs[0], change(runs[1], identity=parts)])
    (note,) = [note for note in built.notes if "older identity" in note]
    assert f"{runs[1].info.system} ({runs[1].info.id})" in note
    assert runs[0].info.id not in note
    for written in (table.to_terminal(built), table.to_markdown(built), latex.to_latex(built)):
        assert "its ID may not have changed when the audio did" in " ".join(written.split())


def test_mixed_versions_and_clip_lists_are_not_compared(runs: list[Run]) -> None:
    pair = [run for run in runs if run.info.system in ("opus@6kbps", "opus@12kbps")]
    older = {key: replace(row, version=2) if key[1] == "mel_dac" else row for key, row in pair[0].scores.items()}
    built = table.build([Run(pair[0].path, pair[0].info, pair[0].outputs, older), pair[1]])
    columns = {(c.dataset, c.metric): c for c in built.columns}
    assert not columns["builtin-speech", "mel_dac"].ranked
    assert columns["builtin-speech", "visqol_audio"].ranked
    assert all(cell_of(built, p.info.system, "builtin-speech", "mel_dac").rank == 0 for p in pair)
    assert any("versions 1, 2 are mixed" in note for note in built.notes)
    datasets = tuple(replace(item, digest="d" * 64) for item in pair[0].info.datasets)
    other = Run(pair[0].path, replace(pair[0].info, datasets=datasets), pair[0].outputs, pair[0].scores)
    built = table.build([other, pair[1]])
    assert not any(column.ranked for column in built.columns)
    assert any("clip lists differ" in note for note in built.notes)


def test_two_runs_of_one_system_are_told_apart(runs: list[Run], change: Callable[..., Run]) -> None:
    built = table.build([runs[1], change(runs[1], id="abcdef0123456789", seed=2)])
    assert [row.label for row in built.rows] == [f"opus@6kbps ({runs[1].info.id[:8]})", "opus@6kbps (abcdef01)"]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("intervals", [False, True])
def test_the_terminal_never_cuts_a_number(runs: list[Run], width: int, intervals: bool) -> None:
    built = table.build(runs, published=PUBLISHED)
    text = table.to_terminal(built, width=width, intervals=intervals)
    assert "…" not in text
    for row in built.rows:
        for column, cell in zip(built.columns, row.cells, strict=True):
            for line in table.cell_lines(cell, column, intervals):
                assert line in text
    if width >= 60:
        assert max(map(len, text.splitlines())) <= width


def test_colour_only_where_asked_and_only_for_the_ranked(runs: list[Run]) -> None:
    built = table.build(runs)
    assert "\x1b[" not in table.to_terminal(built, width=100)
    coloured = table.to_terminal(built, width=100, colour=True)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in coloured.splitlines()]
    assert plain.count("Best of each column in green, second in cyan") == 1
    plain.remove("Best of each column in green, second in cyan")
    assert plain == table.to_terminal(built, width=100).splitlines()
    best = sum(cell.rank == 1 for row in built.rows for cell in row.cells)
    assert len(re.findall(r"\x1b\[1;32m", coloured)) == best


def test_markdown_survives_hostile_names(runs: list[Run], change: Callable[..., Run]) -> None:
    built = table.build([change(runs[1], system="a|b_c*<i>"), runs[2]])
    text = table.to_markdown(built)
    assert r"a\|b\_c\*&lt;i&gt;" in text
    for line in text.splitlines():
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)
            assert len(cells) - 2 in (1 + len(built.positions(dataset)) for dataset in built.datasets)


def test_markdown_marks_best_and_second(runs: list[Run]) -> None:
    built = table.build(runs, ["mel_dac"], ["builtin-speech"])
    text = table.to_markdown(built)
    assert re.search(r"opus@64kbps \| \*\*0\.\d{3}\*\* \|", text)
    assert re.search(r"mp3@64kbps \| \*0\.\d{3}\* \|", text)
    assert "Mel distance ↓" in text


def test_csv_and_json_hold_full_precision(runs: list[Run]) -> None:
    built = table.build(runs, published=PUBLISHED)
    rows = {(r["system"], r["dataset"], r["metric"]): r for r in csv.DictReader(io.StringIO(table.to_csv(built)))}
    for run in runs:
        for column in built.columns:
            expected = run.estimate(column.metric, column.dataset)
            if expected is None or expected.value is None:
                continue
            row = rows[run.info.system, column.dataset, column.metric]
            assert float(row["value"]) == expected.value
            assert row["low"] == ("" if expected.low is None else str(expected.low))
            assert row["note"] == expected.note
            assert int(row["n"]) == expected.n
            if run.info.system.startswith("opus"):
                assert float(row["kbps"]) == present(run.estimate("kbps", column.dataset)).value
    content = json.loads(table.to_json(built))
    assert len(content["rows"]) == len(runs)
    place = next(i for i, c in enumerate(content["columns"]) if c["metric"] == "visqol_audio")
    expected = present(runs[1].estimate("visqol_audio", content["columns"][place]["dataset"]))
    assert content["rows"][1]["cells"][place]["estimate"]["value"] == expected.value
    assert content["columns"][place]["facts"]["better"] == "higher"


def test_every_format_is_the_same_bytes_again(runs: list[Run]) -> None:
    def all_formats() -> list[str]:
        built = table.build(runs, published=PUBLISHED, published_rows=True)
        return [
            table.to_terminal(built, width=90, intervals=True),
            table.to_markdown(built, intervals=True),
            table.to_csv(built),
            table.to_json(built),
            table.to_latex(built, intervals=True),
        ]

    assert all_formats() == all_formats()


def test_numbers_have_no_negative_zero() -> None:
    assert number(-0.0004, 3) == "0.000"
    assert number(-0.0006, 3) == "-0.001"
    assert table.signed(-0.0004, 3) == "+0.000"
    assert table.signed(0.18, 2) == "+0.18"


def test_rows_in_the_order_of_a_metric(runs: list[Run]) -> None:
    built = in_order(table.build(runs), "visqol_audio")
    assert built.rows[0].role == "reference"
    column = [item.metric for item in built.columns].index("visqol_audio")
    values = [present(row.cells[column].estimate).value for row in built.rows[1:]]
    assert values == sorted(values, key=present, reverse=True)
    distances = in_order(table.build(runs), "mel_dac")
    column = [item.metric for item in built.columns].index("mel_dac")
    values = [present(row.cells[column].estimate).value for row in distances.rows[1:]]
    assert values == sorted(values, key=present)
    with pytest.raises(BenchError, match="visqol_audio"):
        in_order(built, "visqol_adio")


def test_only_what_is_shown_can_be_named(runs: list[Run]) -> None:
    with pytest.raises(BenchError, match="'opus@60kbps'"):
        renamed(table.build(runs), {"opus@60kbps": "Opus"})


def test_it_is_said_that_nothing_published_belongs_here(runs: list[Run]) -> None:
    nothing = table.build([runs[0]], published=PUBLISHED)
    assert any("No published number belongs to these rows" in note for note in nothing.notes)
    some = table.build(runs, published=PUBLISHED)
    assert not any("No published number belongs" in note for note in some.notes)


def test_latex_structure(runs: list[Run]) -> None:
    built = table.build(runs, published=PUBLISHED)
    text = table.to_latex(built, width=1000)
    for begin in re.findall(r"\\begin\{(\w+\*?)\}", text):
        assert text.count(rf"\begin{{{begin}}}") == text.count(rf"\end{{{begin}}}")
    assert r"\multicolumn{5}{c}{builtin-speech} & \multicolumn{4}{c}{builtin-music}" in text
    assert r"ViSQOL $\uparrow$" in text
    assert r"$\downarrow$" in text
    assert re.search(r"\\texttt\{opus@64kbps\}.*\\textbf\{0\.\d{3}\}", text)
    assert re.search(r"\\texttt\{mp3@64kbps\}.*\\underline\{0\.\d{3}\}", text)
    for tabular in re.findall(r"\\begin\{tabular\}\{(l r+|lr+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        for line in tabular[1].splitlines():
            if "texttt" in line:
                assert len(re.findall(r"(?<!\\)&", line)) == tabular[0].count("r")
    assert "n = 4 clips" in text


def test_latex_says_how_many_failed_and_not_why(runs: list[Run]) -> None:
    built = table.build(runs)
    built = replace(built, banners=("UNTRAINED: random weights in a", "FAILED: a on 1 of 3 clips: no such file"))
    text = table.to_latex(built)
    caption = next(line for line in text.splitlines() if "caption" in line)
    assert "UNTRAINED" in caption
    assert "no such file" not in caption
    assert "% FAILED: a on 1 of 3 clips: no such file" in text, "for whoever writes the paper"


def test_latex_has_the_printed_names(runs: list[Run]) -> None:
    names = {"opus@64kbps": "Opus & co", "visqol_audio": "MOS", "builtin-music": "Music"}
    text = table.to_latex(renamed(table.build(runs), names), caption="All of it", label="tab:x")
    assert r"  Opus \& co &" in text
    assert r"MOS $\uparrow$" in text
    assert "{c}{Music}" in text
    assert "opus@64kbps" not in text.partition("minipage")[0]
    assert r"\caption{All of it}" in text
    assert r"\label{tab:x}" in text
    built = replace(table.build(runs), notes=("Not ranked: opus@6kbps, opus@64kbps:x=1 on builtin-music: none",))
    shown = renamed(built, {"opus@6kbps": "Low", "opus@64kbps": "High", "builtin-music": "Music"})
    assert shown.notes == ("Not ranked: Low, opus@64kbps:x=1 on Music: none",)


def test_latex_escapes_what_has_a_meaning() -> None:
    assert latex.escape(r"50%_&#$~^{x}\y<z>") == (
        r"50\%\_\&\#\$\textasciitilde{}\textasciicircum{}\{x\}\textbackslash{}y\textless{}z\textgreater{}"
    )


def test_latex_compiles(runs: list[Run], change: Callable[..., Run], tmp_path: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("pdflatex is not installed")
    odd = change(runs[1], system=r"50%_&#$~^{x}\y", untrained=True)
    built = table.build([odd, *runs[2:]], published=PUBLISHED, published_rows=True)
    body = "".join(
        table.to_latex(item, intervals=intervals, width=width, label=f"tab:{number}{intervals:d}{width:g}")
        for number, item in enumerate((built, table.build(runs)))
        for intervals in (False, True)
        for width in (PAGE_PT, COLUMN_PT)
    )
    (tmp_path / "t.tex").write_text(
        "\\documentclass[a4paper,twocolumn]{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
        r"\typeout{WIDTHS \the\textwidth, \the\columnwidth}" + body + "\\end{document}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert f"WIDTHS {PAGE_PT}pt, {COLUMN_PT}pt" in done.stdout
    wide = [line for line in done.stdout.splitlines() if line.startswith("Overfull \\hbox")]
    assert not wide, wide
    assert (tmp_path / "t.pdf").stat().st_size > 10_000


def test_averages_stand_in_a_section_of_their_own(runs: list[Run]) -> None:
    published = Published(
        (PublishedValue("Opus 12", "opus@12kbps", 12.0, "average", "visqol_audio", 3.5, "Doe 2024, table 2"),)
    )
    built = table.build(runs, published=published, averages=("visqol_audio", "pesq_wb", "kbps"))
    # PESQ applies to one dataset.
    assert [c.metric for c in built.columns if c.dataset == "average"] == ["visqol_audio", "kbps"]
    for run in runs:
        parts = [present(run.estimate("visqol_audio", item.name)) for item in run.info.datasets]
        average = present(cell_of(built, run.info.system, "average", "visqol_audio").estimate)
        assert average.value == pytest.approx(sum(present(part.value) for part in parts) / len(parts), abs=1e-12)
        assert average.n == sum(part.n for part in parts)
        assert average.failed == sum(part.failed for part in parts)
    cell = cell_of(built, "opus@12kbps", "average", "visqol_audio")
    assert cell.published == 3.5
    assert cell.difference == pytest.approx(value_of(cell) - 3.5)
    rates = [present(runs[1].estimate("kbps", item.name)) for item in runs[1].info.datasets]
    assert value_of(cell_of(built, runs[1].info.system, "average", "kbps")) == pytest.approx(
        sum(present(rate.value) for rate in rates) / len(rates)
    )
    column = [(item.dataset, item.metric) for item in built.columns].index(("average", "visqol_audio"))
    assert any(row.cells[column].rank == 1 for row in built.rows)
    assert "average" in table.to_markdown(built)
    assert "average" in table.to_terminal(built)
    assert "average" in latex.to_latex(built)
    # A run that lacks a dataset has no average; the others keep theirs.
    first = runs[0].info.datasets[0]
    less = replace(runs[0].info, datasets=(first,))
    short = table.build([replace(runs[0], info=less), *runs[1:]], averages=("visqol_audio",))
    assert short.rows[0].cells[-1].estimate is None
    assert short.rows[1].cells[-1].estimate is not None
    assert all(c.dataset != "average" for c in table.build(runs, None, [first.name], averages=["visqol_audio"]).columns)


def test_only_a_suite_that_was_run_whole_is_averaged(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from ldmbench.reports import render

    named = tuple(dict.fromkeys(item.name for item in runs[0].info.datasets))
    whole = load_suite("quickstart").model_copy(update={"averages": ("visqol_audio",), "datasets": named})
    monkeypatch.setattr(render, "suite_of", lambda _: whole)
    assert "### average" in "\n".join(render.table(runs, TableSpec(to="md")))
    assert "### average" not in "\n".join(render.table(runs, TableSpec(to="md", metrics=("mel_dac",))))
    larger = whole.model_copy(update={"datasets": (*named, "vctk-test")})
    monkeypatch.setattr(render, "suite_of", lambda _: larger)
    assert "### average" not in "\n".join(render.table(runs, TableSpec(to="md")))


# ---- intervals


def test_intervals_of_four_clips_are_marked_and_missing_ones_have_their_reason(runs: list[Run]) -> None:
    built = table.build(runs)
    text = table.to_terminal(built, intervals=True, width=200)
    assert re.search(r"\[\d\.\d\d, \d\.\d\d\]\*", text), "four clips: marked"
    assert "* of 3 or 4 clips: too few to show how skewed the scores are" in text
    assert "[all equal]" in text, "every clip of the reference scores the same"
    assert "No interval: " in text
    assert "bootstrap" not in text
    assert "Intervals: " not in table.to_terminal(built, width=200), "only where they are shown"
    latex = table.to_latex(built, intervals=True)
    assert "]$^{*}$}" in latex
    assert "[--]" in latex
    assert "* of 3 or 4 clips" in latex
    assert "bootstrap" not in latex
    assert "[all equal]" in table.to_markdown(built, intervals=True).replace("\\", "")


def test_a_table_says_what_the_intervals_of_its_metrics_are() -> None:
    distance = MetricFacts("fd", "FD", kind="set", better="lower", interval="of what so many clips give")
    edits = MetricFacts("wer", "WER", kind="ratio", better="lower")
    columns = (Column("set", distance, 20), Column("set", edits, 20))
    cells = (Cell(Estimate(-0.5, -1.0, 0.5, 20)), Cell(stats.ratio([[0, 7]] * 20, 0.0)))
    built = Table("suite", columns, (Row("mine", "mine", "Mine", "r1", "system", (), cells),))
    lines = interval_notes(built)
    assert "Interval of FD: of what so many clips give" in lines
    assert "No interval: all zero" in lines
    assert "All zero in 20 clips: at most 14 % of all clips differ from zero (95 % confidence)" in lines
    assert any(line.startswith("FD below 0 for mine on set: ") for line in counts(built))
