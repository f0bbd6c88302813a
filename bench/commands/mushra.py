"""``ldmbench mushra``: listening tests, from excerpts to results."""

from __future__ import annotations

import click

from ldmbench.commands import packs
from ldmbench.commands.analyse import analyse


@click.group()
def mushra() -> None:
    """Listening tests: MUSHRA and its relatives."""


for _command in (packs.export, packs.serve, packs.results, analyse):
    mushra.add_command(_command)
