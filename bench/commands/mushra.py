"""``ldmbench mushra``: listening tests, from excerpts to results."""

from __future__ import annotations

import click

from ldmbench.commands.analyse import analyse


@click.group()
def mushra() -> None:
    """Listening tests: MUSHRA and its relatives."""


mushra.add_command(analyse)
