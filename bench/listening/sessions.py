"""What came twice and what is not whole: sessions that were sent, exported or read again, and those that broke off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from ldmbench.listening.votes import Vote
from ldmbench.names import some

#: So many different scores, all equal in two sessions without times, are no chance.
_DIFFERENT = 8


def once(votes: Sequence[Vote]) -> tuple[list[Vote], list[str]]:
    """The votes without those that are there already, and a note on each kind of copy.

    A session that comes again under its own name is a copy; so is one under another name whose scores and times are
    all equal (pymushra gives sessions numbers of its own). Of two different scores that one listener gave one sound,
    the first counts; repetitions put in on purpose are told apart by ``Vote.repeat``.
    """
    notes: list[str] = []
    sessions = _by(votes, lambda vote: (vote.session, vote.source))
    kept: dict[tuple[str, str], list[Vote]] = {}
    prints: dict[Hashable, str] = {}
    copies: list[str] = []
    for (session, source), rows in sessions.items():
        mark = _fingerprint(rows)
        if mark is not None and mark in prints:
            copies.append(f"{session} of {source} is {prints[mark]}")
        else:
            kept[session, source] = rows
            if mark is not None:
                prints[mark] = f"{session} of {source}"
    if copies:
        notes.append(f"Read once, {len(copies)} sessions that are there twice: {some(copies)}")
    seen: dict[tuple[object, ...], float] = {}
    rows_kept, same, different = [], Counter[str](), Counter[str]()
    for rows in kept.values():
        for vote in rows:
            key = (vote.listener, vote.item, vote.system, vote.scale, vote.repeat)
            if key in seen:
                (same if seen[key] == vote.score else different)[vote.listener] += 1
                continue
            seen[key] = vote.score
            rows_kept.append(vote)
    if same:
        shown = some([f"{name} ({count} ratings)" for name, count in same.items()])
        notes.append(f"Read once, ratings that are there twice: {shown}")
    if different:
        shown = some([f"{name} ({count} ratings)" for name, count in different.items()])
        notes.append(f"Rated again with another score, the first counts: {shown}")
    return rows_kept, notes


def partial(votes: Sequence[Vote]) -> dict[str, str]:
    """Sessions that are not whole -> what they lack.

    A page is not whole where another session of the block has more sliders on it. A session has too few pages where
    it has fewer than most sessions of its block.
    """
    reasons: dict[str, list[str]] = {}
    pages = {key: {vote.system for vote in rows} for key, rows in _by(votes, lambda v: (v.session, v.item)).items()}
    fullest: dict[str, list[set[str]]] = {}
    for (_, item), systems in pages.items():
        fullest.setdefault(item, []).append(systems)
    for (session, item), systems in pages.items():
        more = max((other for other in fullest[item] if systems < other), key=len, default=None)
        if more is not None:
            reasons.setdefault(session, []).append(f"{item} without {some(sorted(more - systems))}")
    blocks: dict[str, dict[str, set[str]]] = {}
    for vote in votes:
        blocks.setdefault(vote.block, {}).setdefault(vote.session, set()).add(vote.item)
    for block in blocks.values():
        usual = Counter(len(items) for items in block.values()).most_common(1)[0][0]
        for session, items in block.items():
            if len(items) < usual:
                reasons.setdefault(session, []).append(f"{len(items)} of {usual} pages")
    return {session: "; ".join(lines) for session, lines in reasons.items()}


def _fingerprint(rows: Iterable[Vote]) -> Hashable | None:
    """All that a session says; None where it may be equal by chance: no times, and few different scores."""
    marks = {(vote.item, vote.system, vote.scale, vote.repeat, vote.score, vote.seconds) for vote in rows}
    untimed = any(mark[-1] is None for mark in marks)
    if untimed and len({mark[-2] for mark in marks}) < _DIFFERENT:
        return None
    return frozenset(marks)


def _by(votes: Iterable[Vote], key: Callable[[Vote], tuple[str, str]]) -> Mapping[tuple[str, str], list[Vote]]:
    groups: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        groups.setdefault(key(vote), []).append(vote)
    return groups
