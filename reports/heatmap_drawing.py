"""Heat maps drawn as PDF and SVG: one panel a map, every cell with its number, the best one framed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmbench.reports import drawing
from ldmbench.reports.cells import number
from ldmbench.reports.drawing import write_panels
from ldmbench.reports.heatmaps import HeatMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A colour map whose steps look even, to the colour-blind as well.
COLOURS = "cividis"

#: Inches above a map: its title, and below that its system and dataset.
_TOP = 0.52

#: Share of the colour map from which numbers are dark on light.
_LIGHT_FROM = 0.55


def write(maps: Sequence[HeatMap], folder: Path) -> list[Path]:
    """Write ``DATASET-heatmap.pdf`` and ``.svg``, a panel for each map; equal maps give equal bytes.

    Raises:
        BenchError: If the folder cannot be written.
    """
    return write_panels(maps, folder, "-heatmap", render)


def render(maps: Sequence[HeatMap], suffix: str = "svg") -> bytes:
    """Heat maps as panels of one figure, below each other."""
    return drawing.saved(lambda: _figure(maps), suffix)


def _figure(maps: Sequence[HeatMap]) -> Figure:
    from matplotlib.figure import Figure

    left, bottom, right, _ = drawing.MARGINS
    sizes = [_size(item) for item in maps]
    width, height = max(size[0] for size in sizes), sum(size[1] for size in sizes)
    figure = Figure(figsize=(width, height))
    base = height
    for item, size in zip(maps, sizes, strict=True):
        base -= size[1]
        inner = (size[0] - left - right, size[1] - bottom - _TOP)
        place = (left / width, (base + bottom) / height, inner[0] / width, inner[1] / height)
        _panel(figure.add_axes(place), item)
    return figure


def _size(item: HeatMap) -> tuple[float, float]:
    """Inches of a panel: a cell holds its number, and the title needs its room."""
    left, bottom, right, _ = drawing.MARGINS
    wide, high = (len({getattr(cell, axis) for cell in item.cells}) for axis in ("x", "y"))
    return max(drawing.PANEL[0], 0.62 * wide + left + right), 0.42 * high + bottom + _TOP


def _panel(axes: Any, item: HeatMap) -> None:
    """Draw one heat map: a rectangle for each cell that was measured."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    xs, ys = (sorted({getattr(cell, axis) for cell in item.cells}) for axis in ("x", "y"))
    values = [cell.value for cell in item.cells]
    low, span = min(values), (max(values) - min(values)) or 1.0
    arrow = {"higher": " ↑", "lower": " ↓", "neither": ""}[item.facts.better]
    unit = f" ({item.facts.unit})" if item.facts.unit else ""
    axes.set_title(f"{item.facts.title}{unit}{arrow}", loc="left", fontsize=10, fontweight="bold", pad=16)
    for place, side, words in ((0, "left", item.line), (1, "right", item.dataset)):
        axes.annotate(
            words, (place, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", ha=side, va="bottom",
            color=drawing.MUTED, fontsize=8,
        )  # fmt: skip
    for index, cell in enumerate(item.cells):
        column, row = xs.index(cell.x), ys.index(cell.y)
        share = (cell.value - low) / span
        box = Rectangle((column, row), 1, 1, facecolor=colormaps[COLOURS](share), edgecolor="none")
        box.set_gid(f"cell-{index}")
        axes.add_patch(box)
        mark = "!" if cell.failed else ""
        axes.text(
            column + 0.5, row + 0.5, number(cell.value, item.facts.digits) + mark, ha="center", va="center",
            color="#14161a" if share > _LIGHT_FROM else "#fdfdfd", fontsize=8.5,
            fontweight="bold" if cell == item.best else "normal",
        )  # fmt: skip
    if item.best is not None:
        corner = xs.index(item.best.x) + 0.04, ys.index(item.best.y) + 0.04
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="#d55e00", linewidth=2))
    axes.set_xlim(0, len(xs))
    axes.set_ylim(0, len(ys))
    axes.set_xticks([index + 0.5 for index in range(len(xs))], [f"{value:g}" for value in xs])
    axes.set_yticks([index + 0.5 for index in range(len(ys))], [f"{value:g}" for value in ys])
    axes.tick_params(length=0)
    axes.set_xlabel(item.x + (" (framed: the best)" if item.best is not None else ""))
    axes.set_ylabel(item.y)
    for side in axes.spines.values():
        side.set_visible(False)
