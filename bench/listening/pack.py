"""A pack on disk: ``pack.json`` says what is heard and rated, the sealed key says what it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from ldmbench.cards import Card
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing

#: Raised when the layout of a pack or of its key changes.
SCHEMA = 1

Method = Literal["mushra", "mushra-1s", "acr", "dcr", "ab", "sheet"]

#: What a stimulus is: a system under test, the hidden reference, or an anchor.
Role = Literal["system", "reference", "anchor"]

#: The page that shows listeners what to do; what is rated on it is not a result.
TRAINING = "training"

#: Keys and page ids: no client, spreadsheet or parser takes such a word for a number or for a word of its own.
ID_PATTERN = r"[a-z][a-z0-9]{5}"


class Sound(Card):
    """One file of a pack.

    Attributes:
        key: Opaque and of this page only: the same system has another key on every page.
        file: Relative to the pack's folder.
        sha256: Of the file as it was exported.
    """

    key: str = Field(pattern=rf"^{ID_PATTERN}$")
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Page(Card):
    """What is heard and rated at once.

    Attributes:
        id: Opaque; ``training`` for the training page.
        reference: The open reference, None where there is none.
        stimuli: What is rated, in no order that means anything: the order shown is drawn for each session.
        seconds: Length of all its sounds.
        text: The prompt that text-to-audio systems were given; empty where none is shown.
    """

    id: str = Field(pattern=rf"^({ID_PATTERN}|{TRAINING})$")
    reference: Sound | None
    stimuli: tuple[Sound, ...] = Field(min_length=1)
    seconds: float = Field(gt=0)
    text: str = ""

    def sounds(self) -> Iterator[Sound]:
        """All its files, the open reference first."""
        if self.reference is not None:
            yield self.reference
        yield from self.stimuli


class Block(Card):
    """The pages of one listener, in order."""

    id: str = Field(pattern=r"^b\d{2,4}$")
    pages: tuple[str, ...] = Field(min_length=1)


class Criterion(Card):
    """One question, and the scale on which it is answered.

    Attributes:
        name: As it stands in the ratings: ``quality``, ``preference``, ``ovl``, ``rel``, ``ogl``, ``aq``.
        title: As a sheet's heading has it.
        question: As the listener reads it.
        low: Lowest score.
        high: Highest score.
        step: Distance of two scores.
        labels: Words of the scale from the lowest score up: bands of a continuous scale, or one for each score.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    question: str
    low: float
    high: float
    step: float
    labels: tuple[str, ...] = ()


class Words(Card):
    """What listeners read, in paragraphs."""

    preset: str
    consent: tuple[str, ...]
    instructions: tuple[str, ...]
    training: tuple[str, ...]
    thanks: tuple[str, ...]


class Pack(Card):
    """``pack.json``: everything but what the sounds are.

    Attributes:
        id: Opaque; webMUSHRA's ``testId`` is ``ID-BLOCK``.
        title: Heading of the test.
        method: How it is rated.
        created: UTC time, ISO 8601.
        rate: Sampling rate of all sounds, Hz.
        criteria: What is asked of every stimulus. ``ab`` asks for one of a page's two.
        ties: Whether ``ab`` allows "no preference".
        must_hear_s: Seconds of every sound that a listener has to hear before a page can be left; the length of a page
            where it is shorter.
        training: The training page, None where there is none.
        pages: All pages.
        blocks: Who hears which of them in which order; sessions get the blocks in turn.
        minutes: How long a listener is expected to take.
        words: Consent, instructions, thanks.
        marks: What every table of these systems says, too: UNTRAINED, PARTIAL.
        key_sha256: SHA-256 of the sealed key's file.
        max_sliders: Most stimuli on a page that were asked for.
        schema_: ``SCHEMA`` at writing.
    """

    schema_: int = Field(SCHEMA, alias="schema")
    id: str = Field(pattern=rf"^{ID_PATTERN}$")
    title: str
    method: Method
    created: str
    rate: int
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    ties: bool = False
    must_hear_s: float = Field(ge=0)
    training: Page | None
    pages: tuple[Page, ...] = Field(min_length=1)
    blocks: tuple[Block, ...] = Field(min_length=1)
    minutes: int = 0
    words: Words
    marks: tuple[str, ...] = ()
    key_sha256: str
    max_sliders: int = 9

    def all_pages(self) -> Iterator[Page]:
        """The training page, where there is one, and the others."""
        if self.training is not None:
            yield self.training
        yield from self.pages


class KeyStimulus(Card):
    """What a stimulus is.

    Attributes:
        system: Label of the system; ``reference``, ``anchor35``, ``anchor70`` for what is none.
        role: Its part in the test.
        run: ID of the run, empty where it was made here.
        sound: ``Audio.digest()`` of the sound it was made of.
    """

    system: str
    role: Role
    run: str = ""
    sound: str = ""


class KeyPage(Card):
    """What a page is.

    Attributes:
        item: Clip id, ``DATASET/NAME``.
        group: The clip's group, or its dataset where it has none.
        dataset: Dataset of the clip.
        start: First second of the clip that is heard.
        end: Last second.
        repeat: 0, or 1 for the second of two equal pages, which measure how reliable a listener is.
        stimuli: Key -> what it is.
    """

    item: str
    group: str
    dataset: str
    start: float
    end: float
    repeat: int = 0
    stimuli: dict[str, KeyStimulus]


class Key(Card):
    """``key.json``: what every sound of a pack is, kept away from it until the ratings are in."""

    schema_: int = Field(SCHEMA, alias="schema")
    pack: str
    seed: int
    systems: tuple[str, ...]
    pages: dict[str, KeyPage]


C = TypeVar("C", bound=Card)


def sealed_folder(folder: Path) -> Path:
    """Where the key and the reports that name systems lie: beside the pack, never in it."""
    folder = folder.absolute()
    return folder.with_name(f"{folder.name}.sealed")


def ratings_file(folder: Path) -> Path:
    """Where ``mushra serve`` keeps the ratings, unless told otherwise: beside the pack, never in it."""
    folder = folder.absolute()
    return folder.with_name(f"{folder.name}.ratings.sqlite")


def write_record(path: Path, record: Card) -> str:
    """Write a record as JSON, and return the SHA-256 of the file."""
    text = json.dumps(record.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False) + "\n"
    data = text.encode()
    with replacing(path) as handle:
        handle.write(data)
    return hashlib.sha256(data).hexdigest()


def load_pack(folder: Path) -> Pack:
    """Read ``pack.json``.

    Raises:
        BenchError: If the folder holds no pack, or one of another version.
    """
    path = folder / "pack.json"
    pack = _read(path, Pack, f"{folder} is not a pack", "make one with ldmbench mushra export")
    names = [page.id for page in pack.pages]
    unknown = sorted({name for block in pack.blocks for name in block.pages} - set(names))
    if unknown or len(set(names)) < len(names):
        raise BenchError(f"{path} is not whole", f"pages {unknown or 'named twice'}", "export the pack again")
    for sound in (sound for page in pack.all_pages() for sound in page.sounds()):
        parts = Path(sound.file).parts
        if Path(sound.file).is_absolute() or ".." in parts:
            raise BenchError(f"{path} names a file outside the pack", sound.file, "export the pack again")
    return pack


def load_key(folder: Path, pack: Pack, path: Path | None = None) -> Key:
    """Read the key of a pack, and hold it against the digest in the pack.

    Args:
        folder: The pack's folder.
        pack: The pack.
        path: The key, by default the one beside the pack.

    Raises:
        BenchError: If there is no key, or it is not the one that was sealed when the pack was made.
    """
    path = path or sealed_folder(folder) / "key.json"
    key = _read(path, Key, f"{path} is not the key of a pack", "name it with --key")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != pack.key_sha256 or key.pack != pack.id:
        raise BenchError(
            f"{path} is not the key that was sealed with {folder}",
            f"SHA-256 {digest[:12]}, the pack says {pack.key_sha256[:12]}",
            "find the key as it was exported",
        )
    return key


def _read(path: Path, model: type[C], what: str, fix: str) -> C:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(what, f"there is no {path}", fix) from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error)) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BenchError(what, f"{path} is not JSON: {error}", fix) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        version = data.get("schema") if isinstance(data, dict) else None
        raise BenchError(what, f"{path} has schema {version}, this version reads {SCHEMA}", fix)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        raise BenchError(what, f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}", fix) from None
