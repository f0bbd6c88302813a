"""``ldmbench compare``: a new run against a stored one, with an exit code for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ldmbench.commands import options
from ldmbench.commands.gate import FILES, finish, gate_options, rules_of


@click.command()
@click.argument("base")
@click.argument("new")
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    callback=options.own_metrics,
    help="Metric to compare; repeatable.  [default: all of BASE]",
)
@click.option("-s", "--system", "systems", multiple=True, help="System to compare, where a side holds several.")
@gate_options
@options.as_json
@options.runs
def compare(
    base: str,
    new: str,
    metrics: tuple[str, ...],
    systems: tuple[str, ...],
    noise: tuple[str, ...],
    as_json: bool,
    out: Path,
    **gate: Any,
) -> None:
    """Compare the run NEW with the run BASE, clip by clip; each is a run folder or a suite.

    Exits 0 where nothing got worse, 1 where something did, 2 for wrong usage, 3 where something cannot be compared.
    Not significant is not the same: such cells are undecided, with the smallest loss that would have been seen.
    """
    from ldmbench.compare.gate import compare as compare_runs
    from ldmbench.runs.prepare import open_runs

    files = {name: gate.pop(name) for name in FILES}
    rules = rules_of(metrics, **gate)
    before, after = (open_runs((name,), out, systems) for name in (base, new))
    comparison = compare_runs(before, after, rules, open_runs(noise, out) if noise else ())
    finish(comparison, before, after, as_json, **files)
