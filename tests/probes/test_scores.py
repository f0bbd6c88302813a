"""HEAR's scores: against scikit-learn as hear-eval-kit calls it, and what an example adds to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from ldmbench.audio.arrays import Real
from ldmbench.clips.labelled import PRIMARY_SCORES
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.probes.examples import Examples, Predictions
from ldmbench.probes.scores import SCORES, OfClass, area, average_precision, d_prime, over_classes
from tests.present import present


def hear_map(scores: Real, targets: Real) -> float:
    """``score.py`` of hear-eval-kit, ``MeanAveragePrecision``."""
    return float(average_precision_score(targets, scores, average="macro"))


def hear_auc(scores: Real, targets: Real) -> float:
    """``AUCROC``."""
    return float(roc_auc_score(targets, scores, average="macro"))


def hear_d_prime(scores: Real, targets: Real) -> float:
    """``DPrime``."""
    return float(np.mean(norm().ppf(roc_auc_score(targets, scores, average=None)) * np.sqrt(2.0)))


THEIRS: tuple[tuple[OfClass, Callable[[Real, Real], float], str], ...] = (
    (average_precision, hear_map, "map_hear"),
    (area, hear_auc, "auc_hear"),
    (d_prime, hear_d_prime, "d_prime_hear"),
)


def guesses(count: int, classes: int, seed: int, tied: bool = False) -> tuple[Real, np.ndarray]:
    """Probabilities that lean towards the targets; with ``tied`` of one digit, so that many are equal."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(count) % classes)
    logits = rng.standard_normal((count, classes)) + 1.2 * np.eye(classes)[targets]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.round(scores, 1) if tied else scores, targets


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("of_class", "theirs", "_"), THEIRS)
def test_scores_are_those_of_hear_eval_kit(
    of_class: OfClass, theirs: Callable[[Real, Real], float], _: str, tied: bool
) -> None:
    for seed in range(5):
        scores, targets = guesses(90, 5, seed, tied)
        value, terms = over_classes(of_class, scores, targets)
        assert value == pytest.approx(theirs(scores, np.eye(5)[targets]), abs=1e-12)
        assert terms.mean() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(("of_class", "theirs", "_"), THEIRS)
def test_the_spread_of_terms_is_that_of_the_score(
    of_class: OfClass, theirs: Callable[[Real, Real], float], _: str
) -> None:
    """Against the jackknife: the score with each example left out, by scikit-learn."""
    scores, targets = guesses(120, 3, 7)
    value, terms = over_classes(of_class, scores, targets)
    assert terms.mean() == pytest.approx(value)
    without = [
        theirs(np.delete(scores, place, 0), np.delete(np.eye(3)[targets], place, 0)) for place in range(len(targets))
    ]
    jackknife = np.sqrt((len(targets) - 1) * np.var(without))
    assert np.std(terms) / np.sqrt(len(targets)) == pytest.approx(jackknife, rel=0.05)
    # Example by example, too: what leaving one out changes is what it had added.
    np.testing.assert_allclose(
        np.mean(without) - np.array(without), (terms - terms.mean()) / len(targets), rtol=0.1, atol=1e-3
    )


def predicted(folds: int) -> tuple[Examples, Predictions]:
    scores, targets = guesses(150, 3, 2)
    fold = np.repeat(np.arange(folds), [150 // folds - 10, *[150 // folds] * (folds - 2), 150 // folds + 10])
    examples = Examples(
        tuple(map(str, range(150))), np.zeros((150, 1), np.float32), tuple(f"c{number}" for number in targets),
        tuple(f"fold{number:02d}" for number in fold),
    )  # fmt: skip
    return examples, Predictions(scores, fold)


@pytest.mark.parametrize(("_", "theirs", "name"), THEIRS)
def test_metrics_are_means_over_folds(_: OfClass, theirs: Callable[[Real, Real], float], name: str) -> None:
    examples, predictions = predicted(3)
    metric = load_metric(name)
    assert isinstance(metric, ProbeMetric)
    values = metric.values(examples, predictions)
    estimate = metric.aggregate(list(values.values()))
    scale = 1.0 if name.startswith("d_prime") else 100.0
    expected = [
        scale * theirs(predictions.scores[own], np.eye(3)[examples.targets[own]])
        for own in (predictions.fold == number for number in range(3))
    ]
    assert present(estimate.value) == pytest.approx(np.mean(expected), abs=1e-9)
    assert present(estimate.low) < present(estimate.value) < present(estimate.high)
    assert metric.learns == load_metric("accuracy_hear").learns  # type: ignore[attr-defined]
    assert metric.learns != load_metric(f"{name}:chosen_by=top1_acc").learns  # type: ignore[attr-defined]


def test_what_has_no_score() -> None:
    scores, targets = guesses(30, 3, 1)
    with pytest.raises(Unscored, match="one label"):
        over_classes(area, scores, np.zeros(30, np.int64))
    with pytest.raises(Unscored, match="d-prime is infinite"):
        over_classes(d_prime, np.eye(3)[targets], targets)
    assert SCORES["mAP"](scores, np.zeros(30, np.int64)) == -np.inf
    with pytest.raises(BenchError, match="unknown score to choose by of accuracy_hear 'map'"):
        load_metric("accuracy_hear:chosen_by=map")
    # Classes that no example has do not count, where scikit-learn has 0 or NaN.
    wide = np.hstack([scores, np.zeros((30, 1))])
    assert over_classes(average_precision, wide, targets)[0] == over_classes(average_precision, scores, targets)[0]
    assert set(PRIMARY_SCORES) == set(SCORES)


def test_a_thousand_classes_are_scored_in_a_moment() -> None:
    """It is asked for after every third epoch of every network."""
    import time

    scores, targets = guesses(1867, 302, 0)
    measure = partial(SCORES["mAP"], scores, targets)
    value = measure()
    start = time.process_time()
    measure()
    ours = time.process_time() - start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.process_time()
        theirs = average_precision_score(np.eye(302)[targets], scores, average="macro")
    assert value == pytest.approx(theirs, abs=1e-12)
    assert ours < time.process_time() - start
