"""Files of one server: a folder of its own that the browser may read, bounded, and removed at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

#: How the folders are called, so that those of servers that were killed are known.
_PREFIX = "ldmbench-demo-"

#: Held locked for as long as the server lives.
_LOCK = "lock"

#: MB of sounds that can be fetched by browsers; the oldest results go first.
SERVED_MB = 512.0


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A new folder that nobody else may read; removed at the end, with those of servers that ended otherwise."""
    import fcntl

    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{_PREFIX}*"):
        _sweep(old)
    with ExitStack() as stack:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            handle = stack.enter_context((folder / _LOCK).open("w"))
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Another server that starts now may have taken it for one that is left over, before it was locked.
            if (folder / _LOCK).exists():
                break
        yield folder


def _sweep(folder: Path) -> None:
    """Remove a folder whose server is gone."""
    import fcntl

    try:
        with (folder / _LOCK).open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # Its server lives or starts, or it is another user's.


class Served:
    """Sounds that browsers may fetch, under names that nobody guesses.

    Args:
        home: The folder of the server, all of which its page may hand out by path.
        most_mb: MB that they may take.
    """

    def __init__(self, home: Path, most_mb: float = SERVED_MB) -> None:
        self._folder = home / "sounds"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._most = most_mb * 1e6

    def group(self) -> Path:
        """A new folder for the sounds of one result."""
        folder = self._folder / secrets.token_urlsafe(18)
        folder.mkdir()
        return folder

    def offer(self, group: Path, name: str, path: Path) -> Path:
        """The copy of a sound in a group, byte for byte; older results are removed where there is too much."""
        copy = group / name
        if not copy.exists():
            try:
                os.link(path, copy)
            except OSError:  # Another file system.
                shutil.copyfile(path, copy)
            self._bound(group)
        return copy

    def _bound(self, newest: Path) -> None:
        groups = sorted(self._folder.iterdir(), key=lambda folder: folder.stat().st_mtime)
        sizes = {folder: size_of(folder) for folder in groups}
        for folder in groups:
            if sum(sizes.values()) <= self._most:
                return
            if folder != newest:
                shutil.rmtree(folder, ignore_errors=True)
                del sizes[folder]


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
