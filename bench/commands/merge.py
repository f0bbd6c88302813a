"""``ldmbench merge``: runs that several machines have made in parts, as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ldmbench.commands import complete, options

if TYPE_CHECKING:
    from ldmbench.runs.merge import Merged


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN...", shell_complete=complete.suites)
@click.option(
    "--from",
    "others",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of runs from another machine, copied from; repeatable.",
)
@options.runs
@options.as_json
def merge(targets: tuple[str, ...], others: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Join what `ldmbench run --shard` made, and say what is not there yet.

    Nothing is computed: `ldmbench run SUITE` without --shard joins as well, and does the rest. Exits 1 while clips are
    without an output.
    """
    import json

    from ldmbench.runs.merge import merge as join

    merged = join(targets, out, others)
    click.echo(json.dumps([item.as_json() for item in merged]) if as_json else "\n".join(map(_line, merged)))
    for note in dict.fromkeys(note for item in merged for note in item.notes):
        click.echo(f"note: {note}", err=True)
    if any(item.pending for item in merged):
        raise click.exceptions.Exit(1)


def _line(item: Merged) -> str:
    info, outputs = item.run.info, item.run.outputs
    failed = sum(row.status == "failed" for row in outputs.values())
    text = f"{info.system} ({info.id}): {len(outputs)} of {len(info.clips)} outputs"
    text += f", {failed} failed" if failed else ""
    text += f", {len(item.run.scores)} scores; {item.shards} part{'s' if item.shards != 1 else ''} joined"
    if item.unfinished:
        text += f"; not finished: shard{'s' if len(item.unfinished) > 1 else ''} {','.join(map(str, item.unfinished))}"
    return text
