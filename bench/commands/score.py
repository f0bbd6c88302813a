"""``ldmbench score``: a folder of outputs, or more metrics on runs that exist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands import complete, options
from ldmbench.commands.outcome import end, show_runs, where
from ldmbench.errors import BenchError
from ldmbench.host.streams import no_noise

if TYPE_CHECKING:
    from ldmbench.runs.existing import Outputs
    from ldmbench.runs.request import Options
    from ldmbench.runs.results import Run


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="FOLDER|SUITE|RUN...", shell_complete=complete.suites)
@click.option("--reference", type=options.folder, help="Folder of references; the targets are then folders of outputs.")
@click.option("--baseline", "baselines", multiple=True, help="System to run on the references; repeatable.")
@click.option(
    "--kbps", "rates", multiple=True, metavar="FOLDER=KBPS", help="Bitrate of a folder, as its maker states it."
)
@click.option("--captions", help="CSV with path,text or youtube_id,start_time,caption, or a dataset: text-to-audio.")
@click.option("--versa", type=options.file, help="JSONL of VERSA's scorer: its numbers are shown beside ours.")
@click.option("--codec-superb", type=options.file, help="JSON of Codec-SUPERB: its means are shown beside ours.")
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
@click.option(
    "--to",
    "kind",
    type=click.Choice(["terminal", "md", "csv", "latex", "json"]),
    default="terminal",
    show_default=True,
    help="Format of the printed table; ldmbench report has more of it.",
)
@options.runs
@options.as_json
def score(
    targets: tuple[str, ...],
    reference: Path | None,
    baselines: tuple[str, ...],
    rates: tuple[str, ...],
    captions: str | None,
    versa: Path | None,
    codec_superb: Path | None,
    metrics: tuple[str, ...],
    device: str,
    weights: Path | None,
    jobs: int | None,
    align: bool,
    retry_failed: bool,
    timeout: float,
    allow_failures: bool,
    quiet: bool,
    kind: str,
    out: Path,
    as_json: bool,
    **folders: Any,
) -> None:
    """Score folders of audio against --reference, or runs that exist with more metrics.

    Two files pair when they have the same path but for the ending. Several folders, and the systems named with
    --baseline, are rows of one table. With --captions, the metrics are those of text-to-audio papers (suite
    folders-text-to-audio). Without --reference, the targets are suites or run folders, and only the metrics named with
    -m are computed; no audio is made. --versa and --codec-superb set the numbers of these tools beside ours, with the
    reason why they differ.
    """
    from ldmbench.host.executor import cores
    from ldmbench.metrics._base import align as without_delay
    from ldmbench.runs.request import Options

    settings = Options(device, weights, jobs=jobs or cores(), retry_failed=retry_failed, quiet=quiet, timeout=timeout)
    asked = tuple(map(without_delay, metrics)) if align else metrics
    # Before anything is computed: a file that cannot be read is wrong usage.
    beside = _readers(versa, codec_superb)
    if reference is None:
        runs = _more_metrics(targets, asked, out, settings, captions=captions, baseline=baselines, kbps=rates)
    else:
        runs = _folders(targets, reference, asked, align, out, settings, baselines, rates, captions, **folders)
    show_runs(runs, "json" if as_json else kind)
    for show in beside:
        click.echo(f"\n{show(runs)}", err=as_json or kind != "terminal")
    if not (quiet or as_json):
        click.echo(where(runs, out), err=True)
    end(runs, allow_failures)


def _readers(versa: Path | None, codec_superb: Path | None) -> list[Callable[[list[Run]], str]]:
    """Read what other tools say; each answer sets that beside the runs. Beside JSON it is no part of the output."""
    from ldmbench.compare import peers
    from ldmbench.reports.listening.grids import to_text
    from ldmbench.reports.peers import comparison

    shown: list[Callable[[list[Run]], str]] = []
    if versa is not None:
        scores = peers.read_versa(versa)
        shown.append(lambda runs: to_text(comparison("VERSA", peers.beside_versa(runs, scores))))
    if codec_superb is not None:
        codecs = peers.read_codec_superb(codec_superb)
        shown.append(lambda runs: to_text(comparison("Codec-SUPERB", peers.beside_codec_superb(runs, codecs))))
    return shown


def _more_metrics(
    targets: tuple[str, ...], metrics: tuple[str, ...], out: Path, settings: Options, **of_folders: Any
) -> list[Run]:
    """Runs that exist, with more metrics."""
    from ldmbench.runs.existing import rescore
    from ldmbench.runs.prepare import open_runs

    for name, value in of_folders.items():
        if value:
            raise BenchError(f"--{name} belongs to folders", fix="name the folder of references with --reference")
    if not metrics:
        raise BenchError("nothing to score", "no --reference and no -m", "name a metric, or a folder of references")
    with no_noise():
        return rescore(open_runs(targets, out), metrics, settings)


def _folders(
    targets: tuple[str, ...],
    reference: Path,
    metrics: tuple[str, ...],
    align: bool,
    out: Path,
    settings: Options,
    baselines: tuple[str, ...],
    rates: tuple[str, ...],
    captions: str | None,
    **folders: Any,
) -> list[Run]:
    """Folders and baselines, scored."""
    from ldmbench.metrics._base import align as without_delay
    from ldmbench.runs.existing import score_folders
    from ldmbench.suite import load_suite

    suite = load_suite("folders" if captions is None else "folders-text-to-audio")
    own = tuple(map(without_delay, suite.metrics)) if align else suite.metrics
    outputs = _outputs(targets, rates)
    with no_noise():
        runs = score_folders(
            suite, outputs, reference, metrics or own, out, settings, captions=captions, baselines=baselines, **folders
        )
    for note in dict.fromkeys(note for run in runs for item in run.info.datasets for note in item.notes):
        click.echo(f"note: {note}", err=True)
    return runs


def _outputs(targets: tuple[str, ...], rates: tuple[str, ...]) -> list[Outputs]:
    """The folders, each with the bitrate that ``--kbps`` states for it."""
    from ldmbench.runs.existing import Outputs

    stated: dict[Path, float] = {}
    folders = [Path(target) for target in targets]
    for rate in rates:
        name, _, number = rate.rpartition("=")
        named = [folder for folder in folders if folder in (Path(name), Path(name).absolute()) or folder.name == name]
        try:
            kbps = float(number)
        except ValueError:
            kbps = 0.0
        if len(named) != 1 or not 0 < kbps < float("inf"):
            raise BenchError(
                f"--kbps {rate} states no bitrate", f"{len(named)} of the folders are called so",
                f"write --kbps {targets[0]}=1.4",
            )  # fmt: skip
        stated[named[0]] = kbps
    return [Outputs(folder, stated.get(folder)) for folder in folders]
