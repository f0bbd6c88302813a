"""Files: which of them are there, writing them so that nobody reads half of one, and the error where that fails."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ldmbench.errors import BenchError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

#: Files that are put on the disk at once.
_SIDE_BY_SIDE = 8

#: Characters of a file name; most file systems allow 255 bytes, suffixes and temporary names included.
_LONGEST_NAME = 180

#: What to do about a full disk, for what the user chose the folder of.
OTHER_OUT = "free disk space or choose another --out"

#: The same for what is kept in the cache home.
OTHER_CACHE = "free disk space, or set LDMBENCH_CACHE to a folder that can be written"


def safe_name(text: str) -> str:
    """``text`` as one file name that is safe on every file system, at most 180 characters long, and no other text's.

    Names of datasets and systems are such texts; with settings they may even hold a path.
    """
    part = quote(text, safe="@=,+- ")
    if set(part) <= {"."}:
        part = "%" + part.replace(".", "%2E")  # "", "." and ".." are no names; no quoted text begins like this.
    if len(part) > _LONGEST_NAME:
        # Only here does a "%~" occur: "~" itself is never quoted.
        part = f"{part[: _LONGEST_NAME - 34]}%~{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    return part


def why_no_file(path: Path) -> str:
    """Why what is called ``path`` is no file that can be read, in the plural, or empty where it is one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "links to what is not there"
    except OSError as error:
        return f"links that lead nowhere ({error.strerror})" if path.is_symlink() else f"{error.strerror}"
    return "" if stat.S_ISREG(mode) else "folders" if stat.S_ISDIR(mode) else "devices and pipes"


def unreadable_folders(folder: Path) -> list[str]:
    """Folders below one (relative paths) whose files nobody sees, since they cannot be opened; ``glob`` is silent."""
    errors: list[OSError] = []
    for _ in os.walk(folder, onerror=errors.append):
        pass
    return sorted(str(Path(error.filename).relative_to(folder)) for error in errors)


def absent(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of the files ``names`` (relative paths) that are not below ``folder``, sorted."""
    return sorted(name for name in names if not (folder / name).is_file())


def not_written(path: Path, error: OSError, fix: str = OTHER_OUT) -> BenchError:
    """The error for a file that could not be written, usually for want of space."""
    return BenchError(f"cannot write {path}", error.strerror or str(error), fix, exit_code=1)


def _sync(path: Path) -> None:
    """Put a file, or a folder's names, on the disk: a file is there after a loss of power only if its name is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(paths: Collection[Path]) -> None:
    """Put files and their names on the disk, side by side: a disk that is waited for once writes many in that time.

    Raises:
        BenchError: If one cannot be written.
    """
    if not paths:
        return
    for group in (paths, {path.parent for path in paths}):
        for path, error in zip(group, _threads().map(_synced, group), strict=True):
            if error is not None:
                raise not_written(path, error)


def _synced(path: Path) -> OSError | None:
    try:
        _sync(path)
    except OSError as error:
        return error
    return None


@cache
def _threads() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(_SIDE_BY_SIDE, "sync")


@contextmanager
def replacing(path: Path, fix: str = OTHER_OUT, durable: bool = False) -> Iterator[BufferedWriter]:
    """A file to write in place of ``path``, which it becomes at the end of the block: whole, or not at all.

    It lies in the same folder, which is made, under a name that no other process or thread uses, and is removed if
    the block fails.

    Args:
        path: The file that is to be.
        fix: What to do where it cannot be written.
        durable: Put the content on the disk before the file takes its name, and then the name: a loss of power then
            leaves neither an empty file under it nor none.

    Yields:
        The handle, open for bytes.

    Raises:
        BenchError: For an ``OSError`` of the block or of the file system.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened plainly and not by tempfile, whose files no other user of a shared cache may read.
        with temporary.open("xb") as handle:
            yield handle
            handle.flush()
            if durable:
                os.fsync(handle.fileno())
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    except OSError as error:
        raise not_written(path, error, fix) from None
    finally:
        # What could not be created cannot be removed; the error that matters is on its way already.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
