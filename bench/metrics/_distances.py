"""Distances between sets of embeddings as metrics, with references that are heard or known by their statistics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ldmbench.metrics import _swaps as swaps
from ldmbench.metrics._base import Metric, MetricFacts
from ldmbench.metrics._embedding import SetMetric, Source
from ldmbench.metrics._estimates import against, frechet_differences_to, frechet_estimate, frechet_estimate_to
from ldmbench.names import Setting


def frechet_metric(
    facts: MetricFacts, source: Source, settings: Mapping[str, Setting], kind: type[SetMetric] = SetMetric
) -> Metric:
    """The Frechet distance to the references, or to the statistics that the setting ``reference`` names.

    Args:
        facts: The metric's facts where references are heard.
        source: Where the embeddings come from.
        settings: The metric's settings; ``reference`` is among them.
        kind: The class, which says what packages the extractor needs.
    """
    if name := str(settings["reference"]):
        differences = partial(frechet_differences_to, name)
        return kind(against(facts, name), source, partial(frechet_estimate_to, name), differences, name)
    return kind(facts, source, frechet_estimate, swaps.frechet_differences)
