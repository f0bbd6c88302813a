"""``ldmbench fetch``: the one command that reaches the network."""

from __future__ import annotations

import click

from ldmbench.commands import complete, options


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete.anything)
@options.as_json
def fetch(names: tuple[str, ...], as_json: bool) -> None:
    """Download a dataset, the checkpoints of a system, a recogniser (whisper-SIZE) or an extractor (clap-NAME, ...).

    Nothing else in ldmbench reaches the network. A download that was cut continues where it stopped.
    """
    import json

    from ldmbench.runs.fetch import fetch as bring

    brought = {}
    for name in names:
        folder, notes = bring(name)
        brought[name] = str(folder)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        if not as_json:
            click.echo(f"{name}: {folder}")
    if as_json:
        click.echo(json.dumps(brought, indent=1, ensure_ascii=False))
