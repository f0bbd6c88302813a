"""Official checkpoints of extractors: found or fetched, verified, read without running pickles, fitted by key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ldmbench.errors import BenchError

T = TypeVar("T")

_FIX = "use the official checkpoint"


class CheckpointError(BenchError):
    """An extractor cannot be had at all: no sound is to blame, and trying others does not help."""


@dataclass(frozen=True)
class Checkpoint:
    """An official checkpoint file.

    Attributes:
        title: What it is called in messages.
        folder: Its folder below the weights home.
        file: Its official file name.
        url: Where it is published.
        sha256: SHA-256 (hex) of the official file, or the beginning of it where only that is published.
        size: Its size in bytes, 0 where not known.
    """

    title: str
    folder: str
    file: str
    url: str
    sha256: str
    size: int = 0

    def find(self, weights: Path | None = None) -> Path:
        """The file: ``weights`` itself, in that folder or its subfolder ``folder``, or in the weights home.

        Raises:
            CheckpointError: If it is not there.
        """
        if weights is None:
            from ldmbench.host.homes import weights_home

            places = [weights_home() / self.folder / self.file]
        else:
            places = [weights / self.file, weights / self.folder / self.file]
            if weights.is_file():
                return weights
        for place in places:
            if place.is_file():
                return place
        raise CheckpointError(
            f"the checkpoint {self.file} of {self.title} is missing",
            f"not in {places[-1].parent}",
            f"put {self.url} there, or give its folder with --weights",
        )

    def fetch(self) -> Path:
        """Download it into the weights home, and verify it.

        Raises:
            BenchError: If the download fails, its SHA-256 is wrong, or only part of that is published.
        """
        from ldmbench.host.download import download
        from ldmbench.host.homes import weights_home

        path = weights_home() / self.folder / self.file
        download(self.url, path, self.sha256)
        return path

    def verify(self, path: Path, official: bool = True) -> str:
        """SHA-256 (hex) of the file at ``path``.

        Raises:
            CheckpointError: If it is not the official file, and ``official`` insists on that.
        """
        from ldmbench.host.homes import file_digest

        found = file_digest(path)
        if official and not found.startswith(self.sha256):
            raise CheckpointError(
                f"{path} is not the official checkpoint of {self.title}",
                f"SHA-256 {found[:12]}, not {self.sha256[:12]}",
                f"get {self.url}, or name the metric with :official=false to use another checkpoint",
            )
        return found
