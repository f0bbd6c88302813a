"""Measures of codes against closed forms, simulated truth, and figures that were computed elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from ldmbench.errors import Unscored
from ldmbench.probes import codes
from ldmbench.probes.codes import agreement, entropy, held_out_bits, label_information, unit_edit_distance, utilisation


def counts(tokens: int, size: int = 1024, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, size, tokens)
    return np.unique(drawn, return_counts=True)[1].astype(np.float64)


@pytest.mark.parametrize(("tokens", "expected"), [(512, 0.40), (1024, 0.63), (2048, 0.87), (8192, 1.0)])
def test_even_codes_are_used_as_chance_has_it(tokens: int, expected: float) -> None:
    assert utilisation(counts(tokens), 1024) == pytest.approx(expected, abs=0.02)
    # Many tokens, rarefied to so many, say the same.
    assert utilisation(counts(100_000), 1024, tokens) == pytest.approx(1 - np.exp(-tokens / 1024), abs=0.01)


def test_rarefaction_is_the_mean_over_all_choices() -> None:
    from itertools import combinations

    tokens = [0, 0, 0, 1, 1, 2]
    exact = np.mean([len(set(choice)) for choice in combinations(tokens, 3)])
    assert utilisation(np.array([3.0, 2.0, 1.0]), 4, 3) * 4 == pytest.approx(exact)
    with pytest.raises(Unscored, match="fewer than the 7"):
        utilisation(np.array([3.0, 2.0, 1.0]), 4, 7)


@pytest.mark.parametrize(
    ("tokens", "plugin", "miller", "chao"),
    [(512, 8.56, 9.12, 10.09), (2048, 9.59, 9.90, 10.18), (8192, 9.91, 10.00, 9.93)],
)
def test_entropies_of_even_codes(tokens: int, plugin: float, miller: float, chao: float) -> None:
    """The truth is 10 bits; the figures are those of an implementation of its own."""
    found = np.mean([[entropy(counts(tokens, seed=seed), name) for name in ("plugin", "miller-madow", "chao-shen")]
                     for seed in range(8)], axis=0)  # fmt: skip
    assert found == pytest.approx([plugin, miller, chao], abs=0.15)


def test_entropy_of_known_shares() -> None:
    assert entropy(np.array([2.0, 1.0, 1.0])) == pytest.approx(1.5)
    assert entropy(np.array([4.0])) == 0.0
    assert np.isfinite(entropy(np.ones(5), "chao-shen"))


def test_held_out_bits_are_those_of_witten_and_bell() -> None:
    """A bigram model of two short clips, by hand."""
    first, second = np.array([0, 1, 0]), np.array([0, 1])
    (bits, tokens), _ = held_out_bits([second, first], 4, 2)
    assert tokens == 2
    # Known: 0 1 0. Unigrams: 0 twice, 1 once, two kinds; below them four even codes.
    unigram = {0: (2 + 2 / 4) / 5, 1: (1 + 2 / 4) / 5}
    # After 0 came 1 once, one kind.
    assert bits == pytest.approx(-np.log2(unigram[0]) - np.log2((1 + 1 * unigram[1]) / 2))
    with pytest.raises(Unscored, match="one clip"):
        held_out_bits([first], 4, 1)


def test_held_out_bits_approach_the_truth_and_never_undercut_it() -> None:
    rng = np.random.default_rng(0)
    # A chain that goes on by one, or anywhere: its entropy rate is known.
    chance, size = 0.3, 16
    clips = []
    for _ in range(40):
        steps = np.where(rng.random(400) < chance, rng.integers(0, size, 400), 1)
        clips.append(np.cumsum(steps) % size)
    p = np.full(size, chance / size)
    p[1] += 1 - chance
    truth = float(-(p * np.log2(p)).sum())
    mean = {order: sum(b for b, _ in held_out_bits(clips, size, order)) / 16_000 for order in (1, 2, 3)}
    assert mean[1] == pytest.approx(4.0, abs=0.02)
    assert truth < mean[2] < truth + 0.06
    assert mean[2] < mean[3] < mean[1]


def test_labels_are_told_where_codes_tell_them() -> None:
    rng = np.random.default_rng(1)
    labels = [number % 4 for number in range(80)]
    telling = [np.full(30, label) for label in labels]
    silent = [rng.integers(0, 16, 30) for _ in labels]
    assert label_information(telling, labels) == pytest.approx(1.0, abs=0.05)
    assert label_information(silent, labels) == pytest.approx(0.0, abs=0.01)
    with pytest.raises(Unscored, match="fewer than two labels"):
        label_information(silent, [1] * 80)


def test_equal_codes_and_edits() -> None:
    clean = np.array([[1, 1, 2, 3, 3, 4], [0, 0, 0, 0, 0, 0]])
    other = np.array([[1, 2, 2, 3, 5, 4, 9], [0, 0, 0, 0, 0, 1, 9]])
    assert agreement(clean, other) == pytest.approx([4 / 6, 5 / 6])
    # 1 2 3 4 becomes 1 2 3 5 4 9; 0 becomes 0 1 9.
    assert unit_edit_distance(clean, other) == pytest.approx([2 / 4, 2 / 1])


def test_orders_that_do_not_fit_are_refused() -> None:
    clips = [np.arange(10)] * 2
    with pytest.raises(Unscored, match="5-gram"):
        held_out_bits(clips, 16, codes.LONGEST + 1)
    with pytest.raises(Unscored, match="4-gram of 65536"):
        held_out_bits(clips, 65_536, 4)
