"""Measures of tokens layer by layer, from the scores of a run whose column is the mean over layers."""

from __future__ import annotations

from collections.abc import Sequence

from ldmbench.metrics._base import load_metric
from ldmbench.metrics.tokens import SteadyMetric, TokenMetric
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate


def has_layers(metric: str) -> bool:
    """Whether a metric is a mean over layers, each of which can be had from its scores."""
    loaded = load_metric(metric)
    return isinstance(loaded, TokenMetric | SteadyMetric) and not loaded.settings["layer"]


def by_layer(run: Run, metric: str, dataset: str) -> Sequence[Estimate]:
    """The estimate of each layer, from the first on; none where the run has no score of the metric.

    Raises:
        BenchError: If a stored vector is gone or damaged.
    """
    loaded = load_metric(metric)
    scored = [
        (run.outputs[clip.id], score)
        for clip in run.info.clips
        if clip.dataset == dataset and (score := run.scores.get((clip.id, metric))) is not None and score.status == "ok"
    ]
    if isinstance(loaded, SteadyMetric):
        return loaded.by_layer([row.details for row, _ in scored])
    assert isinstance(loaded, TokenMetric)
    return loaded.by_layer([run.vector(str(score.value)) for _, score in scored])
