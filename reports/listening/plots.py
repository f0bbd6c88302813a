"""Box and violin plots of a listening test, as PDF and SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ldmbench.host.files import replacing
from ldmbench.listening.analysis import Analysis
from ldmbench.listening.crossed import Scores, cube
from ldmbench.listening.votes import Ratings
from ldmbench.reports.drawing import GRID, INK, MUTED, PALETTE, PAPER, STYLE

Kind = Literal["box", "violin"]

#: Inches: a condition's width, the height of the plot, and its margins.
_EACH, _HEIGHT, _LEFT, _BOTTOM = 0.75, 3.4, 0.7, 1.1

#: Names of the bands of a scale of 100 points (ITU-R BS.1534-3).
_BANDS = ("bad", "poor", "fair", "good", "excellent")


def write(folder: Path, stem: str, ratings: Ratings, analysis: Analysis) -> list[Path]:
    """Write ``STEM-box`` and ``STEM-violin`` as PDF and SVG; equal ratings give equal bytes."""
    paths = []
    kinds: tuple[Kind, ...] = ("box", "violin")
    for kind in kinds:
        for suffix in ("pdf", "svg"):
            path = folder / f"{stem}-{kind}.{suffix}"
            with replacing(path) as handle:
                handle.write(render(ratings, analysis, kind, suffix))
            paths.append(path)
    return paths


def render(ratings: Ratings, analysis: Analysis, kind: Kind, suffix: str = "svg") -> bytes:
    """One plot: all ratings of each condition, and its mean with the 95 % interval over listeners and items."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    summaries = analysis.whole.summaries
    scores = cube(ratings, [item.name for item in summaries])
    style: Any = {**matplotlib.rcParamsDefault, **STYLE, "backend": "agg"}
    with matplotlib.rc_context(style):
        width = _LEFT + 0.3 + _EACH * max(len(summaries), 4)
        height = _HEIGHT + _BOTTOM
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        axes: Any = figure.add_axes(
            (_LEFT / width, _BOTTOM / height, 1 - (_LEFT + 0.3) / width, _HEIGHT / height - 0.06)
        )
        _draw(axes, scores, kind)
        for index, item in enumerate(summaries):
            mean = item.mean
            if mean.low is not None and mean.high is not None:
                axes.vlines(index, mean.low, mean.high, color=INK, linewidth=1.4, zorder=5)
            axes.plot([index], [mean.value], marker="D", markersize=4.5, color=INK, markerfacecolor=PAPER, zorder=6)
        _frame(axes, analysis, [item.name for item in summaries])
        stream = io.BytesIO()
        dates = {"Date": None} if suffix == "svg" else {"CreationDate": None, "ModDate": None}
        figure.savefig(stream, format=suffix, metadata=dates, transparent=True)
    return stream.getvalue()


def _draw(axes: Any, scores: Scores, kind: Kind) -> None:
    columns = [layer[~np.isnan(layer)] for layer in np.moveaxis(scores, 2, 0)]
    for index, values in enumerate(columns):
        colour = PALETTE[index % len(PALETTE)]
        if kind == "violin" and np.ptp(values) > 0:
            parts = axes.violinplot([values], [index], widths=0.8, showextrema=False)
            for body in parts["bodies"]:
                body.set(facecolor=colour, edgecolor=colour, alpha=0.35)
        axes.boxplot(
            [values],
            positions=[index],
            widths=0.5 if kind == "box" else 0.12,
            manage_ticks=False,
            showfliers=kind == "box",
            patch_artist=True,
            boxprops={"facecolor": PAPER if kind == "violin" else colour + "55", "edgecolor": colour},
            medianprops={"color": colour, "linewidth": 2},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour, "alpha": 0.6},
        )


def _frame(axes: Any, analysis: Analysis, names: list[str]) -> None:
    low, high = analysis.low, analysis.high
    bands = (low, high) == (0, 100)
    axes.set_xlim(-0.6, len(names) - 0.4 + 0.7 * bands)
    axes.set_ylim(low - 0.02 * (high - low), high + 0.03 * (high - low))
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    for label in axes.get_xticklabels():
        label.set_color(INK)
    axes.set_ylabel(f"{analysis.scale} (points)")
    if bands:
        axes.set_yticks(range(0, 101, 20))
        for index, band in enumerate(_BANDS):
            axes.text(
                len(names) + 0.25, 20 * index + 10, band, color=MUTED, fontsize=7, ha="right", va="center", zorder=1
            )
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
