"""``ldmbench report``: runs as a table, curves or a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands import complete, options
from ldmbench.commands.outcome import end
from ldmbench.errors import BenchError

if TYPE_CHECKING:
    from ldmbench.reports.table_spec import TableSpec
    from ldmbench.runs.results import Run

FORMATS = ("terminal", "md", "csv", "latex", "json", "html", "curves")


@click.command()
@click.argument("targets", nargs=-1, metavar="SUITE|RUN...", shell_complete=complete.suites)
@click.option("--spec", type=click.Path(path_type=Path, dir_okay=False), help="TOML file of a table (docs/paper.md).")
@click.option("--to", "kind", type=click.Choice(FORMATS), default="terminal", show_default=True, help="Format.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; a folder for html and curves.")
@options.metrics
@options.systems
@options.datasets
@click.option("--sort", default="", metavar="METRIC", help="The best row of this metric first.")
@click.option("--bands", default="", metavar="KBPS,...", help="Group rows between these bitrates, such as 3,8.")
@click.option("--against-row", default="", metavar="NAME", help="Mark what differs from this row by more than chance.")
@click.option("--average", multiple=True, metavar="METRIC", help="Also the mean over the datasets; repeatable.")
@click.option("--name", "names", multiple=True, metavar="OLD=NEW", help="How a row, metric or dataset is printed.")
@click.option("--intervals", is_flag=True, help="Show 95 % intervals.")
@click.option("--published/--no-published", default=True, help="Show published values beside the measured ones.")
@click.option("--published-rows", is_flag=True, help="Add rows that were only published.")
@click.option("--caption", default="", help="Caption of a LaTeX table.")
@click.option("--label", default="", help="Label of a LaTeX table.")
@click.option("--width", default="page", help="Width of a LaTeX table: page, column, or points.  [default: page]")
@click.option("--anchor", default="", help="System family that BD-rates are relative to.  [default: the suite's]")
@click.option("--clips", type=click.IntRange(1), default=50, show_default=True, help="Clips of each dataset on a page.")
@click.option(
    "--audio",
    type=click.Choice(["flac", "opus"]),
    default="flac",
    show_default=True,
    help="Sounds of a page: exact to 16 bits, or a third of the bytes.",
)
@click.option(
    "--listening",
    type=click.Path(path_type=Path),
    help="What ldmbench mushra analyse -o wrote: the test's scores beside the metrics.",
)
@click.option(
    "--profiles",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What ldmbench profile --to json -o wrote: size, MACs and latency beside the metrics.",
)
@click.option("--open", "show_page", is_flag=True, help="Open the page in the browser.")
@options.allow
@options.runs
def report(
    targets: tuple[str, ...],
    spec: Path | None,
    kind: str,
    output: Path | None,
    systems: tuple[str, ...],
    anchor: str,
    clips: int,
    audio: str,
    show_page: bool,
    allow_failures: bool,
    out: Path,
    **table: Any,
) -> None:
    """Turn runs into a table, curves or a page.

    terminal, md, csv, latex and json are tables; html is a page that opens without a server, of two runs named one
    by one as BASE and NEW a page that sets them side by side, the worst clips first; curves are rate-distortion
    curves as PDF and SVG, with BD-rates. A table may be kept as a TOML file (--spec); what is typed beside it counts
    instead of what it says.
    """
    from ldmbench.reports import render
    from ldmbench.runs.prepare import open_runs

    wanted = _table(spec, targets, {"to": kind, "output": output, "systems": systems, "out": out, **table})
    if not wanted.runs:
        raise BenchError("nothing to report", fix="name a suite or a run, or a table's TOML file with --spec")
    out, metrics = Path(wanted.out), wanted.metrics
    runs = open_runs(wanted.runs, out, wanted.systems)
    if kind == "html":
        sides = [open_runs((target,), out, systems) for target in targets] if len(targets) == len(runs) == 2 else []
        if sides and runs[0].info.suite == runs[1].info.suite:
            path = _side_by_side(sides[0], sides[1], output, metrics, clips, audio)
        else:
            beside = _path(wanted.listening), audio, _path(wanted.profiles)
            path = render.page(runs, output, metrics, anchor, clips, wanted.published, *beside)
        click.echo(f"wrote {path}")
        if show_page:
            click.launch(str(path))
    elif kind == "curves":
        click.echo("\n".join(render.curves(runs, output, metrics, anchor)))
    else:
        click.echo("\n".join(render.table(runs, wanted)))
    end(runs, allow_failures)


def _table(path: Path | None, targets: tuple[str, ...], options_: dict[str, Any]) -> TableSpec:
    """The table of a file with what was typed in place of what it says; without a file what was typed and defaults."""
    from ldmbench.reports.table_spec import TableSpec, load_table_spec

    options_["names"] = dict(_pair(text) for text in options_["names"])
    options_["width"] = _width(options_["width"])
    options_["bands"] = _bands(options_["bands"])
    if options_["to"] in ("html", "curves"):
        if path is not None:
            raise BenchError(
                f"{path} is a table", f"--to {options_['to']}", "leave --spec out, or choose another format"
            )
        for name in ("bands", "against_row", "average", "sort"):
            if options_[name]:
                raise BenchError(
                    f"--{name.replace('_', '-')} belongs to tables", f"--to {options_['to']}", "choose another format"
                )
        del options_["to"], options_["output"]
    content = {key: str(value) if isinstance(value, Path) else value for key, value in options_.items()}
    if path is None:
        return TableSpec(**{key: value for key, value in content.items() if value is not None}, runs=targets)
    context = click.get_current_context()
    of_option = {"to": "kind"}
    typed = {
        key: value
        for key, value in content.items()
        if context.get_parameter_source(of_option.get(key, key)) is not click.core.ParameterSource.DEFAULT
    }
    spec = load_table_spec(path)
    return spec.model_copy(update={**typed, **({"runs": targets} if targets else {})})


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _pair(text: str) -> tuple[str, str]:
    old, _, new = text.rpartition("=")
    if not (old and new):
        raise BenchError(f"--name {text} names nothing", fix='write --name "mine=Ours"')
    return old, new


def _bands(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(edge) for edge in text.split(",")) if text else ()
    except ValueError:
        raise BenchError(f"--bands {text} are no bitrates", fix="write kbit/s with commas, such as 3,8") from None


def _width(text: str) -> str | float:
    if text in ("page", "column"):
        return text
    try:
        points = float(text)
    except ValueError:
        points = 0.0
    if not 72 <= points <= 2000:
        raise BenchError(f"--width {text} is no width", fix="write page, column, or 72 to 2000 points")
    return points


def _side_by_side(
    base: list[Run], new: list[Run], output: Path | None, metrics: tuple[str, ...], clips: int, audio: str
) -> Path:
    """Write the page of a comparison without margins; returns its ``index.html``."""
    from ldmbench.compare.gate import compare
    from ldmbench.compare.records import Rules
    from ldmbench.reports.compare.page import write_page

    folder = output or Path(f"{base[0].info.suite}-page")
    write_page(compare(base, new, Rules(metrics=metrics)), base, new, folder, most=clips, audio=audio)
    return folder / "index.html"
