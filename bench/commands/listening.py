"""Options of the commands that read the ratings of a listening test, and the reading itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ldmbench.errors import BenchError
from ldmbench.names import some, unknown

if TYPE_CHECKING:
    from ldmbench.listening.screening import Screening
    from ldmbench.listening.votes import Ratings
    from ldmbench.runs.request import Options
    from ldmbench.runs.results import Run

F = TypeVar("F", bound=Callable[..., Any])

_folder = click.Path(path_type=Path, file_okay=False)
_file = click.Path(path_type=Path, dir_okay=False)

_READING = (
    click.option("--pack", type=_folder, help="Pack that was rated: its sealed key says what the stimuli were."),
    click.option(
        "--key", type=_file, help="The pack's key, or without a pack CSV with stimulus,system[,page][,item][,repeat]."
    ),
    click.option("--systems", type=_file, help="CSV with condition[,system][,role][,kind]: labels, anchors, kinds."),
    click.option("--items", type=_file, help="CSV with item[,clip][,group]: clips of the runs, and groups."),
    click.option("--conditions", default="", help="Conditions of a ReSEval test, separated by commas."),
    click.option(
        "--scale", nargs=2, type=float, default=None, help="Lowest and highest score.  [default: 0 100, or the pack's]"
    ),
    click.option("--complete-only", is_flag=True, help="Leave out sessions that are not whole."),
)

_SCREENING = (
    click.option(
        "--screen",
        type=click.Choice(["auto", "bs1534", "mpeg", "semanticodec", "none"]),
        default="auto",
        show_default=True,
        help="Rules by which listeners or pages are left out; auto: BS.1534's where they apply.",
    ),
    click.option(
        "--threshold",
        type=float,
        default=90.0,
        show_default=True,
        help="Points that the hidden reference must have.",
    ),
    click.option("--seconds", type=click.FloatRange(0), help="Length of the sounds: flags pages that were left early."),
)


def reading(command: F) -> F:
    """Add the options that say how ratings are read."""
    return _add(command, _READING)


def screening(command: F) -> F:
    """Add the options that say who is left out."""
    return _add(command, _SCREENING)


def _add(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def read(
    paths: tuple[Path, ...],
    pack: Path | None,
    key: Path | None,
    systems: Path | None,
    items: Path | None,
    conditions: str,
    scale: tuple[float, float] | None,
    complete_only: bool,
) -> Ratings:
    """Read ratings as the options say; a pack among them brings its key."""
    from ldmbench.listening.joined import both, names_of_pack, read_names
    from ldmbench.listening.read import HowToRead, read_ratings

    folder = pack_of(paths, pack)
    names = read_names(key if folder is None else None, systems, items)
    if folder is not None:
        names = both(names_of_pack(folder, key), names)
    of_reseval = tuple(name.strip() for name in conditions.split(",") if name.strip())
    return read_ratings(paths, HowToRead(names, of_reseval, scale, complete_only))


def pack_of(paths: tuple[Path, ...], pack: Path | None) -> Path | None:
    """The pack that was rated: the one that is named, or the one among the ratings.

    Raises:
        BenchError: If there are several.
    """
    from ldmbench.listening.formats.own import is_pack

    packs = {path.resolve(): path for path in (*([pack] if pack else []), *filter(is_pack, paths))}
    if len(packs) > 1:
        raise BenchError(
            "ratings of several packs are several tests", some(list(map(str, packs))), "read one at a time"
        )
    return next(iter(packs.values()), None)


@dataclass(frozen=True)
class About:
    """What a test is called, how long its shortest and longest sounds are, and what must be said with its numbers."""

    title: str
    seconds: float | None = None
    longest: float | None = None
    marks: tuple[str, ...] = ()


def about(paths: tuple[Path, ...], pack: Path | None) -> About:
    """What a pack says of itself; without one, the name of the first file."""
    from ldmbench.listening.pack import load_pack

    folder = pack_of(paths, pack)
    if folder is None:
        return About(paths[0].stem or paths[0].resolve().name)
    record = load_pack(folder)
    lengths = [page.seconds for page in record.pages]
    return About(record.title, min(lengths), max(lengths), record.marks)


def one_scale(ratings: Ratings, name: str) -> Ratings:
    """The ratings of the scale with a name, or of the first.

    Raises:
        BenchError: If the test has no such scale.
    """
    if name and name not in ratings.scales:
        raise unknown("scale of the test", name, ratings.scales)
    return ratings.of_scale(name or ratings.scales[0])


def score_sounds(
    paths: tuple[Path, ...],
    screened: Screening,
    folder: Path,
    metrics: tuple[str, ...],
    out: Path,
    options: Options,
    content: Any,
) -> tuple[list[Run], Screening]:
    """Score the sounds that were rated; returns the runs, and the ratings with the clips of their items."""
    from ldmbench.listening.rated import find_sounds, score_set
    from ldmbench.listening.read import references_of

    sounds = find_sounds(screened.before, folder, references_of(paths))
    runs, clips = score_set(sounds, metrics, out, options, content)
    kept = replace(screened.ratings, clips=clips, notes=(*screened.ratings.notes, *sounds.notes))
    return runs, replace(screened, ratings=kept)
