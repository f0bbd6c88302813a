"""One door to all report formats, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.metrics._base import align, untrained
from ldmbench.reports import profiles
from ldmbench.reports import published as published_values
from ldmbench.reports import text as tables
from ldmbench.reports.arrange import in_order, renamed
from ldmbench.reports.cells import joined, unique
from ldmbench.reports.groups import Grouping
from ldmbench.reports.latex_layout import COLUMN_PT, PAGE_PT
from ldmbench.reports.listening.beside import Heard, hear
from ldmbench.reports.table_spec import TableSpec
from ldmbench.runs.results import Run
from ldmbench.suite import Suite, suite_of

WIDTHS = {"page": PAGE_PT, "column": COLUMN_PT}


def table(runs: Sequence[Run], spec: TableSpec) -> list[str]:
    """A table in one of the text formats, as lines to print, or written to the file that ``spec`` names.

    Args:
        runs: The rows, in order.
        spec: What is shown, and how. CSV and JSON are for programs: they keep the names that the bench knows.

    Raises:
        BenchError: If there is nothing to show or the file cannot be written.
    """
    text = as_text(build(runs, spec), spec)
    if not spec.output:
        return text.rstrip("\n").splitlines()
    output = Path(spec.output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {output}", error.strerror or str(error), exit_code=1) from None
    return [f"wrote {output}"]


def build(runs: Sequence[Run], spec: TableSpec) -> tables.Table:
    """The table that a spec asks for, its rows in order; names are the bench's own.

    Raises:
        BenchError: If there is nothing to show, or the spec names what the runs have not.
    """
    heard = hear(Path(spec.listening), runs) if spec.listening else None
    profiled = profiles.beside(Path(spec.profiles), runs) if spec.profiles else None
    averages = spec.average or (_averages(runs, spec.metrics) if not spec.datasets else ())
    built = tables.build(
        runs,
        list(spec.metrics) or None,
        list(spec.datasets) or None,
        published=_published(runs, heard) if spec.published else None,
        published_rows=spec.published_rows,
        averages=averages,
        beside=joined(heard.beside if heard is not None else None, profiled),
        grouping=Grouping(spec.bands, spec.groups),
        against=spec.against_row,
    )
    averaged = {column.metric for column in built.columns if column.dataset == tables.AVERAGE}
    for name in spec.average:
        if name not in averaged:
            raise BenchError(
                f"{name} has no average here", "a mean or a ratio of sums on two datasets or more has one",
                "leave it out, or report runs on several datasets",
            )  # fmt: skip
    return in_order(built, spec.sort) if spec.sort else built


def as_text(built: tables.Table, spec: TableSpec) -> str:
    """A table in the format of a spec, under the names that it prints."""
    if spec.to in ("csv", "json"):
        return tables.to_csv(built) if spec.to == "csv" else tables.to_json(built)
    built = renamed(built, spec.names)
    if spec.to == "latex":
        width = WIDTHS[spec.width] if isinstance(spec.width, str) else spec.width
        return tables.to_latex(built, intervals=spec.intervals, caption=spec.caption, label=spec.label, width=width)
    if spec.to == "md":
        return tables.to_markdown(built, intervals=spec.intervals)
    return tables.to_terminal(built, intervals=spec.intervals, colour=not spec.output and _colour())


def page(
    runs: Sequence[Run],
    output: Path | None,
    metrics: Sequence[str],
    anchor: str,
    clips: int,
    published: bool,
    listening: Path | None = None,
    audio: str = "flac",
    profiled: Path | None = None,
) -> Path:
    """A page that opens without a server.

    Args:
        runs: The systems, in order.
        output: Folder to write, ``SUITE-page`` where None.
        metrics: Metrics to show, all where empty.
        anchor: System family that BD-rates are relative to; chosen by the report where empty.
        clips: Most clips of each dataset.
        published: Whether to set published values beside the measured ones.
        listening: Folder of an analysed listening test, to show beside the metrics.
        audio: Format of the sounds, ``flac`` or ``opus``.
        profiled: JSON of ``ldmbench profile``, to show beside the metrics.

    Returns:
        ``index.html``.
    """
    from ldmbench.reports.page import write_page

    suite = _suite(runs)
    heard = hear(listening, runs) if listening is not None else None
    return write_page(
        runs,
        output or Path(f"{runs[0].info.suite}-page"),
        suite.title if suite else runs[0].info.suite,
        metrics=list(metrics) or None,
        curve_metrics=_as_run(runs, suite.curves) if suite and suite.curves and not metrics else None,
        published=_published(runs, heard) if published else None,
        anchor=_anchor(runs, anchor),
        max_clips=clips,
        note=suite.note if suite else "",
        averages=_averages(runs, metrics),
        heard=heard,
        audio=audio,
        profiled=profiles.beside(profiled, runs) if profiled is not None else None,
    )


def curves(runs: Sequence[Run], output: Path | None, metrics: Sequence[str], anchor: str) -> list[str]:
    """Rate-distortion curves and heat maps as PDF and SVG, and the best checkpoints and the BD-rates as lines to print.

    Args:
        runs: The systems.
        output: Folder to write, ``SUITE-curves`` where None.
        metrics: Metrics to draw, the suite's curves where empty.
        anchor: System family that BD-rates are relative to; chosen by the report where empty.
    """
    from ldmbench.reports import bdrate, drawing, heatmap_drawing, heatmaps
    from ldmbench.reports.cells import Column
    from ldmbench.reports.checkpoints import best_checkpoints
    from ldmbench.reports.curves import build, quality_metrics

    suite = _suite(runs)
    chosen = list(metrics) or (_as_run(runs, suite.curves) if suite and suite.curves else None)
    folder = output or Path(f"{runs[0].info.suite}-curves")
    drawn, maps = build(runs, chosen), heatmaps.build(runs, chosen or quality_metrics(runs))
    paths = drawing.write(drawn, folder) if drawn or not maps else []
    lines = [f"wrote {path}" for path in (*paths, *heatmap_drawing.write(maps, folder))]
    lines += best_checkpoints(runs, [Column(curve.dataset, curve.facts, 0) for curve in drawn])
    base = _anchor(runs, anchor) or bdrate.choose_anchor(drawn)
    for row in bdrate.bd_table(drawn, base) if base else ():
        rate = f"{row.percent:+.1f} %" if row.percent is not None else f"– ({row.reason})"
        lines.append(f"BD-rate of {row.family} against {base}, {row.metric} on {row.dataset}: {rate}")
    return lines


def _anchor(runs: Sequence[Run], asked: str) -> str:
    """The family asked for, else the suite's if it is among the runs, else none."""
    suite = _suite(runs)
    families = {run.info.system.partition("@")[0] for run in runs}
    return asked or (suite.anchor if suite and suite.anchor in families else "")


def _averages(runs: Sequence[Run], metrics: Sequence[str]) -> list[str]:
    """Metrics to average over the datasets: the suite's, where all of its datasets were run and no others."""
    suite = _suite(runs)
    if suite is None or {item.name for run in runs for item in run.info.datasets} != set(suite.datasets):
        return []
    return [name for name in _as_run(runs, suite.averages) if not metrics or name in metrics]


def _as_run(runs: Sequence[Run], metrics: Sequence[str]) -> list[str]:
    """Metrics of a suite by the names under which they were computed: as it lists them, aligned, or untrained."""
    computed = {name for run in runs for name in run.info.metrics}
    return [name for name in unique(form for m in metrics for form in (m, align(m), untrained(m))) if name in computed]


def _suite(runs: Sequence[Run]) -> Suite | None:
    """The suite the runs belong to, where it is known here."""
    return suite_of(runs[0].info.suite)


def _published(runs: Sequence[Run], heard: Heard | None = None) -> published_values.Published | None:
    """Published values: those of the one suite that all runs are of, and scores of listening tests beside one."""
    suites = {run.info.suite.partition("+")[0] for run in runs}
    found = published_values.load(suites.pop()) if len(suites) == 1 else None
    scores = heard.published() if heard is not None else ()
    if not scores:
        return found
    return published_values.Published((*(found.values if found else ()), *scores))


def _colour() -> bool:
    import os
    import sys

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
