"""The clips of two runs, the worst first: what became of each under every metric that was compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Real, Signal64
from ldmbench.compare.judge import clipwise, sign_of
from ldmbench.compare.pairs import Pairs, pair
from ldmbench.compare.records import Cell
from ldmbench.compare.sets import numbers_of_set
from ldmbench.errors import Unscored
from ldmbench.metrics._base import MetricFacts
from ldmbench.runs.records import ClipInfo
from ldmbench.runs.results import Run


@dataclass(frozen=True)
class Change:
    """A clip under one metric.

    Attributes:
        facts: What the metric declares.
        base: The clip's value in BASE, None where it has none, or where only sets of clips have one.
        new: Its value in NEW.
        difference: NEW minus BASE; of a metric over sets, what the clip adds to the difference of the sets, times
            their number.
        size: The difference in standard deviations of all clips' differences, negative where the clip got worse.
        message: Why NEW has no value.
    """

    facts: MetricFacts
    base: float | None
    new: float | None
    difference: float | None
    size: float
    message: str = ""


@dataclass(frozen=True)
class ClipChanges:
    """A clip of a pair of runs.

    Attributes:
        label: Label of the pair.
        clip: The clip.
        changes: In the order of the metrics.
        rank: Sorts the clips, the worst first: those that failed, those of a part that got worse, the others; within
            each by the largest loss under a metric that got worse, or under any where none did.
    """

    label: str
    clip: ClipInfo
    changes: tuple[Change, ...]
    rank: tuple[int, float, str]

    @property
    def failed(self) -> bool:
        """Whether the clip lost a score."""
        return any(change.message for change in self.changes)


def worst_first(label: str, base: Run, new: Run, cells: Sequence[Cell]) -> list[ClipChanges]:
    """All clips of two runs that a comparison looked at, the worst first.

    Args:
        label: Label of the pair, as cells have it.
        base: The stored run.
        new: The run that was judged.
        cells: The cells of the comparison.
    """
    own = [cell for cell in cells if cell.system == label and cell.verdict != "not comparable"]
    found: dict[str, dict[str, Change]] = {}
    for cell in own:
        if cell.part == "all":
            # What NEW has not come to has nothing to show.
            clips = [clip for clip in base.info.clips if clip.dataset == cell.dataset and clip.id in new.outputs]
            for clip, change in _changes(base, new, cell.facts, clips):
                found.setdefault(clip, {})[cell.metric] = change
    ranked = [
        ClipChanges(label, clip, tuple(found[clip.id].values()), _rank(clip, found[clip.id], own))
        for clip in base.info.clips
        if clip.id in found
    ]
    return sorted(ranked, key=lambda item: item.rank)


def _rank(clip: ClipInfo, changes: dict[str, Change], cells: Sequence[Cell]) -> tuple[int, float, str]:
    bad = [cell for cell in cells if cell.dataset == clip.dataset and cell.verdict in ("worse", "failed")]
    deciding = {cell.metric for cell in bad} & changes.keys() or changes.keys()
    lost = any(change.message for change in changes.values())
    in_bad_part = any(_is_in(clip, cell.part) for cell in bad)
    return 0 if lost else 1 if in_bad_part else 2, min(changes[name].size for name in deciding), clip.id


def _is_in(clip: ClipInfo, part: str) -> bool:
    by, _, name = part.partition("=")
    return part == "all" or (clip.group if by == "group" else clip.language) == name


def _changes(base: Run, new: Run, facts: MetricFacts, clips: Sequence[ClipInfo]) -> list[tuple[str, Change]]:
    """Of each clip that BASE has a score of, by its id."""
    pairs = pair(base, new, facts, clips)
    differences = _differences(base, new, facts, pairs)
    sd = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    sizes = sign_of(facts) * differences / (sd or 1.0)
    before, after = (_values(side, facts) for side in (pairs.base, pairs.new))
    rows = zip(pairs.clips, before, after, differences, sizes, strict=True)
    changes = [
        (clip.id, Change(facts, first, second, float(difference), float(size)))
        for clip, first, second, difference, size in rows
    ]
    changes += [(clip.id, Change(facts, None, None, None, -math.inf, message)) for clip, message in pairs.broken]
    return changes


def _differences(base: Run, new: Run, facts: MetricFacts, pairs: Pairs) -> Signal64:
    if facts.kind != "set":
        return clipwise(pairs, facts)
    try:
        return numbers_of_set(base, new, pairs, facts.name, 0.0).terms
    except Unscored:
        return np.zeros(len(pairs.clips))


def _values(side: Real, facts: MetricFacts) -> list[float | None]:
    """The clips' own values; None under a metric over sets, and of a ratio whose denominator is 0."""
    if facts.kind == "set":
        return [None] * len(side)
    if facts.kind == "ratio":
        return [float(part / whole) if whole else None for part, whole in side]
    return [float(value) for value in side]
