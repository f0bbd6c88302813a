"""The server of a test: a page, its sounds and its ratings, and nothing else that a listener could reach."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmbench.listening.answers import Refused
from ldmbench.listening.conduct import Test
from ldmbench.listening.store import Session

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

#: Characters of a remark.
LONGEST_REMARK = 2000

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


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
    session = test.session(data)
    if session is None:
        raise Refused("nobody has this session", 403)
    return session


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
