"""``ldmbench mushra``: listening tests, from excerpts to results."""

from __future__ import annotations

import click

from ldmbench.commands import packs, preflight
from ldmbench.commands.analyse import analyse


@click.group()
def mushra() -> None:
    """Listening tests: MUSHRA and its relatives."""


for _command in (preflight.plan, packs.export, preflight.check, packs.serve, packs.results, analyse):
    mushra.add_command(_command)
