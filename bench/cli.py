"""The command line: what each command does stands in ``ldmbench.commands``."""

from __future__ import annotations

import os
from typing import Any

import click

from ldmbench.commands import baseline, compare, export, fetch, look, mushra, report, run, score, validate
from ldmbench.errors import BenchError
from ldmbench.host.interrupt import interruptible


class _Commands(click.Group):
    """Commands in the order of a session's work, with errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with interruptible():
                return super().invoke(ctx)
        except BenchError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read our answer, as ``head`` does, has seen enough of it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(0)
        except KeyboardInterrupt:
            click.echo("interrupted: what is finished is stored; the same command continues from there", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LDMBENCH"})
@click.version_option(package_name="ldmbench")
def cli() -> None:
    """Evaluate neural audio codecs and latent-diffusion audio systems.

    A SUITE is datasets and metrics that make one table; a SYSTEM is named NAME[@VARIANT][:setting=value,...].
    """


for _command in (
    look.list_,
    look.show,
    look.check,
    fetch.fetch,
    run.run,
    score.score,
    report.report,
    compare.compare,
    baseline.baseline,
    export.export,
    mushra.mushra,
    validate.validate,
):
    cli.add_command(_command)


def main() -> None:
    """Entry point of the ``ldmbench`` script."""
    cli()


if __name__ == "__main__":
    main()
