"""Dataset cards: where clips come from, which they are, and under which input conditions they are offered."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ldmbench.cards import Card, load_card, refuse_other_kind
from ldmbench.clips.condition import Condition
from ldmbench.clips.labelled import Labelled
from ldmbench.clips.rule import Rule
from ldmbench.errors import BenchError
from ldmbench.host.packages import registered_folders
from ldmbench.names import is_path, parse, unknown

Content = Literal["speech", "music", "general"]

COLUMNS = (
    *("id", "path", "start", "end", "text", "group", "language", "sha256"),
    *("youtube_id", "start_time", "label", "split", "seconds", "stream"),
)


#: Datasets whose cards were named by their paths in this process.
_named_by_path: dict[str, Path] = {}


class Archive(Card):
    """An archive at its publisher's, with a checksum that he or somebody who checks it has published.

    It is unpacked into ``folder`` below the dataset's, where its own paths do not say where they belong.
    """

    url: str
    sha256: str = ""
    md5: str = ""
    folder: str = ""


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
    """``datasets/NAME/card.toml``; ``folder`` is where the card lies."""

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
    folder: Path = Field(Path(), exclude=True)

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


def dataset_cards() -> dict[str, Path]:
    """All datasets by name, with the paths of their cards.

    Cards that were named by their paths come first, then the folder of cards, then the entry points
    ``ldmbench.datasets``: packages with a folder for each dataset.
    """
    cards = dict(_named_by_path)
    for folder in (datasets_root(), *registered_folders("ldmbench.datasets")):
        for path in folder.glob("*/card.toml"):
            cards.setdefault(path.parent.name, path)
    return dict(sorted(cards.items()))


def list_datasets() -> list[str]:
    """Names of all datasets that have a card."""
    return list(dataset_cards())


def load_dataset_card(name: str) -> DatasetCard:
    """The card of a dataset, by name or by the path of a TOML file, which is known by its own name from then on.

    Raises:
        BenchError: If there is no such dataset or its card is not valid.
    """
    if is_path(name):
        refuse_other_kind(Path(name), "dataset")
        card = load_card(Path(name), DatasetCard, folder=Path(name).absolute().parent)
        _named_by_path[card.name] = Path(name).absolute()
        return card
    cards = dataset_cards()
    if name not in cards:
        raise unknown("dataset", name, cards)
    return _load(cards[name])


def all_dataset_cards() -> dict[str, DatasetCard]:
    """The cards of all datasets that ship with the bench or with a package, by name.

    Raises:
        BenchError: If one is not valid.
    """
    return {name: _load(path) for name, path in dataset_cards().items()}


def _load(path: Path) -> DatasetCard:
    return load_card(path, DatasetCard, folder=path.parent)


def own_name(name: str) -> str:
    """The name of a dataset that may be named by the path of its card: ``./mine.toml@4khz`` is ``mine@4khz``.

    Raises:
        BenchError: If the card is not valid.
    """
    if ".toml" not in name:
        return name
    asked = parse(name)
    return str(replace(asked, name=load_dataset_card(asked.name).name))


def read_list(card: DatasetCard, split: str) -> list[dict[str, str]]:
    """Rows of a pinned list, every column present; none where a rule makes the list.

    Raises:
        BenchError: If the list is missing or is not the one the card pins.
    """
    if split not in card.splits:
        raise unknown(f"split of {card.name}", split, card.splits)
    if not card.splits[split].list:
        return []
    path = card.folder / card.splits[split].list
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
