"""Who hears which pages in which order: Williams squares, and cyclic incomplete blocks where there are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

#: Random base blocks that are tried; the best one is developed.
_TRIES = 400


def williams(count: int) -> list[list[int]]:
    """Orders of ``count`` pages in which each stands equally often at each place and behind each other one.

    ``count`` orders where it is even, ``2 * count`` where it is odd.

    Source: Williams, Experimental designs balanced for the estimation of residual effects of treatments (1949).

    Example:
        >>> williams(4)
        [[0, 3, 1, 2], [1, 0, 2, 3], [2, 1, 3, 0], [3, 2, 0, 1]]
    """
    if count == 1:
        return [[0]]
    zigzag = [index // 2 if index % 2 == 0 else count - 1 - index // 2 for index in range(count)]
    square = [[(value + shift) % count for value in zigzag] for shift in range(count)]
    return square if count % 2 == 0 else square + [row[::-1] for row in square]


def orders(items: int, conditions: int, size: int, seed: int) -> list[list[int]]:
    """Blocks of at most ``size`` pages out of ``items * conditions``; page ``c * items + i`` is item i, condition c.

    With one condition and room for all pages a Williams square. Otherwise a cyclic design: a base block and all its
    shifts, so that every page stands exactly once at every place; of many random bases the one is taken whose pairs
    of pages meet most evenly, and in which no item follows itself. Shifts come in an order of which every beginning
    is nearly balanced.

    Source: John and Williams, Cyclic and computer generated designs (1995), chapter 3.

    Args:
        items: Items.
        conditions: Pages of each item.
        size: Most pages of a block.
        seed: Seed of the choice.
    """
    count = items * conditions
    generator = np.random.default_rng(seed)
    if conditions == 1 and size >= count:
        square = williams(count)
        return [square[index] for index in generator.permutation(len(square))]
    base = _base(items, count, min(size, count), generator)
    return _spread_out([[(value + shift) % count for value in base] for shift in range(count)], count)


def shuffles(groups: Sequence[str], blocks: int, seed: int) -> list[list[int]]:
    """So many random orders of all pages in which, where it can be had, no group follows itself.

    Args:
        groups: What each page belongs to.
        blocks: Number of orders.
        seed: Seed of the choice.
    """
    generator = np.random.default_rng(seed)

    def meetings(order: list[int]) -> int:
        return sum(groups[a] == groups[b] for a, b in pairwise(order))

    rows = []
    for _ in range(blocks):
        tries = [[int(value) for value in generator.permutation(len(groups))] for _ in range(_TRIES // 4)]
        rows.append(_spread(min(tries, key=meetings), groups))
    return rows


def _spread(order: list[int], groups: Sequence[str]) -> list[int]:
    """The order after swaps that part neighbours of one group, as far as one pass of them does."""
    order = list(order)

    def clashes(index: int) -> bool:
        return any(
            a >= 0 and b < len(order) and groups[order[a]] == groups[order[b]]
            for a, b in ((index - 1, index), (index, index + 1))
        )

    for index in range(1, len(order)):
        if groups[order[index - 1]] != groups[order[index]]:
            continue
        for other in range(len(order)):
            order[index], order[other] = order[other], order[index]
            if not clashes(index) and not clashes(other):
                break
            order[index], order[other] = order[other], order[index]
    return order


def _base(items: int, count: int, size: int, generator: np.random.Generator) -> list[int]:
    """The best of many random base blocks: pairs meet evenly, and no item follows itself."""
    groups = [str(page % items) for page in range(count)]

    def cost(base: list[int]) -> tuple[int, float]:
        follows = sum(groups[a] == groups[b] for a, b in pairwise(base))
        differences = Counter((a - b) % count for a in base for b in base if a != b)
        met = np.array([differences[value] for value in range(1, count)])
        return follows, float(met.var()) if count > 1 else 0.0

    tries = _TRIES if size < count else _TRIES // 4
    candidates = [[int(page) for page in generator.permutation(count)[:size]] for _ in range(tries)]
    return min((_spread(base, groups) for base in candidates), key=cost)


def _spread_out(rows: list[list[int]], count: int) -> list[list[int]]:
    """The blocks in an order in which each next one has the pages that were heard least so far."""
    member = np.zeros((len(rows), count))
    for index, row in enumerate(rows):
        member[index, row] = 1
    heard = np.zeros(count)
    left = list(range(len(rows)))
    ordered = []
    while left:
        # The sum of squares of all counts grows least with the block whose pages have the smallest counts.
        best = left[int(np.argmin(member[left] @ heard))]
        heard += member[best]
        left.remove(best)
        ordered.append(rows[best])
    return ordered
