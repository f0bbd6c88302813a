"""Whether two systems differ on the same clips, in either direction: for the marks of a table."""

from __future__ import annotations

from ldmbench.compare.judge import numbers_of_clips
from ldmbench.compare.pairs import obstacle, pair
from ldmbench.compare.sets import numbers_of_set
from ldmbench.errors import Unscored
from ldmbench.metrics._base import MetricFacts
from ldmbench.runs.results import Run


def either_way(base: Run, new: Run, facts: MetricFacts, dataset: str) -> float | str:
    """The p value of "no difference" over the clips that both have a score for, or why nothing was tested.

    Twice the smaller p of the two one-sided tests of ``ldmbench compare``, at most 1.

    Args:
        base: A run.
        new: Another, of any system on the same clips.
        facts: A metric that says what is better.
        dataset: Dataset with its condition.
    """
    if problem := obstacle(base, new, facts, dataset, same_rate=False):
        return problem.replace("BASE", base.info.system).replace("NEW", new.info.system)
    if facts.kind == "largest":
        return "a largest value has no test"
    clips = [clip for clip in base.info.clips if clip.dataset == dataset]
    p = []
    for first, second in ((base, new), (new, base)):
        pairs = pair(first, second, facts, clips)
        if pairs.weights_differ():
            return "what clips are counted by (words, say) differs"
        try:
            of_set = facts.kind == "set"
            numbers = (
                numbers_of_set(first, second, pairs, facts.name, 0.0) if of_set else numbers_of_clips(pairs, facts, 0.0)
            )
        except Unscored as reason:
            return str(reason)
        if numbers.test is None:
            return f"{len(pairs.clips)} clips are too few, {numbers.fewest} are needed"
        p.append(numbers.test.p)
    return min(1.0, 2 * min(p))
