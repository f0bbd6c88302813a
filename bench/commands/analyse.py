"""``ldmbench mushra analyse``: ratings from any program, screened and analysed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ldmbench.commands import listening, options


@click.command()
@click.argument("ratings", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RATINGS...")
@listening.reading
@listening.screening
@click.option("--title", help="What the test is called.  [default: the name of the first file]")
@click.option("-o", "--output", type=options.folder, help="Folder for tables, plots, LaTeX and the methods paragraph.")
@click.option("--published/--no-published", default=True, help="Show published scores beside the measured ones.")
@options.as_json
def analyse(
    ratings: tuple[Path, ...],
    title: str | None,
    output: Path | None,
    published: bool,
    as_json: bool,
    screen: Any,
    threshold: float,
    seconds: float | None,
    **reading: Any,
) -> None:
    """Screen and analyse the RATINGS of one listening test: files of any program, or folders of them.

    The result is the difference of every pair of systems with an interval over listeners and items; tests that hold for
    the items of the test only stand beside it. -o writes everything: analysis.json (for ldmbench report --listening),
    ratings and screening as CSV, box and violin plots as PDF and SVG, LaTeX, and a methods paragraph.
    """
    from ldmbench.listening.outcome import carry_out
    from ldmbench.reports.listening import write

    rated = listening.read(ratings, **reading)
    about = listening.about(ratings, reading["pack"])
    outcome, kept = carry_out(rated, title or about.title, screen, threshold, seconds or about.seconds, about.marks)
    printed = write.published_scores(outcome) if published else {}
    click.echo(write.to_json(outcome) if as_json else write.to_terminal(outcome, printed), nl=False)
    if output is not None:
        for path in write.everything(output, outcome, kept, printed):
            click.echo(f"wrote {path}", err=True)
