"""The linear probe: what is separable it tells, what is shuffled it guesses, and nothing leaks from a test split."""

from __future__ import annotations

import numpy as np
import pytest

from ldmbench.metrics._base import load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.probes.examples import Examples, Predictions
from ldmbench.probes.linear import linear_probe
from tests.present import present


def examples(clips: int = 160, classes: int = 4, seed: int = 0, shuffled: bool = False) -> Examples:
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % classes
    features = rng.standard_normal((clips, 12)) + 8 * np.eye(12)[targets]
    if shuffled:
        targets = rng.permutation(targets)
    splits = tuple(f"fold{number // classes % 4:02d}" for number in range(clips))
    labels = tuple(f"class {target}" for target in targets)
    return Examples(tuple(f"d/{n}" for n in range(clips)), features.astype(np.float32), labels, splits)


def percent(found: Examples) -> float:
    metric = load_metric("accuracy_linear")
    assert isinstance(metric, ProbeMetric)
    values = metric.values(found, metric.predict(found, "cpu"))
    return present(metric.aggregate([np.asarray(value) for value in values.values()]).value)


def test_separable_classes_are_told_without_an_error() -> None:
    assert percent(examples()) == pytest.approx(100.0)


def test_shuffled_labels_are_guessed() -> None:
    # 320 clips of four classes: three standard errors of a guess are 7 %.
    assert percent(examples(320, shuffled=True)) == pytest.approx(25.0, abs=7.0)


def test_a_test_split_changes_nothing_that_is_learned() -> None:
    plain = examples()
    moved = plain.features.copy()
    own = np.array(plain.splits) == "fold00"
    moved[own] = np.random.default_rng(1).standard_normal(moved[own].shape)
    other = Examples(plain.ids, moved, plain.labels, plain.splits)
    first, second = linear_probe(plain), linear_probe(other)
    # The division that reports fold00 learned the same: on the old features it says what it said before.
    assert first.settings[0] == second.settings[0]
    labels = list(plain.labels)
    for position in np.flatnonzero(own):
        labels[position] = "class 0"
    relabelled = linear_probe(Examples(plain.ids, plain.features, tuple(labels), plain.splits))
    np.testing.assert_array_equal(relabelled.scores[own], first.scores[own])


def test_accuracy_is_the_mean_of_the_folds() -> None:
    found = examples(11)
    scores = np.eye(4)[found.targets]
    scores[0] = [0, 0, 1, 0]
    fold = np.array([0] * 2 + [1] * 4 + [2] * 5)
    metric = load_metric("accuracy_linear")
    assert isinstance(metric, ProbeMetric)
    values = np.array(list(metric.values(found, Predictions(scores, fold)).values()))
    assert values[:, 0].sum() / values[:, 1].sum() == pytest.approx((50.0 + 100.0 + 100.0) / 3, abs=1e-12)
    assert values[:, 1].mean() == pytest.approx(1.0)
