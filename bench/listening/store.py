"""Sessions and ratings of a test in SQLite: what was acknowledged is on the disk, and nothing is there twice."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.listening.pack import Pack

#: Raised when the layout of the tables changes.
SCHEMA = 1

#: A session in which nothing happened for so long no longer holds its block.
ABANDONED = timedelta(hours=2)

#: Steps of a session before its pages, in order, as columns that say when each was done.
STEPS = ("consent", "volume", "headphones", "training")

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, listener TEXT NOT NULL UNIQUE, block TEXT NOT NULL,
  seed INTEGER NOT NULL, started TEXT NOT NULL, seen TEXT NOT NULL, words TEXT NOT NULL,
  consent TEXT, volume TEXT, gain REAL, headphones TEXT, screening TEXT NOT NULL DEFAULT '',
  screening_right INTEGER, screening_of INTEGER, screening_tries INTEGER NOT NULL DEFAULT 0,
  training TEXT, finished TEXT, code TEXT NOT NULL DEFAULT '', comment TEXT NOT NULL DEFAULT '',
  study TEXT NOT NULL DEFAULT '', submission TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS pages (
  session TEXT NOT NULL REFERENCES sessions(id), page TEXT NOT NULL, position INTEGER NOT NULL,
  time_ms INTEGER NOT NULL, saved TEXT NOT NULL, PRIMARY KEY (session, page)
) STRICT;
CREATE TABLE IF NOT EXISTS ratings (
  session TEXT NOT NULL, page TEXT NOT NULL, stimulus TEXT NOT NULL, criterion TEXT NOT NULL,
  score REAL NOT NULL, order_shown INTEGER NOT NULL, played_ms INTEGER NOT NULL, touched INTEGER NOT NULL,
  PRIMARY KEY (session, page, stimulus, criterion), FOREIGN KEY (session, page) REFERENCES pages(session, page)
) STRICT;
"""


@dataclass(frozen=True)
class Session:
    """One listener's way through a test.

    Attributes:
        id: As it stands in the table of ratings.
        token: What the listener's browser shows for it.
        listener: Who it is.
        block: Block of the pack.
        seed: Decides in which order stimuli are shown.
        done: Steps that were done.
        rated: Pages that were saved.
        finished: Whether the session came to its end.
        gain: Volume that was set, 0 to 1.
        screening_tries: How often headphones were tested.
        code: Completion code.
        submission: Prolific's id of the session; empty where the listener came from elsewhere.
    """

    id: str
    token: str
    listener: str
    block: str
    seed: int
    done: frozenset[str]
    rated: frozenset[str]
    finished: bool
    gain: float
    screening_tries: int
    code: str
    submission: str


@dataclass(frozen=True)
class Answer:
    """A score of a page that is saved."""

    stimulus: str
    criterion: str
    score: float
    order_shown: int
    played_ms: int
    touched: bool


class Store:
    """The ratings of one pack, for one process that serves it.

    One long-lived connection under a lock, write-ahead log, every commit on the disk: measured faster than a connection
    for each request, and nothing that was acknowledged is lost to ``kill -9`` or to a loss of power.
    """

    def __init__(self, path: Path, pack: Pack) -> None:
        self._lock = threading.Lock()
        self._blocks = [block.id for block in pack.blocks]
        self._words = pack.words.preset
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise BenchError(f"{path} cannot hold ratings", str(error), "name another file with --ratings") from None
        self._adopt(path, pack)

    def _adopt(self, path: Path, pack: Pack) -> None:
        """Mark a new file with the pack, and refuse the file of another pack."""
        wanted = {"schema": str(SCHEMA), "pack": pack.id, "method": pack.method, "sounds": pack.digest()}
        with self._transaction() as connection:
            facts = dict(connection.execute("SELECT name, value FROM facts").fetchall())
            if not facts:
                connection.executemany("INSERT INTO facts VALUES (?, ?)", wanted.items())
            elif facts != wanted:
                differs = ", ".join(
                    f"{name} {facts.get(name, '')[:12]}" for name in wanted if facts.get(name) != wanted[name]
                )
                raise BenchError(f"{path} holds ratings of another pack", differs, "name another file with --ratings")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that has the write lock from its start: one that reads first could not get it later."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def begin(self, listener: str = "", study: str = "", submission: str = "", code: str = "") -> Session:
        """The session of a listener: the one that was begun, or a new one with the block that needs listeners most.

        Args:
            listener: Who it is; empty for one whom nobody named.
            study: Prolific's id of the study.
            submission: Prolific's id of the session.
            code: Completion code; a code of its own where empty.
        """
        now = datetime.now(UTC)
        with self._transaction() as connection:
            row = connection.execute("SELECT token FROM sessions WHERE listener = ?", (listener,)).fetchone()
            if row is None:
                token, name = secrets.token_urlsafe(24), f"s{secrets.token_hex(5)}"
                connection.execute(
                    "INSERT INTO sessions (id, token, listener, block, seed, started, seen, words, code, study,"
                    " submission) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        name, token, listener or f"anonymous-{name[1:]}", self._next_block(connection, now),
                        secrets.randbits(48), _iso(now), _iso(now), self._words,
                        code or secrets.token_hex(4).upper(), study, submission,
                    ),
                )  # fmt: skip
            else:
                token = row["token"]
        session = self.session(token)
        assert session is not None, "it was just there"
        return session

    def _next_block(self, connection: sqlite3.Connection, now: datetime) -> str:
        """The block with the fewest sessions that came to their end or still may."""
        rows = connection.execute(
            "SELECT block, COUNT(*) FROM sessions WHERE finished IS NOT NULL OR seen > ? GROUP BY block",
            (_iso(now - ABANDONED),),
        )
        counts = dict(rows.fetchall())
        return min(self._blocks, key=lambda block: counts.get(block, 0))

    def session(self, token: str) -> Session | None:
        """The session that a token belongs to, None for a forged one."""
        with self._lock:
            row = self._connection.execute("SELECT * FROM sessions WHERE token = ?", (token,)).fetchone()
            if row is None:
                return None
            pages = self._connection.execute("SELECT page FROM pages WHERE session = ?", (row["id"],)).fetchall()
        return Session(
            id=row["id"], token=row["token"], listener=row["listener"], block=row["block"], seed=row["seed"],
            done=frozenset(step for step in STEPS if row[step] is not None),
            rated=frozenset(page["page"] for page in pages), finished=row["finished"] is not None,
            gain=1.0 if row["gain"] is None else row["gain"], screening_tries=row["screening_tries"],
            code=row["code"], submission=row["submission"],
        )  # fmt: skip

    def step(self, session: Session, step: str, gain: float | None = None) -> None:
        """Note that a step was done; the first time counts."""
        assert step in STEPS, step
        with self._transaction() as connection:
            now = _iso(datetime.now(UTC))
            connection.execute(
                f"UPDATE sessions SET seen = ?, {step} = COALESCE({step}, ?) WHERE id = ?", (now, now, session.id)
            )
            if gain is not None:
                connection.execute("UPDATE sessions SET gain = COALESCE(gain, ?) WHERE id = ?", (gain, session.id))

    def screen(self, session: Session, kind: str, right: int, trials: int) -> None:
        """Note the result of a headphone test; the last one stands."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE sessions SET screening = ?, screening_right = ?, screening_of = ?,"
                " screening_tries = screening_tries + 1, seen = ? WHERE id = ?",
                (kind, right, trials, _iso(datetime.now(UTC)), session.id),
            )

    def save(self, session: Session, page: str, position: int, time_ms: int, answers: Sequence[Answer]) -> bool:
        """Save a page with all its scores, or nothing of it; True where it was not there yet.

        A page that is saved stays as it is: a browser that had no answer sends it again.
        """
        now = _iso(datetime.now(UTC))
        with self._transaction() as connection:
            connection.execute("UPDATE sessions SET seen = ? WHERE id = ?", (now, session.id))
            done = connection.execute(
                "INSERT INTO pages VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (session.id, page, position, time_ms, now),
            )
            if done.rowcount == 0:
                return False
            connection.executemany(
                "INSERT INTO ratings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (session.id, page, a.stimulus, a.criterion, a.score, a.order_shown, a.played_ms, int(a.touched))
                    for a in answers
                ],
            )
        return True

    def finish(self, session: Session, comment: str) -> None:
        """Note that a session came to its end."""
        with self._transaction() as connection:
            now = _iso(datetime.now(UTC))
            connection.execute(
                "UPDATE sessions SET finished = COALESCE(finished, ?), seen = ?,"
                " comment = CASE WHEN finished IS NULL THEN ? ELSE comment END WHERE id = ?",
                (now, now, comment, session.id),
            )

    def close(self) -> None:
        """Close the connection; everything is on the disk already."""
        with self._lock:
            self._connection.close()


def read_tables(path: Path) -> tuple[Mapping[str, str], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Facts, sessions and ratings (joined with their pages) of a file, also while a server writes to it.

    Raises:
        BenchError: If there is no such file, or it holds no ratings.
    """
    if not path.is_file():
        raise BenchError(
            f"there are no ratings in {path}", fix="ldmbench mushra serve keeps them, or name the file with --ratings"
        )
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("BEGIN")  # One view of all tables, however they change meanwhile.
            facts = dict(connection.execute("SELECT name, value FROM facts").fetchall())
            sessions: list[Mapping[str, Any]] = [
                dict(row) for row in connection.execute("SELECT * FROM sessions ORDER BY started, id")
            ]
            ratings = connection.execute(
                "SELECT ratings.*, pages.position, pages.time_ms, pages.saved"
                " FROM ratings JOIN pages USING (session, page) ORDER BY session, position, order_shown, criterion"
            )
            rows: list[Mapping[str, Any]] = [dict(row) for row in ratings]
            return facts, sessions, rows
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise BenchError(f"{path} holds no ratings", str(error), "name the file with --ratings") from None


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
