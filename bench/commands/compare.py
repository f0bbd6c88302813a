"""``ldmbench compare``: a new run against a stored one, with an exit code for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands import options
from ldmbench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ldmbench.compare.records import Rules

_file = click.Path(path_type=Path, dir_okay=False)
_by = click.Choice(["group", "language", "none"])


@click.command()
@click.argument("base")
@click.argument("new")
@click.option("-m", "--metric", "metrics", multiple=True, help="Metric to compare; repeatable.  [default: all of BASE]")
@click.option("-s", "--system", "systems", multiple=True, help="System to compare, where a side holds several.")
@click.option(
    "--margin",
    "margins",
    multiple=True,
    metavar="METRIC=VALUE",
    help="How much worse a mean may get, in the metric's unit; repeatable.  [default: 0]",
)
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="METRIC=VALUE",
    help="How much worse a single clip may get before it counts against the clip budget; repeatable.",
)
@click.option(
    "--clip-budget",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of clips that may fail or fall below their tolerance, by its lower 95 % bound.",
)
@click.option("--cell-budget", type=click.IntRange(0), default=0, show_default=True, help="Cells that may be worse.")
@click.option("--by", multiple=True, type=_by, help="Groups to judge on their own.  [default: group and language]")
@click.option(
    "--undecided",
    type=click.Choice(["pass", "fail"]),
    default="pass",
    show_default=True,
    help="Whether cells in which nothing is shown count as worse.",
)
@click.option(
    "--noise",
    multiple=True,
    metavar="RUN",
    help="Repeat of BASE with another seed or on another machine; repeatable, at least 2.",
)
@click.option("--markdown", type=_file, help="File for a pull request's comment.")
@click.option("--junit", type=_file, help="JUnit XML file.")
@options.as_json
@options.runs
def compare(
    base: str,
    new: str,
    systems: tuple[str, ...],
    noise: tuple[str, ...],
    markdown: Path | None,
    junit: Path | None,
    as_json: bool,
    out: Path,
    **strictness: Any,
) -> None:
    """Compare the run NEW with the run BASE, clip by clip; each is a run folder or a suite.

    Exits 0 where nothing got worse, 1 where something did, 2 for wrong usage, 3 where something cannot be compared.
    Not significant is not the same: such cells are undecided, with the smallest loss that would have been seen.
    """
    from ldmbench.compare.gate import compare as compare_runs
    from ldmbench.reports import compare as reports
    from ldmbench.runs.prepare import open_runs

    rules = _rules(**strictness)
    before, after = (open_runs((name,), out, systems) for name in (base, new))
    comparison = compare_runs(before, after, rules, open_runs(noise, out) if noise else ())
    click.echo(reports.to_json(comparison) if as_json else reports.to_terminal(comparison), nl=False)
    for line in reports.write(comparison, markdown, junit):
        click.echo(line, err=True)
    if comparison.exit_code:
        raise click.exceptions.Exit(comparison.exit_code)


def _rules(
    metrics: tuple[str, ...],
    margins: Sequence[str],
    tolerances: Sequence[str],
    clip_budget: float,
    cell_budget: int,
    by: tuple[Any, ...],
    undecided: str,
) -> Rules:
    from ldmbench.compare.records import Rules

    groups = ("group", "language") if not by else tuple(name for name in by if name != "none")
    return Rules(
        _amounts("--margin", margins),
        _amounts("--tolerance", tolerances),
        clip_budget,
        cell_budget,
        groups,
        metrics,
        undecided == "fail",
    )


def _amounts(option: str, texts: Sequence[str]) -> dict[str, float]:
    """``METRIC=VALUE`` pairs; a metric's name may hold ``=`` itself."""
    import math

    amounts = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if not name or not (math.isfinite(amount) and amount >= 0):
            raise BenchError(f"{option} {text!r} is not METRIC=VALUE", "VALUE is a number of at least 0", "stoi=0.01")
        amounts[name] = amount
    return amounts
