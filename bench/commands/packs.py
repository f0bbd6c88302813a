"""``ldmbench mushra export``, ``serve`` and ``results``: packs for listening tests, made, run and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands import options
from ldmbench.errors import BenchError

if TYPE_CHECKING:
    from ldmbench.listening.export import Request
    from ldmbench.listening.items import Material

METHODS = ("mushra", "mushra-1s", "acr", "dcr", "ab", "sheet")

_file = click.Path(path_type=Path, dir_okay=False)
_ratings = click.option("--ratings", type=_file, help="SQLite file of the ratings.  [default: PACK.ratings.sqlite]")
_pack = click.argument("pack", type=click.Path(path_type=Path, file_okay=False))


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN|FOLDER...")
@click.option("-o", "--out", "--output", "folder", type=options.folder, required=True, help="New folder for the pack.")
@click.option("--method", type=click.Choice(METHODS), default="mushra", show_default=True, help="How it is rated.")
@click.option("--preset", help="Protocol: bs1534, semanticodec, ladiffcodec-3s, ..., or a TOML file of your own.")
@click.option("-s", "--system", "systems", multiple=True, help="System to test; repeatable.  [default: all of them]")
@click.option("--anchor", "anchor_systems", multiple=True, help="System that is an anchor, not under test; repeatable.")
@click.option("--reference", type=options.folder, help="Folder of references; targets are then folders of audio.")
@click.option("--captions", help="CSV with path,text or youtube_id,start_time,caption, or a dataset: text-to-audio.")
@options.table
@options.content
@click.option(
    "--items", type=click.IntRange(1), help="Items, without that of the training page.  [default: the preset's]"
)
@click.option(
    "--excerpts", type=click.Path(path_type=Path, dir_okay=False), help="CSV with clip,start,end chosen by hand."
)
@click.option("--seconds", type=click.FloatRange(0.5, 12.0), help="Longest excerpt.  [default: the preset's]")
@click.option(
    "--rate", type=click.Choice(["44100", "48000"]), default="48000", show_default=True, help="Hz of all sounds."
)
@click.option("--loudness", default="-23", show_default=True, help="LUFS of every sound (BS.1770), or 'off'.")
@click.option("--align/--no-align", default=True, help="Take away the delay of outputs against their reference.")
@click.option("--low-pass", help="Edges of low-pass anchors in kHz, as 3.5,7, or 'none'.  [default: the preset's]")
@click.option("--max-sliders", type=click.IntRange(2), default=9, show_default=True, help="Most stimuli of a page.")
@click.option("--per-listener", type=click.IntRange(1), help="Most pages of a listener.  [default: the preset's]")
@click.option(
    "--duplicates", type=click.IntRange(0), default=0, show_default=True, help="Pages of a sheet that come twice."
)
@click.option("--open-reference/--no-open-reference", default=True, help="Whether ab has a reference to compare with.")
@click.option("--ties/--no-ties", default=True, help="Whether ab allows 'no preference'.")
@click.option("--training/--no-training", default=True, help="Whether a training page comes first.")
@click.option("--title", default="Listening test", show_default=True, help="Heading of the test.")
@click.option("--organiser", default="", help="Who runs it and can be asked, for the consent page.")
@click.option(
    "--seed", type=click.IntRange(0), help="Seed of all that is drawn; it is part of the key.  [default: drawn]"
)
@click.option(
    "--runs",
    type=options.folder,
    default=Path("runs"),
    show_default=True,
    envvar="LDMBENCH_RUNS",
    help="Folder of all runs.",
)
@options.as_json
def export(targets: tuple[str, ...], folder: Path, as_json: bool, **wanted: Any) -> None:
    """Make a pack of runs, of a suite, or of folders of audio (with --reference).

    The pack names no system. The key to it and the reports that do lie beside it, in PACK.sealed.
    """
    import json

    from ldmbench.listening.export import export as make

    material = _material(targets, wanted)
    done = make(material, _request(wanted), folder)
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(
            json.dumps({"pack": str(folder), "id": done.pack.id, "pages": len(done.pack.pages), "notes": done.notes})
        )
        return
    pack = done.pack
    click.echo(f"wrote {folder}: {pack.method}, {len(pack.pages)} pages, {len(pack.blocks)} blocks")
    click.echo(f"sealed key: {folder}.sealed/key.json; check the pack: ldmbench mushra check {folder}")


def _material(targets: tuple[str, ...], wanted: dict[str, Any]) -> Material:
    """What the targets are, with the options that say so taken out of ``wanted``."""
    from ldmbench.listening.items import from_folders, from_runs
    from ldmbench.runs.prepare import open_runs

    reference, systems, anchors = wanted.pop("reference"), wanted.pop("systems"), wanted["anchor_systems"]
    captions, table, content, root = (wanted.pop(name) for name in ("captions", "table", "content", "runs"))
    if reference is not None:
        if systems:
            raise BenchError("-s chooses among runs", fix="name only the folders that are to be heard")
        return from_folders([Path(target) for target in targets], reference, content, table, captions)
    if captions is not None or table is not None:
        raise BenchError("captions and CSV belong to folders", fix="name the folder of references with --reference")
    named = (*systems, *anchors) if systems else ()
    return from_runs(open_runs(targets, root, named), named)


def _request(wanted: dict[str, Any]) -> Request:
    """The other options as one record."""
    from ldmbench.listening.export import Request
    from ldmbench.listening.presets import DEFAULTS, load_preset
    from ldmbench.listening.stimuli import Treatment

    method = wanted["method"]
    preset = load_preset(wanted["preset"] or DEFAULTS[method])
    low_pass = wanted["low_pass"]
    edges = preset.anchors if low_pass is None else _edges(low_pass)
    treatment = Treatment(int(wanted["rate"]), _loudness(wanted["loudness"]), wanted["align"], edges)
    return Request(
        method=method, preset=preset, title=wanted["title"], items=wanted["items"] or preset.items,
        longest=wanted["seconds"] or preset.seconds, treatment=treatment, max_sliders=wanted["max_sliders"],
        per_listener=wanted["per_listener"] or 0, duplicates=wanted["duplicates"], anchors=wanted["anchor_systems"],
        reference=wanted["open_reference"], ties=wanted["ties"], training=wanted["training"],
        organiser=wanted["organiser"], excerpts=wanted["excerpts"], seed=wanted["seed"],
    )  # fmt: skip


def _loudness(text: str) -> float | None:
    if text == "off":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 1.0
    if not -50 <= value <= -10:
        raise BenchError(f"--loudness {text!r} is no loudness", "-50 to -10 LUFS, or 'off'", "-23 is broadcasting's")
    return value


def _edges(text: str) -> tuple[float, ...]:
    if text == "none":
        return ()
    try:
        edges = tuple(sorted(1000 * float(part) for part in text.split(",")))
    except ValueError:
        edges = (0.0,)
    if not all(500 <= edge <= 20_000 for edge in edges) or len(set(edges)) < len(edges):
        raise BenchError(f"--low-pass {text!r} names no edges", "0.5 to 20 kHz, separated by commas", "3.5,7")
    return edges


@click.command()
@_pack
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets others in.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@_ratings
@click.option(
    "--headphones",
    type=click.Choice(["off", "woods", "milne"]),
    default="woods",
    show_default=True,
    help="Test of whether listeners wear headphones.",
)
@click.option("--require-headphones", is_flag=True, help="End sessions that fail the test twice, instead of noting it.")
@click.option("--code", default="", help="Completion code of everybody, as Prolific wants it.  [default: one each]")
@click.option("--open", "show_page", is_flag=True, help="Open the page in the browser.")
def serve(
    pack: Path,
    host: str,
    port: int,
    ratings: Path | None,
    headphones: Any,
    require_headphones: bool,
    code: str,
    show_page: bool,
) -> None:
    """Run the test in PACK on a page of its own; ratings go to PACK.ratings.sqlite as they come.

    Give each listener the address with ?listener=CODE; without, a listener is anonymous. Prolific's parameters are
    taken as they are. Ctrl-C ends it, and the same command goes on where it was: sessions survive.
    """
    from ldmbench.listening.conduct import Settings
    from ldmbench.listening.run import serve as run

    settings = Settings(headphones, require_headphones, code)
    run(pack, host, port, ratings, settings, click.echo, click.launch if show_page else None)


@click.command()
@_pack
@_ratings
@click.option("-o", "--output", type=_file, help="CSV of the ratings.  [default: PACK.ratings.csv]")
@click.option("--sessions", type=_file, help="CSV of the sessions: codes, times, headphone test, remarks.")
@click.option("--unseal", is_flag=True, help="Join the key: say which system each rating is of.")
@click.option("--key", type=_file, help="The key.  [default: PACK.sealed/key.json]")
@click.option("--pseudonyms", is_flag=True, help="Write l001, l002, ... in place of listeners' codes.")
@click.option("--finished", is_flag=True, help="Only sessions that came to their end.")
@options.as_json
def results(
    pack: Path,
    ratings: Path | None,
    output: Path | None,
    sessions: Path | None,
    unseal: bool,
    key: Path | None,
    pseudonyms: bool,
    finished: bool,
    as_json: bool,
) -> None:
    """Show how far the test in PACK is, and write its ratings as CSV; also while it runs.

    Without --unseal the table does not say which system a rating is of.
    """
    import json
    from dataclasses import replace

    from ldmbench.listening import results as of
    from ldmbench.listening.pack import load_key, load_pack, ratings_file
    from ldmbench.listening.ratings import joined, write_ratings

    record = load_pack(pack)
    found = of.read_results(record, ratings or ratings_file(pack))
    rows = [rating for rating in found.ratings if rating.complete or not finished]
    if unseal or key is not None:
        rows = joined(rows, load_key(pack, record, key))
    if pseudonyms:
        names = of.pseudonyms(rows)
        rows = [replace(rating, listener=names[rating.listener]) for rating in rows]
    output = output or pack.absolute().with_name(f"{pack.absolute().name}.ratings.csv")
    write_ratings(output, rows)
    if sessions is not None:
        of.write_sessions(sessions, found)
    progress = found.progress()
    if as_json:
        click.echo(json.dumps({**progress, "output": str(output)}))
        return
    least, most = progress["listeners_per_page"]
    median = progress["minutes_median"]
    click.echo(f"{progress['finished']} sessions finished, {progress['going_on']} going on, {progress['left']} left")
    click.echo(f"{progress['ratings']} ratings; each page rated by {least} to {most} listeners")
    if median is not None:
        click.echo(f"a session takes {median:g} minutes (median)")
    if progress["screening_failed"]:
        click.echo(f"{progress['screening_failed']} sessions failed the headphone test")
    click.echo(f"wrote {output}: {len(rows)} rows")
