"""What is drawn and said of probes: accuracy against kbps and against tokens per second, and the spread of folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldmbench.reports import curves, drawing, result
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import Run


def run(system: str, right: list[int], kbps: float | None, tokens: float | None) -> Run:
    """Six clips in three folds, of which these are right."""
    clips = tuple(ClipInfo(f"d/{n}", "d", label="ab"[n % 2], split=f"fold{n // 2}") for n in range(6))
    info = RunInfo(
        id=f"r{abs(hash(system)):012x}"[:13], suite="s", system=system, title=system, task="embed", settings={}, seed=0,
        untrained=False, limit=0, identity={"version": "2", "code": "x"},
        datasets=(DatasetInfo("d", "D", "general", "0" * 64),), clips=clips,
        metrics=("kbps", "tokens_per_second", "accuracy_linear"), environment={}, created="2026-01-01T00:00:00Z",
    )  # fmt: skip
    scores = {}
    for n, clip in enumerate(clips):
        values: dict[str, list[float | None]]
        values = {"accuracy_linear": [100.0 * right[n], 1.0], "kbps": [kbps, 1.0], "tokens_per_second": [tokens, 1.0]}
        for metric, value in values.items():
            if value[0] is not None:
                strength = 0.1 if kbps and n < 2 else 1.0
                chosen = f"C={strength:g},valid=0.{n}" if metric == "accuracy_linear" else ""
                scores[clip.id, metric] = ScoreRow(
                    clip.id, metric, 1, "ok", [float(v or 0) for v in value], chosen, "x"
                )
    return Run(Path(), info, {clip.id: OutputRow(clip.id, "ok", digest="x") for clip in clips}, scores)


@pytest.fixture
def runs() -> list[Run]:
    return [
        run("codec@low", [1, 0, 1, 0, 1, 1], 0.5, 25.0),
        run("codec@high", [1, 1, 1, 1, 1, 0], 1.5, 25.0),
        run("reference:layer=log-mel", [1, 1, 1, 1, 1, 1], None, None),
    ]


def test_accuracy_stands_against_both_rates(runs: list[Run]) -> None:
    found = curves.build(runs, ["accuracy_linear"])
    assert [curve.axis for curve in found] == ["kbps", "tokens_per_second"]
    for curve in found:
        assert [family.name for family in curve.families] == ["codec"]
        assert curve.levels == (("reference:layer=log-mel", 100.0),)
        assert sorted(point.value for point in curve.families[0].points) == pytest.approx([400 / 6, 500 / 6])
    assert [point.x for point in found[1].families[0].points] == [25.0, 25.0]
    assert found[1].position(found[1].families[0].points[0]) == "tokens per second = 25"
    assert b"tokens per second (log scale)" in drawing.render(found[1:])


def test_the_spread_of_folds_and_what_was_chosen_are_notes(runs: list[Run]) -> None:
    spread, chosen = (note for note in result.build(runs).notes if "Accuracy (linear) on d, " in note)
    # Of 50, 50 and 100 %: 28.87; t of 2 degrees 4.3027, times the root of 1/3 + 1.
    assert spread == (
        "Accuracy (linear) on d, standard deviation over 3 folds ± half the 95 % interval over folds like these "
        "(Nadeau and Bengio 2003): 28.9 ± 143.4 (codec@low), 28.9 ± 143.4 (codec@high), "
        "0.0 ± 0.0 (reference:layer=log-mel); the intervals shown are over clips"
    )
    assert chosen == (
        "Accuracy (linear) on d, chosen on the validation split: fold0 C=0.1; fold1 C=1; fold2 C=1 (codec@low), "
        "fold0 C=0.1; fold1 C=1; fold2 C=1 (codec@high), C=1 (reference:layer=log-mel)"
    )
