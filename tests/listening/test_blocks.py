"""Designs: every page as often at every place, every pair as often, and no item behind itself."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from ldmbench.listening.blocks import orders, shuffles, williams


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10, 11])
def test_williams_squares_balance_places_and_neighbours(count: int) -> None:
    square = williams(count)
    assert len(square) == (count if count % 2 == 0 or count == 1 else 2 * count)
    assert all(sorted(row) == list(range(count)) for row in square)
    places = Counter((place, page) for row in square for place, page in enumerate(row))
    assert len(places) == count * count
    assert len(set(places.values())) == 1
    followers = Counter(pair for row in square for pair in pairwise(row))
    assert len(followers) == count * (count - 1)
    assert len(set(followers.values())) <= 1


@pytest.mark.parametrize(
    ("items", "conditions", "size"), [(20, 1, 12), (31, 1, 6), (10, 3, 12), (4, 5, 20), (6, 10, 25)]
)
def test_incomplete_blocks_are_balanced(items: int, conditions: int, size: int) -> None:
    count = items * conditions
    blocks = orders(items, conditions, size, seed=1)
    assert len(blocks) == count
    assert all(len(set(block)) == len(block) == min(size, count) for block in blocks)
    places = Counter((place, page) for block in blocks for place, page in enumerate(block))
    assert set(places.values()) == {1}
    met = Counter(pair for block in blocks for pair in combinations(sorted(block), 2))
    mean = len(blocks) * size * (size - 1) / 2 / (count * (count - 1) / 2)
    worst = max(abs(met[pair] - mean) for pair in combinations(range(count), 2))
    assert worst <= max(2.5, 0.6 * mean)
    if conditions > 1:
        assert not any(a % items == b % items for block in blocks for a, b in pairwise(block))


@pytest.mark.parametrize("listeners", [10, 23])
def test_the_first_blocks_are_nearly_balanced(listeners: int) -> None:
    """Tests end before every block was used: pages are heard about as often then, too."""
    blocks = orders(20, 3, 25, seed=2)[:listeners]
    heard = Counter(page for block in blocks for page in block)
    assert max(heard.values()) - min(heard[page] for page in range(60)) <= 5


def test_the_perfect_difference_set_is_nearly_met() -> None:
    """31 items in blocks of 6 have a design in which each pair meets once; random search comes close."""
    blocks = orders(31, 1, 6, seed=3)
    met = Counter(pair for block in blocks for pair in combinations(sorted(block), 2))
    counts = np.array([met[pair] for pair in combinations(range(31), 2)])
    assert counts.mean() == 1.0
    assert counts.max() <= 3


def test_a_seed_decides() -> None:
    assert orders(9, 2, 8, seed=1) == orders(9, 2, 8, seed=1) != orders(9, 2, 8, seed=2)


def test_shuffled_sheets_part_the_same_item() -> None:
    groups = [item for item in "abcdef" for _ in range(4)] + ["a", "b"]
    rows = shuffles(groups, 5, seed=4)
    assert all(sorted(row) == list(range(26)) for row in rows)
    assert len({tuple(row) for row in rows}) == 5
    assert sum(groups[a] == groups[b] for row in rows for a, b in pairwise(row)) == 0
