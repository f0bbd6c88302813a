"""Folders where the bench keeps things, digests of the files in them, and one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
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


def absolute_homes() -> dict[str, str]:
    """The variables that name these folders, absolute, for processes that may change their directory."""
    homes = {"LDMBENCH_CACHE": cache_home(), "LDMBENCH_DATA": data_home(), "LDMBENCH_WEIGHTS": weights_home()}
    return {name: str(folder) for name, folder in homes.items() if os.environ.get(name)}


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file, remembered in the cache home as long as nothing about it changes.

    Its size and modification time are no proof, since both can be set; the kernel sets the time of the last change.

    Raises:
        BenchError: If the file is missing or unreadable, or is a folder, a device or a pipe.
    """
    try:
        path = Path(os.path.realpath(path, strict=True))
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):  # Reading a pipe would wait for ever.
            raise BenchError(f"{path} is not a file", fix="check the path")
        note = cache_home() / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
        state = state_of(before)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(note.read_text(encoding="utf-8"))
            if {key: noted[key] for key in state} == state and len(noted["sha256"]) == 64:
                return str(noted["sha256"])
        digest = sha256(path)
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "check the path") from None
    if settled(before):
        # The digest is right whether or not it can be remembered: a read-only cache home only costs time.
        with contextlib.suppress(BenchError), replacing(note) as handle:
            handle.write(json.dumps({**state, "sha256": digest}).encode())
    return digest


def file_digests(paths: Iterable[Path]) -> list[str | BenchError]:
    """SHA-256 (hex) of each file, or the error that ``file_digest`` raises; remembered in one note for each folder."""
    notes: dict[str, _FolderNote] = {}
    real_folders: dict[str, str] = {}
    digests = []
    for path in paths:
        folder, name = os.path.split(path)
        if path.is_symlink():
            real, name = os.path.split(os.path.realpath(path))
        else:
            # Of thousands of files in one folder the way there is looked at once.
            real = real_folders.get(folder) or real_folders.setdefault(folder, os.path.realpath(folder))
        note = notes.get(real) or notes.setdefault(real, _FolderNote(real))
        digests.append(note.digest(name))
    for note in notes.values():
        note.keep()
    return digests


class _FolderNote:
    """What the cache home remembers of the files of one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = cache_home() / "digests" / "folders" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()}.json"
        self._files: dict[str, dict[str, int | str]] = {}
        with contextlib.suppress(OSError, ValueError):
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                self._files = content
        self._changed = False

    def digest(self, name: str) -> str | BenchError:
        path = os.path.join(self._folder, name)  # noqa: PTH118 - many thousand times
        try:
            before = os.stat(path)  # noqa: PTH116
            if not stat.S_ISREG(before.st_mode):
                return BenchError(f"{path} is not a file", fix="check the path")
            state = state_of(before)
            noted = self._files.get(name)
            known = noted.get("sha256") if isinstance(noted, dict) else None
            if isinstance(known, str) and len(known) == 64 and noted == {**state, "sha256": known}:
                return known
            digest = sha256(Path(path))
        except OSError as error:
            return BenchError(f"{path} cannot be read", error.strerror or str(error), "check the path")
        if settled(before):
            self._files[name] = {**state, "sha256": digest}
            self._changed = True
        return digest

    def keep(self) -> None:
        if self._changed:
            # The digests are right whether or not they can be remembered: a read-only cache home only costs time.
            with contextlib.suppress(BenchError), replacing(self._path) as handle:
                handle.write(json.dumps(self._files).encode("utf-8", "surrogateescape"))


def state_of(facts: os.stat_result) -> dict[str, int]:
    """What is different as soon as a file was written to, replaced, or given other times."""
    return {
        "size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "ctime_ns": facts.st_ctime_ns, "inode": facts.st_ino
    }  # fmt: skip


def settled(facts: os.stat_result) -> bool:
    """Whether the file was last changed so long ago that any later change shows in ``state_of``."""
    return time.time() - max(facts.st_mtime, facts.st_ctime) > _SETTLED_S


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
