"""Fetching official checkpoint files into the weights home, each checked by what is pinned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.host.download import Progress, download, receive, snapshot
from ldmbench.host.files import absent, replacing
from ldmbench.names import some
from ldmbench.weights.find import home_folder, verify
from ldmbench.weights.record import Checkpoint


def fetch_checkpoints(checkpoints: Sequence[Checkpoint], progress: Progress | None = None) -> Path:
    """Bring all files of ``checkpoints`` to their folders below the weights home, and verify them.

    Args:
        checkpoints: At least one.
        progress: Told how far each download by address is; None shows a bar.

    Returns:
        The folder of the first.

    Raises:
        BenchError: If an address or the hub cannot be read, a file stays missing, or a checksum is wrong; and if there
            is nothing to fetch from, saying what to do.
    """
    for checkpoint in checkpoints:
        folder = home_folder(checkpoint)
        if checkpoint.manual and (lacking := absent(folder, checkpoint.files)):
            what = f"the weights of {checkpoint.title} cannot be fetched"
            raise BenchError(what, f"{folder} lacks {some(lacking)}", checkpoint.manual)
        for name, url in checkpoint.urls.items():
            digest = checkpoint.files.get(name, "")
            if checkpoint.pin_first and len(digest) < 64:
                _fetch_first(url, folder / name, digest, progress)
            else:
                download(url, folder / name, digest, progress)
        if checkpoint.repo:
            wanted = sorted(set(checkpoint.files) - set(checkpoint.urls))
            snapshot(checkpoint.repo, checkpoint.revision, "model", folder, wanted)
        if lacking := absent(folder, checkpoint.files):
            raise BenchError(f"{folder} is incomplete after fetching", f"missing {some(lacking)}", "correct the card")
        verify(checkpoint, folder)
    return home_folder(checkpoints[0])


def _fetch_first(url: str, path: Path, beginning: str, progress: Progress | None) -> None:
    """Download what came the first time, whose SHA-256 lies beside it, or for the first time, and write that down.

    Raises:
        BenchError: If the address cannot be read, or the file is another than the first time or than its known
            ``beginning`` of a SHA-256 says.
    """
    record = path.with_name(f"{path.name}.sha256")
    if record.is_file():
        download(url, path, record.read_text(encoding="utf-8").split()[0], progress)
        return
    digest = receive(url, path, beginning, progress)
    with replacing(record) as handle:
        handle.write(f"{digest}  {path.name}\n".encode())
