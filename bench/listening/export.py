"""A pack is made: excerpts are chosen, sounds treated and written under opaque keys, the key is sealed beside it."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.errors import BenchError
from ldmbench.listening import blocks, excerpts, handouts, webmushra
from ldmbench.listening.excerpts import Excerpt
from ldmbench.listening.items import Material
from ldmbench.listening.pack import (
    TRAINING,
    Block,
    Key,
    KeyPage,
    KeyStimulus,
    Method,
    Pack,
    Page,
    Role,
    Sound,
    sealed_folder,
    write_record,
)
from ldmbench.listening.presets import Preset
from ldmbench.listening.stimuli import REFERENCE, Treated, Treatment, anchor_name, delays, treat, write_wav
from ldmbench.names import some

#: Seconds that a listener is assumed to take for a page beside hearing its sounds.
_PAGE_S = 10.0

#: How often a listener is assumed to hear a sound that is compared, and one that stands alone.
_HEARD = {"mushra": 3.0, "mushra-1s": 2.0, "acr": 1.0, "dcr": 1.0, "ab": 1.5, "sheet": 1.2}

#: Orders of a rating sheet, one for each listener.
SHEETS = 10


@dataclass(frozen=True)
class Request:
    """What a test should be.

    Attributes:
        method: How it is rated.
        preset: Its protocol.
        title: Its heading.
        items: Items, without the one of the training page.
        longest: Longest excerpt, s.
        treatment: What is done to sounds.
        max_sliders: Most stimuli of a page, 12 at most.
        per_listener: Most pages of a listener, 0 for all.
        duplicates: Pages of a sheet that come twice.
        anchors: Systems that are anchors and not under test.
        reference: Whether ``ab`` has an open reference.
        ties: Whether ``ab`` allows "no preference".
        training: Whether there is a training page.
        organiser: Who runs it, for the consent page.
        excerpts: CSV of excerpts chosen by hand.
        seed: Seed of all that is drawn; None draws one. It is part of the key: who knows it knows the systems.
    """

    method: Method
    preset: Preset
    title: str = "Listening test"
    items: int = 10
    longest: float = 12.0
    treatment: Treatment = field(default_factory=Treatment)
    max_sliders: int = 9
    per_listener: int = 0
    duplicates: int = 0
    anchors: tuple[str, ...] = ()
    reference: bool = True
    ties: bool = True
    training: bool = True
    organiser: str = ""
    excerpts: Path | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: The pack.
        pack: Its record.
        key: Its key.
        treated: What was done to the sounds.
        notes: What a user should see.
    """

    folder: Path
    pack: Pack
    key: Key
    treated: tuple[Treated, ...]
    notes: tuple[str, ...]


def export(material: Material, request: Request, folder: Path) -> Exported:
    """Write a pack into a new folder, and the key and the reports into one beside it.

    Raises:
        BenchError: If the material does not make such a test, or a folder is not empty.
    """
    roles = _roles(material, request)
    seed = secrets.randbits(48) if request.seed is None else request.seed
    _refuse_full(folder)
    rehearsal = int(request.training)
    notes: list[str] = []
    if request.excerpts is not None:
        chosen = excerpts.read_excerpts(request.excerpts, material.items, request.longest)
        rehearsed = chosen[:rehearsal]
    else:
        wanted = request.items + rehearsal
        chosen, notes = excerpts.choose(material.items, wanted, request.longest, seed)
        rehearsed = chosen[-1:] if rehearsal else []
        chosen = chosen[:-1] if rehearsal and len(chosen) == wanted else chosen
    if rehearsed and rehearsed[0] in chosen:
        notes.append("the training page has an item of the test: there is none to spare")
    if len(chosen) < request.items and request.excerpts is None:
        notes.append(f"{len(chosen)} items instead of {request.items}: there are no more")
    maker = _Maker(material, request, folder, seed, roles)
    pack, key = maker.make(chosen, rehearsed)
    return Exported(folder, pack, key, tuple(maker.treated), (*material.notes, *notes))


class _Maker:
    """Writes the sounds of one pack and keeps what has to be known of them."""

    def __init__(
        self, material: Material, request: Request, folder: Path, seed: int, roles: Mapping[str, Role]
    ) -> None:
        self.material, self.request, self.folder, self.seed, self.roles = material, request, folder, seed, roles
        self.generator = np.random.default_rng([seed, 1])
        self.treated: list[Treated] = []
        self.secrets: dict[str, KeyPage] = {}
        self._written: dict[str, Path] = {}
        self._taken: set[str] = set()
        self.id = self._word("t")
        open_to_all = request.method in ("mushra", "mushra-1s", "dcr")
        referenced = all(item.has_reference for item in material.items)
        self.open = open_to_all or (request.method == "ab" and request.reference and referenced)

    def make(self, chosen: Sequence[Excerpt], rehearsed: Sequence[Excerpt]) -> tuple[Pack, Key]:
        """Write everything; ``pack.json`` comes last, so that half a pack is none."""
        request = self.request
        heard = [*chosen, *(excerpt for excerpt in rehearsed if excerpt not in chosen)]
        conditions = self._conditions()
        count = len(chosen)
        repeated = {int(n) for n in self.generator.permutation(count * len(conditions))[: request.duplicates]}
        grid: dict[int, Page] = {}
        repeats: list[Page] = []
        training = None
        for index, (excerpt, late) in enumerate(zip(heard, self._late(heard), strict=True)):
            # The sounds of one item at a time: a large test would not fit into memory.
            sounds = self._treat(excerpt, late)
            if excerpt in rehearsed:
                training = self._page(excerpt, sounds, self._conditions()[0], TRAINING)
            if index >= count:
                continue
            for number, condition in enumerate(conditions):
                place = number * count + index
                grid[place] = self._page(excerpt, sounds, condition)
                if place in repeated:
                    repeats.append(self._page(excerpt, sounds, condition, repeat=1))
        pages = [*(grid[place] for place in sorted(grid)), *repeats]
        listed = self._blocks(count, pages, bool(repeats))
        key = Key(schema=1, pack=self.id, seed=self.seed, systems=self.material.systems, pages=self.secrets)
        sealed = sealed_folder(self.folder)
        handouts.write_reports(sealed, self.treated, chosen, rehearsed)
        digest = write_record(sealed / "key.json", key)
        minutes = self._minutes(pages, len(listed[0].pages))
        pack = Pack(
            schema=1, id=self.id, title=request.title, method=request.method,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), rate=request.treatment.rate,
            criteria=request.preset.criteria, ties=request.ties and request.method == "ab",
            must_hear_s=request.preset.must_hear_s or request.longest, training=training,
            pages=tuple(pages[index] for index in self.generator.permutation(len(pages))),
            blocks=listed, minutes=minutes,
            words=request.preset.words(request.organiser, minutes, len(listed[0].pages)), marks=self.material.marks,
            key_sha256=digest, max_sliders=request.max_sliders,
        )  # fmt: skip
        if request.method == "mushra":
            webmushra.write_configs(pack, self.folder)
        handouts.write(pack, self.folder)
        write_record(self.folder / "pack.json", pack)
        return pack, key

    def _conditions(self) -> list[tuple[str, ...]]:
        """What is heard on each of an item's pages, in a drawn order."""
        request = self.request
        tested = [name for name, role in self.roles.items() if role == "system"]
        fixed = [name for name, role in self.roles.items() if role == "anchor"]
        shown: list[tuple[str, ...]]
        if request.method == "mushra":
            shown = [(*tested, REFERENCE, *fixed)]
        elif request.method == "mushra-1s":
            shown = [(system, REFERENCE, *fixed) for system in tested]
        elif request.method == "ab":
            shown = list(combinations(tested, 2))
        else:
            reference = [REFERENCE] if REFERENCE in self.roles else []
            shown = [(name,) for name in (*tested, *reference, *fixed)]
        return [shown[index] for index in self.generator.permutation(len(shown))]

    def _late(self, heard: Sequence[Excerpt]) -> list[dict[str, float]]:
        # What was made of a text has no delay against another recording of it.
        if self.material.generated or not self.request.treatment.align:
            return [{} for _ in heard]
        return delays([excerpt.item for excerpt in heard])

    def _treat(self, excerpt: Excerpt, late: Mapping[str, float]) -> dict[str, Real]:
        heard = self.open or REFERENCE in self.roles
        sounds, rows = treat(excerpt.item, excerpt.start, excerpt.end, self.request.treatment, late, heard)
        self.treated += rows
        return sounds

    def _page(
        self, excerpt: Excerpt, sounds: Mapping[str, Real], condition: Sequence[str], name: str = "", repeat: int = 0
    ) -> Page:
        page = name or self._word("p")
        reference = self._write(page, REFERENCE, sounds[REFERENCE]) if self.open else None
        drawn = [condition[index] for index in self.generator.permutation(len(condition))]
        stimuli = {system: self._write(page, system, sounds[system]) for system in drawn}
        clip = excerpt.item.clip
        outputs = excerpt.item.outputs
        self.secrets[page] = KeyPage(
            item=clip.id, group=excerpt.item.group, dataset=clip.dataset, start=excerpt.start, end=excerpt.end,
            repeat=repeat,
            stimuli={
                sound.key: KeyStimulus(
                    system=system, role=self.roles[system],
                    run=outputs[system].run if system in outputs else "",
                    sound=outputs[system].sound if system in outputs else "",
                )
                for system, sound in stimuli.items()
            },
        )  # fmt: skip
        length = len(next(iter(sounds.values()))) / self.request.treatment.rate
        text = clip.text or "" if self.request.method == "sheet" or self.material.generated else ""
        return Page(id=page, reference=reference, stimuli=tuple(stimuli.values()), seconds=length, text=text)

    def _write(self, page: str, system: str, samples: Real) -> Sound:
        """Write a sound under a new key; the same sound elsewhere in the pack is linked and takes no space."""
        key = self._word("k")
        file = f"{webmushra.WEB}/stimuli/{self.id}/{page}/{key}.wav"
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        mark = hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()
        if mark in self._written:
            source = self._written[mark]
            try:
                os.link(source, path)
            except OSError:
                shutil.copy2(source, path)
        else:
            write_wav(path, samples, self.request.treatment.rate)
            self._written[mark] = path
        return Sound(key=key, file=file, sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    def _blocks(self, items: int, pages: Sequence[Page], repeated: bool) -> tuple[Block, ...]:
        request = self.request
        most = request.per_listener or request.preset.per_listener or len(pages)
        if repeated:
            groups = [self.secrets[page.id].item for page in pages]
            rows = blocks.shuffles(groups, SHEETS, self.seed)
        else:
            rows = blocks.orders(items, len(pages) // items, most, self.seed)
        return tuple(
            Block(id=f"b{number:02}", pages=tuple(pages[index].id for index in row))
            for number, row in enumerate(rows, 1)
        )

    def _minutes(self, pages: Sequence[Page], count: int) -> int:
        """How long a listener is expected to take."""
        seconds = float(np.mean([page.seconds * len(list(page.sounds())) for page in pages]))
        return max(1, round(count * (_HEARD[self.request.method] * seconds + _PAGE_S) / 60))

    def _word(self, first: str) -> str:
        """A new id: a consonant, and five more and digits. No word, no number, and nothing a spreadsheet changes."""
        letters, digits = "bcdfghjkmnpqrstvwxz", "23456789"
        while True:
            rest = [letters, letters + digits, letters + digits, letters + digits, letters + digits]
            word = first + "".join(str(self.generator.choice(list(choice))) for choice in rest)
            if word not in self._taken:
                self._taken.add(word)
                return word


def _roles(material: Material, request: Request) -> dict[str, Role]:
    """What each sound of an item is, in order; what does not make a test is refused."""
    method = request.method
    if method not in request.preset.methods:
        raise BenchError(
            f"preset {request.preset.name} is for {' and '.join(request.preset.methods)}", f"--method {method}"
        )
    for name in request.anchors:
        if name not in material.systems:
            raise BenchError(f"{name} cannot be an anchor", f"the systems are {', '.join(material.systems)}")
    tested = [name for name in material.systems if name not in request.anchors]
    referenced = all(item.has_reference for item in material.items)
    if not referenced and (method in ("mushra", "mushra-1s", "dcr") or request.treatment.anchors):
        raise BenchError(
            f"{method} with anchors needs a reference for every clip", "some have none", "use acr or sheet"
        )
    roles: dict[str, Role] = dict.fromkeys(tested, "system")
    if method != "ab" and referenced:
        roles[REFERENCE] = "reference"
    if method in ("mushra", "mushra-1s", "acr", "dcr"):
        roles |= dict.fromkeys((*request.anchors, *map(anchor_name, request.treatment.anchors)), "anchor")
    if request.duplicates and method != "sheet":
        raise BenchError("pages that come twice are for rating sheets", f"--method {method}", "use --method sheet")
    if method == "ab" and len(tested) < 2:
        raise BenchError("a preference needs two systems", some(tested), "name another")
    sliders = {"mushra": len(roles), "mushra-1s": len(roles) - len(tested) + 1}.get(method, 1)
    if request.max_sliders > webmushra.MOST_SLIDERS:
        raise BenchError("a page holds at most 12 stimuli", f"--max-sliders {request.max_sliders}", "ITU-R BS.1534-3")
    if sliders > request.max_sliders:
        room = request.max_sliders - (len(roles) - len(tested))
        raise BenchError(
            f"{sliders} sliders on a page, {request.max_sliders} at most",
            f"{len(tested)} systems, {len(roles) - len(tested)} for reference and anchors: {some(tested)}",
            f"choose {room} systems with -s, use --method mushra-1s, or allow up to 12 with --max-sliders",
        )
    return roles


def _refuse_full(folder: Path) -> None:
    """Raise ``BenchError`` where a pack or its key would mix with something else."""
    for path in (folder, sealed_folder(folder)):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BenchError(f"{path} is there already", fix="name a new folder, or remove it")
