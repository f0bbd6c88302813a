"""``ldmbench demo``: a page on which systems are tried out."""

from __future__ import annotations

from pathlib import Path

import click

from ldmbench.commands import complete, options


@click.command()
@click.argument("systems", nargs=-1, metavar="[SYSTEM]...", shell_complete=complete.systems)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="Port; 0 for any.")
@options.device
@options.weights
@options.untrained
@click.option("--most-seconds", type=click.FloatRange(0.1), default=30.0, show_default=True, help="Longest upload, s.")
@click.option("--most-mb", type=click.FloatRange(0.001), default=20.0, show_default=True, help="Largest upload, MB.")
@click.option("--keep-mb", type=click.FloatRange(0), default=0.0, help="MB of runs to keep.  [default: all]")
@options.runs
def demo(
    systems: tuple[str, ...],
    host: str,
    port: int,
    device: str,
    weights: Path | None,
    untrained: bool,
    most_seconds: float,
    most_mb: float,
    keep_mb: float,
    out: Path,
) -> None:
    """Try systems out on a page of your own: generate, enhance, code.

    Lists SYSTEMs, all where none is named. Every result is an ordinary run, and the page shows its command line.
    """
    from ldmbench.demo.app import serve
    from ldmbench.demo.settings import Limits, Settings
    from ldmbench.runs.request import Options

    limits = Limits(upload_mb=most_mb, seconds=most_seconds, kept_mb=keep_mb)
    run = Options(device, weights, quiet=True)
    settings = Settings(out.absolute(), systems, run, untrained, limits)
    serve(settings, host, port, lambda url: click.echo(f"the page is at {url}; Ctrl-C ends it"))
