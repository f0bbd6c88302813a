"""A test on the air: the pack is verified, the port opened, and the page served until somebody ends it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.listening.conduct import Settings, Test, verify
from ldmbench.listening.pack import load_pack, ratings_file
from ldmbench.listening.server import create_app
from ldmbench.listening.store import Store

#: Seconds that requests have to come to their end when the server is stopped.
GRACE_S = 5


def serve(
    folder: Path,
    host: str,
    port: int,
    ratings: Path | None,
    settings: Settings,
    say: Callable[[str], None],
    show: Callable[[str], object] | None = None,
) -> None:
    """Serve a pack until interrupted.

    Args:
        folder: The pack.
        host: Address to listen on.
        port: Port, 0 for a free one.
        ratings: File of the ratings, None for the one beside the pack.
        settings: How the test is run.
        say: Prints a line.
        show: Opens an address in the browser.

    Raises:
        BenchError: If the pack is not as it was exported, or the address cannot be had.
    """
    try:
        import uvicorn
    except ImportError as error:
        fix = "pip install 'ldmbench[listening]'"
        raise BenchError("mushra serve needs the extra 'listening'", str(error), fix) from None
    pack = load_pack(folder)
    verify(folder, pack)
    path = ratings or ratings_file(folder)
    listening = _listen(host, port)
    try:
        store = Store(path, pack)
        try:
            app = create_app(Test(folder, pack, store, settings))
            url = _announce(pack.title, host, listening.getsockname()[1], say)
            say(f"ratings go to {path}; see how far it is with: ldmbench mushra results {folder}")
            if show is not None:
                show(url)
            # No access log: it would keep listeners' network addresses.
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
            )
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            store.close()
    finally:
        listening.close()


def _announce(title: str, host: str, port: int, say: Callable[[str], None]) -> str:
    """Say where the page is, and what it means to let others reach it."""
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    say(f"{title}: {url}  (a listener's link: {url}?listener=CODE)")
    if not _loopback(host):
        say(
            "Everybody who reaches this machine on the network can open the page. It serves the sounds and takes "
            "ratings, and gives none out. For listeners elsewhere put a web server with HTTPS in front."
        )
    return url


def _listen(host: str, port: int) -> socket.socket:
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # Whoever opens the page as soon as it is announced waits, and is not turned away.
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot listen on {host}:{port}", reason, "choose another --port or --host") from None
    return listening


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
