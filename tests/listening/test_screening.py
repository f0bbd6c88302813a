"""Who is left out: the rules at their exact limits, and simulated listeners whose honesty is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from ldmbench.errors import BenchError
from ldmbench.listening.screening import Screening, screen
from ldmbench.listening.votes import Ratings, Role, Vote

ROLES: dict[str, Role] = {
    "reference": "reference",
    "low": "low anchor",
    "mid": "mid anchor",
    "a": "system",
    "b": "system",
}
GOOD = {"reference": 100.0, "a": 70.0, "b": 50.0, "mid": 40.0, "low": 20.0}


def rated(*listeners: Sequence[dict[str, float]], **fields: object) -> Ratings:
    """A test from the pages of each listener: condition -> score."""
    rows = [
        Vote(f"l{who}", f"l{who}", f"i{page}", name, score, **fields)  # type: ignore[arg-type]
        for who, pages in enumerate(listeners)
        for page, scores in enumerate(pages)
        for name, score in scores.items()
    ]
    return Ratings(tuple(rows), ROLES)


def pages(count: int, bad: int, **scores: float) -> list[dict[str, float]]:
    """So many good pages, the first ``bad`` of them with other scores."""
    return [{**GOOD, **scores} if index < bad else dict(GOOD) for index in range(count)]


def log_of(screened: Screening, name: str) -> list[str]:
    return [f"{item.rule}: {item.reason}" for item in screened.log if item.name == name]


def test_rule_a_at_its_limit() -> None:
    """Exactly 15 % are allowed, and 90 points are enough."""
    screened = screen(rated(pages(20, 3, reference=89), pages(20, 4, reference=89), pages(20, 20, reference=90)))
    assert screened.excluded == ("l1",)
    assert "on 4 of 20 items" in log_of(screened, "l1")[0]


def test_rule_b_at_its_limit_and_its_clause_on_items() -> None:
    """An item on which more than a quarter of the listeners hear no anchor counts against none of them."""
    quiet = [pages(20, 0) for _ in range(6)]
    screened = screen(rated(pages(20, 3, mid=91), pages(20, 4, mid=91), *quiet))
    assert screened.excluded == ("l1",)
    assert not [item for item in screened.log if item.subject == "item"], "two of eight are not more than a quarter"
    screened = screen(rated(pages(20, 4, mid=91), pages(20, 4, mid=91), pages(20, 3, mid=91), *quiet[:5]))
    assert screened.excluded == (), "on the suspect items nothing counts"
    assert [item.name for item in screened.log if item.subject == "item"] == ["i0", "i1", "i2"]


def test_mpeg_is_stricter() -> None:
    ratings = rated(pages(20, 1, reference=89), pages(20, 1, low=45), pages(20, 0))
    assert screen(ratings).excluded == ()
    screened = screen(ratings, "mpeg")
    assert screened.excluded == ("l0", "l1")
    assert "anchors not in order on i0" in log_of(screened, "l1")[-1]


def test_semanticodec_leaves_out_pages() -> None:
    screened = screen(rated(pages(4, 1, reference=79), pages(4, 0)), "semanticodec", threshold=80)
    assert screened.excluded == ()
    assert screened.counts == {"listeners": (2, 2), "items": (4, 4), "ratings": (40, 35)}
    assert log_of(screened, "l0, i0") == ["SemantiCodec: hidden reference 79"]


@pytest.mark.parametrize("touched", [None, False])
def test_pages_without_a_rating(touched: bool | None) -> None:
    """All sliders at one score, or recorded as unmoved: a listener with more than 15 % of such pages goes."""
    same = dict.fromkeys(GOOD, 100.0) if touched is None else GOOD
    rows = rated([same] * 4, pages(4, 0), [same, *pages(7, 0)]).rows
    if touched is False:
        unmoved = {("l0", row.item) for row in rows} | {("l2", "i0")}
        rows = tuple(replace(row, touched=(row.listener, row.item) not in unmoved) for row in rows)
    screened = screen(Ratings(rows, ROLES), "none")
    assert screened.excluded == ("l0",)
    assert [item.name for item in screened.log if item.subject == "page"] == ["l2, i0"]


def test_flags_exclude_nobody() -> None:
    ratings = rated(pages(4, 4, low=60, mid=50), pages(4, 4, low=95, mid=96, reference=100), pages(4, 0), seconds=3.0)
    screened = screen(ratings, "none", seconds=2.0)
    assert screened.excluded == ()
    assert any("inverted anchors" in line for line in log_of(screened, "l0"))
    assert any("low anchor above 90 on 4 of 4" in line for line in log_of(screened, "l1"))
    assert any("4 of 4 pages left before all could be heard (3.0 s)" in line for line in log_of(screened, "l2"))


def test_what_cannot_be_screened_is_refused() -> None:
    without = Ratings(tuple(row for row in rated(pages(2, 0)).rows if row.system != "reference"), ROLES)
    with pytest.raises(BenchError, match="hidden reference"):
        screen(without, "bs1534")
    assert screen(without).counts["listeners"] == (1, 1), "auto applies what can be applied, and says so"
    assert any(rule.startswith("no other") for rule in screen(without).rules)
    with pytest.raises(BenchError, match="0 to 100"):
        screen(Ratings(rated(pages(2, 0)).rows, ROLES, low=1, high=5), "bs1534")
    with pytest.raises(BenchError, match="no listener is left"):
        screen(rated(pages(2, 2, reference=10)))


def honest(random: np.random.Generator) -> dict[str, float]:
    truth = {"reference": 99.0, "a": 75.0, "b": 55.0, "mid": 40.0, "low": 15.0}
    scores = {name: float(np.clip(random.normal(value, 9), 0, 100)) for name, value in truth.items()}
    return {**scores, "reference": float(np.clip(random.normal(99, 3), 91, 100))}


BEHAVIOURS: dict[str, Callable[[np.random.Generator], dict[str, float]]] = {
    "honest": honest,
    "random": lambda random: {name: float(random.integers(0, 101)) for name in GOOD},
    "all at 100": lambda random: dict.fromkeys(GOOD, 100.0),
    "all at one place": lambda random: dict.fromkeys(GOOD, float(random.integers(0, 101))),
    "reference by chance, the rest at random": lambda random: {
        **{name: float(random.integers(0, 101)) for name in GOOD},
        "reference": 100.0 if random.random() < 0.5 else 60.0,
    },
}


def test_simulated_listeners() -> None:
    """Of 40 honest and 40 others, ten pages each, all others go and all honest ones stay."""
    random = np.random.default_rng(1)
    kinds = ["honest"] * 40 + [name for name in BEHAVIOURS if name != "honest"] * 10
    screened = screen(rated(*([BEHAVIOURS[kind](random) for _ in range(10)] for kind in kinds)))
    gone = {kinds[int(name[1:])] for name in screened.excluded}
    assert gone == set(BEHAVIOURS) - {"honest"}
    assert screened.counts["listeners"] == (80, 40)
