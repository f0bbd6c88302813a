"""``ldmbench validate``: objective metrics held against the ratings of listeners."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ldmbench.commands import listening, options
from ldmbench.commands.outcome import end
from ldmbench.errors import BenchError
from ldmbench.host.streams import no_noise

FORMATS = ("terminal", "md", "csv", "latex", "json", "html")


@click.command()
@click.argument("ratings", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RATINGS...")
@click.option("--runs", "targets", multiple=True, metavar="SUITE|RUN", help="Runs that were rated; repeatable.")
@click.option("--audio", type=options.folder, help="Folder of the rated sounds, in place of runs; they are scored.")
@options.metrics
@options.content
@listening.reading
@listening.screening
@click.option("--criterion", default="", help="Which of several scales.  [default: the first]")
@click.option("--title", help="What the test is called.  [default: the name of the first file]")
@click.option("--to", "kind", type=click.Choice(FORMATS), default="terminal", show_default=True, help="Format.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; a folder for html.")
@click.option("--open", "show_page", is_flag=True, help="Open the page in the browser.")
@options.device
@options.weights
@options.jobs
@options.allow
@options.quiet
@options.runs
def validate(
    ratings: tuple[Path, ...],
    targets: tuple[str, ...],
    audio: Path | None,
    metrics: tuple[str, ...],
    content: Any,
    screen: Any,
    threshold: float,
    seconds: float | None,
    criterion: str,
    title: str | None,
    kind: str,
    output: Path | None,
    show_page: bool,
    device: str,
    weights: Path | None,
    jobs: int | None,
    allow_failures: bool,
    quiet: bool,
    out: Path,
    **reading: Any,
) -> None:
    """Correlate metrics with the RATINGS of a listening test: how far can each be trusted, and does one do better.

    The rated systems are runs (--runs), or a set of sounds on disk (--audio) laid as ITEM/CONDITION.wav beside
    ITEM/reference.wav, as ODAQ, or as the ratings name them, as EARS-EMO-OpenACE; these are scored first. Exits 1 if a
    clip or score failed.
    """
    from ldmbench.host.executor import cores
    from ldmbench.listening.screening import screen as apply
    from ldmbench.reports.listening import write
    from ldmbench.runs.prepare import open_runs
    from ldmbench.runs.request import Options

    if bool(targets) == (audio is not None):
        raise BenchError("what was rated is not named", fix="name the runs with --runs, or the sounds with --audio")
    rated = listening.one_scale(listening.read(ratings, **reading), criterion)
    kept = apply(rated, screen, threshold, seconds)
    if audio is None:
        runs = open_runs(targets, out)
    else:
        settings = Options(device, weights, jobs=jobs or cores(), quiet=quiet)
        with no_noise():
            runs, kept = listening.score_sounds(ratings, kept, audio, metrics, out, settings, content)
    about = listening.about(ratings, reading["pack"])
    if about.longest is not None:
        note = f"Listeners heard excerpts of up to {about.longest:.3g} s; metrics are those of whole clips"
        kept = replace(kept, ratings=replace(kept.ratings, notes=(*kept.ratings.notes, note)))
    name = title or about.title
    for line in write.validation(kept, runs, name, metrics, kind, output):
        click.echo(line)
        if show_page and kind == "html":
            click.launch(line.removeprefix("wrote "))
    end(runs, allow_failures)
