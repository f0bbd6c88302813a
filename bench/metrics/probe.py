"""Accuracy of probes: the share of clips whose label a small classifier reads from a system's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, Value, register, settings_title
from ldmbench.names import Name, Setting
from ldmbench.probes.examples import Examples, Index, Predictions
from ldmbench.system.protocol import Output

#: From labelled embeddings, device and settings to predictions.
Probe = Callable[[Examples, str, Mapping[str, Setting]], Predictions]

#: What each clip of the test splits adds, in the order of ``Predictions.tested``.
Values = Callable[[Examples, Predictions], Sequence[Value]]

#: Points of hear-eval-kit's grid that are tried, and the seed of the networks.
_GRID: Mapping[str, Setting] = {"points": 8, "seed": 0}


@dataclass
class ProbeMetric(BaseMetric):
    """A measure of what probes read from embeddings: no clip has a value without all others of its dataset.

    Attributes:
        facts: The metric's facts.
        probe: Learns, and predicts the clips of the test splits.
        values: What each clip of the test splits adds, in the order of ``Predictions.tested``.
        settings: Of the probe.
    """

    facts: MetricFacts
    probe: Probe
    values: Values
    settings: Mapping[str, Setting]

    def measure(self, clip: Clip, output: Output) -> Value:
        """Refused: the engine probes a dataset as a whole.

        Raises:
            BenchError: Always.
        """
        raise BenchError(f"{self.facts.name} has no value for a clip alone", "a probe learns from a whole dataset")

    def measure_dataset(self, examples: Examples, device: str) -> tuple[dict[str, Value], Predictions]:
        """The value of every clip of the test splits, by its id, and what they were computed from.

        Raises:
            BenchError: If there is nothing to learn.
        """
        predictions = self.probe(examples, device, self.settings)
        values = self.values(examples, predictions)
        ids = [examples.ids[position] for position in predictions.tested]
        return dict(zip(ids, values, strict=True)), predictions


def accuracy(examples: Examples, predictions: Predictions) -> list[Value]:
    """Percent right and weight of each tested clip: their ratio of sums is the mean of the folds' accuracies.

    A clip weighs as much as its fold is smaller than the average one.
    """
    return _hits(predictions, examples.targets)


def chroma(examples: Examples, predictions: Predictions) -> list[Value]:
    """As ``accuracy``, but an index that is right but for octaves is right: equal modulo 12.

    Source: hear-eval-kit, ``score.py``, ``ChromaAccuracy``, which takes the index of a label for its pitch.
    """
    wanted = replace(predictions, scores=_folded(predictions.scores))
    return _hits(wanted, examples.targets % 12)


def _folded(scores: Real) -> Real:
    """One where the best class is, modulo 12."""
    return np.asarray(np.eye(12)[scores.argmax(axis=1) % 12])


def _hits(predictions: Predictions, targets: Index) -> list[Value]:
    tested = predictions.tested
    right = predictions.scores[tested].argmax(axis=1) == targets[tested]
    folds = predictions.fold[tested]
    sizes = np.bincount(folds)
    weights = sizes.mean() / sizes[folds]
    return [np.array([100.0 * hit * weight, weight]) for hit, weight in zip(right, weights, strict=True)]


def _linear(examples: Examples, device: str, settings: Mapping[str, Setting]) -> Predictions:
    from ldmbench.probes.linear import linear_probe

    return linear_probe(examples)


def _hear(examples: Examples, device: str, settings: Mapping[str, Setting]) -> Predictions:
    from ldmbench.probes.protocols import hear_probe, top1

    return hear_probe(examples, top1, device, cast(int, settings["points"]), cast(int, settings["seed"]))


def _mlp(examples: Examples, device: str, settings: Mapping[str, Setting]) -> Predictions:
    from ldmbench.probes.protocols import mlp_probe, top1

    return mlp_probe(examples, top1, device, cast(int, settings["points"]), cast(int, settings["seed"]))


def _register(name: str, title: str, source: str, probe: Probe, values: Values = accuracy, torch: bool = True) -> None:
    """Register a metric; those with torch have the settings ``points`` of the grid and ``seed``."""

    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        if torch and not 1 <= cast(int, settings["points"]) <= 16:
            raise BenchError(f"{asked} tries points of a grid of 16", f"points={settings['points']}", "use 1 to 16")
        facts = MetricFacts(
            str(asked),
            title + settings_title(asked),
            unit="%",
            needs=("embedding",),
            kind="ratio",
            low=0.0,
            high=100.0,
            digits=1,
            extras=("models",) if torch else (),
            interval="over the clips of the test splits, with the probes as they were trained",
            source=source,
        )
        return ProbeMetric(facts, probe, values, settings)

    register(name, build, defaults=_GRID if torch else {})


_HEAR = (
    "hear-eval-kit 2021.1.3, task_predictions.py: MLP of 1 or 2 hidden layers, 8 of 16 points of the grid, chosen on "
    "the first division's validation split by top-1 accuracy"
)

_register(
    "accuracy_linear",
    "Accuracy (linear)",
    "multinomial logistic regression on standardised embeddings; the penalty is chosen on each fold's validation "
    "split; mean over folds",
    _linear,
    torch=False,
)
_register("accuracy_hear", "Accuracy (HEAR)", f"{_HEAR}; mean over folds", _hear)
_register("chroma_hear", "Chroma accuracy (HEAR)", f"{_HEAR}; octaves do not count, index modulo 12", _hear, chroma)
_register(
    "accuracy_mlp",
    "Accuracy (MLP)",
    "the networks and the grid of hear-eval-kit on standardised embeddings; every epoch is shuffled, and each fold's "
    "point is chosen on its own validation split; mean over folds",
    _mlp,
)
