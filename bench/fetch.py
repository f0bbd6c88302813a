"""Getting files: checked and resumable downloads, archives, pinned hub snapshots."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.homes import cache_home, data_home, file_digest, only_one, sha256, weights_home
from bench.progress import transfer

if TYPE_CHECKING:
    from bench.system import SystemCard, SystemSpec

#: Called with the bytes there are and the bytes there will be (None where the server does not say).
Progress = Callable[[int, int | None], None]

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0


def download(url: str, path: Path, sha256: str, progress: Progress | None = None) -> Path:
    """Bring ``url`` (https, http or file) to ``path``; nothing is done where the right file already is.

    What arrives is kept in ``path.part``, so that a cut connection or Ctrl-C costs nothing: the next call asks
    for the rest. The file appears under its name only when its checksum is right.

    Args:
        url: The address.
        path: The file to write; its folder is made.
        sha256: SHA-256 (hex) the file must have.
        progress: Told how far it is, for every megabyte; None shows a bar.

    Raises:
        BenchError: If the address cannot be read, the checksum is wrong, or the disk is full.
    """
    if urllib.parse.urlsplit(url).scheme not in ("https", "http", "file"):
        raise BenchError(f"cannot download {url}", "not an https, http or file address", "correct the card")
    if len(sha256) != 64:
        raise BenchError(f"cannot download {url}", f"no SHA-256 to check it by ({sha256!r})", "pin it in the card")
    if progress is None:
        with transfer(path.name) as shown:
            return download(url, path, sha256, shown)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_one(str(path.resolve())):
            if path.is_file() and file_digest(path) == sha256.lower():
                return path
            earlier = part.is_file()
            found = _receive_all(url, part, progress)
            if found != sha256.lower() and earlier:
                # What was there may have been the beginning of something else.
                part.unlink()
                found = _receive_all(url, part, progress)
            if found != sha256.lower():
                part.unlink()
                raise BenchError(
                    f"{url} is not the file that was pinned",
                    f"SHA-256 {found}, expected {sha256.lower()}",
                    "try again; if it stays so, the file was changed at its source",
                )
            part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot write {path}", reason, "free disk space or choose another folder", 1) from None
    return path


def fetch_weights(card: SystemCard, progress: Progress | None = None, variant: str = "") -> Path:
    """Bring all checkpoint files of a system (a variant, by default the default one) to its folder and check them.

    Raises:
        BenchError: If the system has no weights, an address cannot be read, or a checksum is wrong.
    """
    variant = variant or card.default
    folder = official_folder(card, variant)
    if not card.weights:
        raise BenchError(f"{card.name} has no weights to fetch", fix="run it as it is")
    for weights in card.weights_of(variant).values():
        for name, url in weights.urls.items():
            download(url, folder / _inside(name), weights.files.get(name, ""), progress)
        if weights.repo:
            _snapshot(weights.repo, weights.revision, "model", folder, sorted(set(weights.files) - set(weights.urls)))
        _check(folder, weights.files)
    return folder


def fetch_dataset(name: str, progress: Progress | None = None) -> Path:
    """Bring the files of a dataset to ``data_home()/NAME``; built-in ones are synthesised.

    Returns:
        The folder with the files.

    Raises:
        BenchError: If the dataset has to be obtained by hand, or what arrives lacks listed files.
    """
    from bench.archive import extract
    from bench.dataset import load_dataset
    from bench.dataset_card import load_dataset_card, obtain, read_list

    card = load_dataset_card(name)
    source, folder = card.source, data_home() / card.name
    if source.kind == "builtin":
        first = load_dataset(name).clips[0].path
        assert first is not None  # built-in clips are files
        return first.parent
    if source.kind == "folder":
        raise BenchError(f"{name} cannot be fetched", "its licence or source asks you to get it yourself", obtain(card))
    if source.kind == "youtube":
        captions = data_home() / source.folder / source.url.rpartition("/")[2]
        return download(source.url, captions, source.sha256, progress).parent
    listed = {row["path"] for split in card.splits if card.splits[split].list for row in read_list(card, split)}
    if _absent(folder, listed):
        if source.kind == "archive":
            file = Path(urllib.parse.unquote(urllib.parse.urlsplit(source.url).path)).name
            extract(download(source.url, cache_home() / "downloads" / file, source.sha256, progress), folder)
        else:
            _snapshot(source.repo, source.revision, "dataset", folder, [])
    if absent := _absent(folder, listed):
        raise BenchError(f"{name} is incomplete after fetching", _some(absent), f"look into {folder}")
    return folder


def official_folder(card: SystemCard, variant: str) -> Path:
    """Where a variant's checkpoint files are fetched to: the folder its weights name, or ``weights_home()/NAME``."""
    named = [weights.folder for weights in card.weights_of(variant).values() if weights.folder]
    return weights_home() / (named[0] if named else card.name)


def weights_folder(spec: SystemSpec) -> Path:
    """The folder with a system's checkpoint files: the one they are fetched to, or the one asked for.

    The one asked for may hold the files itself, or be laid out as the weights home is.

    Raises:
        BenchError: If files are missing, naming them and the command that fetches them.
    """
    folder = official_folder(spec.card, spec.name.variant)
    if spec.weights:
        inside = spec.weights / folder.relative_to(weights_home())
        folder = inside if inside.is_dir() else spec.weights
    entries = spec.card.weights_of(spec.name.variant).values()
    wanted = {name for weights in entries for name in (*weights.files, *weights.urls)}
    absent = _absent(folder, wanted) if wanted else ([] if folder.is_dir() else ["everything"])
    if absent:
        raise BenchError(
            f"weights of {spec.label} are not in {folder}", f"missing {_some(absent)}",
            f"ldmbench fetch {spec.card.name}{f'@{spec.name.variant}' if spec.name.variant else ''}"
            + (", or correct --weights" if spec.weights else ""),
        )  # fmt: skip
    return folder


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


def _snapshot(repo: str, revision: str, kind: str, folder: Path, files: list[str]) -> None:
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


def _check(folder: Path, files: Mapping[str, str]) -> None:
    """Raise ``BenchError`` unless all files are there with their checksums."""
    if absent := _absent(folder, files):
        raise BenchError(f"{folder} is incomplete after fetching", f"missing {_some(absent)}", "correct the card")
    for name, expected in files.items():
        found = file_digest(folder / name)
        if expected and found != expected.lower():
            raise BenchError(
                f"{folder / name} is not the file that was pinned",
                f"SHA-256 {found}, expected {expected.lower()}",
                "remove it and fetch again",
            )


def _absent(folder: Path, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not (folder / name).is_file())


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _inside(name: str) -> str:
    """``name`` if it is a relative path that stays inside its folder."""
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise BenchError(f"{name!r} does not stay inside the weights folder", fix="correct the card")
    return name
