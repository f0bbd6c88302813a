"""The tab on which a sound goes through codecs: what a bitrate or a token rate costs is heard and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ldmbench.demo.catalogue import Choice
from ldmbench.demo.desk import Desk
from ldmbench.demo.forms import chosen, seed_of, sound_source, source_of, system_chooser
from ldmbench.demo.tabs import Tab, finish
from ldmbench.runs.request import Request
from ldmbench.suite import load_suite

SUITE = "demo-code"


def code_tab(gr: Any, desk: Desk, listed: Sequence[Choice]) -> Tab:
    """The form and what it does."""
    settings = desk.settings
    with gr.Row():
        with gr.Column(scale=2):
            source = sound_source(gr, "code", desk)
        with gr.Column(scale=3):
            default = settings.systems or load_suite(SUITE).systems
            systems = system_chooser(gr, "code", listed, default, "Whole rate-distortion sets")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="code-seed")

    def request(
        upload: str | None, builtin: str, content: str, single: Sequence[str], sets: Sequence[str], seed: float | None
    ) -> Request:
        wanted = chosen(listed, single, sets, settings.limits.systems)
        sound = source_of(desk, upload, builtin, content)
        return Request(
            SUITE, wanted, audio=sound.folder, content=sound.content, seed=seed_of(seed),
            untrained=settings.untrained, out=settings.out,
        )  # fmt: skip

    return finish(gr, desk, "code", request, [*source.inputs, *systems.inputs, seed])
