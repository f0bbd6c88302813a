"""Accuracy of probes: the share of clips whose label a small classifier reads from a system's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, Value, register
from ldmbench.names import Name, Setting
from ldmbench.probes.examples import Examples, Predictions
from ldmbench.system.protocol import Output

#: From labelled embeddings, device and settings to predictions.
Probe = Callable[[Examples, str, Mapping[str, Setting]], Predictions]


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
    values: Callable[[Examples, Predictions], Sequence[Value]]
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
    tested = predictions.tested
    right = predictions.scores[tested].argmax(axis=1) == examples.targets[tested]
    folds = predictions.fold[tested]
    sizes = np.bincount(folds)
    weights = sizes.mean() / sizes[folds]
    return [np.array([100.0 * hit * weight, weight]) for hit, weight in zip(right, weights, strict=True)]


def _linear(examples: Examples, device: str, settings: Mapping[str, Setting]) -> Predictions:
    from ldmbench.probes.linear import linear_probe

    return linear_probe(examples)


def _build_linear(asked: Name, settings: Mapping[str, Setting]) -> Metric:
    facts = MetricFacts(
        "accuracy_linear",
        "Accuracy (linear)",
        unit="%",
        needs=("embedding",),
        kind="ratio",
        low=0.0,
        high=100.0,
        digits=1,
        interval="over the clips of the test splits, with the probes as they were trained",
        source="multinomial logistic regression on standardised embeddings; the penalty is chosen on each fold's "
        "validation split; mean over folds",
    )
    return ProbeMetric(facts, _linear, accuracy, settings)


register("accuracy_linear", _build_linear)
