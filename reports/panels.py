"""Curves and heat maps as inline SVG: in the page's colours, with words for what they show and numbers to point at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import escape

from ldmbench.reports import drawing, heatmap_drawing
from ldmbench.reports.cells import number
from ldmbench.reports.curves import Curve
from ldmbench.reports.heatmaps import HeatMap

_RIMMED = r'<path d="\1" style="\2; paint-order: stroke"/>'


@dataclass(frozen=True)
class Panel:
    """A figure as inline SVG, with the words that stand for it."""

    dataset: str
    svg: str
    label: str


def curve_panel(curve: Curve, names: Sequence[str], prefix: str) -> Panel:
    """A curve; ``names`` are all families in the order of their colours, ``prefix`` keeps ids apart."""
    marks = []
    for family in curve.families:
        for index, point in enumerate(family.points):
            digits = curve.facts.digits
            interval = ""
            if point.low is not None and point.high is not None:
                interval = f" [{number(point.low, digits)}, {number(point.high, digits)}]"
            words = (
                f"{point.system}: {curve.position(point)}, {number(point.value, digits)}{interval}"
                f"{_counts(point.n, point.failed)}"
            )
            marks.append((f"point-{names.index(family.name)}-{index}", point.system, words))
    label = f"{curve.facts.title} against {curve.axis_title} on {curve.dataset}: " + ", ".join(
        family.name for family in curve.families
    )
    svg = drawing.render([curve], "svg", palette=names).decode()
    return Panel(curve.dataset, _inline(svg, label, prefix, marks, curve.facts.name), label)


def heatmap_panel(item: HeatMap, prefix: str) -> Panel:
    """A heat map; ``prefix`` keeps ids apart."""
    marks = [
        (
            f"cell-{index}",
            cell.system,
            f"{cell.system}: {number(cell.value, item.facts.digits)}{_counts(cell.n, cell.failed)}",
        )
        for index, cell in enumerate(item.cells)
    ]
    svg = heatmap_drawing.render([item], "svg").decode()
    return Panel(item.dataset, _inline(svg, item.words, prefix, marks, item.facts.name), item.words)


def _short(value: float) -> str:
    """A coordinate to two decimals; below 1, where it may be a scale, to four digits."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.4g}"


def _counts(scored: int, failed: int) -> str:
    return f", n={scored}" + (f", {failed} FAILED" if failed else "")


def _inline(svg: str, label: str, prefix: str, marks: Iterable[tuple[str, str, str]], metric: str) -> str:
    """The SVG for use inside the page: colours become the page's, ids unique, marks say their numbers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    # A hundredth of a point is less than a pixel shows, and half of the bytes; spaces between tags show nothing.
    svg = re.sub(r"-?\d+\.\d{3,}", lambda match: _short(float(match[0])), svg)
    svg = re.sub(r">\s+<", "><", re.sub(r"\s*\n\s*", " ", svg))
    # Letters with a rim are drawn twice, the rim first; a browser does both with one outline.
    svg = re.sub(r'<path d="([^"]+)" style="([^"]*stroke[^"]*)"/><path d="\1" style="fill: [^;"]+"/>', _RIMMED, svg)
    svg = re.sub(r' id="(?!point-|cell-)([^"]+)"', rf' id="{prefix}\1"', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{prefix}", svg)
    inks = {drawing.INK: "ink", drawing.MUTED: "muted", drawing.GRID: "line", drawing.PAPER: "paper"}
    inks |= {colour: f"c{index}" for index, colour in enumerate(drawing.PALETTE)}
    for colour, name in inks.items():
        svg = svg.replace(colour, f"var(--{name})")
    for gid, system, words in marks:
        data = f'data-system="{escape(system)}" data-metric="{escape(metric)}"'
        svg = svg.replace(f'<g id="{gid}">', f'<g class="point" {data}><title>{escape(words)}</title>')
    return re.sub(
        r"<svg [^>]*?viewBox=\"([^\"]+)\"[^>]*>",
        rf'<svg viewBox="\1" role="img" aria-label="{escape(label)}" preserveAspectRatio="xMidYMid meet">',
        svg,
        count=1,
    )
