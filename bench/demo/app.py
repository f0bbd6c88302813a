"""The page: three tabs, built and served."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldmbench.demo.catalogue import Choice, choices
from ldmbench.demo.code_tab import code_tab
from ldmbench.demo.desk import Desk
from ldmbench.demo.enhance_tab import enhance_tab
from ldmbench.demo.generate_tab import generate_tab
from ldmbench.demo.home import temporary_home
from ldmbench.demo.pack_panel import pack_panel
from ldmbench.demo.settings import Settings
from ldmbench.demo.tabs import Tab
from ldmbench.errors import BenchError
from ldmbench.system.card import Task

_TEMPLATES = Path(__file__).parent / "templates"

#: Seconds between two looks at uploads, and seconds after which they are removed.
_LOOK_S, _UPLOAD_S = 60, 3600

#: Tabs in their order: the task of their systems, and what makes the form.
_TABS: Mapping[str, tuple[Task, Callable[[Any, Desk, Sequence[Choice]], Tab]]] = {
    "generate": ("generate", generate_tab),
    "enhance": ("enhance", enhance_tab),
    "code": ("codec", code_tab),
}

_WORDS = """# ldmbench: try it
Every result is an ordinary run of the bench, with the command line that makes it again."""


def serve(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        settings: What the server is told.
        host: Address to listen at.
        port: Port, 0 for any that is free.
        ready: Called with the page's address as soon as it answers.

    Raises:
        BenchError: If Gradio is not installed, or the address cannot be used.
    """
    with temporary_home() as home:
        gr = _gradio(home)
        with Desk(settings, home) as desk:
            page = build(gr, desk)
            try:
                _, url, _ = page.launch(
                    server_name=host, server_port=port or None, share=False, prevent_thread_lock=True, quiet=True,
                    inbrowser=False, footer_links=[], max_file_size=f"{settings.limits.upload_mb:g}mb",
                    show_error=True, ssr_mode=False, css_paths=[_TEMPLATES / "page.css"], head=_head(),
                )  # fmt: skip
            except OSError as error:
                raise BenchError(f"cannot serve at {host}:{port or 'any port'}", str(error), "choose --port") from None
            try:
                ready(url)
                threading.Event().wait()
            finally:
                page.close(verbose=False)


def build(gr: Any, desk: Desk) -> Any:
    """The page as Gradio's ``Blocks``."""
    with gr.Blocks(
        title="ldmbench demo", analytics_enabled=False, delete_cache=(_LOOK_S, _UPLOAD_S), fill_width=True
    ) as page:
        gr.Markdown(_WORDS)
        tabs = []
        listed = {name: choices(task, desk.settings) for name, (task, _) in _TABS.items()}
        # What is seen first can be used here.
        usable = [name for name, found in listed.items() if any(not choice.reason for choice in found)]
        with gr.Tabs(selected=next(iter(usable), "code")):
            for name, (_, tab) in _TABS.items():
                with gr.Tab(name.capitalize(), id=name, elem_id=f"tab-{name}"):
                    tabs.append(tab(gr, desk, listed[name]))
        pack_panel(gr, desk, tabs)
        page.unload(_leaving(gr, desk))
    page.queue(max_size=desk.settings.limits.waiting)
    return page


def _leaving(gr: Any, desk: Desk) -> Callable[..., None]:
    def leave(visitor: Any) -> None:
        desk.cancel(visitor.session_hash)

    leave.__annotations__["visitor"] = gr.Request
    return leave


def _head() -> str:
    return f"<script>{(_TEMPLATES / 'player.js').read_text(encoding='utf-8')}</script>"


def _gradio(home: Path) -> Any:
    """Gradio, told to keep its files here and to speak to nobody, before it reads what it is told.

    Raises:
        BenchError: If it is not installed.
    """
    os.environ.update(
        GRADIO_TEMP_DIR=str(home), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1"
    )
    try:
        import gradio
    except ImportError as error:
        raise BenchError("the page needs gradio", str(error), "pip install 'ldmbench[demo]'") from None
    for name in ("httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return gradio
