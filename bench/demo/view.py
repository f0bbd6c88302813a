"""A trial as HTML: a table with a player, curves, spectrograms on one scale, token rasters, the command line."""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmbench.demo.results import Line, Results, tokens_of
from ldmbench.metrics._base import load_metric
from ldmbench.reports import spectrogram

if TYPE_CHECKING:
    from jinja2 import Template

_ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}

#: How far a loop is, at the end of what it says.
_FAR = re.compile(r"(\d+) of (\d+)")

#: Height of a spectrogram, pixels.
_HEIGHT = 96


def nothing(status: str = "", error: str = "", state: str = "idle") -> str:
    """A page without results: what happens, or what is wrong."""
    return _template().render(group="", seconds=0, state=state, status=status, error=error, lines=[])


def results(trial: Results, status: str, command: str, state: str, error: str = "") -> str:
    """All that there is of a trial.

    Args:
        trial: Its lines.
        status: How far it is.
        command: The command line that makes the same runs.
        state: ``running``, ``done``, ``cancelled`` or ``failed``, for whoever waits for it.
        error: What went wrong with it as a whole.
    """
    sounds = [line.sound for line in trial.lines if line.sound is not None]
    seconds = max((sound.duration for sound in sounds), default=0.0)
    finished = state != "running"
    top = max((sound.rate for sound in sounds), default=0) / 2
    rasters = [_raster(line) for line in trial.lines if line.tokens is not None] if finished else []
    return _template().render(
        group=trial.name,
        seconds=round(seconds, 3),
        state=state,
        status=status,
        error=error,
        far=_far(status) if state == "running" else None,
        untrained=trial.untrained,
        lines=[_shown(line) for line in trial.lines],
        metrics=[_column(name) for name in trial.metrics],
        curve=_svg(trial.curve()),
        pictures=_pictures(trial.lines, seconds, top) if finished else [],
        top=f"{top / 1000:g}",
        range=f"{spectrogram.RANGE:g}",
        rasters=rasters,
        command=command,
    )


def _far(status: str) -> tuple[int, int] | None:
    """What is done of how much, of the loop that a system is in."""
    found = _FAR.search(status.partition(": ")[2].partition(" (")[0])
    return (int(found[1]), int(found[2])) if found else None


def _shown(line: Line) -> dict[str, Any]:
    note = ""
    if line.sound is not None and line.kind != "output":
        note = f"{line.sound.rate / 1000:g} kHz" + (", what systems receive" if line.kind == "input" else "")
    return {**vars(line), "note": note}


def _column(name: str) -> dict[str, str]:
    facts = load_metric(name).facts
    return {"name": name, "title": facts.title, "unit": facts.unit, "arrow": _ARROWS[facts.better]}


def _pictures(lines: list[Line], seconds: float, top: float) -> list[dict[str, str]]:
    """Spectrograms over the same seconds, frequencies and levels: the brightest colour is the loudest of the first."""
    shown = [(line, line.sound) for line in lines if line.sound is not None]
    if not shown or not seconds:
        return []
    levels = [spectrogram.levels(sound, seconds, top, height=_HEIGHT) for _, sound in shown]
    ceiling = float(levels[0].max())
    ceiling = ceiling if np.isfinite(ceiling) else 0.0
    return [
        {"label": line.label, "url": line.url, "image": _inline(spectrogram.webp(picture, ceiling), "image/webp")}
        for (line, _), picture in zip(shown, levels, strict=True)
    ]


def _raster(line: Line) -> dict[str, str]:
    sizes = "x".join(str(size) for size in dict.fromkeys(line.codebooks))
    facts = f"{len(line.codebooks)} codebook{'s' if len(line.codebooks) != 1 else ''}" if line.codebooks else ""
    return {
        "label": line.label,
        "facts": f"{facts} of {sizes} codes" if facts else "",
        "image": _inline(tokens_of(line), "image/png"),
    }


def _inline(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _svg(data: bytes) -> str:
    """A drawing as an element of the page."""
    text = data.decode()
    return text[text.index("<svg") :] if text else ""


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("ldmbench.demo")
    return Environment(loader=loader, autoescape=True, trim_blocks=True).get_template("results.html.j2")
