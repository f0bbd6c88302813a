"""Rate-distortion curves and sweeps of settings: what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ldmbench.metrics._base import MetricFacts, load_metric
from ldmbench.names import Name, show
from ldmbench.reports.cells import marks_of, unique
from ldmbench.reports.heatmaps import grids
from ldmbench.reports.layers import by_layer, has_layers
from ldmbench.runs.results import Run
from ldmbench.system.card import WEIGHTS
from ldmbench.system.checkpoints import series_of, step_of

#: The metric that gives the horizontal position.
RATE = "kbps"

#: And of probes also this one.
TOKENS = "tokens_per_second"

#: The number of a codebook, from the first on.
LAYER = "layer"

#: Axes that are measured, and drawn on a logarithmic scale.
MEASURED = (RATE, TOKENS)


@dataclass(frozen=True)
class Point:
    """A system on a curve, with 95 % intervals.

    Attributes:
        system: The system's label.
        x: Where it stands on ``Curve.axis``: the measured bitrate in kbit/s, or the value of the swept setting.
        x_low: Lower end of the interval of ``x``, None for a setting.
        x_high: Upper end.
        value: Value of the metric.
        low: Lower end of its interval.
        high: Upper end.
        n: Scored clips.
        failed: Failed clips.
    """

    system: str
    x: float
    x_low: float | None
    x_high: float | None
    value: float
    low: float | None
    high: float | None
    n: int
    failed: int


@dataclass(frozen=True)
class Family:
    """The variants of one system, ordered by bitrate."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Curve:
    """One metric on one dataset against the bitrate, the tokens per second, the layer, or a setting.

    Attributes:
        dataset: Dataset with its condition.
        facts: What the metric declares.
        families: One line each.
        levels: Systems without a bitrate (reference, anchors) as (label, value): horizontal lines.
        axis: ``kbps``, ``tokens_per_second``, ``layer``, or the setting that is swept.
    """

    dataset: str
    facts: MetricFacts
    families: tuple[Family, ...]
    levels: tuple[tuple[str, float], ...] = ()
    axis: str = RATE

    @property
    def axis_title(self) -> str:
        """What the horizontal axis is, in words."""
        return {RATE: "bitrate", TOKENS: "tokens per second", WEIGHTS: "training step"}.get(self.axis, self.axis)

    def position(self, point: Point) -> str:
        """Where a point stands, in words: ``12.20 kbit/s``, ``steps = 50`` or ``training step = 50000``."""
        return f"{point.x:.2f} kbit/s" if self.axis == RATE else f"{self.axis_title} = {point.x:.12g}"


def build(
    runs: Sequence[Run], metrics: Sequence[str] | None = None, datasets: Sequence[str] | None = None
) -> tuple[Curve, ...]:
    """The curves of these runs, dataset by dataset: against the bitrate, then against each setting that is swept.

    Accuracies of probes are drawn against the tokens per second, too, and measures of tokens against the layer.

    Args:
        runs: Runs of codecs; those without a bitrate become horizontal lines.
        metrics: Quality metrics; where None, all with a direction that are not times.
        datasets: Datasets; all where None.
    """
    # What is swept two settings at a time is a heat map, and neither a line nor a point of its own.
    gridded = {index for grid in grids(runs) for index in grid.places}
    runs = [run for index, run in enumerate(runs) if index not in gridded]
    asked = unique(name for run in runs for name in run.info.metrics) if metrics is None else metrics
    if metrics is None:
        metrics = quality_metrics(runs)
    if datasets is None:
        datasets = unique(item.name for run in runs for item in run.info.datasets)
    curves = []
    swept = [(axis, dict(sweep_of(runs, axis))) for axis in swept_settings(runs)]
    hidden = _stood_for(runs, swept)
    shown = [run for index, run in enumerate(runs) if index not in hidden]
    for dataset in datasets:
        curves += [_measured(shown, RATE, metric, dataset) for metric in metrics]
        # What is read from a representation is compared at equal numbers of tokens, too.
        probed = [metric for metric in metrics if "embedding" in load_metric(metric).facts.needs]
        curves += [_measured(shown, TOKENS, metric, dataset) for metric in probed]
        curves += [_sweep(runs, axis, positions, m, dataset) for axis, positions in swept for m in metrics]
        curves += [_layered(runs, metric, dataset) for metric in asked if has_layers(metric)]
    return tuple(curve for curve in curves if curve.families)


def _measured(runs: Sequence[Run], axis: str, metric: str, dataset: str) -> Curve:
    """One metric on one dataset against a rate that was measured; systems without it are horizontal lines."""
    families: dict[str, list[Point]] = {}
    levels = []
    for run in runs:
        estimate, rate = run.estimate(metric, dataset), run.estimate(axis, dataset)
        if estimate is None or estimate.value is None:
            continue
        if rate is None or rate.value is None or rate.value <= 0:
            levels.append((run.info.system, estimate.value))
            continue
        numbers = (rate.value, rate.low, rate.high, estimate.value, estimate.low, estimate.high)
        families.setdefault(family_of(run), []).append(Point(run.info.system, *numbers, estimate.n, estimate.failed))
    lines = (Family(name, tuple(sorted(p, key=lambda point: point.x))) for name, p in families.items())
    return Curve(dataset, load_metric(metric).facts, tuple(lines), tuple(levels), axis)


def _layered(runs: Sequence[Run], metric: str, dataset: str) -> Curve:
    """A measure of tokens of each layer; a line for each run, nothing where all have one layer."""
    families = []
    for run in runs:
        points = tuple(
            Point(run.info.system, float(number), None, None, item.value, item.low, item.high, item.n, item.failed)
            for number, item in enumerate(by_layer(run, metric, dataset), 1)
            if item.value is not None
        )
        if points:
            families.append(Family(run.info.system + _marks(run), points))
    layered = any(len(family.points) > 1 for family in families)
    return Curve(dataset, load_metric(metric).facts, tuple(families) if layered else (), (), LAYER)


def swept_settings(runs: Sequence[Run]) -> tuple[str, ...]:
    """Settings that take several numbers in runs whose labels are otherwise equal, checkpoints' steps among them."""
    names = unique(key for run in runs for key in run.info.name.settings)
    return tuple(name for name in names if any(sweep_of(runs, name)))


def sweep_of(runs: Sequence[Run], setting: str) -> Iterator[tuple[int, tuple[str, float]]]:
    """For each run that takes part in the sweep of a setting: its position, its line and the setting's value.

    The system itself, at its own value of the setting, belongs to the line of its sweep.
    """
    lines: dict[str, dict[int, float]] = {}
    own: dict[str, tuple[int, float]] = {}
    for index, run in enumerate(runs):
        name = run.info.name
        value = name.settings.get(setting, run.info.settings.get(setting))
        rest = {key: other for key, other in name.settings.items() if key != setting}
        if setting == WEIGHTS and value is not None:
            # Checkpoints of one training differ in their step alone.
            rest[WEIGHTS] = series_of(show(value))
            value = step_of(show(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            line = str(Name(name.name, name.variant, rest)) + _marks(run)
            if setting in name.settings:
                lines.setdefault(line, {})[index] = float(value)
            else:
                own[line] = index, float(value)
    for line, values in lines.items():
        if len(set(values.values())) > 1:
            if line in own and own[line][1] not in values.values():
                values[own[line][0]] = own[line][1]
            yield from ((index, (line, value)) for index, value in values.items())


def _stood_for(runs: Sequence[Run], swept: Sequence[tuple[str, Mapping[int, tuple[str, float]]]]) -> set[int]:
    """Runs of a sweep whose system is there at its own value too: on other curves that one stands for all."""
    hidden = set()
    for axis, positions in swept:
        explicit = {index: line for index, (line, _) in positions.items() if axis in runs[index].info.name.settings}
        with_own = {line for index, (line, _) in positions.items() if index not in explicit}
        hidden |= {index for index, line in explicit.items() if line in with_own}
    return hidden


def _sweep(
    runs: Sequence[Run],
    axis: str,
    positions: Mapping[int, tuple[str, float]],
    metric: str,
    dataset: str,
) -> Curve:
    """One metric on one dataset against a setting; systems without the setting are horizontal lines."""
    families: dict[str, list[Point]] = {}
    levels = []
    for index, run in enumerate(runs):
        estimate = run.estimate(metric, dataset)
        if estimate is None or estimate.value is None:
            continue
        if index in positions:
            line, x = positions[index]
            numbers = (estimate.value, estimate.low, estimate.high, estimate.n, estimate.failed)
            point = Point(run.info.system, x, None, None, *numbers)
            families.setdefault(line, []).append(point)
        elif axis not in {**run.info.settings, **run.info.name.settings}:
            levels.append((run.info.system, estimate.value))
    lines = (Family(name, tuple(sorted(p, key=lambda point: point.x))) for name, p in families.items())
    return Curve(dataset, load_metric(metric).facts, tuple(lines), tuple(levels), axis)


def quality_metrics(runs: Sequence[Run]) -> list[str]:
    """Metrics of runs that are drawn where none are named."""
    return [name for name in unique(name for run in runs for name in run.info.metrics) if is_quality(name)]


def is_quality(metric: str) -> bool:
    """Whether a metric belongs on the vertical axis by default: it has a direction, and is no bitrate or time."""
    facts = load_metric(metric).facts
    return facts.better != "neither" and not facts.timed and facts.name != RATE and "tokens" not in facts.needs


def family_of(run: Run) -> str:
    """The line a run belongs to: its label without the variant, with its marks."""
    name = run.info.name
    return str(Name(name.name, "", name.settings)) + _marks(run)


def _marks(run: Run) -> str:
    return "".join(f" [{mark.upper()}]" for mark in marks_of(run))
