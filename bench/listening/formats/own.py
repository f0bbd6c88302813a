"""This bench's own ratings: the table that ``mushra results`` writes, and the pack they were collected for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ldmbench.listening.formats.table import Read, header_of
from ldmbench.listening.pack import TRAINING, load_pack, ratings_file
from ldmbench.listening.ratings import Rating, is_ratings, read_ratings
from ldmbench.listening.results import read_results
from ldmbench.listening.votes import Role, Vote, usual_role
from ldmbench.names import some


def is_own(text: str) -> bool:
    """Whether this is the table of ``mushra results``."""
    return is_ratings(header_of(text))


def is_pack(path: Path) -> bool:
    """Whether this is the folder of a pack."""
    return (path / "pack.json").is_file()


def read_own(path: Path) -> Read:
    """Read the table; a rating that no key was joined to keeps its page and its stimulus for names."""
    return _read(path.name, read_ratings(path)).finish(path)


def read_pack(folder: Path) -> Read:
    """Read the ratings that ``mushra serve`` has collected for a pack so far."""
    path = ratings_file(folder)
    return _read(path.name, read_results(load_pack(folder), path).ratings).finish(path)


def _read(source: str, ratings: Iterable[Rating]) -> Read:
    read = Read()
    open_sessions = set()
    for row in ratings:
        if row.page == TRAINING:
            continue
        if not row.complete:
            open_sessions.add(row.listener)
        system = row.system or row.stimulus
        if row.role:
            read.roles[system] = role_of(system, row.role)
        if row.group and row.item:
            read.groups[row.item] = row.group
        if row.item:
            read.clips[row.item] = row.item
        read.methods.add(row.method)
        read.rows.append(
            Vote(
                row.listener, row.session, row.item or row.page, system, row.score, row.criterion, row.block,
                row.page_position, row.order_shown, row.rating_time_ms / 1000, row.played_ms > 0, row.touched,
                row.repeat, "", source,
            )
        )  # fmt: skip
    if open_sessions:
        read.notes.append(f"{source}: sessions that have not come to their end: {some(sorted(open_sessions))}")
    return read


def role_of(system: str, role: str) -> Role:
    """What a condition of a pack is there for: packs know one kind of anchor, and name it by its edge."""
    if role == "reference":
        return "reference"
    if role == "anchor":
        usual = usual_role(system)
        return usual if usual in ("low anchor", "mid anchor") else "low anchor"
    return "system"
