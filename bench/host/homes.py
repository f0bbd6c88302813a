"""Folders where the bench keeps things, digests of the files in them, and one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.host.files import replacing

#: A digest is remembered only for files that were last changed this long ago: a clock tick can hide a change.
_SETTLED_S = 2.0


def cache_home() -> Path:
    """Where everything that can be made again lives: ``$LDMBENCH_CACHE`` or ``~/.cache/ldmbench``."""
    return Path(os.environ.get("LDMBENCH_CACHE") or "~/.cache/ldmbench").expanduser().absolute()


def data_home() -> Path:
    """Where datasets live: ``$LDMBENCH_DATA`` or ``data`` in the cache home."""
    return Path(os.environ.get("LDMBENCH_DATA") or cache_home() / "data").expanduser().absolute()


def weights_home() -> Path:
    """Where checkpoints live: ``$LDMBENCH_WEIGHTS`` or ``weights`` in the cache home."""
    return Path(os.environ.get("LDMBENCH_WEIGHTS") or cache_home() / "weights").expanduser().absolute()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file, remembered in the cache home as long as size and time of change stay the same.

    Raises:
        BenchError: If the file is missing or unreadable.
    """
    try:
        path = path.resolve(strict=True)
        before = path.stat()
        note = cache_home() / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
        state = {"size": before.st_size, "mtime_ns": before.st_mtime_ns}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(note.read_text(encoding="utf-8"))
            if {key: known[key] for key in state} == state and len(known["sha256"]) == 64:
                return str(known["sha256"])
        digest = sha256(path)
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "check the path") from None
    if time.time() - before.st_mtime > _SETTLED_S:
        # The digest is right whether or not it can be remembered: a read-only cache home only costs time.
        with contextlib.suppress(BenchError), replacing(note) as handle:
            handle.write(json.dumps({**state, "sha256": digest}).encode())
    return digest


@contextlib.contextmanager
def only_one(task: str) -> Iterator[None]:
    """Let one process at a time do ``task``; where the system has no file locks, all of them."""
    lock = cache_home() / "locks" / f"{hashlib.sha256(task.encode()).hexdigest()[:32]}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file, read anew."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
