"""One door to what is written of a listening test, for the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from ldmbench.clips.table import write_table
from ldmbench.host.files import replacing
from ldmbench.listening.outcome import FILE, Outcome, write_outcome
from ldmbench.listening.screening import Decision, Screening
from ldmbench.listening.validation import validate
from ldmbench.listening.votes import QUALITY, Vote
from ldmbench.reports import published
from ldmbench.reports.listening import agreements, grids, methods, plots, scatter, tables
from ldmbench.reports.notes import banners
from ldmbench.runs.results import Run

#: The metric's name of published scores of listening tests.
MUSHRA = "mushra"


def published_scores(outcome: Outcome) -> dict[str, float]:
    """System -> score that a paper printed for it, of the systems in the test."""
    systems = {item.name for result in outcome.results for item in result.analysis.whole.summaries}
    printed = (item for item in published.of_listening_tests(systems) if item.metric == MUSHRA)
    return {item.system: item.value for item in printed if item.system in systems}


def to_terminal(outcome: Outcome, printed: Mapping[str, float]) -> str:
    """The log of screening and all tables."""
    parts = ["\n".join(tables.log_lines(outcome))]
    parts += [grids.to_text(grid) for grid in tables.everything(outcome, printed)]
    parts += sources(printed)
    return "\n\n".join(parts) + "\n"


def to_json(outcome: Outcome) -> str:
    """All results, numbers in full precision."""
    return json.dumps(asdict(outcome), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def sources(printed: Mapping[str, float]) -> list[str]:
    """Where published scores come from, and how far they compare."""
    rows = (item for item in published.of_listening_tests(printed) if item.metric == MUSHRA and item.system in printed)
    lines = list(dict.fromkeys(f"Published: {item.source}" for item in rows))
    return [*lines, f"Published scores: {published.OTHER_COMPANY}"] if lines else []


def everything(
    folder: Path, outcome: Outcome, screenings: Sequence[Screening], printed: Mapping[str, float]
) -> list[Path]:
    """Write the results of a test into a folder; equal ratings give equal files.

    Raises:
        BenchError: If it cannot be written.
    """
    write_outcome(folder / FILE, outcome)
    votes = [vote for screened in screenings for vote in screened.ratings.rows]
    decisions = [[result.analysis.scale, *asdict(item).values()] for result in outcome.results for item in result.log]
    csvs: dict[str, tuple[Sequence[str], Sequence[Sequence[object]]]] = {
        "ratings.csv": ([field.name for field in fields(Vote)], [list(asdict(vote).values()) for vote in votes]),
        "screening.csv": (["scale", *(field.name for field in fields(Decision))], decisions),
    }
    lines = "".join(f"\n- {line}" for line in sources(printed))
    texts = {
        "methods.txt": methods.paragraph(outcome),
        "tables.md": "\n\n".join(map(grids.to_markdown, tables.everything(outcome, printed))) + lines + "\n",
    }
    paths = [folder / FILE]
    for result, screened in zip(outcome.results, screenings, strict=True):
        analysis = result.analysis
        stem = "" if analysis.scale == QUALITY else f"{analysis.scale}-"
        scores = tables.scores(result, analysis.whole, outcome, printed)
        pairs = tables.differences(analysis)
        csvs[f"{stem}scores.csv"] = tables.SCORE_COLUMNS, scores.values
        csvs[f"{stem}differences.csv"] = tables.PAIR_COLUMNS, pairs.values
        latex = (grids.to_latex(scores, f"tab:{stem}scores"), grids.to_latex(pairs, f"tab:{stem}differences"))
        texts[f"{stem}tables.tex"] = "\n".join(latex)
        paths += plots.write(folder, f"{stem}scores", screened.ratings, analysis)
    for name, (columns, rows) in csvs.items():
        write_table(folder / name, columns, rows)
    for name, text in texts.items():
        with replacing(folder / name) as handle:
            handle.write(text.encode())
    return [*paths, *(folder / name for name in (*csvs, *texts))]


def validation(
    screened: Screening, runs: Sequence[Run], title: str, metrics: Sequence[str], kind: str, output: Path | None
) -> list[str]:
    """Metrics held against listeners, as lines to print, or written to ``output``.

    Args:
        screened: The ratings.
        runs: The systems.
        title: What the test is called.
        metrics: Metrics to look at; all where empty.
        kind: ``terminal``, ``md``, ``csv``, ``latex``, ``json``, or ``html`` for a page with a scatter plot.
        output: File, a folder for a page; ``TITLE-validation`` where None.

    Raises:
        BenchError: If there is nothing to compare, or it cannot be written.
    """
    result = validate(screened.ratings, runs, title, metrics)
    gone = len(screened.before.listeners) - len(screened.ratings.listeners)
    notes = (f"Screening left out {gone} of {len(screened.before.listeners)} listeners", *screened.ratings.notes)
    result = replace(result, notes=(*banners(runs), *result.notes, *notes))
    if kind == "html":
        limits = screened.ratings.low, screened.ratings.high
        return [f"wrote {scatter.write_page(result, runs, output or Path(f'{title}-validation'), limits)}"]
    text = agreements.to_text(result, kind)
    if output is None:
        return text.rstrip("\n").splitlines()
    with replacing(output) as handle:
        handle.write(text.encode())
    return [f"wrote {output}"]
