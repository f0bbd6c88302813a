"""``ldmbench list``, ``show`` and ``check``: what there is, and what a suite needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands import complete, options
from ldmbench.host.streams import no_noise

if TYPE_CHECKING:
    from ldmbench.runs.request import Options, Request

KINDS = ("datasets", "systems", "metrics", "suites")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option("--task", type=click.Choice(["codec", "generate", "enhance", "embed"]), help="Systems and suites of it.")
@click.option("--role", type=click.Choice(["system", "anchor", "reference", "bound"]), help="Systems of it.")
@click.option("--rate", help="Systems that give back this rate, metrics at it: 16000, 16khz, 44.1k.")
@click.option("--content", type=click.Choice(["speech", "music", "general"]), help="Datasets of it, metrics for it.")
@click.option("--licence", help="Systems and datasets whose licence has these words.")
@click.option("--ready", is_flag=True, help="Only what can be used here as it is: weights, files, programs are there.")
@options.as_json
def list_(kind: str | None, rate: str | None, as_json: bool, **choice: Any) -> None:
    """List datasets, systems, metrics and suites, all or by what they are for."""
    from ldmbench.lists import Choice, print_lists, read_rate

    asked = {name: value for name, value in choice.items() if value is not None}
    print_lists(kind, Choice(rate=read_rate(rate) if rate else 0, **asked), as_json)


@click.command()
@click.argument("name", shell_complete=complete.anything)
@options.as_json
def show(name: str, as_json: bool) -> None:
    """Show everything about one dataset, system, metric or suite."""
    from ldmbench import console

    console.print_record(name, as_json)


@click.command()
@click.argument("name", metavar="SUITE|DATASET|SYSTEM|METRIC", shell_complete=complete.anything)
@options.of_request
@click.option("--estimate", is_flag=True, help="Send two clips through every system and metric: seconds, memory, disk.")
@options.jobs
@options.runs
@options.as_json
def check(
    name: str, device: str, weights: Path | None, estimate: bool, jobs: int | None, as_json: bool, **request: Any
) -> None:
    """Look at everything SUITE needs, or at every file of DATASET, or at one SYSTEM or METRIC; compute nothing.

    All that is not here is listed, with the command that gets it. Exits 2 if a run would not start, or the dataset is
    not whole. With --estimate a SUITE that would start is tried on two clips, of which nothing is kept.
    """
    from ldmbench import console
    from ldmbench.host.executor import cores
    from ldmbench.runs.request import Options, Request
    from ldmbench.runs.survey import look_at

    settings = Options(device, weights, jobs=jobs or cores())
    if estimate:
        _estimate(Request(name, **request), settings, as_json)
        return
    with no_noise():
        findings = look_at(Request(name, **request), settings)
    console.print_findings(findings, as_json)
    if any(finding.level == "error" for finding in findings):
        raise click.exceptions.Exit(2)


def _estimate(request: Request, settings: Options, as_json: bool) -> None:
    """Print what a run will cost."""
    import json

    from ldmbench import console
    from ldmbench.runs.cost import estimate
    from ldmbench.runs.prepare import prepare

    with no_noise():
        prepared = prepare(request, settings)
    plan = console.ready(prepared)
    with no_noise():
        cost = estimate(plan, settings)
    text = json.dumps(cost.as_json(), indent=1) if as_json else "\n".join(cost.lines(settings.jobs, settings.device))
    click.echo(text)
