"""Fetching a dataset: its archive, its hub snapshot or its captions; built-in clips are synthesised."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from ldmbench.errors import BenchError
from ldmbench.host.download import Progress, download, snapshot
from ldmbench.host.files import absent, replacing
from ldmbench.host.homes import cache_home, data_home
from ldmbench.names import some

if TYPE_CHECKING:
    from ldmbench.clips.card import DatasetCard


def _unpacked(card: DatasetCard, progress: Progress | None) -> Path:
    """Bring archives one after the other and unpack each that is not unpacked yet.

    Raises:
        BenchError: If one is not what its checksum says, the disk is too small, or files lack afterwards.
    """
    from ldmbench.clips.load import load_dataset
    from ldmbench.host.archive import extract

    folder = data_home() / (card.source.into or card.source.folder or card.name)
    for archive in card.source.archives:
        file = Path(urllib.parse.unquote(urllib.parse.urlsplit(archive.url).path)).name
        done = folder / f".{file}.unpacked"
        checksum = archive.sha256 or archive.md5
        if done.is_file() and done.read_text(encoding="utf-8") == checksum:
            continue
        target = cache_home() / "downloads" / file
        extract(download(archive.url, target, archive.sha256, progress, archive.md5), folder / archive.folder)
        with replacing(done) as handle:
            handle.write(checksum.encode())
    load_dataset(card.name)
    return data_home() / (card.source.folder or card.name)


def fetch_dataset(name: str, progress: Progress | None = None) -> Path:
    """Bring the files of a dataset to ``data_home()/NAME``; built-in ones are synthesised.

    Returns:
        The folder with the files.

    Raises:
        BenchError: If the dataset has to be obtained by hand, or what arrives lacks listed files.
    """
    from ldmbench.clips.card import load_dataset_card, obtain, read_list
    from ldmbench.clips.load import load_dataset
    from ldmbench.host.archive import extract

    card = load_dataset_card(name)
    source, folder = card.source, data_home() / (card.source.folder or card.name)
    if source.kind == "builtin":
        first = load_dataset(name).clips[0].path
        assert first is not None  # built-in clips are files
        return first.parent
    if source.kind == "folder":
        raise BenchError(f"{name} cannot be fetched", "its licence or source asks you to get it yourself", obtain(card))
    if source.kind == "youtube":
        captions = data_home() / source.folder / source.url.rpartition("/")[2]
        return download(source.url, captions, source.sha256, progress).parent
    if source.archives:
        return _unpacked(card, progress)
    listed = {row["path"] for split in card.splits if card.splits[split].list for row in read_list(card, split)}
    if absent(folder, listed):
        if source.kind == "archive":
            file = Path(urllib.parse.unquote(urllib.parse.urlsplit(source.url).path)).name
            extract(download(source.url, cache_home() / "downloads" / file, source.sha256, progress), folder)
        else:
            snapshot(source.repo, source.revision, "dataset", folder, [])
    if lacking := absent(folder, listed):
        raise BenchError(f"{name} is incomplete after fetching", some(lacking), f"look into {folder}")
    return folder
