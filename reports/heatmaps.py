"""Two settings swept against each other: what a heat map of them holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ldmbench.metrics._base import MetricFacts, load_metric
from ldmbench.names import Name
from ldmbench.reports.cells import marks_of, unique
from ldmbench.runs.results import Run


@dataclass(frozen=True)
class Grid:
    """Runs whose labels differ in two settings alone.

    Attributes:
        line: The label without the two settings, with the runs' marks.
        x: The setting along the horizontal axis.
        y: The setting along the vertical one.
        places: Position of a run -> values of ``x`` and ``y``.
    """

    line: str
    x: str
    y: str
    places: Mapping[int, tuple[float, float]]


@dataclass(frozen=True)
class Cell:
    """A system on a heat map.

    Attributes:
        system: The system's label.
        x: Value of the setting along the horizontal axis.
        y: Value of the other.
        value: Value of the metric.
        n: Scored clips.
        failed: Failed clips.
    """

    system: str
    x: float
    y: float
    value: float
    n: int
    failed: int


@dataclass(frozen=True)
class HeatMap:
    """One metric on one dataset against two settings.

    Attributes:
        dataset: Dataset with its condition.
        facts: What the metric declares.
        line: The system without the two settings.
        x: The setting along the horizontal axis.
        y: The setting along the vertical one.
        cells: Those that were measured; the others stay empty.
    """

    dataset: str
    facts: MetricFacts
    line: str
    x: str
    y: str
    cells: tuple[Cell, ...]

    @property
    def best(self) -> Cell | None:
        """The best cell without failed clips, None where the metric has no direction or two are equally good."""
        whole = [cell for cell in self.cells if not cell.failed]
        if not whole or self.facts.better == "neither":
            return None
        pick = max if self.facts.better == "higher" else min
        first = pick(whole, key=lambda cell: cell.value)
        return first if sum(cell.value == first.value for cell in whole) == 1 else None

    @property
    def words(self) -> str:
        """What it shows."""
        return f"{self.facts.title} of {self.line} against {self.x} and {self.y} on {self.dataset}"


def grids(runs: Sequence[Run]) -> tuple[Grid, ...]:
    """Every two settings of which runs name both, each with at least two values, in at least four combinations."""
    lines: dict[tuple[str, str, str], dict[int, tuple[float, float]]] = {}
    for index, run in enumerate(runs):
        name = run.info.name
        swept = [key for key, value in name.settings.items() if _is_number(value)]
        for x, y in combinations(sorted(swept), 2):
            rest = {key: value for key, value in name.settings.items() if key not in (x, y)}
            marks = "".join(f" [{mark.upper()}]" for mark in marks_of(run))
            line = str(Name(name.name, name.variant, rest)) + marks
            places = lines.setdefault((line, x, y), {})
            places[index] = (float(str(name.settings[x])), float(str(name.settings[y])))
    return tuple(
        Grid(line, x, y, places)
        for (line, x, y), places in lines.items()
        if len(set(places.values())) >= 4
        and all(len({place[axis] for place in places.values()}) >= 2 for axis in (0, 1))
    )


def build(runs: Sequence[Run], metrics: Sequence[str], datasets: Sequence[str] | None = None) -> tuple[HeatMap, ...]:
    """The heat maps of these runs, dataset by dataset and metric by metric.

    Args:
        runs: Runs, of a grid or not.
        metrics: Metrics to show.
        datasets: Datasets; all where None.
    """
    if datasets is None:
        datasets = unique(item.name for run in runs for item in run.info.datasets)
    maps = []
    for dataset in datasets:
        for metric in metrics:
            for grid in grids(runs):
                cells = []
                for index, (x, y) in grid.places.items():
                    estimate = runs[index].estimate(metric, dataset)
                    if estimate is not None and estimate.value is not None:
                        system = runs[index].info.system
                        cells.append(Cell(system, x, y, estimate.value, estimate.n, estimate.failed))
                if cells:
                    facts = load_metric(metric).facts
                    maps.append(HeatMap(dataset, facts, grid.line, grid.x, grid.y, tuple(cells)))
    return tuple(maps)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
