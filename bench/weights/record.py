"""What an official checkpoint is: its files, where they are published, and what tells that they are the right ones."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from pydantic import field_validator

from ldmbench.cards import Card
from ldmbench.errors import BenchError


class CheckpointError(BenchError):
    """A network cannot be had at all: no sound is to blame, and trying others does not help."""


class Checkpoint(Card):
    """Official checkpoint files: in a hub repository at a revision, or at URLs.

    It is what stands under ``weights`` in a system's card; extractors and recognisers write it in Python.

    Attributes:
        title: What it is called in messages.
        name: What ``ldmbench fetch`` calls it; empty where it has to be got by hand.
        folder: The files' folder below the weights home.
        repo: Hub repository, ``OWNER/NAME``.
        revision: Its pinned revision.
        urls: File -> address, of files that are not in the repository.
        files: File -> SHA-256 (hex); only its beginning, or nothing, where no more is published.
        size: Bytes of all files together; 0 where not known.
        pin_first: Fetch by address what has no whole SHA-256 to check it by, and pin what came (``NAME.sha256``, beside
            the file): for publishers that name no digest. Nothing else is downloaded unchecked.
        variants: In a card, the variants that need it where several share it; all where none is named.
        manual: What to do where the files cannot be fetched from any address: told in place of the command.
    """

    title: str = ""
    name: str = ""
    folder: str = ""
    repo: str = ""
    revision: str = ""
    urls: dict[str, str] = {}
    files: dict[str, str] = {}
    size: int = 0
    pin_first: bool = False
    variants: tuple[str, ...] = ()
    manual: str = ""

    @field_validator("folder")
    @classmethod
    def _folder_stays_inside(cls, folder: str) -> str:
        return _inside(folder) if folder else ""

    @field_validator("urls", "files")
    @classmethod
    def _files_stay_inside(cls, entries: dict[str, str]) -> dict[str, str]:
        return {_inside(name): value for name, value in entries.items()}

    @field_validator("files")
    @classmethod
    def _digests_are_hexadecimal(cls, files: dict[str, str]) -> dict[str, str]:
        for name, digest in files.items():
            if len(digest) > 64 or set(digest.lower()) - set("0123456789abcdef"):
                raise ValueError(f"{digest!r} of {name} is not a SHA-256")
        return {name: digest.lower() for name, digest in files.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """All files that are known by name, in the order they are written down; none where nobody could list them."""
        return tuple(dict.fromkeys([*self.files, *self.urls]))

    @property
    def file(self) -> str:
        """The one file of a checkpoint that has no other."""
        (name,) = self.names
        return name


def _inside(name: str) -> str:
    """``name`` if it is a relative path that stays inside its folder, on any system."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if not posix.parts or posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise ValueError(f"{name!r} does not stay inside the weights folder")
    return name
