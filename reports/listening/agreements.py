"""The tables of metrics held against listeners."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

from ldmbench.listening.agreement import Agreement
from ldmbench.listening.validation import COMPUTED, Row, Section, Validation
from ldmbench.metrics._base import load_metric
from ldmbench.reports.listening import grids
from ldmbench.reports.listening.grids import Grid
from ldmbench.reports.listening.tables import ALPHA, p_text

_LONG = ("part", "metric", "title", "better", "level", "kind", "value", "low", "high", "sounds", "systems", "items")


def everything(validation: Validation) -> list[Grid]:
    """Two tables for each part of the sounds: agreement of every metric, and which metrics differ in it."""
    grids_of = []
    for section in validation.sections:
        grids_of.append(agreement(validation, section))
        if section.differences:
            grids_of.append(differences(section))
    return grids_of


def agreement(validation: Validation, section: Section) -> Grid:
    """Correlations and errors of every metric, the best Pearson's r first."""
    rows = sorted(section.rows, key=lambda row: -(row.agreements["sounds pearson"].value or -2))
    most = [max(getattr(row, name) for row in rows) for name in ("sounds", "systems", "items")]
    text = tuple(_row(row) for row in rows)
    columns = ("Metric", "n", "r", "95 %", "rho", "tau", "r within items", "r of systems", "RMSE", "RMSE*", "outliers")
    where = "" if section.name == "all" else f", {section.name}"
    counts = f"{most[0]} sounds, {most[1]} systems, {most[2]} items, {section.listeners} listeners"
    notes = [
        "n: sounds. r, rho, tau: Pearson, Spearman, Kendall over them; positive: the metric is on the listeners' side",
        "Intervals: 95 %, for other listeners and items, of these systems. RMSE: points, after a linear mapping; RMSE*"
        " and outliers: outside the interval of a sound's mean rating (ITU-T P.1401)",
        *validation.notes,
    ]
    title = f"{validation.title}: metrics against listeners ({validation.scale}{where}); {counts}"
    best = frozenset({(0, 2)}) if len(rows) > 1 else frozenset[tuple[int, int]]()
    return Grid(title, columns, text, bold=best, notes=tuple(notes) if section.name == "all" else ())


def _row(row: Row) -> tuple[str, ...]:
    of = row.agreements
    linear = row.linear
    systems = of["systems pearson"].value
    return (
        load_metric(row.metric).facts.title,
        str(row.sounds),
        signed(of["sounds pearson"].value),
        _ends(of["sounds pearson"]),
        signed(of["sounds spearman"].value),
        signed(of["sounds kendall"].value),
        f"{signed(of['within items pearson'].value)} {_ends(of['within items pearson'])}".strip(),
        "–" if systems is None else f"{signed(systems)} (N {row.systems})",
        "–" if linear is None else f"{linear.rmse:.1f}",
        "–" if linear is None or linear.rmse_star is None else f"{linear.rmse_star:.1f}",
        "–" if linear is None or linear.outliers is None else f"{100 * linear.outliers:.0f} %",
    )


def differences(section: Section) -> Grid:
    """Pairs of metrics: whether one agrees better with listeners than the other."""
    rows, bold = [], set()
    for index, item in enumerate(section.differences):
        first, second = (load_metric(name).facts.title for name in (item.first, item.second))
        ends = f"[{signed(item.low)}, {signed(item.high)}]"
        rows.append((f"{first} − {second}", signed(item.z), ends, p_text(item.adjusted)))
        if item.adjusted < ALPHA:
            bold.add((index, 3))
    note = f"Difference of Fisher's z of r over sounds, by the same draws; p: Holm over {len(rows)} pairs"
    where = "" if section.name == "all" else f", {section.name}"
    columns = ("Metrics", "Difference", "95 %", "p")
    return Grid(f"Which metric agrees better{where}", columns, tuple(rows), bold=frozenset(bold), notes=(note,))


def to_csv(validation: Validation) -> str:
    """One line for each metric, level and kind of correlation, and each error; numbers in full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_LONG)
    for section in validation.sections:
        for row in section.rows:
            facts = load_metric(row.metric).facts
            head = (section.name, row.metric, facts.title, facts.better)
            counts = (row.sounds, row.systems, row.items)
            for level, kind in COMPUTED:
                item = row.agreements[f"{level} {kind}"]
                writer.writerow((*head, level, kind, item.value, item.low, item.high, *counts))
            for name, errors in (("linear", row.linear), ("monotone cubic", row.cubic)):
                for measure, value in asdict(errors).items() if errors is not None else ():
                    writer.writerow((*head, name, measure, value, None, None, *counts))
    return stream.getvalue()


def to_json(validation: Validation) -> str:
    """Everything, numbers in full precision."""
    return json.dumps(asdict(validation), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_text(validation: Validation, kind: str) -> str:
    """The tables in one of the text formats: ``terminal``, ``md``, ``csv``, ``latex`` or ``json``."""
    if kind == "csv":
        return to_csv(validation)
    if kind == "json":
        return to_json(validation)
    tables = everything(validation)
    if kind == "latex":
        return "\n".join(grids.to_latex(grid, f"tab:validation-{index}") for index, grid in enumerate(tables, 1))
    return "\n\n".join(map(grids.to_markdown if kind == "md" else grids.to_text, tables)) + "\n"


def signed(value: float | None) -> str:
    """A correlation with its sign."""
    if value is None:
        return "–"
    text = f"{value:+.2f}"
    return text if float(text) else "0.00"


def _ends(item: Agreement) -> str:
    return "" if item.low is None or item.high is None else f"[{signed(item.low)}, {signed(item.high)}]"
