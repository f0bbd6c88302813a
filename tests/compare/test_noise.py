"""Repeats of BASE: a shift of a whole run is no regression unless it stands out among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats as reference

from ldmbench.compare.gate import compare
from ldmbench.compare.noise import across_runs, averaged
from ldmbench.compare.records import Cell, Rules
from ldmbench.errors import BenchError
from ldmbench.runs.results import Run
from tests.compare.conftest import make_run
from tests.compare.test_gate import WER, scores
from tests.compare.test_sets import outputs, set_run
from tests.present import present


def repeats(shifts: Sequence[float]) -> list[Run]:
    return [make_run({"stoi": scores(shift=shift, seed=k)}, id=f"r{k}") for k, shift in enumerate(shifts)]


def judged(runs: Sequence[Run], new: Run) -> Cell:
    (cell,) = compare([runs[0]], [new], Rules(), runs[1:]).cells
    return cell


def test_a_shift_as_large_as_the_repeats_is_not_worse() -> None:
    runs = repeats([0.0, 0.03, -0.03, 0.02, -0.02])
    shifted = make_run({"stoi": scores(shift=-0.03, seed=9)}, id="r9")
    alone = compare([averaged(runs[0], runs[1:])], [shifted], Rules()).cells[0]
    assert alone.verdict == "worse"
    cell = judged(runs, shifted)
    assert cell.verdict == "undecided"
    assert present(cell.smallest) > 0.05
    broken = make_run({"stoi": scores(shift=-0.2, seed=9)}, id="r9")
    assert judged(runs, broken).verdict == "worse"


def test_without_noise_between_runs_the_paired_test_decides() -> None:
    runs = [make_run({"stoi": scores()}, id=f"r{k}") for k in range(3)]
    new = make_run({"stoi": scores(shift=-0.01, seed=9)}, id="r9")
    plain = compare([runs[0]], [new], Rules()).cells[0]
    assert judged(runs, new).p == plain.p
    assert judged(runs, make_run({"stoi": scores()}, id="r9")).verdict == "same"


def test_the_test_across_runs_is_a_prediction_interval() -> None:
    """NEW lies just inside the one-sided 95 % prediction interval exactly where p is 0.05."""
    means = [3.1, 3.0, 2.8, 3.3]
    spread = np.std(means, ddof=1) * np.sqrt(1 + 1 / 4)
    edge = np.mean(means) - reference.t.ppf(0.95, 3) * spread
    outcome = across_runs(means, float(edge))
    assert outcome is not None
    assert outcome[0] == pytest.approx(0.05)
    assert outcome[1] == pytest.approx((reference.t.ppf(0.95, 3) + reference.t.ppf(0.8, 3)) * spread)
    assert across_runs([1.0, 1.0, 1.0], 0.5) is None


def test_clips_are_averaged_over_the_runs() -> None:
    runs = [make_run({"stoi": [k / 10, 0.5], WER: [[100.0 * k, 4.0], [0.0, 2.0]]}, id=f"r{k}") for k in range(3)]
    mean = averaged(runs[0], runs[1:])
    assert mean.scores["talk/00000", "stoi"].value == pytest.approx(0.1)
    assert mean.scores["talk/00000", WER].value == [100.0, 4.0]
    assert runs[0].scores["talk/00000", "stoi"].value == 0.0


def test_sets_are_tested_across_runs_too() -> None:
    noisy = [set_run("fd_panns", *outputs(k + 1, clips=40, noise=0.3 + 0.1 * k), id=f"r{k}") for k in range(3)]
    cell = judged(noisy, set_run("fd_panns", *outputs(9, clips=40, noise=0.48), id="r9"))
    assert cell.verdict == "undecided"
    assert judged(noisy, set_run("fd_panns", *outputs(9, clips=40, noise=3.0), id="r9")).verdict == "worse"


def test_repeats_have_to_be_repeats() -> None:
    runs = repeats([0.0, 0.01, 0.02])
    new = make_run({"stoi": scores(seed=9)}, id="r9")
    for few in (runs[:2], [runs[0], runs[1], runs[1]]):
        with pytest.raises(BenchError, match="3 different runs"):
            judged(few, new)
    other = make_run({"stoi": scores()}, id="r5", version=2)
    cell = judged([*runs, other], new)
    assert (cell.verdict, cell.reason) == ("not comparable", "repeat r5: metric version: 1 in BASE, 2 in the repeat")
    silent = make_run({"stoi": ["boom"] * 40}, id="r6")
    cell = judged([*runs, silent], new)
    assert cell.verdict == "not comparable"
    assert cell.reason.startswith("run r6: no value on these clips")
    with pytest.raises(BenchError, match="one system"):
        compare(runs, [new], Rules(), runs)
