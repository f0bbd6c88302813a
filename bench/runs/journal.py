"""Append-only files of JSON lines with one writer: the part of a run that survives ``kill -9``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import IO, Any

from ldmbench.errors import BenchError
from ldmbench.host.files import not_written


class BrokenRunError(BenchError):
    """A run on disk cannot be read; other runs are not concerned."""


class Journal:
    """An append-only file of JSON lines, flushed to the disk at every append; a torn last line is cut off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Unbuffered: after a failed append nothing must be left over for the next one or for close().
            self._handle: FileIO = path.open("ab", buffering=0)
            self._size = _whole_lines(path)
            if path.stat().st_size != self._size:
                self._handle.truncate(self._size)
        except OSError as error:
            raise not_written(path, error) from None

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows; either all of them are in the file afterwards, or none."""
        text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        if not text:
            return
        left = memoryview(text.encode())
        size = self._size + len(left)
        try:
            while left:
                left = left[self._handle.write(left) :]
            os.fsync(self._handle.fileno())
        except BaseException as error:
            self._handle.truncate(self._size)
            if isinstance(error, OSError):
                raise not_written(self._path, error) from None
            raise
        self._size = size

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a journal; a torn last line is left out."""
    if not path.exists():
        return
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line, parse_constant=_refuse)
            except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one, too.
                raise BrokenRunError(
                    f"{path} line {number} is not valid JSON", str(error), f"remove {path.parent} and run it again"
                ) from None
            yield row


def journal_lines(path: Path, together: int = 1000) -> Iterator[list[bytes]]:
    """Yield the whole lines of a journal, some at a time, as they are."""
    if not path.exists():
        return
    with path.open("rb") as handle:
        while lines := list(islice(handle, together)):
            if not lines[-1].endswith(b"\n"):
                del lines[-1]
            if lines:
                yield lines


def _refuse(constant: str) -> None:
    """JSON has no NaN and no Infinity, which Python would read."""
    raise ValueError(f"{constant} is no number of JSON")


def _whole_lines(path: Path) -> int:
    """Bytes up to and including the last newline."""
    with path.open("rb") as handle:
        end = handle.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            handle.seek(start)
            found = handle.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def lock(path: Path, shared: bool = False) -> IO[bytes]:
    """Hold the folder ``path`` for this process until the returned file is closed; refuse if another holds it.

    Args:
        path: The folder, which is made.
        shared: Hold it together with others that do so, each with a part of its own.
    """
    import fcntl

    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = (path / ".lock").open("a+b")  # NFS wants a file that can be read to share it.
    except OSError as error:
        raise not_written(path, error) from None
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise BenchError(f"{path} is in use", "another ldmbench writes to it", "wait until it is done") from None
    except OSError as error:  # A file system without locks.
        handle.close()
        fix = "mount it with locks (NFS: lockd or version 4; Lustre: flock), or choose another --out"
        raise BenchError(f"{path} cannot be locked", error.strerror or str(error), fix, exit_code=1) from None
    return handle
