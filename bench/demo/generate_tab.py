"""The tab on which systems make a sound of a text, several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ldmbench.clips.adhoc import prompts
from ldmbench.demo.catalogue import Choice, is_ready
from ldmbench.demo.desk import Desk
from ldmbench.demo.forms import chosen, seed_of, system_chooser
from ldmbench.demo.tabs import Tab, finish
from ldmbench.errors import BenchError
from ldmbench.names import Name, Setting, parse
from ldmbench.runs.request import Request
from ldmbench.suite import load_suite

SUITE = "demo-generate"

#: How well a sound fits its text; shown where its checkpoint is there.
CLAP = "clap_score"


def generate_tab(gr: Any, desk: Desk, listed: Sequence[Choice]) -> Tab:
    """The form and what it does."""
    settings = desk.settings
    metrics = (CLAP,) if not settings.untrained and is_ready(CLAP, settings) else ()
    with gr.Row():
        with gr.Column(scale=3):
            prompt = gr.Textbox("Rain falls on a tin roof.", label="Prompt", lines=2, elem_id="generate-prompt")
            negative = gr.Textbox("", label="Negative prompt", elem_id="generate-negative")
            systems = system_chooser(gr, "generate", listed, settings.systems or load_suite(SUITE).systems)
        with gr.Column(scale=2):
            with gr.Row():
                seconds = _own(gr, "Length, s", "seconds")
                steps = _own(gr, "Steps", "steps")
            with gr.Row():
                cfg = _own(gr, "Guidance", "cfg")
                candidates = _own(gr, "Candidates", "candidates")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="generate-seed")

    def request(
        prompt: str,
        negative: str,
        single: Sequence[str],
        sets: Sequence[str],
        seconds: str,
        steps: str,
        cfg: str,
        candidates: str,
        seed: float | None,
    ) -> Request:
        wanted = chosen(listed, single, sets, settings.limits.systems)
        (text,) = (str(clip.text) for clip in prompts([prompt]).clips)
        asked = {"steps": steps, "cfg": cfg, "seconds": seconds, "candidates": candidates}
        values: dict[str, Setting] = {key: _number(key, text) for key, text in asked.items() if text.strip()}
        if float(values.get("seconds", 0)) > settings.limits.seconds:
            raise BenchError("the sound would be too long", f"{seconds} s of {settings.limits.seconds:g}")
        if negative.strip():
            values["negative"] = _worded(negative)
        return Request(
            SUITE, tuple(_with(choice, values) for choice in listed if choice.label in wanted), metrics,
            prompts=(text,), seed=seed_of(seed), untrained=settings.untrained, out=settings.out,
        )  # fmt: skip

    inputs = [prompt, negative, *systems.inputs, seconds, steps, cfg, candidates, seed]
    return finish(gr, desk, "generate", request, inputs)


def _with(choice: Choice, values: dict[str, Setting]) -> str:
    """The system with what was asked for, as far as it has such settings."""
    name = parse(choice.label)
    own = {key: value for key, value in values.items() if key in choice.settings}
    return str(Name(name.name, name.variant, {**name.settings, **own}))


def _own(gr: Any, label: str, key: str) -> Any:
    """A setting that is the system's own where nothing is written."""
    return gr.Textbox("", label=label, placeholder="the system's own", elem_id=f"generate-{key}", min_width=110)


def _number(key: str, text: str) -> int | float:
    """A setting that was written.

    Raises:
        BenchError: If it is no number above 0.
    """
    value = parse(f"x:{key}={text.strip()}").settings[key] if len(text.split()) == 1 else text
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise BenchError(f"{key} must be a number above 0", repr(text), "leave it empty for the system's own")
    return value


def _worded(text: str) -> str:
    """A text as a setting, whose words are separated by underscores.

    Raises:
        BenchError: If it holds what separates settings.
    """
    if "," in text:
        raise BenchError("a negative prompt holds no commas", repr(text), "write 'and': commas separate settings")
    return "_".join(text.split())
