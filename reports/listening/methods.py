"""A paragraph on how a listening test was analysed, ready to paste into a paper."""

from __future__ import annotations

from ldmbench.listening.outcome import Outcome, Result
from ldmbench.names import some
from ldmbench.reports.listening.tables import ALPHA, digits_of, told_apart


def paragraph(outcome: Outcome) -> str:
    """The paragraph, a passage for each scale; every number in it is one of the analysis."""
    return "\n\n".join(_of(result, outcome) for result in outcome.results) + "\n"


def _of(result: Result, outcome: Outcome) -> str:
    analysis, whole = result.analysis, result.analysis.whole
    before, after = result.counts["listeners"]
    systems = [item for item in whole.summaries if item.role == "system"]
    others = [f"{item.role} ({item.name})" for item in whole.summaries if item.role != "system"]
    rated = "all" if round(analysis.pages) == whole.items else f"{analysis.pages:.3g} of"
    sentences = [
        f"{before} listeners rated {rated} {whole.items} items on a scale of {analysis.low:g} to {analysis.high:g}"
        f" ({analysis.scale}), {len(systems)} systems" + (f" with {', '.join(others)}" if others else "") + ".",
        _screened(result, before - after),
        f"Of the {len(whole.pairs)} pairs of systems, the mean difference of ratings by the same listener of the same"
        " item is reported with its 95 % confidence interval over listeners and items, both taken as samples (two-way"
        " variance of the mean, t distribution), and p values are adjusted over all pairs after Holm.",
        _apart(result),
        "Means carry 95 % intervals over listeners and items; medians and quartiles are those of all ratings.",
    ]
    if analysis.components is not None:
        parts = analysis.components
        sentences.append(
            "Standard deviations by restricted maximum likelihood were"
            f" {parts.listener:.1f} points for listeners, {parts.item:.1f} for items, {parts.item_system:.1f} for items"
            f" by system, {parts.listener_system:.1f} for listeners by system, and {parts.residual:.1f} for the rest."
        )
    friedman = whole.friedman
    if friedman is not None:
        sentences.append(
            "Friedman's test and Wilcoxon's signed-rank tests over listener means, which hold for these items only, are"
            f" given beside them (chi-squared({friedman.freedom}) = {friedman.statistic:.1f}, p ="
            f" {friedman.p:.2g}, Kendall's W = {friedman.concordance:.2f})."
        )
    sentences.append("The analysis was made with ldmbench.")
    marks = f"{', '.join(outcome.marks)}: " if outcome.marks else ""
    return marks + " ".join(sentences)


def _screened(result: Result, gone: int) -> str:
    rules = "; ".join(result.rules)
    who = [f"{item.name}: {item.reason}" for item in result.log if item.excluded and item.subject == "listener"]
    pages = sum(item.excluded and item.subject == "page" for item in result.log)
    text = f"Screening ({rules}) excluded {gone or 'no'} listener{'s' if gone != 1 else ''}"
    text += f" ({'; '.join(who)})" if who else ""
    if pages:
        text += f" and {pages} single page{'s' if pages != 1 else ''}"
    return text + f"; {result.counts['ratings'][1]} of {result.counts['ratings'][0]} ratings remain."


def _apart(result: Result) -> str:
    analysis, whole = result.analysis, result.analysis.whole
    pairs = told_apart(whole)
    best = analysis.best
    digits = digits_of(analysis)
    text = f"{best.name} has the highest mean ({best.mean.value or 0.0:.{digits}f} points)."
    if not pairs:
        return f"{text} No pair of systems differs at p < {ALPHA:g}."
    return f"{text} {len(pairs)} of {len(whole.pairs)} pairs differ at p < {ALPHA:g}: {some(list(pairs))}."
