"""``ldmbench score``: a folder of outputs, or more metrics on runs that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ldmbench.commands import options
from ldmbench.commands.outcome import end, show_runs
from ldmbench.errors import BenchError
from ldmbench.host.streams import no_noise


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--reference", type=options.folder, help="Folder of references; TARGET is then a folder of outputs.")
@click.option("--captions", help="CSV with path,text or youtube_id,start_time,caption, or a dataset: text-to-audio.")
@options.metrics
@options.table
@options.content
@options.device
@options.weights
@options.jobs
@options.align
@options.retry_failed
@options.timeout
@options.allow
@options.quiet
@options.runs
@options.as_json
def score(
    target: Path,
    reference: Path | None,
    captions: str | None,
    metrics: tuple[str, ...],
    table: Path | None,
    content: Any,
    device: str,
    weights: Path | None,
    jobs: int | None,
    align: bool,
    retry_failed: bool,
    timeout: float,
    allow_failures: bool,
    quiet: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Score TARGET: a folder of audio against --reference, or runs that exist with more metrics.

    Two files pair when they have the same path but for the ending. With --captions, the metrics are those of
    text-to-audio papers (suite folders-text-to-audio). With a suite or a run folder as TARGET,
    only the metrics named with -m are computed; no audio is made.
    """
    from ldmbench.host.executor import cores
    from ldmbench.metrics._base import align as without_delay
    from ldmbench.runs.carry_out import rescore, score_folder
    from ldmbench.runs.prepare import open_runs
    from ldmbench.runs.request import Options
    from ldmbench.suite import load_suite

    settings = Options(device, weights, jobs=jobs or cores(), retry_failed=retry_failed, quiet=quiet, timeout=timeout)
    if reference is None:
        if captions is not None:
            raise BenchError("captions belong to a folder", fix="name the folder of references with --reference")
        if not metrics:
            raise BenchError("nothing to score", "no --reference and no -m", "name a metric, or a folder of references")
        names = tuple(map(without_delay, metrics)) if align else metrics
        with no_noise():
            runs = rescore(open_runs((str(target),), out), names, settings)
    else:
        suite = load_suite("folders" if captions is None else "folders-text-to-audio")
        names = metrics or suite.metrics
        names = tuple(map(without_delay, names)) if align else names
        with no_noise():
            runs = [score_folder(suite, target, reference, names, out, settings, content, table, captions)]
        for note in runs[0].info.datasets[0].notes:
            click.echo(f"note: {note}", err=True)
    show_runs(runs, as_json)
    end(runs, allow_failures)
