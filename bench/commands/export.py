"""``ldmbench export``: scores and outputs of runs as Parquet or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ldmbench.commands import complete, options


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN...", shell_complete=complete.suites)
@click.option("--to", "kind", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option(
    "-o", "--output", type=options.folder, default=Path("export"), show_default=True, help="Folder to write to."
)
@options.runs
@options.as_json
def export(targets: tuple[str, ...], kind: Any, output: Path, out: Path, as_json: bool) -> None:
    """Write all scores and outputs of runs as Parquet or CSV."""
    import json

    from ldmbench.runs.export import export as export_runs
    from ldmbench.runs.prepare import open_runs

    files = export_runs(open_runs(targets, out), output, kind)
    click.echo(json.dumps([str(path) for path in files]) if as_json else "\n".join(f"wrote {path}" for path in files))
