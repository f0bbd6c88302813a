"""A test being conducted: what each session sees, and what becomes of what it sends."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ldmbench.errors import BenchError
from ldmbench.listening import answers, headphones
from ldmbench.listening.answers import Refused
from ldmbench.listening.headphones import Trial
from ldmbench.listening.pack import TRAINING, Pack, Page, Sound
from ldmbench.listening.store import Session, Store
from ldmbench.names import some

#: Characters of a listener's id and of Prolific's ids.
LONGEST_ID = 64

#: Where Prolific's participants go with their code.
PROLIFIC = "https://app.prolific.com/submissions/complete?cc="


@dataclass(frozen=True)
class Settings:
    """How a test is run.

    Attributes:
        screening: Headphone test, or ``off``.
        required: Whether a failed test ends the session.
        code: Completion code of everybody; a code for each session where empty.
    """

    screening: Literal["off", "woods", "milne"] = "woods"
    required: bool = False
    code: str = ""


class Test:
    """A pack that is being run: what each session sees, and what becomes of what it sends."""

    __test__ = False  # No test of pytest's.

    def __init__(self, folder: Path, pack: Pack, store: Store, settings: Settings) -> None:
        self.folder, self.pack, self.store, self.settings = folder, pack, store, settings
        self.pages = {page.id: page for page in pack.all_pages()}
        self.blocks = {block.id: block.pages for block in pack.blocks}
        self.sounds: dict[str, Sound] = {}
        for page in pack.all_pages():
            for sound in page.sounds():
                self.sounds[_url(page, sound)] = sound
        self.trials: list[Trial] = []
        if settings.screening != "off":
            self.trials = headphones.trials(settings.screening, pack.rate, int(pack.key_sha256[:8], 16))

    def session(self, data: Mapping[str, Any]) -> Session | None:
        """The session whose token was sent, None for a forged one."""
        token = data.get("token")
        return self.store.session(token) if isinstance(token, str) and token.isascii() else None

    def begin(self, data: Mapping[str, Any]) -> Session:
        """The session of a browser: by its token, by the listener that its link names, or a new one."""
        listener = _name(data.get("listener", ""), "listener")
        session = self.session(data)
        if session is not None and listener in ("", session.listener):
            return session
        study, submission = _name(data.get("study", ""), "study"), _name(data.get("submission", ""), "session")
        return self.store.begin(listener, study, submission, self.settings.code)

    def state(self, session: Session) -> dict[str, Any]:
        """Everything the page needs to go on."""
        pack, step, pages = self.pack, self.step(session), self.blocks[session.block]
        state: dict[str, Any] = {
            "token": session.token,
            "title": pack.title,
            "marks": pack.marks,
            "method": pack.method,
            "criteria": [criterion.model_dump() for criterion in pack.criteria],
            "ties": pack.ties,
            "rate": pack.rate,
            "gain": session.gain,
            "words": pack.words.model_dump(),
            "trained": pack.training is not None,
            "step": step,
            "total": len(pages),
            "done": sum(page in session.rated for page in pages),
        }
        if step == "volume":
            page = pack.training or self.pages[pages[0]]
            state["sound"] = _url(page, page.reference or page.stimuli[0])
        elif step == "headphones":
            state["question"] = headphones.QUESTIONS[self.settings.screening]
            state["trials"] = [f"trial/{index}.wav" for index in self._trials(session)]
            state["tries"] = session.screening_tries
        elif step == "training":
            state["page"] = self.shown(session, self.pages[TRAINING])
        elif step == "page":
            left = [page for page in pages if page not in session.rated]
            state["page"] = self.shown(session, self.pages[left[0]])
            if len(left) > 1:
                following = self.pages[left[1]]
                state["following"] = [_url(following, sound) for sound in following.sounds()]
        elif step in ("end", "done", "out"):
            state["code"] = session.code if step == "done" else ""
            state["link"] = f"{PROLIFIC}{session.code}" if session.submission and step == "done" else ""
        return state

    def step(self, session: Session) -> str:
        """Where a session is: a step before the pages, ``page``, ``end``, ``done``, or ``out`` for screened out."""
        wanted = ["consent", "volume", "headphones", "training"]
        if not self.trials:
            wanted.remove("headphones")
        if self.pack.training is None:
            wanted.remove("training")
        if session.finished:
            return "done"
        for step in wanted:
            if step not in session.done:
                failed = step == "headphones" and session.screening_tries >= headphones.TRIES
                return "out" if failed and self.settings.required else step
        return "page" if any(page not in session.rated for page in self.blocks[session.block]) else "end"

    def shown(self, session: Session, page: Page) -> dict[str, Any]:
        """A page as a session sees it: stimuli in an order of its own, the same after a reload."""
        return {
            "id": page.id,
            "seconds": page.seconds,
            "text": page.text,
            "must_hear_ms": round(1000 * min(self.pack.must_hear_s, page.seconds)),
            "reference": None if page.reference is None else _url(page, page.reference),
            "stimuli": [{"key": sound.key, "url": _url(page, sound)} for sound in self.ordered(session, page)],
        }

    def ordered(self, session: Session, page: Page) -> list[Sound]:
        """The stimuli of a page in the order of a session; of two, either comes first on half of a session's pages."""
        stimuli = list(page.stimuli)
        if self.pack.method == "ab":
            order = list(self.blocks[session.block])
            random.Random(f"{session.seed}/sides").shuffle(order)
            turned = page.id in order[: len(order) // 2]
            return stimuli[::-1] if turned else stimuli
        random.Random(f"{session.seed}/{page.id}").shuffle(stimuli)
        return stimuli

    def _trials(self, session: Session) -> list[int]:
        order = list(range(len(self.trials)))
        random.Random(f"{session.seed}/{session.screening_tries}").shuffle(order)
        return order

    def screen(self, session: Session, data: Mapping[str, Any]) -> dict[str, Any]:
        """Judge a headphone test; a second failed one is noted, and ends the session only where that was asked for."""
        if self.step(session) != "headphones":
            return {"passed": False, "again": False}
        given = data.get("answers")
        if not isinstance(given, list) or len(given) != len(self.trials) or any(a not in (1, 2, 3) for a in given):
            raise Refused("a headphone test has six answers of 1, 2 or 3")
        order = [self.trials[index] for index in self._trials(session)]
        right = headphones.right_answers(order, given)
        kind = self.settings.screening
        self.store.screen(session, kind, right, len(order))
        passed = right >= headphones.PASS[kind]
        again = not passed and session.screening_tries + 1 < headphones.TRIES
        if passed or (not again and not self.settings.required):
            self.store.step(session, "headphones")
        return {"passed": passed, "again": again}

    def save(self, session: Session, data: Mapping[str, Any]) -> bool:
        """Save a page that a session was shown; True where it was not there yet."""
        pages = self.blocks[session.block]
        name = data.get("page")
        if name in session.rated:
            return False
        if self.step(session) != "page" or name != next(page for page in pages if page not in session.rated):
            raise Refused("this page is not the one to be rated now", 409)
        page = self.pages[name]
        time_ms, rows = answers.read(self.pack, page, self.ordered(session, page), data)
        return self.store.save(session, name, pages.index(name) + 1, time_ms, rows)


def _url(page: Page, sound: Sound) -> str:
    pack = Path(sound.file).parts[-3]
    return f"sound/{pack}/{page.id}/{sound.key}.wav"


def _name(value: object, what: str) -> str:
    """An id from a link: one printable line of at most 64 characters, or empty.

    Raises:
        Refused: If it is something else; an e-mail address is none of our business, too.
    """
    if not isinstance(value, str):
        raise Refused(f"{what} is not a text")
    name = unicodedata.normalize("NFC", value.strip())
    if len(name) > LONGEST_ID or not all(char.isprintable() for char in name):
        raise Refused(f"{what} in this link has to be one line of at most {LONGEST_ID} characters")
    if "@" in name:
        raise Refused(f"{what} in this link is an e-mail address; please ask for a link with a code instead")
    return name


def verify(folder: Path, pack: Pack) -> None:
    """Hold every sound against its digest in the pack.

    Raises:
        BenchError: If one is not there, or is not the one that was exported.
    """
    changed = []
    for page in pack.all_pages():
        for sound in page.sounds():
            try:
                content = (folder / sound.file).read_bytes()
            except OSError:
                changed.append(f"{sound.file} (not there)")
                continue
            if hashlib.sha256(content).hexdigest() != sound.sha256:
                changed.append(sound.file)
    if changed:
        raise BenchError(f"{folder} is not the pack that was exported", some(changed), "export it again")
