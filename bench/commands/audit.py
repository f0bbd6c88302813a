"""``ldmbench audit``: what metrics are sensitive to, before one of their numbers is quoted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands import complete, options
from ldmbench.errors import BenchError
from ldmbench.host.streams import no_noise

if TYPE_CHECKING:
    from ldmbench.audit.records import Audit

FORMATS = ("terminal", "markdown", "csv", "json", "html")


@click.command()
@click.argument("metrics", nargs=-1, metavar="METRIC...", callback=options.own_metrics, shell_complete=complete.metrics)
@click.option("--every", is_flag=True, help="Every metric that can be computed here; the others are named.")
@click.option(
    "-d",
    "--dataset",
    "datasets",
    multiple=True,
    shell_complete=complete.datasets,
    help="Dataset or folder to take clips from; repeatable.  [default: the built-in ones]",
)
@options.content
@click.option(
    "-s",
    "--system",
    "systems",
    multiple=True,
    shell_complete=complete.systems,
    help="Twice: whose outputs are changed, and whose are a step better.  [default: opus@12kbps, opus@24kbps]",
)
@click.option(
    "--limit", type=click.IntRange(0), help="Clips of each dataset, 0: all.  [default: 4; all for metrics of sets]"
)
@click.option("--to", "kind", type=click.Choice(FORMATS), default="terminal", show_default=True, help="Format.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; a folder for html.")
@click.option("--open", "show_page", is_flag=True, help="Open the page in the browser.")
@options.one_device
@options.weights
@options.jobs
@options.allow
@options.quiet
@options.as_json
def audit(
    metrics: tuple[str, ...],
    every: bool,
    systems: tuple[str, ...],
    kind: str,
    output: Path | None,
    show_page: bool,
    jobs: int | None,
    allow_failures: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Say how each METRIC answers to gain, polarity, delay, DC, zeros, rates, channels, clipping, repetition, length.

    Outputs of a codec are changed in ways that say little of the codec, and measured again. A step, the unit of the
    answers, is what the metric sees between that codec and a better one: a delay of 1 ms that costs two steps outweighs
    twice the bitrate. Exits 1 if a metric raised something other than a refusal with its reason.
    """
    from ldmbench.audit.carry_out import Options, computable
    from ldmbench.audit.carry_out import audit as carry_out
    from ldmbench.host.executor import cores
    from ldmbench.metrics._base import list_metrics
    from ldmbench.reports import audits

    if bool(metrics) == every:
        raise BenchError("no metric is named" if not every else "--every and METRIC are both given",
                         fix="name metrics, or say --every; ldmbench list metrics has their names")  # fmt: skip
    how["datasets"] = how["datasets"] or Options.datasets
    settings = Options(systems=_pair(systems), jobs=jobs or cores(), **how)
    with no_noise():
        if every:
            chosen, left_out = computable(list_metrics(), settings)
            metrics = tuple(chosen)
            for name, reason in left_out.items():
                click.echo(f"left out: {name}: {reason}", err=True)
        made = carry_out(metrics, settings)
    for line in audits.write(made, "json" if as_json else kind, output):
        click.echo(line)
        if show_page and kind == "html":
            click.launch(line.removeprefix("wrote "))
    failures = [line for item in made for line in _failures(item)]
    for line in failures:
        click.echo(f"failed: {line}", err=True)
    if failures and not allow_failures:
        raise click.exceptions.Exit(1)


def _failures(made: Audit) -> list[str]:
    """What a metric raised, with the changes that it raised it on."""
    notes: dict[str, list[str]] = {}
    for answer in made.answers:
        if answer.failed:
            notes.setdefault(answer.note, []).append(answer.change)
    return [
        f"{made.metric}, {', '.join(changes) if len(changes) < len(made.answers) else 'every change'}: {note}"
        for note, changes in notes.items()
    ]


def _pair(systems: tuple[str, ...]) -> tuple[str, str]:
    from ldmbench.audit.subjects import SYSTEMS

    if not systems:
        return SYSTEMS
    if len(systems) != 2:
        raise BenchError(
            f"-s was given {len(systems)} times",
            ", ".join(systems),
            "name two systems: whose outputs are changed, and whose are a step better",
        )
    return systems[0], systems[1]
