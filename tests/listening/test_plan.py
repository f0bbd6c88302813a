"""Plans: power as simulated tests have it, and the numbers that studies of listening tests print."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.listening.components import Components
from ldmbench.listening.crossed import crossed
from ldmbench.listening.plan import DEFAULTS, CrossedTest, fewest_for_wilcoxon, make_plan


@pytest.mark.parametrize(("pairs", "listeners"), [(1, 6), (10, 9), (28, 11)])
def test_fewest_listeners_of_wilcoxon(pairs: int, listeners: int) -> None:
    """By scipy's exact test: so many equal signs reach the level, one fewer do not."""
    from scipy.stats import wilcoxon

    assert fewest_for_wilcoxon(0.05 / pairs) == listeners
    for n, reached in ((listeners, True), (listeners - 1, False)):
        p = wilcoxon(np.arange(1.0, n + 1), method="exact").pvalue
        assert bool(p <= 0.05 / pairs) is reached


@pytest.mark.parametrize(("freedom", "beyond"), [(3, 1.0), (9, 2.5), (30, 4.0)])
def test_power_equals_scipys_noncentral_t(freedom: int, beyond: float) -> None:
    from scipy.stats import nct, t

    only_items = Components(0, 0, 10, 0, 0)
    test = CrossedTest(only_items, 1000, freedom + 1, freedom + 1, 0.05)
    bound = t.ppf(0.975, freedom)
    expected = nct.sf(bound, freedom, beyond) + nct.cdf(-bound, freedom, beyond)
    assert test.power(beyond * test.error) == pytest.approx(expected, abs=5e-4)


def simulated(components: Components, listeners: int, items: int, difference: float, level: float, draws: int) -> float:
    """How often the analysis' own test finds a difference in drawn ratings."""
    generator = np.random.default_rng(5)
    found = 0
    for _ in range(draws):
        cell = math.sqrt(2) * components.residual * generator.standard_normal((listeners, items))
        own = math.sqrt(2) * components.listener_system * generator.standard_normal((listeners, 1))
        taste = math.sqrt(2) * components.item_system * generator.standard_normal((1, items))
        p = crossed(difference + own + taste + cell).p
        found += p is not None and p <= level
    return found / draws


@pytest.mark.parametrize(("listeners", "items", "difference"), [(20, 10, 15.0), (12, 20, 10.0), (30, 6, 20.0)])
def test_power_is_what_simulated_tests_have(listeners: int, items: int, difference: float) -> None:
    expected = CrossedTest(DEFAULTS, listeners, items, items, 0.05).power(difference)
    seen = simulated(DEFAULTS, listeners, items, difference, 0.05, 1500)
    assert seen == pytest.approx(expected, abs=0.045)


def test_half_widths_are_those_of_the_real_test() -> None:
    """20 listeners and 10 items see to 10 points, 30 items to 6.5: items buy more than listeners."""
    made = make_plan(5, 10.0)
    cells = {(row.listeners, row.items): row for row in made.table}
    assert cells[20, 10].half_width == pytest.approx(10.0, abs=0.1)
    assert cells[20, 30].half_width == pytest.approx(6.5, abs=0.1)
    assert cells[20, 20].power > cells[40, 10].power
    assert (made.pairs, made.wilcoxon) == (10, 9)
    assert made.level == pytest.approx(0.005)


def test_the_fewest_are_enough_and_one_fewer_are_not() -> None:
    made = make_plan(3, 12.0)
    assert made.least
    for design in made.least:
        assert design.power >= 0.8
        fewer = CrossedTest(DEFAULTS, design.listeners - 1, design.items, design.items, made.level)
        assert fewer.power(12.0) < 0.8
        assert design.smallest <= 12.01
    against = make_plan(3, 12.0, against_one=True)
    assert against.pairs == 2
    assert against.least[-1].listeners <= made.least[-1].listeners


def test_the_smallest_difference_is_found_with_the_chance_asked_for() -> None:
    row = next(row for row in make_plan(4, 10.0).table if (row.listeners, row.items) == (20, 15))
    assert CrossedTest(DEFAULTS, 20, 15, 15, 0.05 / 6).power(row.smallest) == pytest.approx(0.8, abs=0.002)


def test_parts_of_the_items_cost() -> None:
    whole, part = make_plan(4, 10.0), make_plan(4, 10.0, per_listener=8)
    for one, other in zip(whole.table, part.table, strict=True):
        assert other.pages == min(one.items, 8)
        assert other.power <= one.power + 1e-9


@pytest.mark.parametrize(
    "wrong", [{"difference": 0.0}, {"difference": 101.0}, {"chance": 1.0}, {"level": 0.0}, {"systems": 1}]
)
def test_what_cannot_be_planned_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BenchError, match="cannot be planned"):
        make_plan(**{"systems": 3, "difference": 10.0, **wrong})  # type: ignore[arg-type]


def test_the_command_prints_the_table() -> None:
    done = CliRunner().invoke(cli, ["mushra", "plan", "--systems", "5"])
    assert done.exit_code == 0, done.output
    assert "10 comparisons share the level: 0.0050 each" in done.output
    assert "needs 9 listeners to find anything at all" in done.output
    words = [
        "mushra",
        "plan",
        "--systems",
        "2",
        "--residual",
        "5",
        "--item-system",
        "2",
        "--listener-system",
        "2",
        "--json",
    ]
    made = json.loads(CliRunner().invoke(cli, words).output)
    assert made["components"]["residual"] == 5
    assert made["least"][0]["listeners"] < 20
    assert "as named" in made["source"]


def test_a_pilot_gives_its_own_components(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("pilot") / "pilot.csv"
    generator = np.random.default_rng(3)
    rows = ["listener,item,system,score"]
    taste = 12 * generator.standard_normal((12, 3))
    for listener in range(8):
        for item in range(12):
            for system in range(3):
                score = 50 + 5 * system + taste[item, system] + 3 * generator.standard_normal()
                rows.append(f"l{listener},i{item},s{system},{min(max(score, 0), 100):.2f}")
    path.write_text("\n".join(rows) + "\n")
    done = CliRunner().invoke(cli, ["mushra", "plan", "--systems", "3", "--pilot", str(path), "--json"])
    assert done.exit_code == 0, done.output
    made = json.loads(done.output)
    assert made["source"] == "the pilot"
    assert made["components"]["item_system"] == pytest.approx(12, rel=0.3)
    assert made["components"]["residual"] == pytest.approx(3, rel=0.1)
