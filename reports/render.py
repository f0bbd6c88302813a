"""One door to all report formats, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.store import Run
from reports import published as published_values
from reports import table as tables


def table(
    runs: Sequence[Run],
    kind: str,
    output: Path | None = None,
    metrics: Sequence[str] = (),
    intervals: bool = False,
    published: bool = True,
    published_rows: bool = False,
) -> list[str]:
    """A table in one of the text formats, as lines to print, or written to ``output``.

    Args:
        runs: The rows, in order.
        kind: ``terminal``, ``md``, ``csv``, ``latex`` or ``json``.
        output: File to write, None to return the text.
        metrics: Metrics to show, all where empty.
        intervals: Whether to show intervals.
        published: Whether to set published values beside the measured ones.
        published_rows: Whether to add rows that were only published.

    Raises:
        BenchError: If there is nothing to show or the file cannot be written.
    """
    suites = {run.info.suite for run in runs}
    known = published_values.load(suites.pop()) if published and len(suites) == 1 else None
    built = tables.build(runs, list(metrics) or None, published=known, published_rows=published_rows)
    if kind == "terminal":
        text = tables.to_terminal(built, intervals=intervals, colour=output is None and _colour())
    elif kind == "md":
        text = tables.to_markdown(built, intervals=intervals)
    elif kind == "latex":
        text = tables.to_latex(built, intervals=intervals)
    else:
        text = tables.to_csv(built) if kind == "csv" else tables.to_json(built)
    if output is None:
        return text.rstrip("\n").splitlines()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {output}", error.strerror or str(error), exit_code=1) from None
    return [f"wrote {output}"]


def _colour() -> bool:
    import os
    import sys

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
