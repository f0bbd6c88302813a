"""The panel below the tabs on which trials are collected for a listening test."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ldmbench.demo.catalogue import INPUT
from ldmbench.demo.desk import Desk
from ldmbench.demo.packs import METHODS, Made, make_pack
from ldmbench.demo.tabs import Tab
from ldmbench.errors import BenchError
from ldmbench.runs.store import read_record

#: Trials of a visitor: the run folders of each.
Trials = list[list[str]]


def pack_panel(gr: Any, desk: Desk, tabs: Sequence[Tab]) -> None:
    """The panel, and what the tabs' buttons add to it."""
    trials = gr.State([])
    with gr.Accordion("Listening pack", open=False, elem_id="pack") as panel:
        listed = gr.HTML(_listed([]), elem_id="pack-list")
        with gr.Row():
            method = gr.Dropdown(list(METHODS), value=METHODS[0], label="Method", elem_id="pack-method")
            title = gr.Textbox("Listening test", label="Title", elem_id="pack-title")
            make = gr.Button("Make the pack", elem_id="pack-make")
            clear = gr.Button("Empty it", elem_id="pack-clear")
        made = gr.HTML("", elem_id="pack-made")
    private = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    for tab in tabs:
        tab.add.click(_add, [tab.runs, trials], [trials, listed], **private).then(
            lambda: gr.Accordion(open=True), None, panel, **private
        )
    clear.click(lambda: ([], _listed([]), ""), None, [trials, listed, made], **private)

    def write(trials: Trials, method: str, title: str) -> str:
        try:
            pack = make_pack(trials, method, title, desk.settings.out)
        except BenchError as error:
            return f'<div class="ldm"><p class="ldm-error" role="alert">{html.escape(str(error))}</p></div>'
        return _written(pack)

    make.click(write, [trials, method, title], made, api_visibility="private", concurrency_limit=1)


def _written(pack: Made) -> str:
    """What was written, and what to type next."""
    folder = html.escape(str(pack.folder))
    notes = "".join(f"<p>note: {html.escape(note)}</p>" for note in pack.notes)
    lines = html.escape("\n".join(pack.commands))
    pages = f"{pack.pages} page{'s' if pack.pages > 1 else ''}"
    return (
        f'<div class="ldm" data-pack="{folder}"><p>{pages}: <code>{folder}</code>, with the key beside it.</p>{notes}'
        f'<div class="ldm-command"><pre><code>{lines}</code></pre>'
        '<button type="button" class="ldm-copy">Copy</button></div></div>'
    )


def _add(runs: list[str], trials: Trials) -> tuple[Trials, str]:
    """A trial added, once."""
    if runs and runs not in trials:
        trials = [*trials, runs]
    return trials, _listed(trials)


def _listed(trials: Trials) -> str:
    if not trials:
        return '<div class="ldm"><p>Nothing yet: "Add to a listening pack" takes the result above.</p></div>'
    items = []
    for trial in trials:
        records = [read_record(Path(path)) for path in trial]
        clip = records[0].clips[0]
        systems = ", ".join(record.system for record in records if record.name.name != INPUT)
        items.append(f"<li>{html.escape(clip.text or clip.id)}: {html.escape(systems)}</li>")
    return f'<div class="ldm"><ol class="ldm-trials">{"".join(items)}</ol></div>'
