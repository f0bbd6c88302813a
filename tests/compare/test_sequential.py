"""Looks at a run: the bounds against published ones, the order of clips, and what a look says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

from ldmbench.compare.gate import compare
from ldmbench.compare.paired import smallest_detectable
from ldmbench.compare.records import Comparison, Rules
from ldmbench.compare.sequential import Look, interleaved, looks, overall, stop_at
from ldmbench.runs.records import ClipInfo
from ldmbench.runs.results import Run
from tests.compare.conftest import MakeRun
from tests.compare.test_gate import scores
from tests.compare.test_sets import outputs, set_run


def test_bounds_are_the_published_ones() -> None:
    """Lan and DeMets' O'Brien-Fleming type at one-sided 0.025 and 5 looks (Jennison and Turnbull 2000; gsDesign)."""
    np.testing.assert_allclose(stop_at(0.025), [4.877, 3.357, 2.680, 2.290, 2.031], atol=5e-4)
    np.testing.assert_allclose(stop_at(0.05, 1), [norm.ppf(0.95)])


@pytest.mark.parametrize(("alpha", "count"), [(0.05, 5), (0.05 / 24, 5), (0.05, 3)])
def test_the_error_of_all_looks_is_that_of_one(alpha: float, count: int) -> None:
    """By drawn paths; the standard error is 0.0005 at 5 %."""
    random = np.random.default_rng(0)
    paths = random.standard_normal((200_000, count)).cumsum(axis=1) / np.sqrt(np.arange(1, count + 1))
    stopped = (paths > stop_at(alpha, count)).any(axis=1).mean()
    assert stopped == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 200_000))


def test_overall_p_values_turn_the_bounds_round() -> None:
    for alpha in (0.4, 0.05, 0.0123, 0.05 / 37, 1e-6):
        for look, bound in enumerate(stop_at(alpha), 1):
            assert overall(float(norm.sf(bound)), look) == pytest.approx(alpha, rel=5e-4)
    assert overall(0.03, 1, count=1) == 0.03
    assert overall(1.0, 3) == 1.0
    assert overall(0.0, 3) < 1e-12
    values = [overall(p, 4) for p in np.logspace(-9, 0, 200)]
    assert all(first <= second for first, second in pairwise(values))


def test_every_beginning_holds_its_share_of_each_group() -> None:
    clips = [ClipInfo(f"d/{k:03}", "d", group="ab"[k % 3 > 1], language=["en", "de"][k % 2]) for k in range(120)]
    order = interleaved(clips)
    assert sorted(order, key=lambda clip: clip.id) == clips
    assert order != clips
    assert [clip.id for clip in interleaved(clips[::-1])] == [clip.id for clip in order]
    for size in (24, 48, 72, 96):
        for group, count in (("a", 80), ("b", 40)):
            assert abs(sum(clip.group == group for clip in order[:size]) - count * size / 120) <= 2
    sizes = [len(look.clips) for look in looks(clips)]
    assert sizes == [24, 48, 72, 96, 120]
    assert [look.last for look in looks(clips)] == [False] * 4 + [True]
    assert [(len(look.clips), look.of) for look in looks(clips[:3])] == [(1, 3), (2, 3), (3, 3)]


def seen(base: Run, new: Run, number: int, **rules: object) -> Comparison:
    look = looks(base.info.clips)[number - 1]
    part = {clip: row for clip, row in new.outputs.items() if clip in look.clips}
    rows = {key: row for key, row in new.scores.items() if key[0] in look.clips}
    partial = Run(new.path, new.info, part, rows, vectors=new.vectors)
    return compare([base], [partial], Rules(**rules), look=look)  # type: ignore[arg-type]


def test_a_great_loss_is_seen_early_and_a_small_one_is_not(made: MakeRun) -> None:
    base = made({"stoi": scores(100), "mel_dac": scores(100)})
    great = made({"stoi": scores(100, -0.1, 1), "mel_dac": scores(100, -0.1, 1)}, id="r1")
    early = seen(base, great, 2)
    assert [(cell.metric, cell.verdict) for cell in early.cells] == [("stoi", "worse"), ("mel_dac", "undecided")]
    assert early.exit_code == 1
    assert early.cells[0].n == 40
    assert early.cells[1].reason == "not judged after 40 clips"  # It got better, which only a complete run shows.
    assert early.banners[0].startswith("PARTIAL: stopped after 40 of 100 clips")
    small = made({"stoi": scores(100, -0.002, 3), "mel_dac": scores(100, 0, 3)}, id="r2")
    assert [seen(base, small, number).exit_code for number in (1, 2, 3)] == [0, 0, 0]


def test_the_last_look_is_a_little_stricter_than_a_comparison(made: MakeRun) -> None:
    base, new = made({"stoi": scores(100)}), made({"stoi": scores(100, -0.006, 1)}, id="r1")
    (plain,) = compare([base], [new], Rules()).cells
    (last,) = seen(base, new, 5).cells
    assert plain.p == last.p
    assert plain.p is not None
    assert last.adjusted == overall(plain.p, 5)
    assert not seen(base, new, 5).banners


def test_cells_that_are_tested_later_count_from_the_start(made: MakeRun) -> None:
    """Groups that are too small yet, and sets, which are tested when they are complete."""
    groups = ["a"] * 90 + ["b"] * 10
    base = made({"stoi": scores(100)}, groups=groups)
    new = made({"stoi": scores(100, -0.02, 1)}, id="r1", groups=groups)
    cells = {cell.part: cell for cell in seen(base, new, 2).cells}
    assert cells["group=b"].p is None
    assert cells["all"].p is not None
    assert cells["all"].adjusted == pytest.approx(3 * overall(cells["all"].p, 2))
    clips = looks(base.info.clips)[1].clips
    before, after = (np.array([run.scores[clip, "stoi"].value for clip in clips], float) for run in (base, new))
    sd = float(np.std(after - before, ddof=1))
    assert cells["all"].smallest == pytest.approx(smallest_detectable(sd, len(clips), cells=3))
    reference, good = outputs(1, clips=60)
    first, second = (set_run("fd_panns", reference, side, id=name)
                     for name, side in (("r0", good), ("r1", outputs(2, 60, noise=3.0)[1])))  # fmt: skip
    assert [seen(first, second, number).cells[0].verdict for number in (4, 5)] == ["undecided", "worse"]


def test_failures_stop_as_soon_as_they_are_over_the_budget_of_the_whole_run(made: MakeRun) -> None:
    base = made({"stoi": scores(100)})
    order = [int(clip.id[-3:]) for clip in interleaved(base.info.clips)]
    broken = dict.fromkeys(order[:6], "boom")
    new = made({"stoi": scores(100, 0, 1)}, id="r1", failed=broken)
    assert seen(base, new, 1).cells[0].verdict == "failed"
    # 6 of 20 show 14 %, 6 of 100 show 2.6 %: whatever the other clips do, that much is certain.
    assert seen(base, new, 1, clip_budget=0.02).cells[0].verdict == "failed"
    assert seen(base, new, 1, clip_budget=0.03).cells[0].verdict == "undecided"
    assert Look(1, frozenset("a"), 5).last is False


def test_a_cell_is_tested_early_from_20_clips_on(made: MakeRun) -> None:
    """80 clips: the first look has 16, whatever they lost."""
    base, new = made({"stoi": scores(80)}), made({"stoi": scores(80, -0.3, 1)}, id="r1")
    assert [seen(base, new, number).cells[0].verdict for number in (1, 2)] == ["undecided", "worse"]
    assert seen(base, new, 1).cells[0].adjusted is None
