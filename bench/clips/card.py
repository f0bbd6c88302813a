"""Dataset cards: where clips come from, which they are, and under which input conditions they are offered."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from ldmbench.cards import Card, load_card
from ldmbench.clips.condition import Condition
from ldmbench.clips.labelled import Labelled
from ldmbench.clips.rule import Rule
from ldmbench.errors import BenchError
from ldmbench.names import unknown

Content = Literal["speech", "music", "general"]

COLUMNS = (
    *("id", "path", "start", "end", "text", "group", "language", "sha256"),
    *("youtube_id", "start_time", "label", "split", "seconds"),
)


class Archive(Card):
    """An archive at its publisher's, with a checksum that he or somebody who checks it has published."""

    url: str
    sha256: str = ""
    md5: str = ""


class Source(Card):
    """Where a dataset's files come from.

    ``builtin`` clips are synthesised on first use; ``folder`` expects the files below the folder named by
    ``env`` (or in the data home); ``archive`` (one by ``url`` and ``sha256``, or several ``archives`` that are unpacked
    into ``folder``, or ``into`` one above it in the data home) and ``hub`` can be fetched. ``youtube`` finds clips by
    YouTube id and start second below the folder named by ``env`` (or ``folder`` in the data home), and their captions
    by the column ``key`` of the CSV at ``url``, which can be fetched.
    """

    kind: Literal["builtin", "folder", "archive", "hub", "youtube"]
    generator: str = ""
    env: str = ""
    url: str = ""
    sha256: str = ""
    archives: tuple[Archive, ...] = ()
    into: str = ""
    repo: str = ""
    revision: str = ""
    folder: str = ""
    key: str = ""


class Split(Card):
    """A pinned list: its file beside the card and the SHA-256 of that file; or a rule or labels that make the list.

    With a rule ``sha256`` is ``selection.list_digest`` of the official release's files, empty where that is not known.
    """

    list: str = ""
    rule: Rule | None = None
    labelled: Labelled | None = None
    sha256: str = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> Split:
        if [bool(self.list), bool(self.rule), bool(self.labelled)].count(True) != 1:
            raise ValueError("needs either a list or a rule")
        if self.list and not self.sha256:
            raise ValueError("a list needs its sha256")
        return self


class DatasetCard(Card):
    """``datasets/NAME/card.toml``."""

    name: str
    title: str
    content: Content
    licence: str
    citation: str = ""
    url: str = ""
    note: str = ""
    default: str = "test"
    source: Source
    splits: dict[str, Split]
    conditions: dict[str, Condition] = {}

    def condition(self, name: str) -> Condition:
        """A condition by name.

        Raises:
            BenchError: If there is none of that name.
        """
        if name not in self.conditions:
            raise unknown(f"condition of {self.name}", name, self.conditions)
        return self.conditions[name]


def datasets_root() -> Path:
    """The folder of dataset cards: ``$LDMBENCH_DATASETS``, or the one that ships with the bench."""
    return Path(os.environ.get("LDMBENCH_DATASETS") or Path(__file__).parents[1] / "datasets")


def list_datasets() -> list[str]:
    """Names of all datasets that have a card."""
    return sorted(path.parent.name for path in datasets_root().glob("*/card.toml"))


def load_dataset_card(name: str) -> DatasetCard:
    """The card of a dataset.

    Raises:
        BenchError: If there is no such dataset or its card is not valid.
    """
    path = datasets_root() / name / "card.toml"
    if not path.is_file():
        raise unknown("dataset", name, list_datasets())
    return load_card(path, DatasetCard)


def read_list(card: DatasetCard, split: str) -> list[dict[str, str]]:
    """Rows of a pinned list, every column present; none where a rule makes the list.

    Raises:
        BenchError: If the list is missing or is not the one the card pins.
    """
    if split not in card.splits:
        raise unknown(f"split of {card.name}", split, card.splits)
    if not card.splits[split].list:
        return []
    path = datasets_root() / card.name / card.splits[split].list
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BenchError(f"the clip list {path} does not exist", fix="reinstall ldmbench") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.splits[split].sha256:
        raise BenchError(
            f"the clip list {path} does not match its card",
            f"SHA-256 {digest[:12]}, the card says {card.splits[split].sha256[:12]}",
            "restore the list, or write the new digest into the card if the change is meant",
        )
    return [filled(row) for row in csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))]


def source_folder(card: DatasetCard) -> Path:
    """Where the files of a dataset lie: the folder that ``source.env`` names, or one in the data home."""
    from ldmbench.host.homes import data_home

    return Path(os.environ.get(card.source.env) or data_home() / (card.source.folder or card.name))


def obtain(card: DatasetCard) -> str:
    """How to come by the files of a dataset."""
    if card.source.kind != "folder":
        return f"run ldmbench fetch {card.name}"
    return f"obtain it from {card.url or card.citation} and set {card.source.env or 'LDMBENCH_DATA'} to its folder"


def filled(row: Mapping[str, str | None]) -> dict[str, str]:
    """A row of a list with every column, empty where it has none."""
    return {column: row.get(column) or "" for column in COLUMNS}
