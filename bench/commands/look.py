"""``ldmbench list``, ``show`` and ``check``: what there is, and what a suite needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ldmbench.commands import complete, options
from ldmbench.host.streams import no_noise

KINDS = ("datasets", "systems", "metrics", "suites")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@options.as_json
def list_(kind: str | None, as_json: bool) -> None:
    """List datasets, systems, metrics and suites."""
    from ldmbench import console

    console.print_lists([kind] if kind else list(KINDS), as_json)


@click.command()
@click.argument("name", shell_complete=complete.anything)
@options.as_json
def show(name: str, as_json: bool) -> None:
    """Show everything about one dataset, system, metric or suite."""
    from ldmbench import console

    console.print_record(name, as_json)


@click.command()
@click.argument("suite", metavar="SUITE|DATASET")
@options.of_request
@options.runs
@options.as_json
def check(suite: str, device: str, weights: Path | None, as_json: bool, **request: Any) -> None:
    """Look at everything SUITE needs, or at every file of DATASET, and compute nothing.

    Exits 2 if a run would not start, or the dataset is not whole.
    """
    from ldmbench import console
    from ldmbench.runs.datasets import check_dataset, is_dataset
    from ldmbench.runs.prepare import prepare
    from ldmbench.runs.request import Options, Request

    if is_dataset(suite):
        findings = check_dataset(suite)
    else:
        with no_noise():
            findings = list(prepare(Request(suite, **request), Options(device, weights)).findings)
    console.print_findings(findings, as_json)
    if any(finding.level == "error" for finding in findings):
        raise click.exceptions.Exit(2)
