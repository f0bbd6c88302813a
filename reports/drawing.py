"""Curves drawn as PDF and SVG: one panel a curve, families apart in colour, marker and dash."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ldmbench.errors import BenchError
from ldmbench.host.files import replacing, safe_name
from ldmbench.reports.cells import unique
from ldmbench.reports.curves import MEASURED, RATE, Curve, Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Largest over smallest value of a swept setting from which its axis is logarithmic.
_LOG_FROM = 8.0

#: Width of a character of a family's name, as a share of the axis.
_CHARACTER = 0.021

#: Colours that stay apart for the colour-blind and stand out from white; families also differ in marker and dash.
PALETTE = ("#0072b2", "#d55e00", "#00836a", "#a84a87", "#7a5f00", "#56586b", "#5b4fc4", "#b3123a")
MARKERS = "osD^vPXph*"
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))

#: Inches: width and height of a panel, and its left, bottom, right and top margins.
PANEL = (4.4, 3.3)
MARGINS = (0.5, 0.48, 0.14, 0.34)
INK, MUTED, GRID, PAPER = "#1a1c21", "#5d6370", "#e3e5ea", "#ffffff"

#: Covering a word is as bad as covering so many points or pieces of a line.
_TEXT = 6

#: Where a label may go: its anchor (None leaves it), its offset in points, and its vertical alignment.
_Try = tuple[tuple[float, float] | None, tuple[float, float], str]

STYLE: dict[str, Any] = {
    "svg.hashsalt": "ldmbench",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.linewidth": 0.8,
    "path.simplify": False,
}


def write(curves: Sequence[Curve], folder: str | Path) -> list[Path]:
    """Write ``DATASET.pdf`` and ``DATASET.svg``, a panel for each metric; equal curves give equal bytes.

    Raises:
        BenchError: If there is nothing to draw, or the folder cannot be written.
    """
    if not curves:
        raise BenchError(
            "there is no curve to draw",
            "no system has a measured bitrate, and none takes several values of a setting",
            "add the metric kbps, or run a sweep such as -s NAME:steps=10 -s NAME:steps=50",
        )
    return write_panels(curves, Path(folder), "", render)


class Panel(Protocol):
    """What is drawn in the figure of its dataset."""

    @property
    def dataset(self) -> str:
        """The dataset."""
        ...


P = TypeVar("P", bound=Panel)


def write_panels(
    panels: Sequence[P], folder: Path, ending: str, draw: Callable[[Sequence[P], str], bytes]
) -> list[Path]:
    """A figure for each dataset, as PDF and SVG: ``DATASET`` and ``ending``.

    Raises:
        BenchError: If the folder cannot be written.
    """
    paths = []
    for dataset in unique(panel.dataset for panel in panels):
        own = [panel for panel in panels if panel.dataset == dataset]
        for suffix in ("pdf", "svg"):
            path = folder / f"{safe_name(dataset)}{ending}.{suffix}"
            with replacing(path) as handle:
                handle.write(draw(own, suffix))
            paths.append(path)
    return paths


def render(curves: Sequence[Curve], suffix: str = "svg", columns: int = 3, palette: Sequence[str] = ()) -> bytes:
    """Curves as panels of one figure.

    Args:
        curves: The panels.
        suffix: ``svg`` (text as paths) or ``pdf`` (fonts embedded).
        columns: Panels side by side.
        palette: Names of families, in the order in which they take colours; those of ``curves`` where empty.
    """
    return saved(lambda: _figure(curves, columns, palette or family_names(curves)), suffix)


def saved(draw: Callable[[], Figure], suffix: str) -> bytes:
    """A figure as ``svg`` or ``pdf`` in the one style of all; equal figures give equal bytes."""
    import matplotlib

    # From matplotlib's own defaults, so that a user's matplotlibrc changes no byte.
    style: Any = {**matplotlib.rcParamsDefault, **STYLE, "backend": "agg"}
    with matplotlib.rc_context(style):
        stream = io.BytesIO()
        dates = {"Date": None} if suffix == "svg" else {"CreationDate": None, "ModDate": None}
        draw().savefig(stream, format=suffix, metadata=dates, transparent=True)
    return stream.getvalue()


def family_names(curves: Sequence[Curve]) -> tuple[str, ...]:
    """All families, in the order in which they take colours."""
    return unique(family.name for curve in curves for family in curve.families)


def _figure(curves: Sequence[Curve], columns: int, names: Sequence[str]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    size = (PANEL[0] * columns, PANEL[1] * rows)
    figure = Figure(figsize=size)
    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    left, bottom, right, top = MARGINS
    for index, curve in enumerate(curves):
        x, y = index % columns * PANEL[0], (rows - 1 - index // columns) * PANEL[1]
        width, height = PANEL[0] - left - right, PANEL[1] - bottom - top
        axes = figure.add_axes(((x + left) / size[0], (y + bottom) / size[1], width / size[0], height / size[1]))
        _settle(_panel(axes, curve, names), _levels(axes, curve), curve, axes, renderer)
    return figure


def _panel(axes: Any, curve: Curve, names: Sequence[str]) -> list[Any]:
    """Draw one curve; returns the labels at the ends of its lines."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    arrow = {"higher": " ↑", "lower": " ↓", "neither": ""}[curve.facts.better]
    unit = f" ({curve.facts.unit})" if curve.facts.unit else ""
    axes.set_title(f"{curve.facts.title}{unit}{arrow}", loc="left", fontsize=10, fontweight="bold")
    axes.text(1, 1.035, curve.dataset, transform=axes.transAxes, ha="right", va="bottom", color=MUTED, fontsize=8)
    every = [point.x for family in curve.families for point in family.points]
    # Settings such as steps span decades, others (guidance) do not, and may be 0.
    logarithmic = curve.axis in MEASURED or (min(every) > 0 and max(every) / min(every) >= _LOG_FROM)
    if logarithmic:
        axes.set_xscale("log")
    halo = [withStroke(linewidth=2.5, foreground=PAPER)]
    labels = []
    for family in curve.families:
        number = names.index(family.name)
        colour = PALETTE[number % len(PALETTE)]
        rates = [point.x for point in family.points]
        values = [point.value for point in family.points]
        dash = DASHES[number // len(PALETTE) % len(DASHES)]
        axes.plot(rates, values, color=colour, linestyle=dash, linewidth=1.6, zorder=3)
        for index, point in enumerate(family.points):
            _mark(axes, point, colour, MARKERS[number % len(MARKERS)], f"point-{number}-{index}")
        # Above the last point, so that neither line nor error bar runs through it.
        labels.append(
            axes.annotate(
                family.name, (rates[-1], values[-1]), (6, 0), textcoords="offset points", va="center", color=colour,
                fontsize=8.5, fontweight="bold", path_effects=halo, zorder=6, annotation_clip=False,
            )
        )  # fmt: skip
    rates = [point.x for family in curve.families for point in family.points]
    # Room at the right for the names at the ends of the lines.
    share = min(0.5, 0.03 + _CHARACTER * max(len(family.name) for family in curve.families))
    if curve.axis in MEASURED:
        axes.set_xlim(min(rates) / 1.35, max(rates) * (max(rates) / min(rates)) ** 0.22 * 1.6)
    elif logarithmic:
        ratio = max(rates) / min(rates)
        axes.set_xlim(min(rates) / ratio**0.08, max(rates) * ratio ** (1.08 * share / (1 - share)))
    else:
        span = max(rates) - min(rates)
        axes.set_xlim(min(rates) - 0.08 * span, max(rates) + 1.08 * span * share / (1 - share))
    if curve.axis in MEASURED:
        wide = max(rates) / min(rates) > 1000
        axes.xaxis.set_major_locator(LogLocator(10, (1,) if wide else (1, 2, 5), numticks=20))
    else:
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(rates))))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    scale = "log scale" if logarithmic else "linear scale"
    axes.set_xlabel(f"Measured bitrate (kbit/s, {scale})" if curve.axis == RATE else f"{curve.axis_title} ({scale})")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return labels


def _mark(axes: Any, point: Point, colour: str, marker: str, gid: str) -> None:
    """A point with its intervals; hollow where clips failed."""
    if point.low is not None and point.high is not None:
        axes.vlines(point.x, point.low, point.high, color=colour, linewidth=1, zorder=3)
    if point.x_low is not None and point.x_high is not None:
        axes.hlines(point.value, point.x_low, point.x_high, color=colour, linewidth=1, zorder=3)
    face = PAPER if point.failed else colour
    (artist,) = axes.plot(
        [point.x], [point.value], marker=marker, markersize=5.5, color=colour, markerfacecolor=face, zorder=4
    )
    artist.set_gid(gid)


def _levels(axes: Any, curve: Curve) -> list[Any]:
    """Dashed lines for the systems without a bitrate, where they lie near enough to leave the curves readable.

    Returns:
        Their labels.
    """
    from matplotlib.patheffects import withStroke

    low, high = axes.get_ylim()
    margin = 0.35 * (high - low)
    halo = [withStroke(linewidth=2, foreground=PAPER)]
    style = {"color": MUTED, "fontsize": 7.5, "path_effects": halo}
    outside: dict[bool, list[str]] = {True: [], False: []}
    labels = []
    for label, value in curve.levels:
        if not low - margin <= value <= high + margin:
            outside[value > high].append(f"{label} {value:.{curve.facts.digits}f}")
            continue
        axes.axhline(value, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        offset = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
        labels.append(axes.annotate(label, (0, value), (2, 2), va="bottom", zorder=5, **offset, **style))
    _, top = axes.get_ylim()
    axes.set_ylim(top=top + 0.07 * (high - low))
    for above, names in outside.items():
        if names:
            edge, side = (0.97, "top") if above else (0.03, "bottom")
            text = f"off the scale: {', '.join(names)}"
            axes.annotate(text, (1, edge), xycoords="axes fraction", ha="right", va=side, **style)
    return labels


def _settle(names: Sequence[Any], levels: Sequence[Any], curve: Curve, axes: Any, renderer: Any) -> None:
    """Move labels to where they cover no point, line, interval or other label, or the least of them.

    Names stay beside the ends of their lines, up or down of them; labels of dashed lines stay on those, above or below.
    """
    taken = _obstacles(curve, axes)
    steps = [(6.0, sign * step) for step in range(0, 26, 2) for sign in (1, -1)][1:]
    for label in sorted(names, key=lambda text: text.get_window_extent(renderer).y0):
        around: list[_Try] = [(None, offset, "center") for offset in steps]
        taken += [_least(label, around, taken, renderer)] * _TEXT
    frame = axes.get_window_extent(renderer)
    for label in levels:
        # From the left edge to where it ends at the right one.
        last = 1 - (label.get_window_extent(renderer).width + 8) / frame.width
        shares = [last * share for share in (0.0, 1.0, 0.86, 0.72, 0.58, 0.44, 0.3, 0.15)]
        tries = [
            ((share, label.xy[1]), (2.0, offset), side)
            for offset, side in ((2.0, "bottom"), (-2.5, "top"))
            for share in shares
        ]
        taken += [_least(label, tries, taken, renderer)] * _TEXT


def _least(label: Any, tries: Sequence[_Try], taken: Sequence[Any], renderer: Any) -> Any:
    """Put a label where it covers least, the first of equals; returns the box that it then takes."""

    def put(attempt: _Try) -> Any:
        anchor, offset, side = attempt
        label.xy = label.xy if anchor is None else anchor
        label.set_position(offset)
        label.set_verticalalignment(side)
        return label.get_window_extent(renderer)

    def covered(attempt: _Try) -> int:
        box = put(attempt)
        return sum(box.overlaps(other) for other in taken)

    return put(min(tries, key=covered))


def _obstacles(curve: Curve, axes: Any) -> list[Any]:
    """What labels must not cover, as boxes in pixels: points, the lines between them in short pieces, and intervals."""
    from matplotlib.transforms import Bbox

    boxes = []
    for family in curve.families:
        centres = axes.transData.transform([(point.x, point.value) for point in family.points])
        boxes += [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in centres]
        for start, end in pairwise(centres):
            count = max(2, int(np.hypot(*(end - start)) / 6))
            boxes += [Bbox.from_bounds(x - 1, y - 1, 2, 2) for x, y in np.linspace(start, end, count)]
        for point in family.points:
            if point.low is not None and point.high is not None:
                (x, low), (_, high) = axes.transData.transform([(point.x, point.low), (point.x, point.high)])
                boxes.append(Bbox.from_bounds(x - 1, low, 2, high - low))
    return boxes
