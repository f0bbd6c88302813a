"""What a comparison is asked and what it answers: rules, cells with verdicts, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ldmbench.metrics._base import MetricFacts

#: ``failed``: clips have a score in BASE only. ``same``: not worse than the margin, as far as the interval shows.
Verdict = Literal["better", "worse", "same", "undecided", "failed", "not comparable"]

#: How clips are grouped.
By = Literal["group", "language"]


@dataclass(frozen=True)
class Rules:
    """How strict a comparison is.

    Attributes:
        margins: Metric -> how much worse its mean may get, in its own unit; 0 where there is none.
        tolerances: Metric -> how much worse a single clip may get before it counts against ``clip_budget``.
        clip_budget: Share of clips that may fail, or fall below their tolerance.
        cell_budget: Cells that may be worse.
        by: What clips are grouped by; every group of at least 6 clips is a cell of its own.
        metrics: Metrics to compare; all of BASE's that have a direction and are not measured times where empty.
        undecided_fails: Whether ``undecided`` counts as worse.
    """

    margins: Mapping[str, float] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    clip_budget: float = 0.0
    cell_budget: int = 0
    by: tuple[By, ...] = ("group", "language")
    metrics: tuple[str, ...] = ()
    undecided_fails: bool = False


@dataclass(frozen=True)
class ClipChange:
    """One clip of a cell: its difference NEW minus BASE in the metric's unit, None where it failed in NEW."""

    clip: str
    difference: float | None
    message: str = ""


@dataclass(frozen=True)
class Cell:
    """One metric on one dataset, or on one group of its clips.

    Attributes:
        system: Label of the pair of runs.
        dataset: Dataset with its condition.
        facts: What the metric declares.
        part: ``all``, or the group, such as ``language=de``.
        verdict: What the differences say.
        reason: Why, in a few words.
        base: The estimate of BASE over the pairs, None where there are none.
        new: The estimate of NEW over the same clips.
        difference: NEW minus BASE.
        low: Lower end of the 90 % interval of the difference, None where nothing was tested.
        high: Upper end.
        p: Of the one-sided test of "worse", before Holm's adjustment.
        adjusted: After it.
        margin: How much worse was allowed.
        smallest: Smallest difference for the worse that would be found four times in five.
        n: Pairs.
        new_failures: Clips with a score in BASE and none in NEW.
        recovered: Clips with a score in NEW only; they are in no mean.
        without: Clips with a score in neither.
        below: Clips that are worse by more than their tolerance.
        worst: The clips that got worst, those that failed first.
    """

    system: str
    dataset: str
    facts: MetricFacts
    part: str
    verdict: Verdict
    reason: str = ""
    base: float | None = None
    new: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted: float | None = None
    margin: float = 0.0
    smallest: float | None = None
    n: int = 0
    new_failures: int = 0
    recovered: int = 0
    without: int = 0
    below: int = 0
    worst: tuple[ClipChange, ...] = ()

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.facts.name


@dataclass(frozen=True)
class Comparison:
    """All cells of two sets of runs.

    Attributes:
        base: What BASE is: label and ID of each run.
        new: The same of NEW.
        cells: In the order of systems, datasets and metrics.
        rules: How strict it was.
        banners: What must be read before any verdict.
        notes: What must be read beside them.
    """

    base: tuple[str, ...]
    new: tuple[str, ...]
    cells: tuple[Cell, ...]
    rules: Rules
    banners: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def count(self, *verdicts: Verdict) -> int:
        """Cells with one of these verdicts."""
        return sum(cell.verdict in verdicts for cell in self.cells)

    def counts_against(self, cell: Cell) -> bool:
        """Whether a cell makes NEW worse, budgets aside."""
        return cell.verdict in ("worse", "failed") or (cell.verdict == "undecided" and self.rules.undecided_fails)

    @property
    def exit_code(self) -> int:
        """1 worse, 3 where something is not comparable, 0 fine; what is worse is worse whatever else was compared."""
        worse = sum(cell.verdict == "worse" for cell in self.cells)
        other = any(self.counts_against(cell) for cell in self.cells if cell.verdict != "worse")
        if other or worse > self.rules.cell_budget:
            return 1
        return 3 if self.count("not comparable") else 0

    @property
    def summary(self) -> str:
        """One line: the outcome and how many cells have which verdict."""
        outcome = {0: "fine", 1: "WORSE", 3: "NOT COMPARABLE"}[self.exit_code]
        order: Sequence[Verdict] = ("worse", "failed", "not comparable", "undecided", "same", "better")
        counts = [f"{self.count(verdict)} {verdict}" for verdict in order if self.count(verdict)]
        return f"{outcome}: {', '.join(counts)} of {len(self.cells)} cells"
