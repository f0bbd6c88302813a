"""``ldmbench profile``: what systems ask of a device."""

from __future__ import annotations

from pathlib import Path

import click

from ldmbench.commands import complete, options
from ldmbench.host.files import replacing
from ldmbench.host.streams import no_noise


@click.command()
@click.argument("systems", nargs=-1, required=True, metavar="SYSTEM...", shell_complete=complete.systems)
@click.option(
    "--to",
    "kind",
    type=click.Choice(["terminal", "markdown", "csv", "json"]),
    default="terminal",
    show_default=True,
    help="Format.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@options.one_device
@options.weights
@options.untrained
@options.as_json
def profile(
    systems: tuple[str, ...],
    kind: str,
    output: Path | None,
    device: str,
    weights: Path | None,
    untrained: bool,
    as_json: bool,
) -> None:
    """Measure what each codec or enhancer asks of a device: multiply-accumulates, latency, streaming, size.

    The latency is algorithmic: how much of the future an output needs, found by changing the future at many places and
    looking where the output begins to differ. Times belong to this machine. `ldmbench report --profiles` shows what
    --to json wrote as columns beside the metrics of the same systems.
    """
    from dataclasses import replace

    from ldmbench.deployment.profile import profile as measure
    from ldmbench.reports.profiles import to_text
    from ldmbench.runs.identity import identity, system_id
    from ldmbench.system.registry import resolve

    with no_noise():
        profiles = []
        for name in systems:
            measured = measure(name, device, weights, untrained)
            parts = identity(resolve(name, device, untrained, weights), (), (), 0)
            profiles.append(replace(measured, identity=system_id(parts)))
    text = to_text(profiles, "json" if as_json else kind)
    if output is None:
        click.echo(text, nl=False)
        return
    with replacing(output) as handle:
        handle.write(text.encode())
    click.echo(f"wrote {output}")
