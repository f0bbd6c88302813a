"""Time warping by antidiagonals, beside the recursion written out cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from ldmbench.metrics import warpq
from ldmbench.metrics.mcd import least_path


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (7, 12), (12, 7)])
@pytest.mark.parametrize("ties", [False, True])
def test_the_best_path_between_two_corners(shape: tuple[int, int], ties: bool) -> None:
    cost = np.random.default_rng(sum(shape)).random(shape)
    if ties:
        cost = np.round(3 * cost)
    # Total and length of the best path to each cell; of equal ones the diagonal's, then the row's.
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for row, column in np.ndindex(*shape):
        steps = [(row - 1, column - 1), (row - 1, column), (row, column - 1)]
        before = [best[at] for at in steps if at in best] or [(0.0, 0)]
        total, length = min(before, key=lambda path: path[0])
        best[row, column] = (total + float(cost[row, column]), length + 1)
    total, length = best[shape[0] - 1, shape[1] - 1]
    assert least_path(cost) == total / length


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 100, 281])
@pytest.mark.parametrize("frames", [warpq.PATCH, warpq.PATCH + 2 * warpq.STEP + 5])
def test_the_best_place_of_a_patch(columns: int, frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step goes one row on, three columns on, or both; a path begins in any column and ends in any."""
    draw = np.random.default_rng(columns)
    reference, output = (draw.standard_normal((count, 13)).astype(np.float32) for count in (columns, frames))
    expected = []
    for start in range(0, frames - warpq.PATCH + 1, warpq.STEP):
        patch = output[start : start + warpq.PATCH].astype(np.float64)
        cost = np.sqrt(((patch[:, None] - reference[None].astype(np.float64)) ** 2).sum(axis=-1))
        total = np.full((warpq.PATCH, columns), np.inf)
        total[0] = cost[0]
        for row in range(1, warpq.PATCH):
            for column in range(columns):
                three = (total[row, column - 3], total[row - 1, column - 3]) if column > 2 else (np.inf,)
                total[row, column] = cost[row, column] + min(total[row - 1, column], *three)
        expected.append(total[-1].min() / warpq.PATCH)
    np.testing.assert_allclose(warpq.costs(reference, output), expected, rtol=1e-12)
    monkeypatch.setattr(warpq, "_LARGEST", 1)
    np.testing.assert_allclose(warpq.costs(reference, output), expected, rtol=1e-12)
