"""Two settings swept against each other: which runs make a heat map, what it holds, and how it is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ldmbench.names import parse
from ldmbench.reports import curves, heatmap_drawing, heatmaps, panels, render
from ldmbench.reports.page import write_page
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import Run
from ldmbench.suite import Sweep

Make = Callable[..., Run]

TAUS, GAMMAS = (25, 100, 400), (0.0, 0.3)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(system, visqol)``: a run on two clips at 1.5 kbit/s, ViSQOL around ``visqol``."""

    def run(system: str, visqol: float, fails: int = 0) -> Run:
        clips = tuple(ClipInfo(f"d/{index}", "d") for index in range(3))
        info = RunInfo(
            id=f"{abs(hash(system)):012x}", suite="s", system=system, title=system, task="codec",
            settings=dict(parse(system).settings), seed=0, untrained=False, limit=0, identity={},
            datasets=(DatasetInfo("d", "D", "general", "0" * 64),), clips=clips, metrics=("kbps", "visqol_audio"),
            environment={}, created="2026-01-01T00:00:00Z",
        )  # fmt: skip
        outputs, scores = {}, {}
        for index, clip in enumerate(clips):
            if index < fails:
                outputs[clip.id] = OutputRow(clip.id, "failed", "no")
                continue
            outputs[clip.id] = OutputRow(clip.id, "ok", digest="x")
            scores[clip.id, "visqol_audio"] = ScoreRow(clip.id, "visqol_audio", 1, "ok", visqol, output="x")
            scores[clip.id, "kbps"] = ScoreRow(clip.id, "kbps", 1, "ok", [1.5, 1.0], output="x")
        return Run(tmp_path / system, info, outputs, scores)

    return run


@pytest.fixture
def grid(make: Make) -> list[Run]:
    runs = [
        make(f"a@1k:gamma={gamma},tau={tau}", 1 + gamma + tau / 1000, fails=int(tau == 400))
        for tau in TAUS
        for gamma in GAMMAS
    ]
    return [make("a@1k", 2.0), *runs, make("b@6k", 3.0)]


def test_a_grid_is_two_settings_that_both_vary(make: Make, grid: list[Run]) -> None:
    (found,) = heatmaps.grids(grid)
    assert (found.line, found.x, found.y) == ("a@1k", "gamma", "tau")
    assert sorted(found.places.values()) == sorted((gamma, tau) for gamma in GAMMAS for tau in TAUS)
    # One after the other, or three combinations, is no grid; words are no axis.
    assert not heatmaps.grids([make(f"a:steps={n}", 1.0) for n in (1, 2)] + [make(f"a:cfg={n}", 1.0) for n in (1, 2)])
    assert not heatmaps.grids(grid[1:4])
    assert not heatmaps.grids([make(f"a:cfg={n},mode={m}", 1.0) for n in (1, 2) for m in ("x", "y")])
    assert not heatmaps.grids([make(f"a:cfg={n},steps=5", 1.0) for n in (1, 2, 3, 4)])
    # What differs in a third setting, or was untrained, is a map of its own.
    more = [make(f"a@1k:eta=1.0,gamma={g},tau={t}", 1.0) for g in GAMMAS for t in TAUS]
    assert [item.line for item in heatmaps.grids([*grid, *more]) if {item.x, item.y} == {"gamma", "tau"}] == [
        "a@1k", "a@1k:eta=1.0",
    ]  # fmt: skip
    marked = [replace(run, info=replace(run.info, untrained=True)) for run in grid]
    assert heatmaps.grids(marked)[0].line == "a@1k [UNTRAINED]"


def test_a_map_holds_what_was_measured_and_the_best_without_failures(grid: list[Run]) -> None:
    (found,) = heatmaps.build(grid, ["visqol_audio"])
    assert {(cell.x, cell.y): round(cell.value, 6) for cell in found.cells} == {
        (gamma, tau): round(1 + gamma + tau / 1000, 6) for gamma in GAMMAS for tau in TAUS
    }
    assert {cell.failed for cell in found.cells if cell.y == 400} == {1}
    best = found.best
    assert best is not None
    assert (best.x, best.y) == (0.3, 100)
    assert found.words == "ViSQOL of a@1k against gamma and tau on d"


def test_runs_of_a_grid_are_no_points_of_curves(grid: list[Run]) -> None:
    (curve,) = curves.build(grid, ["visqol_audio"])
    assert {point.system for family in curve.families for point in family.points} == {"a@1k", "b@6k"}


def test_figures_are_whole_and_the_same_bytes_again(grid: list[Run], tmp_path: Path) -> None:
    maps = heatmaps.build(grid, ["visqol_audio"])
    first = heatmap_drawing.render(maps)
    assert first == heatmap_drawing.render(maps)
    assert len(re.findall(rb'id="cell-\d+"', first)) == 6
    paths = heatmap_drawing.write(maps, tmp_path / "out")
    assert [path.name for path in paths] == ["d-heatmap.pdf", "d-heatmap.svg"]
    assert paths[0].read_bytes().startswith(b"%PDF")
    # The missing corner of a grid stays empty.
    fewer = heatmaps.build([run for run in grid if run.info.system != "a@1k:gamma=0.3,tau=100"], ["visqol_audio"])
    assert len(re.findall(rb'id="cell-\d+"', heatmap_drawing.render(fewer))) == 5


def test_report_writes_curves_and_maps(grid: list[Run], tmp_path: Path) -> None:
    lines = render.curves(grid, tmp_path / "both", ["visqol_audio"], "")
    assert [path.name for path in sorted((tmp_path / "both").iterdir())] == [
        "d-heatmap.pdf", "d-heatmap.svg", "d.pdf", "d.svg",
    ]  # fmt: skip
    assert len([line for line in lines if line.startswith("wrote ")]) == 4
    only = [run for run in grid if ":" in run.info.system]
    render.curves(only, tmp_path / "maps", ["visqol_audio"], "")
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_the_page_shows_the_map_and_every_cell_tells_its_numbers(grid: list[Run], tmp_path: Path) -> None:
    panel = panels.heatmap_panel(heatmaps.build(grid, ["visqol_audio"])[0], "h0-")
    assert panel.svg.count("<title>") == 6
    assert "<title>a@1k:gamma=0.3,tau=400: 1.70, n=2, 1 FAILED</title>" in panel.svg
    assert 'aria-label="ViSQOL of a@1k against gamma and tau on d"' in panel.svg
    page = write_page(grid, tmp_path / "page", "Grid").read_text(encoding="utf-8")
    assert panel.label in page


def test_a_sweep_may_combine_its_settings() -> None:
    sweep = Sweep.model_validate({"systems": ["a@b"], "grid": True, "tau": [1, 2], "gamma": [0.0, 0.5]})
    assert sweep.expand() == (
        "a@b:gamma=0.0,tau=1", "a@b:gamma=0.5,tau=1", "a@b:gamma=0.0,tau=2", "a@b:gamma=0.5,tau=2",
    )  # fmt: skip
