"""``ldmbench statistics``: means and covariances of references, so that a distance needs none of their audio."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ldmbench.commands import complete, options
from ldmbench.errors import BenchError

if TYPE_CHECKING:
    from ldmbench.clips.clip import Dataset

_metric = click.option(
    "-m", "--metric", required=True, shell_complete=complete.metrics, help="Metric whose embeddings they are of."
)
_whose = click.option("--whose", default="", help="What the notes of a table call them.  [default: the name]")


@click.group()
def statistics() -> None:
    """Reference statistics: FD and FAD against a dataset without its audio.

    A metric takes them by name, fd_panns:reference=NAME; the name ends in digits of their content.
    """


@statistics.command()
@click.argument("target", metavar="SUITE|DATASET|FOLDER", shell_complete=complete.datasets)
@_metric
@_whose
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file to send, .npz.")
@options.one_device
@options.weights
@options.quiet
def save(
    target: str, metric: str, whose: str, output: Path | None, device: str, weights: Path | None, quiet: bool
) -> None:
    """Compute statistics of all references of a dataset, of a suite's datasets or of a folder, and keep them."""
    from ldmbench.metrics import _statistics
    from ldmbench.runs.reference import against, make_statistics

    against(metric, "any-000000000000")
    if output is not None and output.suffix != ".npz":
        raise BenchError(f"{output} is no name of statistics", f"it ends in {output.suffix!r}", "let it end in .npz")
    datasets = _datasets(target)
    clips = [clip for dataset in datasets for clip in dataset.clips]
    label = whose or " and ".join(dataset.name for dataset in datasets)
    made = make_statistics(clips, metric, label, device, weights, quiet)
    if output is not None:
        from ldmbench.host.files import replacing

        with replacing(output) as handle:
            handle.write(_statistics.to_bytes(made))
        click.echo(f"wrote {output}: {made.rows} embeddings of {made.clips} clips", err=True)
    _kept(_statistics.keep(made, _stem(output.stem if output else target)), metric)


@statistics.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option(
    "-m", "--metric", shell_complete=complete.metrics, help="Metric whose embeddings another tool's file has."
)
@click.option("--model", default="", help="Which model of fadtk's file, such as vggish.")
@click.option("--name", default="", help="Name to keep them under.  [default: the file's]")
@_whose
def add(file: Path, metric: str | None, model: str, name: str, whose: str) -> None:
    """Keep a file of statistics: one of ours, fadtk's folder of mu.npy and cov.npy or .npz, stable-audio-metrics' .npz.

    No file of another tool says whether that hears a sound as the metric does: the notes of a table name the tool.
    """
    from ldmbench.metrics import _statistics
    from ldmbench.runs.reference import against

    if metric is None:
        content = b"" if file.is_dir() else file.read_bytes()
        try:
            made = _statistics.read_ours(content, str(file))
        except BenchError as error:
            raise BenchError(error.what, error.found, "say with -m of which metric's embeddings they are") from error
        made = _statistics.renamed(made, whose) if whose else made
    else:
        against(metric, "any-000000000000")
        made = _statistics.read_other(file, metric, whose or name or file.stem, model)
    _kept(_statistics.keep(made, _stem(name or file.stem)), made.metric)


@statistics.command("list")
def list_() -> None:
    """Name the statistics that are kept here, with how each is used."""
    from ldmbench.metrics import _statistics
    from ldmbench.runs.reference import against

    for name, made in _statistics.kept().items():
        size = f"{made.rows} embeddings of {made.clips} clips" if made.rows else "of another tool"
        click.echo(f"{against(made.metric, name)}  {made.whose}, {size}, {len(made.mean)} dimensions")


def _kept(name: str, metric: str) -> None:
    from ldmbench.runs.reference import against

    click.echo(against(metric, name))


def _stem(text: str) -> str:
    """A file's or dataset's name without what a name of statistics cannot have, or their digits."""
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", Path(text).name).strip("-.")
    return re.sub(r"-[0-9a-f]{12}$", "", stem) or "statistics"


def _datasets(target: str) -> list[Dataset]:
    from ldmbench.clips.load import load_dataset, load_source
    from ldmbench.suite import list_suites, load_suite

    if target in list_suites() or target.endswith(".toml"):
        return [load_dataset(name) for name in load_suite(target).datasets]
    return [load_source(target)]
