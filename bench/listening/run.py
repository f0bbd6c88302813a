"""A test on the air: the pack is verified, the port opened, and the page served until somebody ends it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.listening.pack import load_pack, ratings_file
from ldmbench.listening.server import Settings, Test, create_app, verify
from ldmbench.listening.store import Store

#: Seconds that requests have to come to their end when the server is stopped.
GRACE_S = 5


def serve(
    folder: Path,
    host: str,
    port: int,
    ratings: Path | None,
    screening: Any,
    required: bool,
    code: str,
    show_page: bool,
    say: Callable[[str], None],
) -> None:
    """Serve a pack until interrupted.

    Args:
        folder: The pack.
        host: Address to listen on.
        port: Port, 0 for a free one.
        ratings: File of the ratings.
        screening: Headphone test, or ``off``.
        required: Whether a failed one ends a session.
        code: Completion code of everybody.
        show_page: Whether to open the browser.
        say: Prints a line.

    Raises:
        BenchError: If the pack is not as it was exported, or the address cannot be had.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise BenchError(
            "mushra serve needs the extra 'listening'", str(error), "pip install 'ldmbench[listening]'"
        ) from None
    pack = load_pack(folder)
    verify(folder, pack)
    path = ratings or ratings_file(folder)
    listening = _listen(host, port)
    store = Store(path, pack)
    try:
        test = Test(folder, pack, store, Settings(screening, required, code))
        address = listening.getsockname()
        shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
        url = f"http://{f'[{shown}]' if ':' in shown else shown}:{address[1]}/"
        say(f"{pack.title}: {url}  (a listener's link: {url}?listener=CODE)")
        say(f"ratings go to {path}; see how far it is with: ldmbench mushra results {folder}")
        if not _loopback(host):
            say(
                "Everybody who reaches this machine on the network can open the page. It serves the sounds and takes "
                "ratings, and gives none out. For listeners elsewhere put a web server with HTTPS in front."
            )
        if show_page:
            import click

            click.launch(url)
        # No access log: it would keep listeners' network addresses.
        config = uvicorn.Config(
            create_app(test), log_level="warning", access_log=False, server_header=False, workers=1,
            timeout_graceful_shutdown=GRACE_S,
        )  # fmt: skip
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            say("stopped; all ratings are stored, and the same command goes on")
    finally:
        store.close()
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot listen on {host}:{port}", reason, "choose another --port or --host") from None
    return listening


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
