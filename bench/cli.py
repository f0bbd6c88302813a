"""The command line; the only module that reaches for systems and reports, and only inside its commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands.baseline import baseline
from ldmbench.commands.compare import compare
from ldmbench.commands.options import as_json as _json
from ldmbench.commands.options import runs as _runs
from ldmbench.errors import BenchError
from ldmbench.host.interrupt import interruptible
from ldmbench.host.streams import no_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ldmbench.runs.results import Run

KINDS = ("datasets", "systems", "metrics", "suites")
FORMATS = ("terminal", "md", "csv", "latex", "json", "html", "curves")


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


_folder = click.Path(path_type=Path, file_okay=False)
_content = click.option(
    "--content",
    type=click.Choice(["speech", "music", "general"]),
    default="general",
    show_default=True,
    help="What the folder holds; speech metrics need 'speech'.",
)
_table = click.option(
    "--csv", "table", type=click.Path(path_type=Path, dir_okay=False), help="CSV with path,text,group for the folder."
)
_systems = click.option(
    "-s", "--system", "systems", multiple=True, help="System to run; repeatable.  [default: the suite's]"
)
_metrics = click.option("-m", "--metric", "metrics", multiple=True, help="Metric to add; repeatable.")
_datasets = click.option(
    "-d", "--dataset", "datasets", multiple=True, help="Dataset of the suite; repeatable.  [default: all of them]"
)
_device = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
_weights = click.option(
    "--weights", type=_folder, help="Folder with official checkpoints.  [default: the weights home]"
)
_untrained = click.option("--untrained", is_flag=True, help="Seeded random weights; every table says UNTRAINED.")
_jobs = click.option("--jobs", type=click.IntRange(1), help="Processes for scoring.  [default: the cores]")
_retry_failed = click.option("--retry-failed", is_flag=True, help="Try clips and scores again that failed before.")
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds a clip may take in a system or a metric; then it has failed.",
)
_align = click.option(
    "--align", is_flag=True, help="Remove each output's delay before it is compared; the columns say 'aligned'."
)
_quiet = click.option("--quiet", is_flag=True, help="Show no progress.")
_allow = click.option("--allow-failures", is_flag=True, help="Exit 0 although clips failed.")
_audio = click.option(
    "--audio", type=_folder, help="Folder of audio in place of the suite's datasets, under their input conditions."
)
_limit = click.option(
    "--limit",
    type=click.IntRange(1),
    help="Clips of each dataset; marks the run PARTIAL.  [default: those of the suite]",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LDMBENCH"})
@click.version_option(package_name="ldmbench")
def cli() -> None:
    """Evaluate neural audio codecs and latent-diffusion audio systems.

    A SUITE is datasets and metrics that make one table; a SYSTEM is named NAME[@VARIANT][:setting=value,...].
    """


@cli.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@_json
def list_(kind: str | None, as_json: bool) -> None:
    """List datasets, systems, metrics and suites."""
    from ldmbench import console

    console.print_lists([kind] if kind else list(KINDS), as_json)


@cli.command()
@click.argument("name")
@_json
def show(name: str, as_json: bool) -> None:
    """Show everything about one dataset, system, metric or suite."""
    from ldmbench import console

    console.print_record(name, as_json)


@cli.command()
@click.argument("suite")
@_systems
@_metrics
@_datasets
@_audio
@_table
@_content
@_limit
@_device
@_weights
@_untrained
@_runs
@_json
def check(suite: str, device: str, weights: Path | None, as_json: bool, **request: Any) -> None:
    """Look at everything SUITE needs, and compute nothing.

    Exits 2 if a run would not start.
    """
    from ldmbench import console
    from ldmbench.runs.prepare import prepare
    from ldmbench.runs.request import Options, Request

    with no_noise():
        prepared = prepare(Request(suite, **request), Options(device, weights))
    console.print_findings(prepared.findings, as_json)
    if prepared.errors:
        raise click.exceptions.Exit(2)


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def fetch(names: tuple[str, ...]) -> None:
    """Download a dataset, the checkpoints of a system, a recogniser (whisper-SIZE) or an extractor (clap-NAME, ...).

    Nothing else in ldmbench reaches the network. A download that was cut continues where it stopped.
    """
    from ldmbench.runs.fetch import fetch as bring

    for name in names:
        folder, notes = bring(name)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        click.echo(f"{name}: {folder}")


@cli.command()
@click.argument("suite")
@_systems
@_metrics
@_datasets
@_audio
@_table
@_content
@_limit
@_device
@_weights
@_untrained
@click.option("--seed", type=int, help="Seed of the run.  [default: the suite's]")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Clips a system gets at once.")
@_align
@_retry_failed
@_timeout
@click.option("--skip-unavailable", is_flag=True, help="Leave out systems whose preflight fails, and say so.")
@_jobs
@_allow
@_quiet
@_runs
@_json
def run(
    suite: str,
    device: str,
    weights: Path | None,
    batch: int,
    jobs: int | None,
    retry_failed: bool,
    timeout: float,
    skip_unavailable: bool,
    allow_failures: bool,
    quiet: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Run systems on SUITE and print its table.

    What is already in the run folder is not computed again: an interrupted run continues, a new metric or
    system is added. Exits 1 if a clip failed.
    """
    from ldmbench import console
    from ldmbench.host.executor import cores
    from ldmbench.runs.carry_out import carry_out
    from ldmbench.runs.prepare import prepare
    from ldmbench.runs.request import Options, Request

    options = Options(device, weights, batch, jobs or cores(), retry_failed, skip_unavailable, quiet, timeout)
    with no_noise():
        prepared = prepare(Request(suite, **request), options)
    plan = console.ready(prepared)
    with no_noise():
        runs = carry_out(plan, options)
    _show_runs(runs, as_json)
    if not (quiet or as_json):
        name = plan.suite.name
        click.echo(f"stored in {plan.paths[0].parent.parent}; a page: ldmbench report {name} --to html", err=True)
    _end(runs, allow_failures, prepared.left_out)


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--reference", type=_folder, help="Folder of references; TARGET is then a folder of outputs.")
@click.option("--captions", help="CSV with path,text or youtube_id,start_time,caption, or a dataset: text-to-audio.")
@_metrics
@_table
@_content
@_device
@_weights
@_jobs
@_align
@_retry_failed
@_timeout
@_allow
@_quiet
@_runs
@_json
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

    options = Options(device, weights, jobs=jobs or cores(), retry_failed=retry_failed, quiet=quiet, timeout=timeout)
    if reference is None:
        if captions is not None:
            raise BenchError("captions belong to a folder", fix="name the folder of references with --reference")
        if not metrics:
            raise BenchError("nothing to score", "no --reference and no -m", "name a metric, or a folder of references")
        names = tuple(map(without_delay, metrics)) if align else metrics
        with no_noise():
            runs = rescore(open_runs((str(target),), out), names, options)
    else:
        suite = load_suite("folders" if captions is None else "folders-text-to-audio")
        names = metrics or suite.metrics
        names = tuple(map(without_delay, names)) if align else names
        with no_noise():
            runs = [score_folder(suite, target, reference, names, out, options, content, table, captions)]
        for note in runs[0].info.datasets[0].notes:
            click.echo(f"note: {note}", err=True)
    _show_runs(runs, as_json)
    _end(runs, allow_failures)


@cli.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN...")
@click.option("--to", "kind", type=click.Choice(FORMATS), default="terminal", show_default=True, help="Format.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; a folder for html and curves.")
@_metrics
@_systems
@click.option("--intervals", is_flag=True, help="Show 95 % intervals.")
@click.option("--published/--no-published", default=True, help="Show published values beside the measured ones.")
@click.option("--published-rows", is_flag=True, help="Add rows that were only published.")
@click.option("--anchor", default="", help="System family that BD-rates are relative to.  [default: the suite's]")
@click.option("--clips", type=click.IntRange(1), default=50, show_default=True, help="Clips of each dataset on a page.")
@click.option("--open", "show_page", is_flag=True, help="Open the page in the browser.")
@_allow
@_runs
def report(
    targets: tuple[str, ...],
    kind: str,
    output: Path | None,
    metrics: tuple[str, ...],
    systems: tuple[str, ...],
    intervals: bool,
    published: bool,
    published_rows: bool,
    anchor: str,
    clips: int,
    show_page: bool,
    allow_failures: bool,
    out: Path,
) -> None:
    """Turn runs into a table, curves or a page.

    terminal, md, csv, latex and json are tables; html is a page that opens without a server; curves are
    rate-distortion curves as PDF and SVG, with BD-rates.
    """
    from ldmbench.reports import render
    from ldmbench.runs.prepare import open_runs

    runs = open_runs(targets, out, systems)
    if kind == "html":
        path = render.page(runs, output, metrics, anchor, clips, published)
        click.echo(f"wrote {path}")
        if show_page:
            click.launch(str(path))
    elif kind == "curves":
        click.echo("\n".join(render.curves(runs, output, metrics, anchor)))
    else:
        click.echo("\n".join(render.table(runs, kind, output, metrics, intervals, published, published_rows)))
    _end(runs, allow_failures)


cli.add_command(compare)
cli.add_command(baseline)


@cli.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN...")
@click.option("--to", "kind", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option("-o", "--output", type=_folder, default=Path("export"), show_default=True, help="Folder to write to.")
@_runs
@_json
def export(targets: tuple[str, ...], kind: Any, output: Path, out: Path, as_json: bool) -> None:
    """Write all scores and outputs of runs as Parquet or CSV."""
    import json

    from ldmbench.runs.export import export as export_runs
    from ldmbench.runs.prepare import open_runs

    files = export_runs(open_runs(targets, out), output, kind)
    click.echo(json.dumps([str(path) for path in files]) if as_json else "\n".join(f"wrote {path}" for path in files))


def _show_runs(runs: list[Run], as_json: bool) -> None:
    from ldmbench.reports import render

    click.echo("\n".join(render.table(runs, "json" if as_json else "terminal")))


def _end(runs: list[Run], allow_failures: bool, left_out: Sequence[str] = ()) -> None:
    """Name what failed on the error stream, and set the exit code."""
    from ldmbench import console

    failed = console.print_failures(runs)
    if (failed or left_out) and not allow_failures:
        raise click.exceptions.Exit(1)


def main() -> None:
    """Entry point of the ``ldmbench`` script."""
    cli()


if __name__ == "__main__":
    main()
