"""``ldmbench fetch``: the one command that reaches the network."""

from __future__ import annotations

import click

from ldmbench.commands import complete


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete.anything)
def fetch(names: tuple[str, ...]) -> None:
    """Download a dataset, the checkpoints of a system, a recogniser (whisper-SIZE) or an extractor (clap-NAME, ...).

    Nothing else in ldmbench reaches the network. A download that was cut continues where it stopped.
    """
    from ldmbench.runs.fetch import fetch as bring

    for name in names:
        folder, notes = bring(name)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        click.echo(f"{name}: {folder}")
