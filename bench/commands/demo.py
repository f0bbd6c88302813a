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
@click.option("--space", type=options.folder, help="Write a folder that is a Hugging Face Space; serve nothing.")
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
    space: Path | None,
    out: Path,
) -> None:
    """Try systems out on a page of your own: generate, enhance, code.

    Lists SYSTEMs, all where none is named. Every result is an ordinary run, and the page shows its command line.
    """
    from ldmbench.demo.settings import Limits, Settings
    from ldmbench.runs.request import Options

    limits = Limits(upload_mb=most_mb, seconds=most_seconds, kept_mb=keep_mb)
    # Who presses the button again wants what failed to be tried again.
    run = Options(device, weights, retry_failed=True, quiet=True)
    settings = Settings(out.absolute(), systems, run, untrained, limits)
    if space is not None:
        from ldmbench.demo.space import write_space

        write_space(space, settings)
        click.echo(f"wrote {space}; try it: cd {space} && pip install gradio -r requirements.txt && python app.py")
        return
    from ldmbench.demo.app import serve

    serve(settings, host, port, lambda url: click.echo(f"the page is at {url}; Ctrl-C ends it"))
