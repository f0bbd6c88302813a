"""The analysis on listeners whose truth is known, and its parts against libraries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp, wilcoxon

from ldmbench.audio.arrays import Real
from ldmbench.errors import BenchError
from ldmbench.listening import agreement
from ldmbench.listening.analysis import analyse, part_of
from ldmbench.listening.components import variance_components
from ldmbench.listening.crossed import crossed
from ldmbench.listening.votes import Ratings, Role, Vote
from ldmbench.stats import ALL_EQUAL, TOO_FEW


def simulate(
    random: np.random.Generator,
    means: dict[str, float],
    listeners: int = 15,
    items: int = 10,
    item_system: float = 8.0,
    listener_system: float = 5.0,
    blocks: int = 1,
) -> Real:
    """``[listeners, items, systems]`` with effects of listener, item, both by system, and a residual of 12."""
    shape = (listeners, items, len(means))
    scores = np.array(list(means.values())) + 10 * random.standard_normal((listeners, 1, 1))
    scores = scores + 5 * random.standard_normal((1, items, 1)) + item_system * random.standard_normal((1, *shape[1:]))
    scores = (
        scores + listener_system * random.standard_normal((listeners, 1, shape[2])) + 12 * random.standard_normal(shape)
    )
    for listener in range(listeners if blocks > 1 else 0):
        scores[listener, np.arange(items) % blocks != listener % blocks] = np.nan
    return np.asarray(scores)


def as_ratings(scores: Real, names: list[str], low: float = 0, high: float = 100, repeat: int = 0) -> Ratings:
    roles: dict[str, Role] = {"reference": "reference"}
    rows = tuple(
        Vote(f"l{at[0]}", f"l{at[0]}", f"i{at[1]}", names[at[2]], float(score), repeat=repeat)
        for at, score in np.ndenumerate(scores)
        if not np.isnan(score)
    )
    return Ratings(rows, roles, low=low, high=high)


@pytest.mark.slow
def test_the_order_is_recovered() -> None:
    random = np.random.default_rng(4)
    means = {"best": 75.0, "good": 60.0, "fair": 45.0, "poor": 30.0}
    analysis = analyse(as_ratings(np.clip(simulate(random, means, 20, 20), 0, 100), list(means)))
    order = sorted(analysis.whole.summaries, key=lambda item: -(item.mean.value or 0))
    assert [item.name for item in order] == list(means)
    assert analysis.best.name == "best"
    assert all(item.adjusted is not None and item.adjusted < 0.05 for item in analysis.whole.pairs)
    for item in analysis.whole.summaries:
        assert item.mean.low is not None
        assert item.mean.high is not None
        assert item.mean.low < means[item.name] < item.mean.high


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 2])
def test_equal_systems_are_told_apart_as_often_as_promised(blocks: int) -> None:
    """500 tests of three equal systems with item effects: any pair at Holm's 5 %; over listener means far more."""
    draws, crossed_level, these_items = 500, 0, 0
    for seed in range(draws):
        scores = simulate(np.random.default_rng(seed), {"a": 50.0, "b": 50.0, "c": 50.0}, blocks=blocks)
        pairs = part_of("all", as_ratings(scores, ["a", "b", "c"], -100, 200)).pairs
        crossed_level += any((pair.adjusted or 1) < 0.05 for pair in pairs)
        these_items += any((pair.wilcoxon_adjusted or 1) < 0.05 for pair in pairs)
    print(
        f"blocks {blocks}: crossed {crossed_level / draws:.3f}, Wilcoxon over listener means {these_items / draws:.3f}"
    )
    assert crossed_level / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)
    assert crossed_level / draws >= 0.01
    assert blocks > 1 or these_items / draws > 0.15, "why it is called: for these items"


@pytest.mark.slow
@pytest.mark.parametrize(("listeners", "items"), [(12, 10), (20, 30)])
def test_intervals_of_correlations_cover_the_truth(listeners: int, items: int) -> None:
    """The truth: the correlation with very many listeners and items."""
    systems = {f"s{index}": 30.0 + 8 * index for index in range(6)}

    def drawn(random: np.random.Generator, people: int, excerpts: int) -> tuple[Real, Real]:
        scores = simulate(random, systems, people, excerpts)
        truth = np.array(list(systems.values()))
        return scores, truth + 15 * random.standard_normal((excerpts, len(systems)))

    scores, values = drawn(np.random.default_rng(0), 300, 2000)
    truth = float(agreement.per_cell(agreement.pearson, scores.mean(axis=0), values))
    covered = 0
    for seed in range(1, 151):
        scores, values = drawn(np.random.default_rng(seed), listeners, items)
        draws = agreement.Draws(scores, 300)

        def statistic(one: Real, other: Real) -> Real:
            return agreement.per_cell(agreement.pearson, one, other)

        value = float(statistic(scores.mean(axis=0), values))
        found = agreement.interval(value, draws.statistics(statistic, values), items)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    print(f"{listeners} listeners, {items} items: coverage {covered / 150:.3f}")
    assert covered / 150 > 0.87


def test_items_alone_are_students_test() -> None:
    scores = np.random.default_rng(0).normal(3, 5, (1, 12))
    found = crossed(scores)
    expected = ttest_1samp(scores[0], 0)
    assert found.p == pytest.approx(float(expected.pvalue))
    ends = expected.confidence_interval(0.95)
    assert [found.low, found.high] == pytest.approx([float(ends.low), float(ends.high)])
    assert found.note == "over items alone"


def test_a_complete_table_and_one_with_a_hole_nearly_agree() -> None:
    scores = np.random.default_rng(2).normal(3, 5, (9, 12)) + np.random.default_rng(3).normal(0, 6, (1, 12))
    hole = scores.copy()
    hole[0, 0] = np.nan
    whole, other = crossed(scores), crossed(hole)
    assert whole.error is not None
    assert other.error == pytest.approx(whole.error, rel=0.08)
    assert other.cells == 107


def test_what_says_nothing_has_no_interval() -> None:
    assert crossed(np.full((3, 4), np.nan)).value is None
    assert crossed(np.array([[5.0]])).note == TOO_FEW
    equal = crossed(np.full((3, 4), 7.0))
    assert (equal.value, equal.low, equal.note) == (7.0, None, ALL_EQUAL)


@pytest.mark.slow
def test_components_are_statsmodels() -> None:
    """The same restricted likelihood; statsmodels takes a hundred times as long."""
    import pandas as pd
    import statsmodels.formula.api as smf

    random = np.random.default_rng(7)
    scores = simulate(random, {"a": 60.0, "b": 50.0, "c": 40.0}, 8, 6)
    scores[0, 0, 0] = np.nan
    rows = [(*at, score, 0) for at, score in np.ndenumerate(scores) if not np.isnan(score)]
    frame = pd.DataFrame(rows, columns=["l", "i", "s", "score", "one"])
    parts = {"listener": "0+C(l)", "item": "0+C(i)", "item_system": "0+C(i):C(s)", "listener_system": "0+C(l):C(s)"}
    fitted = smf.mixedlm("score ~ C(s)", frame, groups="one", vc_formula=parts).fit(reml=True)
    expected = dict(zip(fitted.model.exog_vc.names, np.sqrt(fitted.vcomp), strict=True))
    found = variance_components(scores)
    assert found is not None
    assert found.residual == pytest.approx(float(np.sqrt(fitted.scale)), rel=0.01)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(float(value), rel=0.03, abs=0.2), name


@pytest.mark.slow
def test_components_are_recovered() -> None:
    """Without bias: variances over ten tests of 15 listeners, 15 items and 5 systems."""
    found = []
    for seed in range(10):
        parts = variance_components(simulate(np.random.default_rng(seed), dict.fromkeys("abcde", 50.0), 15, 15))
        assert parts is not None
        found.append([parts.listener, parts.item, parts.item_system, parts.listener_system, parts.residual])
    variances = np.square(found).mean(axis=0)
    assert list(variances) == pytest.approx([100, 25, 64, 25, 144], rel=0.35)
    assert parts is not None
    assert parts.half_width(20, 10) > parts.half_width(40, 10) > parts.half_width(40, 20)
    assert variance_components(simulate(np.random.default_rng(0), {"a": 50.0, "b": 50.0})[:1]) is None


def test_repetitions_tell_how_reliable_listeners_are() -> None:
    random = np.random.default_rng(0)
    first = simulate(random, {"a": 60.0, "b": 40.0}, 4, 5)
    names = ["a", "b"]
    again = as_ratings(first + 2, names, -100, 200, repeat=1)
    once = as_ratings(first, names, -100, 200)
    both = Ratings(once.rows + again.rows, low=-100, high=200)
    analysis = analyse(both)
    assert analysis.reliability is not None
    assert analysis.reliability.pairs == 40
    assert analysis.reliability.mean_difference == pytest.approx(2)
    assert analysis.reliability.correlation == pytest.approx(1)
    assert analysis.whole == analyse(once).whole, "repetitions are in no mean"


@pytest.mark.parametrize("n", [3, 5, 8])
def test_wilcoxon_with_ties_is_scipys(n: int) -> None:
    """Whole points, with ties and zeros: the exact p, for which scipy takes seconds with 13 listeners."""
    for seed in range(6):
        steps = np.random.default_rng(seed).integers(-3, 5, n).astype(float)
        scores = np.stack([50 + steps, np.full(n, 50.0)], axis=1)[:, None, :]
        (pair,) = part_of("all", as_ratings(scores, ["a", "b"])).pairs
        if not steps.any():
            assert pair.wilcoxon is None
        else:
            assert pair.wilcoxon == pytest.approx(float(wilcoxon(steps, method="auto").pvalue))


def test_a_test_without_systems_is_refused() -> None:
    with pytest.raises(BenchError, match="no system"):
        analyse(as_ratings(np.full((2, 2, 1), 100.0), ["reference"]))
