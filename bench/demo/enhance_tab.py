"""The tab on which a sound is degraded and restored: input, output and reference are heard and seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ldmbench.clips.adhoc import condition_of
from ldmbench.demo.catalogue import INPUT, Choice
from ldmbench.demo.conditions import filters, named_conditions, written
from ldmbench.demo.desk import Desk
from ldmbench.demo.forms import chosen, seed_of, sound_source, source_of, system_chooser
from ldmbench.demo.tabs import Tab, finish
from ldmbench.runs.request import Request
from ldmbench.suite import load_suite

SUITE = "demo-enhance"


def enhance_tab(gr: Any, desk: Desk, listed: Sequence[Choice]) -> Tab:
    """The form and what it does."""
    settings = desk.settings
    with gr.Row():
        with gr.Column(scale=2):
            source = sound_source(gr, "enhance", desk)
        with gr.Column(scale=3):
            condition = _condition(gr)
            default = settings.systems or load_suite(SUITE).systems
            systems = system_chooser(gr, "enhance", listed, default)
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="enhance-seed")

    def request(
        upload: str | None,
        builtin: str,
        content: str,
        condition: str,
        single: Sequence[str],
        sets: Sequence[str],
        seed: float | None,
    ) -> Request:
        wanted = chosen(listed, single, sets, settings.limits.systems)
        condition_of(condition or "")
        sound = source_of(desk, upload, builtin, content)
        return Request(
            SUITE, (INPUT, *wanted), audio=sound.folder, content=sound.content, conditions=(condition,),
            seed=seed_of(seed), untrained=settings.untrained, out=settings.out,
        )  # fmt: skip

    return finish(gr, desk, "enhance", request, [*source.inputs, condition, *systems.inputs, seed])


def _condition(gr: Any) -> Any:
    """A condition of a card, or one that is put together below, as a text that `ldmbench run -c` takes."""
    named = named_conditions()
    first = next((item.name for item in named if item.name.endswith("@4khz")), named[0].name)
    condition = gr.Dropdown(
        [(item.title, item.name) for item in named],
        value=first,
        label="Degraded by",
        info="a condition of a dataset, or KIND:setting=value,...",
        allow_custom_value=True,
        elem_id="enhance-condition",
    )
    with gr.Accordion("Another low-pass, rate or gap", open=False, elem_id="enhance-write"):
        with gr.Row():
            family = gr.Dropdown(filters(), value="cheby1", label="Filter", elem_id="enhance-filter", min_width=110)
            order = gr.Number(8, label="Order", precision=0, minimum=1, maximum=20, min_width=80)
            cutoff = gr.Number(4000, label="Cut-off, Hz", minimum=1, elem_id="enhance-cutoff", min_width=100)
            low = gr.Button("Use low-pass", elem_id="enhance-lowpass", min_width=120)
        with gr.Row():
            rate = gr.Number(8000, label="Rate, Hz", precision=0, minimum=1, min_width=100)
            resampled = gr.Button("Use rate", elem_id="enhance-resample", min_width=120)
        with gr.Row():
            start = gr.Number(1.0, label="Gap from, s", minimum=0, min_width=100)
            end = gr.Number(1.4, label="to, s", minimum=0, min_width=100)
            gap = gr.Button("Use gap", elem_id="enhance-gap", min_width=120)
    private = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    low.click(_lowpass, [family, order, cutoff], condition, **private)
    resampled.click(_resample, rate, condition, **private)
    gap.click(_gap, [start, end], condition, **private)
    return condition


def _lowpass(family: str, order: int, cutoff: float) -> str:
    return written("lowpass", filter=family, order=int(order), cutoff_hz=cutoff)


def _resample(rate: int) -> str:
    return written("resample", rate=int(rate))


def _gap(start: float, end: float) -> str:
    return written("gap", start_s=start, end_s=end)
