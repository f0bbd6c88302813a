"""What ``compare`` and ``run --against`` share: how strict a comparison is, what it writes, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.errors import BenchError

if TYPE_CHECKING:
    from ldmbench.compare.records import Comparison, Rules
    from ldmbench.runs.results import Run

_file = click.Path(path_type=Path, dir_okay=False)
_by = click.Choice(["group", "language", "none"])

#: In the order in which help shows them.
_OPTIONS = (
    click.option(
        "--margin",
        "margins",
        multiple=True,
        metavar="METRIC=VALUE",
        help="How much worse a mean may get, in the metric's unit; repeatable.  [default: 0]",
    ),
    click.option(
        "--tolerance",
        "tolerances",
        multiple=True,
        metavar="METRIC=VALUE",
        help="How much worse a single clip may get before it counts against the clip budget; repeatable.",
    ),
    click.option(
        "--clip-budget",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="Share of clips that may fail or fall below their tolerance, by its lower 95 % bound.",
    ),
    click.option(
        "--cell-budget", type=click.IntRange(0), default=0, show_default=True, help="Cells that may be worse."
    ),
    click.option("--by", multiple=True, type=_by, help="Groups to judge on their own.  [default: group and language]"),
    click.option(
        "--undecided",
        type=click.Choice(["pass", "fail"]),
        default="pass",
        show_default=True,
        help="Whether cells in which nothing is shown count as worse.",
    ),
    click.option(
        "--noise",
        multiple=True,
        metavar="RUN",
        help="Repeat of BASE with another seed or on another machine; repeatable, at least 2.",
    ),
    click.option("--markdown", type=_file, help="File for a pull request's comment."),
    click.option("--junit", type=_file, help="JUnit XML file."),
    click.option(
        "--page",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for a page with BASE beside NEW, the worst clips first.",
    ),
    click.option(
        "--page-url",
        default="",
        metavar="URL",
        help="Where that folder will be found, for links to its clips.  [default: its path]",
    ),
)

#: Names of these options as a command receives them: what decides, and what is written.
STRICTNESS = ("margins", "tolerances", "clip_budget", "cell_budget", "by", "undecided")
FILES = ("markdown", "junit", "page", "page_url")


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a comparison."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def rules_of(
    metrics: tuple[str, ...],
    *,
    margins: Sequence[str],
    tolerances: Sequence[str],
    clip_budget: float,
    cell_budget: int,
    by: tuple[Any, ...],
    undecided: str,
) -> Rules:
    """The rules that options ask for."""
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


def finish(
    comparison: Comparison,
    base: Sequence[Run],
    new: Sequence[Run],
    as_json: bool,
    *,
    markdown: Path | None,
    junit: Path | None,
    page: Path | None,
    page_url: str,
) -> None:
    """Print a comparison, write the files asked for, and set the exit code."""
    from ldmbench.reports import compare as reports

    links = reports.NO_LINKS
    if page is not None:
        from ldmbench.reports.compare.page import write_page

        links = write_page(comparison, base, new, page, page_url)
    click.echo(reports.to_json(comparison, links) if as_json else reports.to_terminal(comparison), nl=False)
    if page is not None:
        click.echo(f"wrote {page / 'index.html'}", err=True)
    for line in reports.write(comparison, markdown, junit, links):
        click.echo(line, err=True)
    if comparison.exit_code:
        raise click.exceptions.Exit(comparison.exit_code)


def _amounts(option: str, texts: Sequence[str]) -> dict[str, float]:
    """``METRIC=VALUE`` pairs; a metric's name may hold ``=`` itself."""
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
