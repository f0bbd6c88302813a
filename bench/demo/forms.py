"""What the three forms have in common: where a sound comes from, which systems are asked, what a trial shows."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldmbench.demo import view
from ldmbench.demo.catalogue import Choice
from ldmbench.demo.desk import CancelledError, Desk
from ldmbench.demo.inputs import Input, builtin_names, from_builtin, from_upload
from ldmbench.demo.keep import bound
from ldmbench.demo.results import Results
from ldmbench.demo.trial import command
from ldmbench.errors import BenchError
from ldmbench.runs.request import Request

#: What a handler yields: the result as HTML, and the run folders that can be added to a pack.
Shown = tuple[str, list[str]]

#: All model runs of all visitors wait in one queue.
QUEUE = "model"

_CONTENTS = ("speech", "music", "general")


@dataclass(frozen=True)
class Source:
    """Components by which a sound is chosen."""

    upload: Any
    builtin: Any
    content: Any

    @property
    def inputs(self) -> list[Any]:
        """In the order of ``source_of``'s arguments."""
        return [self.upload, self.builtin, self.content]


def sound_source(gr: Any, prefix: str, desk: Desk) -> Source:
    """Upload, microphone, or a built-in clip."""
    limits = desk.settings.limits
    label = f"Upload or record (up to {limits.seconds:g} s, {limits.upload_mb:g} MB, {limits.channels} channels)"
    names = builtin_names()
    upload = gr.Audio(
        label=label, sources=["upload", "microphone"], type="filepath", elem_id=f"{prefix}-upload", editable=False
    )
    with gr.Row():
        builtin = gr.Dropdown(
            names, value=names[0], label="or a built-in clip", elem_id=f"{prefix}-builtin", scale=2, min_width=240
        )
        content = gr.Radio(
            list(_CONTENTS),
            value="general",
            label="What an upload holds",
            elem_id=f"{prefix}-content",
            scale=2,
            min_width=240,
        )
    return Source(upload, builtin, content)


def source_of(desk: Desk, upload: str | None, builtin: str, content: str) -> Input:
    """The folder of what was chosen; an upload comes before a built-in clip.

    Raises:
        BenchError: If an upload cannot be used.
    """
    if upload:
        return from_upload(Path(upload), content, desk.settings.limits, desk.settings.out)
    return from_builtin(builtin, desk.settings.out)


@dataclass(frozen=True)
class Systems:
    """Components by which systems are chosen."""

    single: Any
    sets: Any

    @property
    def inputs(self) -> list[Any]:
        """In the order of ``chosen``'s arguments."""
        return [self.single, self.sets]


def system_chooser(gr: Any, prefix: str, listed: Sequence[Choice], default: Sequence[str], sets: str = "") -> Systems:
    """Systems that are ready, to be chosen one by one or as sets of all variants; below them those that are not."""
    ready = [choice for choice in listed if not choice.reason]
    families = dict.fromkeys(choice.family for choice in ready if choice.label != choice.family)
    single = gr.Dropdown(
        [(f"{choice.label}  ·  UNTRAINED" if choice.untrained else choice.label, choice.label) for choice in ready],
        value=_preset(ready, default),
        multiselect=True,
        label="Systems",
        info=f"{len(ready)} are ready here: type to search",
        elem_id=f"{prefix}-systems",
    )
    whole = gr.Dropdown(
        [(f"{family}: all {sum(choice.family == family for choice in ready)}", family) for family in families],
        value=[],
        multiselect=True,
        label=sets,
        visible=bool(sets),
        elem_id=f"{prefix}-sets",
    )
    absent = [choice for choice in listed if choice.reason]
    if absent:
        with gr.Accordion(f"Not ready here: {len(absent)}", open=False, elem_id=f"{prefix}-absent"):
            gr.HTML(absent_as_html(absent))
    return Systems(single, whole)


def _preset(ready: Sequence[Choice], default: Sequence[str]) -> list[str]:
    """What is chosen at first: of a system that is named without a variant the first that is ready."""
    first = {choice.family: choice.label for choice in reversed(ready)}
    labels = {choice.label for choice in ready}
    wanted = [label if label in labels else first.get(label, "") for label in default]
    return [label for label in dict.fromkeys(wanted) if label] or [choice.label for choice in ready[:1]]


def absent_as_html(choices: Sequence[Choice]) -> str:
    """Systems that cannot be chosen, greyed: variants with one cure together, with the reason and what to do."""
    groups: dict[tuple[str, str], list[Choice]] = {}
    for choice in choices:
        groups.setdefault((choice.family, choice.fix.replace(choice.label, choice.family)), []).append(choice)
    items = []
    for (family, fix), group in groups.items():
        variants = " ".join(choice.label.removeprefix(family) for choice in group)
        reasons = list(dict.fromkeys(choice.reason.replace(choice.label, family) for choice in group))
        if len(reasons) > 1:
            # Of variants that lack other files each, what they have in common.
            reasons = list(dict.fromkeys(reason.rpartition(": ")[0] or reason for reason in reasons))
        reason = "; ".join(reasons)
        cure = f"<br><code>{html.escape(fix)}</code>" if fix else ""
        items.append(f"<li><b>{html.escape(family)}</b> {html.escape(variants)}: {html.escape(reason)}{cure}</li>")
    return f'<ul class="ldm-absent">{"".join(items)}</ul>'


def seed_of(value: float | None) -> int | None:
    """A run's seed; None for that of the suite, so that the command line need not say it."""
    return int(value) if value else None


def chosen(listed: Sequence[Choice], single: Sequence[str], sets: Sequence[str], most: int) -> tuple[str, ...]:
    """Labels of all that was chosen, in the order of the list.

    Raises:
        BenchError: If nothing was chosen, or more than may run at once.
    """
    labels = [choice.label for choice in listed if not choice.reason]
    wanted = tuple(c.label for c in listed if c.label in labels and (c.label in single or c.family in sets))
    if not labels:
        fix = "see the list of those that are not, or start the page with --untrained"
        raise BenchError("no system of this task is ready here", fix=fix)
    if not wanted:
        raise BenchError("no system is chosen", fix="choose one or more")
    if len(wanted) > most:
        raise BenchError("too many systems at once", f"{len(wanted)} of {most}", "choose fewer")
    return wanted


def stream(desk: Desk, make: Callable[[], Request], visitor: str) -> Iterator[Shown]:
    """What a visitor sees of a trial, from the request to the last run."""
    yield view.nothing("reading the sound", state="running"), []
    try:
        request = make()
    except (BenchError, OSError) as error:
        yield view.nothing(error=str(error), state="failed"), []
        return
    trial = Results(desk.served)
    typed = command(request, desk.settings.options)
    total = len(request.systems)
    status = ""

    def shown(state: str, error: str = "") -> Shown:
        return view.results(trial, status, typed, state, error), [str(run.path) for run in trial.runs]

    try:
        for event in desk.carry_out(request, visitor):
            if event.kind == "at":
                before = status
                status = event.text if total == 1 else f"{event.text} ({trial.finished} of {total} made)"
                if status == before:
                    continue
            elif event.path is not None:
                trial.update(event.path)
            else:
                trial.refuse(event.system, event.text)
            yield shown("running")
    except CancelledError:
        status = f"cancelled: {trial.finished} of {total} are made and stay; the same run continues from there"
        yield shown("cancelled")
        return
    except (BenchError, RuntimeError, OSError) as error:
        status = ""
        yield shown("failed", str(error))
        return
    bound(desk.settings.out, desk.settings.limits.kept_mb)
    status = f"done: {trial.finished} of {total} made"
    yield shown("done")
