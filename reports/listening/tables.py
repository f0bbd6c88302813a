"""The tables of an analysed listening test: scores, differences, tests for these items, and where ratings differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ldmbench.listening.analysis import Analysis, Part
from ldmbench.listening.crossed import Crossed
from ldmbench.listening.outcome import Outcome, Result
from ldmbench.listening.pairs import UNPAIRED
from ldmbench.reports.cells import number
from ldmbench.reports.listening.grids import Grid

#: What p must be below for two systems to be told apart.
ALPHA = 0.05


def digits_of(analysis: Analysis) -> int:
    """Decimals of scores: one on a scale of 100 points, two on one of five."""
    return 1 if analysis.high - analysis.low > 20 else 2


def everything(outcome: Outcome, published: Mapping[str, float] | None = None) -> list[Grid]:
    """All tables of a test, scale by scale."""
    grids = []
    for result in outcome.results:
        grids.append(scores(result, result.analysis.whole, outcome, published))
        grids += [scores(result, part, outcome) for part in result.analysis.groups]
        if len(result.analysis.whole.pairs):
            grids.append(differences(result.analysis))
        grids += spread(result.analysis)
    return grids


def scores(result: Result, part: Part, outcome: Outcome, published: Mapping[str, float] | None = None) -> Grid:
    """Mean with interval, median and quartiles of each condition."""
    analysis = result.analysis
    digits = digits_of(analysis)
    printed = {name: value for name, value in (published or {}).items() if name in {s.name for s in part.summaries}}
    rows, values, best = [], [], -1
    systems = [item for item in part.summaries if item.role == "system" and item.mean.value is not None]
    top = max((item.mean.value or 0 for item in systems), default=None)
    for index, item in enumerate(part.summaries):
        mean = item.mean
        if item.role == "system" and mean.value == top and len(systems) > 1:
            best = index
        quartiles = f"{number(item.lower, digits)} – {number(item.upper, digits)}"
        rows.append(
            (
                item.name if item.role == "system" else f"{item.name} ({item.role})",
                _value(mean.value, digits),
                interval(mean, digits),
                number(item.median, digits),
                quartiles,
                str(mean.cells),
                *([_value(printed.get(item.name), digits)] if printed else []),
            )
        )
        values.append(
            (
                *(item.name, mean.value, mean.low, mean.high, item.median, item.lower, item.upper, mean.cells),
                printed.get(item.name),
            )
        )
    columns = ("Condition", "Mean", "95 %", "Median", "Quartiles", "n", *(["Published"] if printed else []))
    listeners = result.counts["listeners"]
    where = "" if part is analysis.whole else f", {part.name}"
    marks = f" [{', '.join(outcome.marks)}]" if outcome.marks else ""
    title = (
        f"{outcome.title}{marks}: {analysis.scale}{where}, {analysis.low:g} to {analysis.high:g}; {part.listeners} of "
        f"{listeners[0]} listeners, {part.items} items"
    )
    notes = ["Intervals: 95 %, for other listeners and other items; n: ratings"]
    lone = {item.mean.note for item in part.summaries if item.mean.note}
    notes += [f"No interval or a partial one: {text}" for text in sorted(lone)]
    bold = frozenset({(best, 1)}) if best >= 0 else frozenset[tuple[int, int]]()
    return Grid(title, columns, tuple(rows), tuple(values), bold, tuple(notes))


#: Columns of the CSV of scores, in full precision.
SCORE_COLUMNS = ("condition", "mean", "low", "high", "median", "quartile_1", "quartile_3", "n", "published")
PAIR_COLUMNS = (
    *("first", "second", "difference", "low", "high", "p", "p_holm", "effect"),
    *("wilcoxon_p_these_items", "wilcoxon_p_holm_these_items", "rank_biserial_these_items", "n"),
)


def differences(analysis: Analysis) -> Grid:
    """Every pair of systems: the difference for other listeners and items, and Wilcoxon's test for these items."""
    digits = digits_of(analysis)
    rows, values, bold = [], [], set()
    for index, pair in enumerate(analysis.whole.pairs):
        difference = pair.difference
        if pair.adjusted is not None and pair.adjusted < ALPHA:
            bold.add((index, 3))
        value = number(difference.value or 0.0, digits)
        rows.append(
            (
                f"{pair.first} − {pair.second}",
                value if value.startswith("-") else f"+{value}",
                interval(difference, digits),
                p_text(pair.adjusted),
                _value(pair.effect, 2),
                p_text(pair.wilcoxon_adjusted),
                _value(pair.rank_biserial, 2),
            )
        )
        values.append(
            (
                *(pair.first, pair.second, difference.value, difference.low, difference.high, difference.p),
                *(pair.adjusted, pair.effect, pair.wilcoxon, pair.wilcoxon_adjusted, pair.rank_biserial),
                difference.cells,
            )
        )
    notes = [
        f"p: Holm over {len(rows)} pairs, for other listeners and items; d: difference over the spread of single ones",
        "For these items only: Wilcoxon over listener means (Holm) and its rank-biserial r; other items may differ",
    ]
    if any(pair.difference.note == UNPAIRED for pair in analysis.whole.pairs):
        notes.append("Pairs that no listener rated both of on one item: means of items differ, over items alone")
    friedman = analysis.whole.friedman
    if friedman is not None:
        notes.append(
            f"For these items only: Friedman chi2({friedman.freedom}) = {friedman.statistic:.1f}, p "
            f"{_p_words(friedman.p)}, Kendall's W {friedman.concordance:.2f}, {friedman.listeners} listeners"
        )
    columns = ("Pair", "Difference", "95 %", "p", "d", "Wilcoxon p", "r")
    return Grid("Paired differences in points", columns, tuple(rows), tuple(values), frozenset(bold), tuple(notes))


def spread(analysis: Analysis) -> list[Grid]:
    """Variance components, what more listeners or items would buy, and the reliability of repeated ratings."""
    grids = []
    parts = analysis.components
    if parts is not None:
        named = {
            "listener": parts.listener,
            "item": parts.item,
            "item by system": parts.item_system,
            "listener by system": parts.listener_system,
            "rest": parts.residual,
        }
        rows = tuple((name, f"{value:.1f}") for name, value in named.items())
        grids.append(Grid("Where ratings differ: standard deviations in points", ("Effect", "SD"), rows))
        sizes = tuple((str(gain.listeners), str(gain.items), f"± {gain.half_width:.1f}") for gain in analysis.gains)
        note = "Half of the 95 % interval of a difference of two systems, planned from these components"
        grids.append(Grid("What more would buy", ("Listeners", "Items", "Interval"), sizes, notes=(note,)))
    again = analysis.reliability
    if again is not None:
        row = (str(again.pairs), f"{again.mean_difference:.1f}", _value(again.correlation, 2))
        grids.append(Grid("Repeated ratings", ("Pairs", "Mean |difference|", "r"), (row,)))
    return grids


def log_lines(outcome: Outcome) -> list[str]:
    """The log of screening in words: rules, counts before and after, every exclusion and flag."""
    lines = []
    for result in outcome.results:
        scale = f"{result.analysis.scale}: " if len(outcome.results) > 1 else ""
        counts = ", ".join(f"{after} of {before} {what}" for what, (before, after) in result.counts.items())
        lines.append(f"{scale}{counts} after screening")
        lines += [f"  rule: {rule}" for rule in result.rules]
        for item in result.log:
            verdict = "EXCLUDED" if item.excluded else "flagged"
            lines.append(f"  {verdict} {item.subject} {item.name} ({item.rule}): {item.reason}")
    return [*lines, *(f"note: {note}" for note in outcome.notes)]


def interval(mean: Crossed, digits: int) -> str:
    """``[12.3, 45.6]``, or why there is none."""
    if mean.low is None or mean.high is None:
        return f"[{mean.note}]" if mean.note else ""
    return f"[{number(mean.low, digits)}, {number(mean.high, digits)}]"


def p_text(p: float | None) -> str:
    """A p value as papers print it."""
    if p is None:
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def _p_words(p: float) -> str:
    text = p_text(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"


def _value(value: float | None, digits: int) -> str:
    return "–" if value is None else number(value, digits)


def told_apart(part: Part) -> Sequence[str]:
    """Pairs of systems that the test tells apart, the better one first."""
    names = []
    for pair in part.pairs:
        value = pair.difference.value
        if value and pair.adjusted is not None and pair.adjusted < ALPHA:
            names.append(" above ".join((pair.first, pair.second) if value > 0 else (pair.second, pair.first)))
    return names
