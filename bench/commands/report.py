"""``ldmbench report``: runs as a table, curves or a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ldmbench.commands import options
from ldmbench.commands.outcome import end

if TYPE_CHECKING:
    from ldmbench.runs.results import Run

FORMATS = ("terminal", "md", "csv", "latex", "json", "html", "curves")


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN...")
@click.option("--to", "kind", type=click.Choice(FORMATS), default="terminal", show_default=True, help="Format.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; a folder for html and curves.")
@options.metrics
@options.systems
@click.option("--intervals", is_flag=True, help="Show 95 % intervals.")
@click.option("--published/--no-published", default=True, help="Show published values beside the measured ones.")
@click.option("--published-rows", is_flag=True, help="Add rows that were only published.")
@click.option("--anchor", default="", help="System family that BD-rates are relative to.  [default: the suite's]")
@click.option("--clips", type=click.IntRange(1), default=50, show_default=True, help="Clips of each dataset on a page.")
@click.option(
    "--listening",
    type=click.Path(path_type=Path, exists=True),
    help="What ldmbench mushra analyse -o wrote: the test's scores beside the metrics.",
)
@click.option("--open", "show_page", is_flag=True, help="Open the page in the browser.")
@options.allow
@options.runs
def report(
    targets: tuple[str, ...],
    kind: str,
    output: Path | None,
    metrics: tuple[str, ...],
    systems: tuple[str, ...],
    intervals: bool,
    published: bool,
    published_rows: bool,
    anchor: str,
    clips: int,
    listening: Path | None,
    show_page: bool,
    allow_failures: bool,
    out: Path,
) -> None:
    """Turn runs into a table, curves or a page.

    terminal, md, csv, latex and json are tables; html is a page that opens without a server, of two runs named one
    by one as BASE and NEW a page that sets them side by side, the worst clips first; curves are rate-distortion
    curves as PDF and SVG, with BD-rates.
    """
    from ldmbench.reports import render
    from ldmbench.runs.prepare import open_runs

    runs = open_runs(targets, out, systems)
    if kind == "html":
        sides = [open_runs((target,), out, systems) for target in targets] if len(targets) == len(runs) == 2 else []
        if sides and runs[0].info.suite == runs[1].info.suite:
            path = _side_by_side(sides[0], sides[1], output, metrics, clips)
        else:
            path = render.page(runs, output, metrics, anchor, clips, published, listening)
        click.echo(f"wrote {path}")
        if show_page:
            click.launch(str(path))
    elif kind == "curves":
        click.echo("\n".join(render.curves(runs, output, metrics, anchor)))
    else:
        lines = render.table(runs, kind, output, metrics, intervals, published, published_rows, listening)
        click.echo("\n".join(lines))
    end(runs, allow_failures)


def _side_by_side(base: list[Run], new: list[Run], output: Path | None, metrics: tuple[str, ...], clips: int) -> Path:
    """Write the page of a comparison without margins; returns its ``index.html``."""
    from ldmbench.compare.gate import compare
    from ldmbench.compare.records import Rules
    from ldmbench.reports.compare.page import write_page

    folder = output or Path(f"{base[0].info.suite}-page")
    write_page(compare(base, new, Rules(metrics=metrics)), base, new, folder, most=clips)
    return folder / "index.html"
