"""The command line: what each command does stands in ``ldmbench.commands``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from ldmbench.commands import (
    audit,
    baseline,
    compare,
    demo,
    export,
    fetch,
    look,
    merge,
    mushra,
    profile,
    report,
    run,
    score,
    statistics,
    validate,
)
from ldmbench.errors import BenchError
from ldmbench.host.interrupt import interruptible

#: Where the context of a command says that its answer is to be JSON.
_AS_JSON = "ldmbench.as_json"


class _Commands(click.Group):
    """Commands in the order of a session's work; errors are one line, and JSON as well where that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = args[: args.index("--")] if "--" in args else args
        ctx.meta[_AS_JSON] = "--json" in words or "--to json" in " ".join(words) or "--to=json" in words
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        as_json = bool(ctx.meta[_AS_JSON])
        try:
            with interruptible():
                return super().invoke(ctx)
        except BenchError as error:
            click.echo(f"error: {error}", err=True)
            _leave(ctx, as_json, error.exit_code, error.what, error.found, error.fix, error.details)
        except click.ClickException as error:
            if as_json:
                _as_json(error.exit_code, error.format_message())
            raise
        except BrokenPipeError:
            # Whoever read our answer, as ``head`` does, has seen enough of it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(0)
        except KeyboardInterrupt:
            what = "interrupted: what is finished is stored; the same command continues from there"
            click.echo(what, err=True)
            _leave(ctx, as_json, 130, what)


def _leave(ctx: click.Context, as_json: bool, exit_code: int, *error: Any) -> None:
    if as_json:
        _as_json(exit_code, *error)
    ctx.exit(exit_code)


def _as_json(exit_code: int, what: str, found: str = "", fix: str = "", details: Sequence[Any] = ()) -> None:
    """Print an error as JSON on the standard output, where a machine expects the answer."""
    import json

    error = {"what": what, "found": found, "fix": fix, "exit_code": exit_code, "details": list(details)}
    click.echo(json.dumps({"error": error}, indent=1, ensure_ascii=False))


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
    merge.merge,
    score.score,
    report.report,
    compare.compare,
    baseline.baseline,
    export.export,
    audit.audit,
    profile.profile,
    statistics.statistics,
    mushra.mushra,
    validate.validate,
    demo.demo,
):
    cli.add_command(_command)


def main() -> None:
    """Entry point of the ``ldmbench`` script."""
    # Pydantic would open every installed package for plugins that watch validations: a tenth of the time of ``list``.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    cli()


if __name__ == "__main__":
    main()
