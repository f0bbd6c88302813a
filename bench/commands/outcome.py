"""How a command that ran something ends: its table, its failures by name, its exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ldmbench.runs.results import Run


def show_runs(runs: list[Run], as_json: bool) -> None:
    """Print the runs' table, or all its values as JSON."""
    from ldmbench.reports import render
    from ldmbench.reports.table_spec import TableSpec

    click.echo("\n".join(render.table(runs, TableSpec(to="json" if as_json else "terminal"))))


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
