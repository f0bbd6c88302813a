"""The numbers of a cell whose metric is a distance between sets: one term for each clip, tested by signs."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.compare.judge import Numbers, sign_of
from ldmbench.compare.paired import FEWEST_OF_SET, by_signs
from ldmbench.compare.pairs import Pairs
from ldmbench.errors import Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.metrics._embedding import SetMetric
from ldmbench.runs.results import Run


def numbers_of_set(base: Run, new: Run, pairs: Pairs, name: str, margin: float) -> Numbers:
    """The values of both runs over the paired clips, and what each clip adds to their difference.

    Raises:
        Unscored: If the metric has no test, or the runs' references were not embedded alike.
    """
    metric = load_metric(name)
    if not isinstance(metric, SetMetric):
        raise Unscored(f"{name} does not say what a clip adds to the difference of two sets")
    sides: list[list[Real]] = []
    for run in (base, new):
        rows = [run.scores[clip.id, name].value for clip in pairs.clips]
        sides.append([run.vector(value) for value in rows if isinstance(value, str)])
    nothing = np.zeros(len(pairs.clips))
    enough = len(pairs.clips) >= FEWEST_OF_SET
    terms = metric.differences(*sides) if enough else nothing
    if all(np.array_equal(*both) for both in zip(*sides, strict=True)):
        terms = nothing  # What is left of equal sets is rounding.
    first, second = (metric.aggregate(side).value for side in sides)
    if not enough or first is None or second is None:
        return Numbers(first, second, terms, nothing, None, FEWEST_OF_SET)
    sign = sign_of(metric.facts)
    return Numbers(first, second, terms, terms, by_signs(terms * sign, sign * (second - first), margin), FEWEST_OF_SET)
