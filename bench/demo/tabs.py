"""The lower half of a tab: buttons, the result, and how they hang together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ldmbench.demo import view
from ldmbench.demo.desk import Desk
from ldmbench.demo.forms import QUEUE, Shown, stream
from ldmbench.runs.request import Request


@dataclass(frozen=True)
class Tab:
    """What the rest of the page needs of a tab.

    Attributes:
        add: The button that adds its runs to a listening pack.
        runs: State with the folders of its runs.
    """

    add: Any
    runs: Any


def finish(gr: Any, desk: Desk, prefix: str, request: Callable[..., Request], inputs: Sequence[Any]) -> Tab:
    """Buttons and the result below a form.

    Args:
        gr: Gradio.
        desk: Where trials are carried out.
        prefix: Of the elements' ids.
        request: What is to be run when the button is pressed.
        inputs: Components that give its parameters.
    """
    with gr.Row():
        go = gr.Button("Run", variant="primary", elem_id=f"{prefix}-run")
        cancel = gr.Button("Cancel", elem_id=f"{prefix}-cancel")
        add = gr.Button("Add to a listening pack", elem_id=f"{prefix}-add")
    result = gr.HTML(view.nothing(), elem_id=f"{prefix}-result")
    runs = gr.State([])

    # Gradio hands the browser's request to parameters of this type, and knows it only by the annotation.
    def begin(visitor: Any) -> str:
        desk.begin(visitor.session_hash)
        return view.nothing("waiting: one model runs at a time", state="running")

    def run(visitor: Any, *values: Any) -> Iterator[Shown]:
        yield from stream(desk, lambda: request(*values), visitor.session_hash)

    def stop(visitor: Any) -> None:
        desk.cancel(visitor.session_hash)

    for function in (begin, stop, run):
        _takes_request(gr, function)
    started = go.click(begin, None, result, queue=False, show_progress="hidden", api_visibility="private")
    started.then(
        run, list(inputs), [result, runs], concurrency_limit=1, concurrency_id=QUEUE, show_progress="minimal",
        api_visibility="private",
    )  # fmt: skip
    cancel.click(stop, None, None, queue=False, api_visibility="private")
    return Tab(add, runs)


def _takes_request(gr: Any, function: Callable[..., Any]) -> None:
    """Annotate the parameter ``visitor`` with Gradio's request, which is imported only where a page is made."""
    assert "visitor" in inspect.signature(function).parameters
    function.__annotations__["visitor"] = gr.Request
