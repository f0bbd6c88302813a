"""Getting files: checked and resumable downloads, archives, pinned hub snapshots."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ldmbench.errors import BenchError
from ldmbench.host.files import not_written
from ldmbench.host.homes import file_digest, only_one, sha256
from ldmbench.host.progress import transfer

if TYPE_CHECKING:
    pass

#: Called with the bytes there are and the bytes there will be (None where the server does not say).
Progress = Callable[[int, int | None], None]

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0


def download(url: str, path: Path, sha256: str, progress: Progress | None = None, md5: str = "") -> Path:
    """Bring ``url`` (https, http or file) to ``path``; nothing is done where the right file already is.

    What arrives is kept in ``path.part``, so that a cut connection or Ctrl-C costs nothing: the next call asks
    for the rest. The file appears under its name only when its checksum is right.

    Args:
        url: The address.
        path: The file to write; its folder is made.
        sha256: SHA-256 (hex) the file must have.
        progress: Told how far it is, for every megabyte; None shows a bar.
        md5: MD5 (hex) it must have, where its publisher gives no SHA-256: against accidents, not against anybody.

    Raises:
        BenchError: If the address cannot be read, the checksum is wrong, or the disk is full.
    """
    if urllib.parse.urlsplit(url).scheme not in ("https", "http", "file"):
        raise BenchError(f"cannot download {url}", "not an https, http or file address", "correct the card")
    if len(sha256) != 64 and (sha256 or len(md5) != 32):
        raise BenchError(f"cannot download {url}", f"no SHA-256 to check it by ({sha256!r})", "pin it in the card")
    if progress is None:
        with transfer(path.name) as shown:
            return download(url, path, sha256, shown, md5)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_one(str(path.resolve())):
            kind, expected = ("SHA-256", sha256.lower()) if sha256 else ("MD5", md5.lower())
            if path.is_file() and (file_digest(path) if sha256 else _md5(path)) == expected:
                return path
            earlier = part.is_file()
            digest = _receive_all(url, part, progress)
            digest = digest if sha256 else _md5(part)
            if digest != expected and earlier:
                # What was there may have been the beginning of something else.
                part.unlink()
                digest = _receive_all(url, part, progress)
                digest = digest if sha256 else _md5(part)
            if digest != expected:
                part.unlink()
                raise BenchError(
                    f"{url} is not the file that was pinned",
                    f"{kind} {digest}, expected {expected}",
                    "try again; if it stays so, the file was changed at its source",
                )
            part.replace(path)
    except OSError as error:
        raise not_written(path, error, "free disk space or choose another folder") from None
    return path


def _md5(path: Path) -> str:
    import hashlib

    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def receive(url: str, path: Path, beginning: str = "", progress: Progress | None = None) -> str:
    """Bring ``url`` (https or file) to ``path`` with no more to check it by than the ``beginning`` of its SHA-256.

    Returns:
        The SHA-256 (hex) of the file, to check it by from then on.

    Raises:
        BenchError: If the address cannot be read, is not encrypted, the beginning is wrong, or the disk is full.
    """
    if urllib.parse.urlsplit(url).scheme not in ("https", "file"):
        raise BenchError(f"cannot download {url}", "not an https address, and no SHA-256 to check it by", "pin one")
    if progress is None:
        with transfer(path.name) as shown:
            return receive(url, path, beginning, shown)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_one(str(path.resolve())):
            # Whatever lies there may be the beginning of something else, and no checksum would tell.
            part.unlink(missing_ok=True)
            digest = sha256(path) if path.is_file() else _receive_all(url, part, progress)
            if not digest.startswith(beginning):
                what, fix = f"{url} is not the file that was pinned", "remove what is there and fetch it again"
                raise BenchError(what, f"SHA-256 {digest}, expected {beginning}...", fix)
            if not path.is_file():
                part.replace(path)
    except OSError as error:
        raise not_written(path, error, "free disk space or choose another folder") from None
    return digest


def _receive_all(url: str, part: Path, progress: Progress | None) -> str:
    """Receive until nothing is missing; the SHA-256 of what arrived."""
    while not _receive(url, part, progress):
        pass
    return sha256(part)


def _receive(url: str, part: Path, progress: Progress | None) -> bool:
    """Append what the server sends to ``part``; False where the connection was cut after some of it."""
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "ldmbench"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    start = have
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            # Only "206 Partial Content" continues; anything else sends the whole file again.
            if have and response.status != 206:
                have = start = 0
            length = response.headers.get("Content-Length")
            total = None if length is None else have + int(length)
            _refuse_too_large(part, 0 if length is None else int(length))
            with part.open("ab" if have else "wb") as handle:
                while block := response.read(_BLOCK):
                    handle.write(block)
                    have += len(block)
                    if progress:
                        progress(have, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            # The part is as long as the file already, or longer: its checksum decides.
            return True
        raise BenchError(f"cannot download {url}", f"HTTP {error.code} {error.reason}", "check the address") from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or str(error.reason)
        raise BenchError(f"cannot download {url}", reason, "check the network and the address") from None
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        if have == start:
            raise BenchError(f"cannot download {url}", f"connection lost: {error}", "run the command again") from None
        return False
    if total is not None and have < total:
        if have == start:
            raise BenchError(f"cannot download {url}", f"connection lost at {have} of {total} bytes", "try again")
        return False
    return True


def _refuse_too_large(part: Path, coming: int) -> None:
    """Raise ``BenchError`` before the first byte where the disk cannot hold the last."""
    import shutil

    free = shutil.disk_usage(part.parent).free
    if coming > free:
        sizes = f"{coming / 2**30:.1f} GiB to come, {free / 2**30:.1f} GiB free in {part.parent}"
        raise BenchError(f"{part.name} does not fit on the disk", sizes, "free space, or move the cache home", 1)


def snapshot(repo: str, revision: str, kind: str, folder: Path, files: list[str]) -> None:
    """The repository at its pinned revision (all of it where no files are named), in ``folder``."""
    if not revision:
        raise BenchError(f"cannot fetch {repo}", "its card pins no revision", "pin one")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise BenchError(
            f"cannot fetch {repo}", "huggingface_hub is not installed", "pip install 'ldmbench[models]'"
        ) from None
    try:
        snapshot_download(
            repo_id=repo, revision=revision, repo_type=kind, local_dir=folder, allow_patterns=files or None
        )
    except Exception as error:  # whatever the HTTP library of the day raises
        raise BenchError(f"cannot fetch {repo}", str(error), "check the network and the revision in the card") from None
