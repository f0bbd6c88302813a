"""The server of a test: a page, its sounds and its ratings, and nothing else that a listener could reach."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ldmbench.errors import BenchError
from ldmbench.listening import answers, headphones
from ldmbench.listening.answers import Refused
from ldmbench.listening.headphones import Trial
from ldmbench.listening.pack import TRAINING, Pack, Page, Sound
from ldmbench.listening.store import Session, Store

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_log = logging.getLogger(__name__)

#: Files of the page; nothing else below the folder is served.
PLAYER = Path(__file__).parent / "player"
FILES = {"": "text/html", "player.css": "text/css", "app.js": "text/javascript", "engine.js": "text/javascript",
         "rating.js": "text/javascript", "icon.svg": "image/svg+xml"}  # fmt: skip

#: Bytes of the largest request: a page of 12 sliders has 2 kB, a remark at most 16.
LARGEST = 1 << 16

#: Characters of a listener's id, of Prolific's ids, and of a remark.
LONGEST_ID, LONGEST_REMARK = 64, 2000

#: Where Prolific's participants go with their code.
PROLIFIC = "https://app.prolific.com/submissions/complete?cc="

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


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

    def begin(self, data: Mapping[str, Any]) -> Session:
        """The session of a browser: by its token, by the listener that its link names, or a new one."""
        listener = _name(data.get("listener", ""), "listener")
        session = _lookup(self.store, data)
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


def create_app(test: Test) -> Starlette:
    """The web application: the page, the sounds, and five things that a session may send."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def answer(request: Request, work: Any) -> Response:
        try:
            data = await _body(request)
            return JSONResponse(await run_in_threadpool(partial(_work, test, work), data))
        except Refused as error:
            return JSONResponse({"error": str(error)}, error.status)

    async def static(request: Request) -> Response:
        name = request.path_params.get("name", "")
        if name not in FILES:
            return Response("not found", 404)
        content = await run_in_threadpool((PLAYER / (name or "index.html")).read_bytes)
        return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})

    async def sound(request: Request) -> Response:
        wanted = test.sounds.get(request.url.path.removeprefix("/"))
        if wanted is None:
            return Response("not found", 404)
        content = await run_in_threadpool((test.folder / wanted.file).read_bytes)
        if hashlib.sha256(content).hexdigest() != wanted.sha256:
            _log.error("%s is not the file that was exported: nobody hears it", wanted.file)
            return Response("this sound changed since the test was made", 500)
        return Response(
            content, media_type="audio/wav", headers={"Cache-Control": "private, max-age=31536000, immutable"}
        )

    async def trial(request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(test.trials):
            return Response("not found", 404)
        return Response(test.trials[number].wav, media_type="audio/wav")

    def post(path: str, work: Any) -> Route:
        async def endpoint(request: Request) -> Response:
            return await answer(request, work)

        return Route(path, endpoint, methods=["POST"])

    routes = [
        *(post(f"/api/{name}", work) for name, work in _ENDPOINTS.items()),
        Route("/trial/{number:int}.wav", trial),
        Route("/sound/{pack}/{page}/{name}", sound),
        Route("/", static),
        Route("/{name}", static),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(_Headers)
    return app


class _Headers:
    """Adds what keeps a page from reaching, or being reached from, anywhere else."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
            await send(message)

        await self.app(scope, receive, sending)


async def _body(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request.

    Raises:
        Refused: If it is none, or too large. Only ``application/json`` is taken: no form of another site sends that.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused("send application/json", 415)
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            raise Refused("this is too large", 413)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise Refused("this is not JSON") from None
    if not isinstance(data, dict):
        raise Refused("this is not a JSON object")
    return data


def _work(test: Test, work: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = work(test, data)
    return result


def _session(test: Test, data: Mapping[str, Any]) -> Session:
    session = _lookup(test.store, data)
    if session is None:
        raise Refused("nobody has this session", 403)
    return session


def _lookup(store: Store, data: Mapping[str, Any]) -> Session | None:
    token = data.get("token")
    return store.session(token) if isinstance(token, str) and token.isascii() else None


def _begin(test: Test, data: Mapping[str, Any]) -> dict[str, Any]:
    return test.state(test.begin(data))


def _step(test: Test, data: Mapping[str, Any]) -> dict[str, Any]:
    session = _session(test, data)
    step = data.get("step")
    if step not in ("consent", "volume", "training"):
        raise Refused("there is no such step")
    if test.step(session) == step:
        gain = data.get("gain")
        if step == "volume" and (isinstance(gain, bool) or not isinstance(gain, int | float) or not 0 < gain <= 1):
            raise Refused("a volume is above 0 and at most 1")
        test.store.step(session, step, float(gain) if step == "volume" and gain is not None else None)
    return test.state(_session(test, data))


def _screen(test: Test, data: Mapping[str, Any]) -> dict[str, Any]:
    result = test.screen(_session(test, data), data)
    return {**test.state(_session(test, data)), **result}


def _page(test: Test, data: Mapping[str, Any]) -> dict[str, Any]:
    fresh = test.save(_session(test, data), data)
    return {**test.state(_session(test, data)), "fresh": fresh}


def _finish(test: Test, data: Mapping[str, Any]) -> dict[str, Any]:
    session = _session(test, data)
    if test.step(session) not in ("end", "done"):
        raise Refused("there are pages left to rate", 409)
    remark = data.get("remark", "")
    if not isinstance(remark, str) or len(remark) > LONGEST_REMARK:
        raise Refused(f"a remark has at most {LONGEST_REMARK} characters")
    test.store.finish(session, remark.encode("utf-8", "replace").decode())
    return test.state(_session(test, data))


_ENDPOINTS = {"begin": _begin, "step": _step, "headphones": _screen, "page": _page, "finish": _finish}


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
        from ldmbench.names import some

        raise BenchError(f"{folder} is not the pack that was exported", some(changed), "export it again")
