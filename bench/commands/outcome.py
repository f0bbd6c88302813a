"""How a command that ran something ends: its table, its failures by name, its exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ldmbench.runs.request import Options
    from ldmbench.runs.results import Run
    from ldmbench.runs.shard import Shard


def show_runs(runs: list[Run], kind: str) -> None:
    """Print the runs' table in one of the formats of ``ldmbench report``."""
    from ldmbench.reports import render
    from ldmbench.reports.table_spec import TableSpec

    click.echo("\n".join(render.table(runs, TableSpec.model_validate({"to": kind}))))


def show_shard(runs: Sequence[Run], shard: Shard, settings: Options, out: Path, as_json: bool) -> list[Run]:
    """Print how much of a shard is done, which is no table yet; returns the runs with this shard's clips alone."""
    import json

    from ldmbench.runs.carry_out import part_of
    from ldmbench.runs.named import command

    own = [part_of(run, shard, settings) for run in runs]
    if as_json:
        rows = [
            {"shard": str(shard), "system": run.info.system, "path": str(run.path), "clips": len(run.info.clips),
             "outputs": len(run.outputs), "failures": len(run.failures)}
            for run in own
        ]  # fmt: skip
        click.echo(json.dumps(rows))
    else:
        for run in own:
            count = f"{len(run.outputs)} of {len(run.info.clips)} outputs"
            click.echo(f"shard {shard} of {run.info.system}: {count}, {len(run.scores)} scores")
        click.echo(f"when all shards are done: {command('merge', own[0].info.suite, root=out)}", err=True)
    return own


def where(runs: Sequence[Run], out: Path, asked: str = "") -> str:
    """Where the runs lie, and the command that shows them again as a page.

    Args:
        runs: The runs.
        out: Folder of all runs.
        asked: The suite as it was named, by its path perhaps.
    """
    from ldmbench.runs.named import command

    suite, plus, folder = runs[0].info.suite.partition("+")
    target = f"{asked or suite}{plus}{folder}"
    page = command("report", target, "--to", "html", root=out)
    return f"stored in {runs[0].path.parent.parent}; a page: {page}"


def end(runs: list[Run], allow_failures: bool, left_out: Sequence[str] = ()) -> None:
    """Name what failed on the error stream, and set the exit code."""
    from ldmbench import console

    failed = console.print_failures(runs)
    if (failed or left_out) and not allow_failures:
        raise click.exceptions.Exit(1)
