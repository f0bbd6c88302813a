"""Unpacking tar and zip archives: regular files only, never outside the folder."""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from ldmbench.errors import BenchError


def extract(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` into ``folder``; all of it is read and checked before the first file gets its place.

    Links inside a tar archive become copies of what they point to, so that no link is ever made.

    Raises:
        BenchError: If it is no archive, is damaged, or holds a path or a link that leads out of it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
            for name, content in _members(archive):
                target = Path(work, *_parts(archive, name))
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("wb") as handle:
                    shutil.copyfileobj(content, handle, 1 << 20)
            for file in sorted(path for path in Path(work).rglob("*") if path.is_file()):
                home = folder / file.relative_to(work)
                home.parent.mkdir(parents=True, exist_ok=True)
                file.replace(home)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise BenchError(f"{archive} cannot be unpacked", str(error), "remove it and fetch again") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot unpack {archive} into {folder}", reason, "free disk space", 1) from None


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of every file in a tar or zip archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise _refused(archive, entry.filename, "a link")
                if not entry.is_dir():
                    yield entry.filename, packed.open(entry)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as rolled:
            for member in rolled:
                if member.isdir():
                    continue
                if not (member.isfile() or member.issym() or member.islnk()):
                    raise _refused(archive, member.name, "neither a file nor a folder")
                try:
                    content = rolled.extractfile(member)
                except KeyError:
                    content = None
                if content is None:
                    raise _refused(archive, member.name, f"a link to {member.linkname}, which is not a file in it")
                yield member.name, content
    else:
        raise BenchError(f"{archive} is not an archive", "neither tar nor zip", "correct the card")


def _parts(archive: Path, name: str) -> tuple[str, ...]:
    """The parts of a member's path.

    Raises:
        BenchError: If the path is absolute or leads upwards, on this or on another system.
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or not posix.parts:
        raise _refused(archive, name, "a path that leads out of the folder")
    return posix.parts


def _refused(archive: Path, name: str, reason: str) -> BenchError:
    return BenchError(f"{archive} is refused", f"{name!r} is {reason}", "get the archive from its publisher")
