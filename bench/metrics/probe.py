"""What probes read from a system's embeddings: accuracy, and HEAR's other scores of the same predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, Value, register, settings_title
from ldmbench.names import Name, Setting, unknown
from ldmbench.probes.examples import Examples, Index, Predictions
from ldmbench.probes.scores import SCORES, OfClass, area, average_precision, d_prime, over_classes
from ldmbench.system.protocol import Output

#: From labelled embeddings, device and settings to predictions.
Probe = Callable[[Examples, str, Mapping[str, Setting]], Predictions]

#: From probabilities ``[examples, classes]`` and targets of one test split, a number for each whose mean is the score.
Measure = Callable[[Real, Index], Real]

#: Value of the setting ``chosen_by`` that stands for the task's own score.
_OWN = "task"

#: Points of hear-eval-kit's grid that are tried, the seed of the networks, and by which score they stop and are chosen.
_GRID: Mapping[str, Setting] = {"points": 8, "seed": 0, "chosen_by": _OWN}


@dataclass
class ProbeMetric(BaseMetric):
    """A measure of what probes read from embeddings: no clip has a value without all others of its dataset.

    Attributes:
        facts: The metric's facts.
        probe: Learns, and predicts the clips of the test splits.
        score: What each clip of a test split adds to the split's score.
        settings: Of the probe.
    """

    facts: MetricFacts
    probe: Probe
    score: Measure
    settings: Mapping[str, Setting]

    def measure(self, clip: Clip, output: Output) -> Value:
        """Refused: the engine probes a dataset as a whole.

        Raises:
            BenchError: Always.
        """
        raise BenchError(f"{self.facts.name} has no value for a clip alone", "a probe learns from a whole dataset")

    @property
    def learns(self) -> tuple[object, ...]:
        """What decides the predictions: metrics that are alike in it share them."""
        return self.probe, *sorted(self.settings.items())

    def predict(self, examples: Examples, device: str) -> Predictions:
        """What the probe says of the clips of the test splits.

        Raises:
            BenchError: If there is nothing to learn.
        """
        return self.probe(examples, device, self.settings)

    def values(self, examples: Examples, predictions: Predictions) -> dict[str, Value]:
        """Number and weight of each tested clip, by its id: their ratio of sums is the mean of the folds' scores.

        A clip weighs as much as its fold is smaller than the average one.

        Raises:
            Unscored: If a split has no score.
        """
        tested = predictions.tested
        folds, targets = predictions.fold[tested], examples.targets[tested]
        terms = np.empty(len(tested))
        for fold in np.unique(folds):
            own = folds == fold
            terms[own] = self.score(predictions.scores[tested[own]], targets[own])
        sizes = np.bincount(folds)
        weights = sizes.mean() / sizes[folds]
        pairs = np.stack([terms * weights, weights], axis=1)
        return {examples.ids[position]: pair for position, pair in zip(tested, pairs, strict=True)}


def _right(scores: Real, targets: Index) -> Real:
    return np.asarray(100.0 * (scores.argmax(axis=1) == targets), np.float64)


def _right_but_for_octaves(scores: Real, targets: Index) -> Real:
    return np.asarray(100.0 * (scores.argmax(axis=1) % 12 == targets % 12), np.float64)


def _macro(of_class: OfClass, scale: float) -> Measure:
    def measure(scores: Real, targets: Index) -> Real:
        return scale * over_classes(of_class, scores, targets)[1]

    return measure


def _linear(examples: Examples, device: str, settings: Mapping[str, Setting]) -> Predictions:
    from ldmbench.probes.linear import linear_probe

    return linear_probe(examples)


def _hear(examples: Examples, device: str, settings: Mapping[str, Setting]) -> Predictions:
    from ldmbench.probes.protocols import hear_probe

    return hear_probe(
        examples, _judge(examples, settings), device, cast(int, settings["points"]), cast(int, settings["seed"])
    )


def _mlp(examples: Examples, device: str, settings: Mapping[str, Setting]) -> Predictions:
    from ldmbench.probes.protocols import mlp_probe

    return mlp_probe(
        examples, _judge(examples, settings), device, cast(int, settings["points"]), cast(int, settings["seed"])
    )


def _judge(examples: Examples, settings: Mapping[str, Setting]) -> str:
    """Name of the score by which networks stop and are chosen."""
    asked = str(settings["chosen_by"])
    return examples.primary_score if asked == _OWN else asked


def _register(
    name: str, title: str, source: str, probe: Probe, score: Measure, unit: str = "%", high: float | None = 100.0
) -> None:
    """Register a metric; those that train networks have the settings of ``_GRID``."""
    networks = probe is not _linear

    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        if networks and not 1 <= cast(int, settings["points"]) <= 16:
            raise BenchError(f"{asked} tries points of a grid of 16", f"points={settings['points']}", "use 1 to 16")
        if networks and settings["chosen_by"] not in (_OWN, *SCORES):
            raise unknown(f"score to choose by of {asked.name}", str(settings["chosen_by"]), (_OWN, *SCORES))
        facts = MetricFacts(
            str(asked),
            title + settings_title(asked),
            # 2: the order of what is learned from is hear-eval-kit's in whichever order clips come.
            version=2 if networks else 1,
            unit=unit,
            needs=("embedding",),
            kind="ratio",
            low=0.0 if high is not None else None,
            high=high,
            digits=1 if unit else 2,
            extras=("models",) if networks else (),
            interval="over the clips of the test splits, with the probes as they were trained",
            source=source,
        )
        return ProbeMetric(facts, probe, score, settings)

    register(name, build, defaults=_GRID if networks else {})


_HEAR = (
    "hear-eval-kit 2021.1.3, task_predictions.py: MLP of 1 or 2 hidden layers, 8 of 16 points of the grid, chosen on "
    "the first division's validation split by the task's own score"
)
_MLP = (
    "the networks and the grid of hear-eval-kit on standardised embeddings; every epoch is shuffled, and each fold's "
    "point is chosen on its own validation split by the task's own score"
)
_MACRO = "mean over classes of the test split (score.py), then over folds; a clip's value is its share of that"

_register(
    "accuracy_linear",
    "Accuracy (linear)",
    "multinomial logistic regression on standardised embeddings; the penalty is chosen on each fold's validation "
    "split; mean over folds",
    _linear,
    _right,
)
for _protocol, _title, _source, _probe in (("hear", "HEAR", _HEAR, _hear), ("mlp", "MLP", _MLP, _mlp)):
    _register(f"accuracy_{_protocol}", f"Accuracy ({_title})", f"{_source}; mean over folds", _probe, _right)
    _register(
        f"map_{_protocol}", f"mAP ({_title})", f"{_source}; average precision, {_MACRO}", _probe,
        _macro(average_precision, 100.0),
    )  # fmt: skip
    _register(
        f"auc_{_protocol}", f"AUC-ROC ({_title})", f"{_source}; area under the ROC curve, {_MACRO}", _probe,
        _macro(area, 100.0),
    )  # fmt: skip
    _register(
        f"d_prime_{_protocol}", f"d' ({_title})", f"{_source}; root 2 times the normal quantile of the area under the "
        f"ROC curve, {_MACRO}", _probe, _macro(d_prime, 1.0), "", None,
    )  # fmt: skip
_register(
    "chroma_hear", "Chroma accuracy (HEAR)", f"{_HEAR}; octaves do not count, index modulo 12", _hear,
    _right_but_for_octaves,
)  # fmt: skip
