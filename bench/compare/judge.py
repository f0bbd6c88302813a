"""From the pairs of a cell to its verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ldmbench.audio.arrays import Real, Signal64
from ldmbench.compare.paired import ALPHA, FEWEST, PairedTest, at_least, holm, paired, smallest_detectable
from ldmbench.compare.pairs import Pairs
from ldmbench.compare.records import Cell, ClipChange, Rules
from ldmbench.compare.sequential import Look
from ldmbench.metrics._base import MetricFacts

#: Clips that a cell names as the worst.
_WORST = 5


@dataclass(frozen=True)
class Draft:
    """A cell before the verdicts that depend on the other cells.

    Attributes:
        cell: The cell.
        test: Its test, None where there is none.
        settled: Whether the cell's verdict stands whatever the test says.
        smallest: Smallest detectable loss for another reason than the clips' spread.
        later: Whether it will be tested at a later look, and so counts among the tests now.
    """

    cell: Cell
    test: PairedTest | None = None
    settled: bool = True
    smallest: float = 0.0
    later: bool = False


@dataclass(frozen=True)
class Numbers:
    """What a cell's pairs come to.

    Attributes:
        base: The estimate of BASE over the pairs, None where there is none.
        new: That of NEW.
        terms: ``[n]``, what each clip adds to the difference NEW minus BASE; 0 of a set where there is no test.
        clipwise: ``[n]``, the difference of the clips' own values.
        test: The test of the terms, None where there are too few.
        fewest: How many there must be.
    """

    base: float | None
    new: float | None
    terms: Signal64
    clipwise: Signal64
    test: PairedTest | None
    fewest: int = FEWEST

    @property
    def difference(self) -> float | None:
        """NEW minus BASE, None where a side has no value."""
        return None if self.base is None or self.new is None else self.new - self.base


def sign_of(facts: MetricFacts) -> int:
    """What a difference is multiplied by so that positive is better."""
    return 1 if facts.better == "higher" else -1


def numbers_of_clips(pairs: Pairs, facts: MetricFacts, margin: float) -> Numbers:
    """The numbers of a metric that has a value for each clip."""
    terms = _terms(pairs, facts)
    base, new = (_estimate(side, facts) for side in (pairs.base, pairs.new))
    return Numbers(base, new, terms, clipwise(pairs, facts), paired(terms * sign_of(facts), margin))


def draft(cell: Cell, pairs: Pairs, numbers: Numbers, rules: Rules) -> Draft:
    """A cell with its numbers, and its verdict where it needs no other cell."""
    sign, test = sign_of(cell.facts), numbers.test
    tolerance = rules.tolerances.get(cell.facts.name, math.inf)
    cell = replace(
        cell,
        base=numbers.base,
        new=numbers.new,
        difference=numbers.difference,
        n=len(pairs.clips),
        new_failures=len(pairs.broken),
        recovered=len(pairs.recovered),
        without=len(pairs.without),
        below=int((numbers.clipwise * sign < -tolerance).sum()),
        worst=_worst(pairs, numbers.clipwise, sign),
    )
    if test is not None:
        low, high = sorted((sign * test.low, sign * test.high))
        cell = replace(cell, low=low, high=high, p=test.p)
    settled = _broken(cell, pairs, rules) or _over_tolerance(cell, pairs, tolerance, rules)
    if settled is None and cell.n and not numbers.terms.any() and (test is not None or pairs.unchanged):
        settled = replace(cell, verdict="same", reason=f"equal in all {cell.n} clips")
    if settled is None and test is None:
        few = f"{cell.n} clip is" if cell.n == 1 else f"{cell.n} clips are"
        settled = replace(cell, reason=f"{few} too few to test; {numbers.fewest} are needed")
    return Draft(settled or cell, test, settled is not None, later=test is None and bool(pairs.left))


def judge(drafts: Sequence[Draft], look: Look | None = None) -> tuple[Cell, ...]:
    """Cells with their verdicts; ``worse`` under Holm's adjustment over all tested cells.

    At a look at a run every p value is worth what it is with all looks considered. Before the last one nothing else
    than ``worse`` and ``failed`` is said.
    """
    tested = [(index, item.test) for index, item in enumerate(drafts) if item.test is not None]
    tests = [(index, test) for index, test in tested if look is None or look.tests(test.n)]
    p = [look.p(test.p) if look else test.p for _, test in tests]
    to_come = sum(item.later for item in drafts) + len(tested) - len(tests)
    adjusted = dict(zip((index for index, _ in tests), holm(p + [1.0] * to_come), strict=False))
    cells = []
    for index, item in enumerate(drafts):
        cell, test = item.cell, item.test
        if test is not None and index in adjusted:
            smallest = max(item.smallest, smallest_detectable(test.sd, test.n, cell.margin, len(tests) + to_come))
            cell = replace(cell, adjusted=adjusted[index], smallest=smallest)
            cell = cell if item.settled else _by_interval(cell, test)
        if look is not None and not look.last and cell.verdict in ("same", "better", "undecided"):
            cell = replace(cell, verdict="undecided", reason=f"not judged after {len(look.clips)} clips")
        cells.append(cell)
    return tuple(cells)


def _by_interval(cell: Cell, test: PairedTest) -> Cell:
    """The verdict that the test gives; ``test`` is signed so that positive is better."""
    if cell.adjusted is not None and cell.adjusted <= ALPHA:
        return replace(cell, verdict="worse", reason=f"p = {cell.adjusted:.2g} after Holm")
    if test.low > 0:
        return replace(cell, verdict="better")
    if cell.margin > 0 and test.low > -cell.margin:
        return replace(cell, verdict="same", reason=f"not worse by {cell.margin:g}")
    if test.p <= ALPHA:
        return replace(cell, reason=f"worse by itself (p = {test.p:.2g}), not among all cells (Holm)")
    return replace(cell, reason=f"a loss of {cell.smallest:.{cell.facts.digits}g} or more would be found")


def _broken(cell: Cell, pairs: Pairs, rules: Rules) -> Cell | None:
    # Of all clips that BASE has: with some of them to come, what is over the budget now stays over it.
    tried = cell.n + cell.new_failures + len(pairs.left)
    if at_least(cell.new_failures, tried) <= rules.clip_budget:
        return None
    clip, message = pairs.broken[0]
    reason = f"{cell.new_failures} of {tried} clips have no score any more; {clip.id}: {message}"
    return replace(cell, verdict="failed", reason=" ".join(reason.split()))


def _over_tolerance(cell: Cell, pairs: Pairs, tolerance: float, rules: Rules) -> Cell | None:
    if at_least(cell.below, cell.n + len(pairs.left)) <= rules.clip_budget:
        return None
    return replace(cell, verdict="worse", reason=f"{cell.below} of {cell.n} clips worse by more than {tolerance:g}")


def _terms(pairs: Pairs, facts: MetricFacts) -> Signal64:
    """What each clip adds to the difference NEW minus BASE: their mean is that difference.

    Of a ratio such as WER, whose denominators (words) are the same in both runs: the difference of the numerators
    over the mean denominator.
    """
    if facts.kind == "ratio":
        weight = pairs.base[:, 1].mean() if len(pairs.base) else 1.0
        return (pairs.new[:, 0] - pairs.base[:, 0]) / (weight or 1.0)
    return pairs.new - pairs.base


def clipwise(pairs: Pairs, facts: MetricFacts) -> Signal64:
    """``[n]``, differences of the clips' own values, a ratio's over the clip's own denominator (0 where that is 0)."""
    if facts.kind != "ratio":
        return pairs.new - pairs.base
    weights = pairs.base[:, 1]
    return (pairs.new[:, 0] - pairs.base[:, 0]) / np.where(weights == 0, np.inf, weights)


def _estimate(values: Real, facts: MetricFacts) -> float | None:
    if not len(values):
        return None
    if facts.kind == "ratio":
        total = float(values[:, 1].sum())
        return float(values[:, 0].sum()) / total if total else None
    return float(values.mean())


def _worst(pairs: Pairs, clipwise: Signal64, sign: int) -> tuple[ClipChange, ...]:
    """Clips that failed, then those whose value fell most."""
    broken = [ClipChange(clip.id, None, message) for clip, message in pairs.broken]
    order = [index for index in np.argsort(clipwise * sign, kind="stable")[:_WORST] if clipwise[index] * sign < 0]
    fallen = [ClipChange(pairs.clips[index].id, float(clipwise[index])) for index in order]
    return (*broken, *fallen)[:_WORST]
