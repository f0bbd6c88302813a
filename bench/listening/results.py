"""What a test has brought so far: how far its sessions are, and the ratings as a tidy table."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ldmbench.clips.table import write_table
from ldmbench.errors import BenchError
from ldmbench.listening.pack import Pack
from ldmbench.listening.ratings import Rating
from ldmbench.listening.store import ABANDONED, read_tables

#: Columns of the table of sessions.
SESSION_COLUMNS = (
    "session", "listener", "block", "state", "pages", "of", "started", "seen", "consent", "words", "gain",
    "screening", "screening_right", "screening_of", "screening_tries", "finished", "minutes", "code",
    "study", "submission", "comment",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """What the file of ratings holds.

    Attributes:
        pack: The pack.
        sessions: One row for each session, with ``SESSION_COLUMNS``.
        ratings: All scores, the key not yet joined.
    """

    pack: Pack
    sessions: tuple[Mapping[str, Any], ...]
    ratings: tuple[Rating, ...]

    def progress(self) -> dict[str, Any]:
        """How many sessions are finished, going on and left, how even blocks and pages are, and how long it takes."""
        states = Counter(row["state"] for row in self.sessions)
        finished = [row for row in self.sessions if row["state"] == "finished"]
        blocks = Counter(row["block"] for row in finished)
        heard = Counter((rating.session, rating.page) for rating in self.ratings)
        pages = Counter(page for _, page in heard)
        counts = [pages[page.id] for page in self.pack.pages]
        minutes = [row["minutes"] for row in finished if row["minutes"] is not None]
        return {
            "pack": self.pack.id,
            "finished": states["finished"],
            "going_on": states["going on"],
            "left": states["left"],
            "ratings": len(self.ratings),
            "minutes_median": round(statistics.median(minutes), 1) if minutes else None,
            "blocks": {block.id: blocks[block.id] for block in self.pack.blocks},
            "listeners_per_page": [min(counts), max(counts)],
            "screening_failed": sum(row["screening_failed"] for row in self.sessions),
        }  # fmt: skip


def read_results(pack: Pack, path: Path, now: datetime | None = None) -> Results:
    """Read the ratings of a pack, also while they come in.

    Args:
        pack: The pack.
        path: The file of ratings.
        now: The present time.

    Raises:
        BenchError: If there are none, or they are of another pack.
    """
    facts, sessions, rows = read_tables(path)
    if facts.get("pack") != pack.id or facts.get("sounds") != pack.digest():
        raise BenchError(
            f"{path} holds ratings of another pack", facts.get("pack", "none"), "name the file with --ratings"
        )
    now = now or datetime.now(UTC)
    blocks = {block.id: block.pages for block in pack.blocks}
    by_id = {row["id"]: row for row in sessions}
    rated = Counter(session for session, _ in {(row["session"], row["page"]) for row in rows})
    ratings = [
        Rating(
            test=pack.id, method=pack.method, listener=by_id[row["session"]]["listener"], session=row["session"],
            block=by_id[row["session"]]["block"], page=row["page"], item="", group="", system="", role="", repeat=0,
            stimulus=row["stimulus"], criterion=row["criterion"], score=row["score"], rating_time_ms=row["time_ms"],
            page_position=row["position"], order_shown=row["order_shown"], played_ms=row["played_ms"],
            touched=bool(row["touched"]), saved=row["saved"], complete=by_id[row["session"]]["finished"] is not None,
        )
        for row in rows
    ]  # fmt: skip
    table = [_session(row, rated[row["id"]], len(blocks[row["block"]]), now) for row in sessions]
    return Results(pack, tuple(table), tuple(ratings))


def pseudonyms(ratings: Sequence[Rating]) -> dict[str, str]:
    """Listener -> ``l001`` and so on, in the order of their sessions' ids, which are random."""
    sessions = sorted({(rating.session, rating.listener) for rating in ratings})
    return {listener: f"l{number:03}" for number, (_, listener) in enumerate(sessions, 1)}


def write_sessions(path: Path, results: Results) -> None:
    """Write the sessions as CSV, with codes, remarks and the result of the headphone test."""
    rows = []
    for row in results.sessions:
        cells = ["" if row[name] is None else row[name] for name in SESSION_COLUMNS]
        rows.append([" ".join(cell.split()) if isinstance(cell, str) else cell for cell in cells])
    write_table(path, SESSION_COLUMNS, rows)


def _session(row: Mapping[str, Any], rated: int, total: int, now: datetime) -> dict[str, Any]:
    seen = datetime.fromisoformat(row["seen"])
    state = "finished" if row["finished"] else "left" if now - seen > ABANDONED else "going on"
    end = datetime.fromisoformat(row["finished"]) if row["finished"] else None
    minutes = None if end is None else round((end - datetime.fromisoformat(row["started"])).total_seconds() / 60, 1)
    failed = bool(row["screening"]) and row["headphones"] is None
    if row["screening"]:
        from ldmbench.listening.headphones import PASS

        failed = row["screening_right"] < PASS[row["screening"]]
    return {
        **{name: row[name] for name in SESSION_COLUMNS if name in row},
        "session": row["id"], "state": state, "pages": rated, "of": total, "minutes": minutes,
        "screening_failed": failed,
    }  # fmt: skip
