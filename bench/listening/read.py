"""One door to all files of ratings: each is known by its content, and all together are one test."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.listening import sessions
from ldmbench.listening.formats import beaqle, means, netflix, own, sheet, tidy, webmushra, wide
from ldmbench.listening.formats.table import Read, text_of
from ldmbench.listening.joined import Names, join
from ldmbench.listening.votes import Ratings, check_scores, usual_role
from ldmbench.names import some

#: What a file may be, in the order in which it is asked.
_CSV: tuple[tuple[str, Callable[[str], bool], Callable[[Path], Read]], ...] = (
    ("mushra results", own.is_own, own.read_own),
    ("webMUSHRA", webmushra.is_webmushra, webmushra.read_webmushra),
    ("pymushra CSV", webmushra.is_pymushra_csv, webmushra.read_pymushra_csv),
    ("EARS-EMO-OpenACE", means.is_openace, means.read_openace),
    ("lists of ratings", wide.is_lists, wide.read_lists),
    ("DAC", wide.is_dac, wide.read_dac),
    ("one rating a line", tidy.is_tidy, tidy.read_tidy),
    ("rating sheet", sheet.is_sheet, sheet.read_sheet),
    ("Netflix XML", netflix.is_netflix, netflix.read_netflix),
)
_JSON: tuple[tuple[str, Callable[[Any], bool], Callable[[Path], Read]], ...] = (
    ("pymushra JSON", webmushra.is_pymushra_json, webmushra.read_pymushra_json),
    ("BeaqleJS", beaqle.is_beaqle, beaqle.read_beaqle),
)
_SUFFIXES = (".csv", ".json", ".txt", ".xml", ".xlsx")

#: Scales of the methods whose scores are not 0 to 100.
_SCALES = {"acr": (1.0, 5.0), "dcr": (1.0, 5.0), "ab": (0.0, 1.0)}

#: What can be read, for messages.
KINDS = (
    "a pack, mushra results' CSV, webMUSHRA's mushra.csv, pymushra's CSV and JSON, BeaqleJS's files, DAC's and "
    "ReSEval's tables, ODAQ's XML and CSV"
    ", EARS-EMO-OpenACE's metadata.csv, rating sheets (CSV, XLSX), or a CSV with listener,item,system,score"
)


@dataclass(frozen=True)
class HowToRead:
    """How files of ratings are read.

    Attributes:
        names: What their names stand for.
        conditions: Conditions of a ReSEval test, which its table does not name.
        scale: Lowest and highest score; that of the method where None, 0 to 100 where it is not known.
        complete_only: Leave out sessions that are not whole.
    """

    names: Names = field(default_factory=Names)
    conditions: tuple[str, ...] = ()
    scale: tuple[float, float] | None = None
    complete_only: bool = False


def read_ratings(paths: Sequence[Path], how: HowToRead) -> Ratings:
    """The ratings of all files, as one test.

    Args:
        paths: Files, or folders of them.
        how: What names stand for, the scale, and what is left out.

    Raises:
        BenchError: If a file is of no kind that can be read, holds no ratings, or has scores that the scale has not.
    """
    reads = [read for path in paths for read in _read_all(path, how.conditions)]
    _tell_apart(reads)
    notes = [note for read in reads for note in read.notes]
    votes = [vote for read in reads for vote in read.rows]
    method = _one_method({method for read in reads for method in read.methods})
    low, high = how.scale or _SCALES.get(method, (0.0, 100.0))
    check_scores(votes, low, high)
    votes, strangers = join(votes, how.names)
    votes, copies = sessions.once(votes)
    notes += [*strangers, *copies]
    broken = sessions.partial(votes)
    if broken:
        shown = some([f"{name} ({reason})" for name, reason in broken.items()])
        done = "left out" if how.complete_only else "their ratings count"
        notes.append(f"Not whole, {len(broken)} sessions, {done}: {shown}")
        votes = [vote for vote in votes if not (how.complete_only and vote.session in broken)]
    if not votes:
        raise BenchError("no session is whole", "; ".join(notes), "read them without --complete-only")
    roles = {name: usual_role(name) for name in dict.fromkeys(vote.system for vote in votes)}
    for read in reads:
        roles |= read.roles
    groups = {item: group for read in reads for item, group in read.groups.items()}
    clips = {item: clip for read in reads for item, clip in read.clips.items()}
    ratings = Ratings(
        tuple(votes), {**roles, **how.names.roles}, {**groups, **how.names.groups}, {**clips, **how.names.clips},
        how.names.kinds, low, high, method, tuple(notes),
    )  # fmt: skip
    strange = [name for name in (*how.names.clips, *how.names.groups) if name not in ratings.items]
    if strange and len(strange) == len({*how.names.clips, *how.names.groups}):
        raise BenchError("the table of items has none of the test", f"{some(strange)}; {some(list(ratings.items))}")
    return ratings


def references_of(paths: Sequence[Path]) -> dict[str, str]:
    """Item -> file of its reference, as far as the files of ratings say it."""
    return {item: name for path in paths for read in _read_all(path, ("",)) for item, name in read.references.items()}


def _tell_apart(reads: Sequence[Read]) -> None:
    """Call listeners who are named by their file by its folder too, where several files have one name."""
    named = [read for read in reads if read.named_by is not None]
    names = Counter(read.named_by.stem for read in named if read.named_by is not None)
    for read in named:
        path = read.named_by
        if path is not None and names[path.stem] > 1:
            label = f"{path.resolve().parent.name}/{path.stem}"
            read.rows = [replace(row, listener=label, session=label) for row in read.rows]


def _one_method(methods: set[str]) -> str:
    if len(methods) > 1:
        named = ", ".join(sorted(methods))
        raise BenchError("ratings of several methods are several tests", named, "read one at a time")
    return next(iter(methods), "mushra")


def _read_all(path: Path, conditions: Sequence[str]) -> list[Read]:
    if own.is_pack(path):
        return [own.read_pack(path)]
    if not path.is_dir():
        return [_read(path, conditions)]
    files = sorted(
        file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith("temp_")
    )
    reads, others = [], []
    for file in files:
        try:
            reads.append(_read(file, conditions))
        except BenchError as error:
            others.append(f"{file.name} ({error.what.removeprefix(str(file)).strip()})")
    if not reads:
        raise BenchError(f"{path} holds no ratings", some(others) if others else "no file", f"it may hold {KINDS}")
    if others:
        reads[0] = replace(reads[0], notes=[*reads[0].notes, f"{path.name}: not read: {some(others)}"])
    return reads


def _read(path: Path, conditions: Sequence[str]) -> Read:
    try:
        return _as_known(path, conditions)
    except csv.Error as error:
        raise BenchError(f"{path} is no CSV", str(error), "name a file as the program wrote it") from None


def _as_known(path: Path, conditions: Sequence[str]) -> Read:
    if path.suffix.lower() == ".xlsx":
        return sheet.read_xlsx(path)
    text = text_of(path)
    if text.lstrip()[:1] in ("{", "["):
        content = webmushra.decode(path)
        for _, knows, read in _JSON:
            if knows(content):
                return read(path)
    else:
        if wide.is_reseval(text):
            return wide.read_reseval(path, conditions)
        for _, knows, read_text in _CSV:
            if knows(text):
                return read_text(path)
        if sheet.is_sheet(text.replace(";", ",")):
            return sheet.read_sheet(path)
    raise BenchError(f"{path} is no file of ratings that is known", text[:60], f"name {KINDS}")
