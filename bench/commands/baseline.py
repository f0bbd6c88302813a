"""``ldmbench baseline``: runs as one small file that compare, report and export read."""

from __future__ import annotations

from pathlib import Path

import click

from ldmbench.commands import complete, options


@click.group()
def baseline() -> None:
    """Keep runs as one small file, to commit or to send."""


@baseline.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN...", shell_complete=complete.suites)
@click.option("-s", "--system", "systems", multiple=True, help="System to save; repeatable.  [default: all]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("baseline.parquet"),
    show_default=True,
    help="File to write; its name ends in .parquet.",
)
@click.option("--audio", is_flag=True, help="Keep the outputs' sounds too, to be heard beside those of a new run.")
@options.runs
def save(targets: tuple[str, ...], systems: tuple[str, ...], output: Path, audio: bool, out: Path) -> None:
    """Write scores, provenance and digests of outputs of runs into one Parquet file.

    `ldmbench compare`, `report` and `export` read it wherever they read a run.
    """
    from ldmbench.errors import BenchError
    from ldmbench.runs.baseline import save_baseline
    from ldmbench.runs.prepare import open_runs

    if output.suffix != ".parquet":
        raise BenchError(
            f"{output} is no name of a baseline", f"it ends in {output.suffix!r}", "let it end in .parquet"
        )
    runs = open_runs(targets, out, systems)
    path = save_baseline(runs, output, audio)
    click.echo(f"wrote {path}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {path.stat().st_size / 1024:.0f} KiB")
