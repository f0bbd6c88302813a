"""``ldmbench run``: systems on a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ldmbench.commands import options
from ldmbench.commands.outcome import end, show_runs
from ldmbench.host.streams import no_noise


@click.command()
@click.argument("suite")
@options.systems
@options.metrics
@options.datasets
@options.audio
@options.table
@options.content
@options.limit
@options.device
@options.weights
@options.untrained
@click.option("--seed", type=int, help="Seed of the run.  [default: the suite's]")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Clips a system gets at once.")
@options.align
@options.retry_failed
@options.timeout
@click.option("--skip-unavailable", is_flag=True, help="Leave out systems whose preflight fails, and say so.")
@options.jobs
@options.allow
@options.quiet
@options.runs
@options.as_json
def run(
    suite: str,
    device: str,
    weights: Path | None,
    batch: int,
    jobs: int | None,
    retry_failed: bool,
    timeout: float,
    skip_unavailable: bool,
    allow_failures: bool,
    quiet: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Run systems on SUITE and print its table.

    What is already in the run folder is not computed again: an interrupted run continues, a new metric or
    system is added. Exits 1 if a clip failed.
    """
    from ldmbench import console
    from ldmbench.host.executor import cores
    from ldmbench.runs.carry_out import carry_out
    from ldmbench.runs.prepare import prepare
    from ldmbench.runs.request import Options, Request

    settings = Options(device, weights, batch, jobs or cores(), retry_failed, skip_unavailable, quiet, timeout)
    with no_noise():
        prepared = prepare(Request(suite, **request), settings)
    plan = console.ready(prepared)
    with no_noise():
        runs = carry_out(plan, settings)
    show_runs(runs, as_json)
    if not (quiet or as_json):
        name = plan.suite.name
        click.echo(f"stored in {plan.paths[0].parent.parent}; a page: ldmbench report {name} --to html", err=True)
    end(runs, allow_failures, prepared.left_out)
