"""Datasets: a card and a pinned list become clips, each with its own seed."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench import audio as audio_io
from bench.audio import Audio
from bench.cards import Card, load_card
from bench.condition import Condition
from bench.errors import BenchError, Unscored
from bench.names import parse, unknown

Content = Literal["speech", "music", "general"]

COLUMNS = ("id", "path", "start", "end", "text", "group", "language", "sha256", "youtube_id", "start_time")


class NoReference(BenchError, Unscored):  # noqa: N818 - no fault of the system that is scored
    """A clip has no reference audio: what needs it fails on the clip, and a metric that needs it is unscored."""


@dataclass(frozen=True)
class Clip:
    """One item of a dataset; audio is read when asked for, so a list of clips weighs nothing.

    Attributes:
        id: ``DATASET/NAME``, unique within a suite.
        dataset: The dataset with its condition, ``vctk-test@4khz``.
        content: What the dataset holds; speech metrics apply to ``speech`` only.
        path: The audio file, or None for a clip that is only text.
        start: First second of the file that belongs to the clip.
        end: Last second (exclusive), None for the end of the file.
        text: Transcript or caption.
        group: A label to report by (speaker, genre, ...).
        language: BCP 47 tag of ``text``, such as ``en``; empty where unknown.
        sha256: ``Audio.digest()`` the clip must have, or empty.
        condition: How ``input`` is made from ``audio``; None leaves them equal.
        seed: Seed of every random choice made for this clip.
        loaded: The audio, where somebody already read it.
        missing: Why there is no reference audio, for a clip that should have some.
    """

    id: str
    dataset: str
    content: Content = "general"
    path: Path | None = None
    start: float = 0.0
    end: float | None = None
    text: str | None = None
    group: str | None = None
    language: str = ""
    sha256: str = ""
    condition: Condition | None = None
    seed: int = 0
    loaded: Audio | None = None
    missing: str = ""

    @property
    def audio(self) -> Audio:
        """The reference audio.

        Raises:
            NoReference: If the clip has no file.
            BenchError: If the file is missing or broken, or is not the one the list pinned.
        """
        if self.loaded is not None:
            return self.loaded
        if self.path is None:
            raise NoReference(f"{self.id} has no reference audio", self.missing)
        sound = audio_io.read(self.path, self.start, self.end)
        if self.sha256 and sound.digest() != self.sha256:
            raise BenchError(
                f"{self.id} is not the pinned clip",
                f"{self.path} decodes to {sound.digest()[:12]}, the list says {self.sha256[:12]}",
                "fetch the dataset again",
            )
        return sound

    @property
    def input(self) -> Audio:
        """What an ``enhance`` system receives: ``audio`` under the dataset's condition."""
        return self.audio if self.condition is None else self.condition.apply(self.audio, self.seed)

    def load(self) -> Clip:
        """This clip with its audio held in memory."""
        return self if self.loaded is not None else replace(self, loaded=self.audio)

    def seeded(self, run_seed: int) -> Clip:
        """This clip with the seed that belongs to it in a run: a hash of both, whatever the order or batch."""
        material = hashlib.sha256(f"{run_seed}/{self.id}".encode()).digest()
        return replace(self, seed=int.from_bytes(material[:4], "little"))


class Source(Card):
    """Where a dataset's files come from.

    ``builtin`` clips are synthesised on first use; ``folder`` expects the files below the folder named by
    ``env`` (or in the data home); ``archive`` and ``hub`` can be fetched. ``youtube`` finds clips by YouTube id and
    start second below the folder named by ``env`` (or ``folder`` in the data home), and their captions by the
    column ``key`` of the CSV at ``url``, which can be fetched.
    """

    kind: Literal["builtin", "folder", "archive", "hub", "youtube"]
    generator: str = ""
    env: str = ""
    url: str = ""
    sha256: str = ""
    repo: str = ""
    revision: str = ""
    folder: str = ""
    key: str = ""


class Split(Card):
    """A pinned list: its file beside the card and the SHA-256 of that file."""

    list: str
    sha256: str


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


@dataclass(frozen=True)
class Dataset:
    """Clips under a name, with the digest of what was chosen and what was left out on the way.

    Attributes:
        name: As asked for, condition included.
        clips: In the order of the list.
        digest: SHA-256 over everything that decides what a system hears.
        notes: Lines a user should see: skipped files, clips that differ from the pinned ones.
    """

    name: str
    title: str
    content: Content
    clips: tuple[Clip, ...]
    digest: str
    notes: tuple[str, ...] = ()


def datasets_root() -> Path:
    """The folder of dataset cards: ``$LDMBENCH_DATASETS``, the checkout's ``datasets/``, or the wheel's copy."""
    if override := os.environ.get("LDMBENCH_DATASETS"):
        return Path(override)
    here = Path(__file__).resolve().parent
    checkout = here.parent / "datasets"
    return checkout if checkout.is_dir() else here / "_datasets"


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


def load_dataset(name: str) -> Dataset:
    """``NAME`` or ``NAME@CONDITION`` as clips; built-in ones are synthesised if they are not there yet.

    Raises:
        BenchError: If the name, its condition or its pinned list is not right.
    """
    asked = parse(name)
    card = load_dataset_card(asked.name)
    if asked.settings:
        raise BenchError(f"dataset {name!r} has settings", "a dataset has none", "write NAME or NAME@CONDITION")
    condition = None
    if asked.variant:
        if asked.variant not in card.conditions:
            raise unknown(f"condition of {card.name}", asked.variant, card.conditions)
        condition = card.conditions[asked.variant]
    rows = read_list(card, card.default)
    notes: tuple[str, ...] = ()
    missing: Mapping[str, str] = {}
    identity: Sequence[str] = ()
    paths: Mapping[str, Path]
    if card.source.kind == "youtube":
        from bench.youtube import locate

        found = locate(card, rows)
        rows, paths, missing, identity, notes = (
            list(found.rows),
            found.paths,
            found.missing,
            found.identity,
            found.notes,
        )
    digests = {row["id"]: row["sha256"] for row in rows}
    if card.source.kind == "builtin":
        from bench.synthesis import materialise

        # A built-in clip that came out differently is announced in the notes, and is known by its own digest.
        paths, digests, notes = materialise(card.source.generator, rows)
    elif card.source.kind != "youtube":
        from bench.homes import data_home

        folder = Path(os.environ.get(card.source.env) or data_home() / card.name)
        paths = {row["id"]: folder / row["path"] for row in rows}
    clips = tuple(
        Clip(
            # With the condition in it: a suite may hold one dataset under several.
            id=f"{name}/{row['id']}",
            dataset=name,
            content=card.content,
            path=paths.get(row["id"]),
            start=float(row["start"] or 0.0),
            end=float(row["end"]) if row["end"] else None,
            text=row["text"] or None,
            group=row["group"] or None,
            language=row["language"],
            sha256=digests[row["id"]],
            condition=condition,
            missing=missing.get(row["id"], ""),
        )
        for row in rows
    )
    identity = identity or [digests[row["id"]] or row["path"] for row in rows]
    return Dataset(name, card.title, card.content, clips, clips_digest(clips, identity), notes)


def load_source(name: str) -> Dataset:
    """A dataset by name, or a folder of audio by its path.

    Raises:
        BenchError: If it is neither.
    """
    # Not parsed: the path of a folder may hold anything.
    if name.partition("@")[0] in list_datasets():
        return load_dataset(name)
    if Path(name).is_dir():
        from bench.folder import load_folder

        return load_folder(name)
    raise unknown("dataset or folder", name, list_datasets())


def read_list(card: DatasetCard, split: str) -> list[dict[str, str]]:
    """Rows of a pinned list, every column present.

    Raises:
        BenchError: If the list is missing or is not the one the card pins.
    """
    if split not in card.splits:
        raise unknown(f"split of {card.name}", split, card.splits)
    path = datasets_root() / card.name / card.splits[split].list
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BenchError(f"the clip list {path} does not exist", fix="reinstall ldmbench") from None
    found = hashlib.sha256(content).hexdigest()
    if found != card.splits[split].sha256:
        raise BenchError(
            f"the clip list {path} does not match its card",
            f"SHA-256 {found[:12]}, the card says {card.splits[split].sha256[:12]}",
            "restore the list, or write the new digest into the card if the change is meant",
        )
    rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    return [{column: row.get(column) or "" for column in COLUMNS} for row in rows]


def clips_digest(clips: Iterable[Clip], extra: Iterable[str] = ()) -> str:
    """SHA-256 (hex) over the fields of clips that decide what a system is given, and ``extra`` identities."""
    total = hashlib.sha256()
    for clip in clips:
        condition = clip.condition.digest() if clip.condition else ""
        parts = (clip.id, clip.sha256, clip.start, clip.end, clip.text, condition)
        total.update(repr(parts).encode())
    for text in extra:
        total.update(text.encode())
    return total.hexdigest()
