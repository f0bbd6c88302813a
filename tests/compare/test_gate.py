"""Verdicts: what is worse, better, same, undecided, failed, and what does not compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ldmbench.compare.gate import compare
from ldmbench.compare.paired import smallest_detectable
from ldmbench.compare.records import Cell, Comparison, Rules
from ldmbench.errors import BenchError
from ldmbench.runs.results import Run
from tests.compare.conftest import MakeRun
from tests.present import present

WER = "wer_whisper_large_v3"


def scores(n: int = 40, shift: float = 0.0, seed: int = 0, spread: float = 0.02) -> list[float]:
    """Scores of n clips: what is hard for one run is hard for the other, each adds a little of its own."""
    hard = np.random.default_rng(7).uniform(0.6, 0.9, n)
    return [float(value) for value in hard + shift + spread * np.random.default_rng(seed).standard_normal(n)]


def cell(comparison: Comparison, metric: str, part: str = "all") -> Cell:
    (one,) = [item for item in comparison.cells if (item.metric, item.part) == (metric, part)]
    return one


def versus(base: Run, new: Run, **rules: Any) -> Comparison:
    return compare([base], [new], Rules(**rules))


def test_a_loss_is_worse_a_gain_is_better(made: MakeRun) -> None:
    base = made({"stoi": scores(), "mel_dac": scores()})
    result = versus(base, made({"stoi": scores(shift=-0.05, seed=1), "mel_dac": scores(shift=-0.05, seed=1)}, id="r1"))
    assert cell(result, "stoi").verdict == "worse"
    assert cell(result, "mel_dac").verdict == "better"  # lower is better
    assert result.exit_code == 1
    assert present(cell(result, "stoi").high) < 0
    assert cell(result, "stoi").base == pytest.approx(np.mean(scores()))
    assert cell(result, "stoi").worst[0].difference == min(
        after - before for before, after in zip(scores(), scores(shift=-0.05, seed=1), strict=True)
    )
    assert versus(base, made({"stoi": scores(shift=0.05, seed=1), "mel_dac": scores()}, id="r1")).exit_code == 0


def test_no_difference_is_undecided_or_the_same_within_a_margin(made: MakeRun) -> None:
    base, new = made({"stoi": scores()}), made({"stoi": scores(seed=1)}, id="r1")
    plain, margin = versus(base, new), versus(base, new, margins={"stoi": 0.05})
    assert cell(plain, "stoi").verdict == "undecided"
    assert 0 < present(cell(plain, "stoi").smallest) < 0.05
    assert plain.exit_code == 0
    assert versus(base, new, undecided_fails=True).exit_code == 1
    assert cell(margin, "stoi").verdict == "same"
    assert versus(base, new, margins={"stoi": 0.05}, undecided_fails=True).exit_code == 0


def test_a_loss_within_the_margin_is_the_same(made: MakeRun) -> None:
    base, new = made({"stoi": scores()}), made({"stoi": scores(shift=-0.02, seed=1)}, id="r1")
    assert cell(versus(base, new), "stoi").verdict == "worse"
    assert cell(versus(base, new, margins={"stoi": 0.05}), "stoi").verdict == "same"


def test_a_run_against_itself_is_the_same(made: MakeRun) -> None:
    base = made({"stoi": scores(), WER: [[300.0, 20.0]] * 40}, sound="x")
    result = versus(base, base)
    assert {item.verdict for item in result.cells} == {"same"}
    assert versus(base, base, undecided_fails=True).exit_code == 0
    few = made({"stoi": [0.5, 0.6, 0.7]}, sound="x")
    assert cell(versus(few, few), "stoi").verdict == "same"


def test_few_clips_say_how_little_they_know(made: MakeRun) -> None:
    five = versus(made({"stoi": scores(5)}), made({"stoi": scores(5, -0.3, 1)}, id="r1"))
    assert cell(five, "stoi").verdict == "undecided"
    assert "too few" in cell(five, "stoi").reason
    eight = versus(made({"stoi": scores(8)}), made({"stoi": scores(8, 0.0, 1)}, id="r1"))
    forty = versus(made({"stoi": scores(40)}), made({"stoi": scores(40, 0.0, 1)}, id="r1"))
    assert present(cell(eight, "stoi").smallest) > present(cell(forty, "stoi").smallest)


def test_a_regression_in_one_group_is_found_and_named(made: MakeRun) -> None:
    languages = ["en", "de", "fr", "es", "it", "pl", "tr", "ja"] * 15
    base = made({"stoi": scores(120)}, languages=languages)
    new = made(
        {"stoi": [v - 0.04 * (lang == "de") for v, lang in zip(scores(120, seed=3), languages, strict=True)]},
        id="r1", languages=languages,
    )  # fmt: skip
    result = versus(base, new)
    assert [item.part for item in result.cells if item.verdict == "worse"] == ["language=de"]
    assert {item.part for item in result.cells} == {"all", *(f"language={name}" for name in languages)}
    assert result.exit_code == 1
    assert [item.part for item in versus(base, new, by=()).cells] == ["all"]


def test_small_groups_are_no_cells(made: MakeRun) -> None:
    groups = ["a"] * 35 + ["b"] * 5
    result = versus(made({"stoi": scores()}, groups=groups), made({"stoi": scores(seed=1)}, id="r1", groups=groups))
    assert [item.part for item in result.cells] == ["all", "group=a"]


def test_holm_spans_all_cells(made: MakeRun) -> None:
    """One of forty tests at p = 0.03 is what chance brings."""
    names = [f"lsd:n_fft={256 * k}" for k in range(1, 21)]
    base = made({name: scores() for name in names})
    new = made({name: scores(seed=k + 1, shift=0.0085 * (k == 0)) for k, name in enumerate(names)}, id="r1")
    result = versus(base, new)
    alone = versus(base, new, metrics=(names[0],))
    assert cell(alone, names[0]).verdict == "worse"
    assert cell(result, names[0]).verdict == "undecided"
    assert "Holm" in cell(result, names[0]).reason
    # What would be found is what the first step of Holm's finds, of all cells together.
    differences = np.subtract(scores(seed=1, shift=0.0085), scores())
    for cells, found in ((20, cell(result, names[0])), (1, cell(alone, names[0]))):
        expected = smallest_detectable(float(np.std(differences, ddof=1)), 40, found.margin, cells)
        assert found.smallest == pytest.approx(expected, rel=1e-9)


def test_new_failures_are_worse_and_old_ones_are_not(made: MakeRun) -> None:
    base = made({"stoi": scores()}, failed={0: "old fault", 1: "old fault"})
    new = made({"stoi": scores(shift=0.1, seed=1)}, id="r1", failed={0: "old fault", 5: "boom", 6: "boom"})
    result = versus(base, new)
    one = cell(result, "stoi")
    assert (one.verdict, one.new_failures, one.recovered, one.without, one.n) == ("failed", 2, 1, 1, 36)
    assert "boom" in one.reason
    assert one.worst[0].message == "boom"
    assert result.exit_code == 1
    fixed = versus(new, made({"stoi": scores(shift=0.1, seed=1)}, id="r2"))
    assert cell(fixed, "stoi").recovered == 3
    assert fixed.exit_code == 0
    assert versus(base, new, clip_budget=0.5).exit_code == 0


def test_scores_that_are_no_numbers_are_failures(made: MakeRun) -> None:
    values = scores(seed=1)
    values[3] = float("nan")
    one = cell(versus(made({"stoi": scores()}), made({"stoi": values}, id="r1")), "stoi")
    assert (one.verdict, one.n) == ("failed", 39)
    assert "nan" in one.reason


def test_clips_that_were_not_run_are_failures(made: MakeRun) -> None:
    new = made({"stoi": scores(seed=1)}, id="r1")
    del new.outputs["talk/00007"]
    result = versus(made({"stoi": scores()}), new)
    assert cell(result, "stoi").verdict == "failed"
    assert any("INTERRUPTED" in line for line in result.banners)


def test_single_clips_have_a_budget(made: MakeRun) -> None:
    base, values = made({"stoi": scores(spread=0)}), scores(shift=0.01, spread=0)
    values[0] -= 0.5
    values[1] -= 0.5
    new = made({"stoi": values}, id="r1")
    assert versus(base, new).exit_code == 0
    strict = versus(base, new, tolerances={"stoi": 0.2})
    assert (cell(strict, "stoi").verdict, cell(strict, "stoi").below) == ("worse", 2)
    assert versus(base, new, tolerances={"stoi": 0.2}, clip_budget=0.02).exit_code == 0  # 2 of 40 show 0.9 %


def test_cells_have_a_budget(made: MakeRun) -> None:
    base = made({"stoi": scores(), "mel_dac": scores()})
    new = made({"stoi": scores(shift=-0.05, seed=1), "mel_dac": scores(shift=0.05, seed=1)}, id="r1")
    assert [versus(base, new, cell_budget=budget).exit_code for budget in (0, 1, 2)] == [1, 1, 0]


def test_corpus_word_errors_are_tested_by_their_edits(made: MakeRun) -> None:
    words = np.random.default_rng(1).integers(5, 30, 40)
    edits = np.random.default_rng(2).integers(0, 3, 40)
    more = edits + (np.arange(40) % 2)
    pair = [made({WER: [[100.0 * e, float(w)] for e, w in zip(side, words, strict=True)]}, id=name)
            for side, name in ((edits, "r0"), (more, "r1"))]  # fmt: skip
    one = cell(versus(*pair), WER)
    assert one.verdict == "worse"
    assert one.base == pytest.approx(100 * edits.sum() / words.sum())
    assert one.difference == pytest.approx(100 * 20 / words.sum())
    low, high = present(one.low), present(one.high)
    assert low < present(one.difference) < high
    # The middle of the interval is the difference of the corpus rates, not a mean of clips' rates.
    assert (low + high) / 2 == pytest.approx(one.difference, rel=0.05)
    other = made({WER: [[100.0 * e, float(w) + 1] for e, w in zip(edits, words, strict=True)]}, id="r1")
    assert cell(versus(pair[0], other), WER).verdict == "not comparable"


def test_the_order_of_clips_changes_nothing(made: MakeRun) -> None:
    base = made({"stoi": scores()})
    new = made({"stoi": scores(shift=-0.01, seed=1)}, id="r1")
    shuffled = made(
        {"stoi": scores(shift=-0.01, seed=1)}, id="r1", order=list(np.random.default_rng(5).permutation(40))
    )
    assert cell(versus(base, new), "stoi") == cell(versus(base, shuffled), "stoi")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"version": 2}, "metric version: 1 in BASE, 2 in NEW"),
        ({"digest": "e" * 64}, "clip list: digest dddddddddddd in BASE, eeeeeeeeeeee in NEW"),
        ({"rate": 24_000}, "rate of the outputs: 16000 Hz in BASE, 24000 Hz in NEW"),
        ({"reference": "q"}, "references: those of 40 clips differ"),
        ({"untrained": True}, "weights: those of NEW are random"),
        ({"metrics": ()}, "NEW was not scored with it"),
        ({"dataset": "other"}, "NEW was not run on it"),
    ],
)
def test_what_does_not_compare_is_named(made: MakeRun, facts: dict[str, Any], reason: str) -> None:
    result = versus(made({"stoi": scores()}), made({"stoi": scores(shift=-0.5)}, id="r1", **facts))
    one = cell(result, "stoi")
    assert one.verdict == "not comparable"
    assert reason in one.reason
    assert result.exit_code == 3


def test_fewer_clips_do_not_compare(made: MakeRun) -> None:
    result = versus(made({"stoi": scores(40)}), made({"stoi": scores(38)}, id="r1", limit=38))
    assert cell(result, "stoi").reason == "clip list: 40 clips in BASE, 38 in NEW; NEW lacks talk/00038, talk/00039"
    assert result.exit_code == 3
    assert any(line.startswith("PARTIAL") for line in result.banners)


def test_a_metric_on_somebodys_checkpoint_does_not_compare(made: MakeRun) -> None:
    name = "kl_softmax_panns:official=false"
    result = versus(made({name: scores()}, content="general"), made({name: scores()}, id="r1", content="general"))
    assert "not the official one" in cell(result, name).reason


def test_worse_wins_over_not_comparable(made: MakeRun) -> None:
    base = made({"stoi": scores(), "mel_dac": scores()})
    new = made({"stoi": scores(shift=-0.1), "mel_dac": scores()}, id="r1")
    for clip in new.info.clips:
        new.scores[clip.id, "mel_dac"] = replace(new.scores[clip.id, "mel_dac"], version=9)
    assert versus(base, new).exit_code == 1


def test_plain_facts_and_measured_times_are_not_judged(made: MakeRun) -> None:
    base = made({"stoi": scores(), "rtf": [[v, 1.0] for v in scores()], "kbps": [[6.0, 1.0]] * 40})
    new = made(
        {"stoi": scores(), "rtf": [[v, 1.0] for v in scores(shift=1, seed=1)], "kbps": [[7.0, 1.0]] * 40}, id="r1"
    )
    result = versus(base, new)
    assert [item.metric for item in result.cells] == ["stoi"]
    assert any("6.00 → 7.00" in line for line in result.notes)
    assert cell(versus(base, new, metrics=("rtf",)), "rtf").verdict == "worse"


def test_several_systems_pair_by_their_labels(made: MakeRun) -> None:
    base = [made({"stoi": scores()}, system=name) for name in ("a", "b")]
    new = [made({"stoi": scores(shift=-0.1)}, id="r1", system=name) for name in ("b", "c")]
    result = compare(base, new, Rules())
    assert [(item.system, item.verdict) for item in result.cells] == [("a", "not comparable"), ("b", "worse")]
    assert any("c" in line for line in result.notes)
    with pytest.raises(BenchError, match="several runs"):
        compare([*base, base[0]], new, Rules())


def test_wrong_usage_is_said(made: MakeRun) -> None:
    base = made({"stoi": scores(), "kbps": [[6.0, 1.0]] * 40})
    for rules, text in (
        ({"metrics": ("stio",)}, "stoi"),
        ({"margins": {"mel_dac": 0.1}}, "mel_dac"),
        ({"metrics": ("kbps",)}, "no better and worse"),
    ):
        with pytest.raises(BenchError, match=text):
            versus(base, base, **rules)
