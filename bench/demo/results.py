"""What a trial shows: sounds, numbers and statuses of its runs, and what the page draws of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.demo.catalogue import INPUT
from ldmbench.demo.home import Served
from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from ldmbench.reports.cells import number
from ldmbench.runs.records import ClipInfo
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.store import read_tokens

#: Curves that are drawn, the suite's first.
_MOST_CURVES = 2


@dataclass(frozen=True)
class Line:
    """A sound, or why there is none.

    Attributes:
        label: The system, or ``reference``.
        kind: ``reference``, ``input`` or ``output``.
        run: ID of its run.
        marks: ``UNTRAINED``, ...
        message: Why there is no sound.
        url: Where the browser fetches it, relative to the page.
        sound: The sound.
        values: Column -> number as printed, or ``failed``.
        reasons: Column -> why there is no number.
        tokens: The run's file of tokens.
        codebooks: Codes of each layer.
    """

    label: str
    kind: str
    run: str = ""
    marks: tuple[str, ...] = ()
    message: str = ""
    url: str = ""
    sound: Audio | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    tokens: Path | None = None
    codebooks: tuple[int, ...] = ()


class Results:
    """The lines of one trial, made one by one as its runs end."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._group = served.group()
        self._order: list[str] = []
        self._runs: dict[str, Run] = {}
        self._lines: dict[str, list[Line]] = {}
        self._reference: list[Line] = []
        self._refused: list[Line] = []
        self._curve: bytes | None = b""

    @property
    def name(self) -> str:
        """What the page's player knows the trial by."""
        return self._group.name

    @property
    def runs(self) -> list[Run]:
        """The runs, in the order in which they came."""
        return [self._runs[name] for name in self._order]

    @property
    def lines(self) -> list[Line]:
        """The reference, the outputs of the runs, and the systems of which there is none."""
        made = [line for name in self._order for line in self._lines[name]]
        return [*self._reference, *made, *self._refused]

    @property
    def finished(self) -> int:
        """Runs with an output that is a sound."""
        return sum(any(line.url for line in self._lines[name]) for name in self._order)

    @property
    def metrics(self) -> list[str]:
        """Columns: every metric that any run was asked for."""
        return list(dict.fromkeys(metric for run in self.runs for metric in run.info.metrics))

    @property
    def untrained(self) -> list[str]:
        """Systems with random weights."""
        return [run.info.system for run in self.runs if run.info.untrained]

    def update(self, path: Path) -> None:
        """A run as it is on disk now, in place of what it was; the first brings the reference along."""
        run = open_run(path)
        if run.info.id not in self._lines:
            self._order.append(run.info.id)
        self._runs[run.info.id] = run
        for clip in run.info.clips:
            if clip.path and not self._reference:
                url = self._offer("reference", Path(clip.path))
                self._reference.append(Line("reference", "reference", url=url, sound=audio_io.read(clip.path)))
        self._lines[run.info.id] = [self._line(run, clip) for clip in run.info.clips]
        self._curve = None

    def refuse(self, system: str, reason: str) -> None:
        """A system of which there is no run."""
        self._refused.append(Line(system, "output", message=reason))

    def curve(self) -> bytes:
        """The rate-distortion curves as SVG, drawn again after each change; empty where no system has a bitrate."""
        if self._curve is None:
            from ldmbench.reports import curves, drawing

            codecs = [run for run in self.runs if run.info.task == "codec"]
            built = [curve for curve in curves.build(codecs) if curve.axis == curves.RATE]
            self._curve = drawing.render(built[:_MOST_CURVES], "svg", columns=2) if built else b""
        return self._curve

    def _line(self, run: Run, clip: ClipInfo) -> Line:
        row = run.outputs.get(clip.id)
        marks = ("UNTRAINED",) if run.info.untrained else ()
        kind = "input" if run.info.name.name == INPUT else "output"
        label = run.info.system
        if row is None:
            return Line(label, kind, run.info.id, marks, run.problem)
        if row.status != "ok":
            return Line(label, kind, run.info.id, marks, row.message)
        path = run.audio_path(clip.id)
        values, reasons = _values(run, clip)
        return Line(
            label, kind, run.info.id, marks,
            url=self._offer(label, path) if path else "",
            sound=audio_io.read(path) if path else None,
            values=values,
            reasons=reasons,
            tokens=run.path / row.token_file if row.token_file else None,
            codebooks=tuple(row.codebooks),
        )  # fmt: skip

    def _offer(self, label: str, path: Path) -> str:
        # Other labels may come out the same; the run's own file name is another one then.
        shown = "".join(c if (c.isalnum() and c.isascii()) or c in "@.-" else "-" for c in label)[:60]
        name = f"{shown}-{hashlib.sha256(f'{label} {path}'.encode()).hexdigest()[:8]}.wav"
        return f"gradio_api/file={self._served.offer(self._group, name, path)}"


def _values(run: Run, clip: ClipInfo) -> tuple[dict[str, str], dict[str, str]]:
    """The number of each metric as tables print it, and the reason where there is none."""
    values, reasons = {}, {}
    for metric in run.info.metrics:
        score = run.scores.get((clip.id, metric))
        if score is None:
            continue  # Not measured yet.
        if score.status != "ok":
            reasons[metric] = score.message
            if score.status == "failed":
                values[metric] = "failed"
            continue
        try:
            estimate = run.estimate(metric, clip.dataset)
        except BenchError as error:
            values[metric], reasons[metric] = "failed", str(error)
            continue
        if estimate is not None and estimate.value is not None:
            values[metric] = number(estimate.value, load_metric(metric).facts.digits)
    return values, reasons


def tokens_of(line: Line) -> bytes:
    """The tokens of a line as a picture, frames across and codebooks down, empty where it has none."""
    if line.tokens is None:
        return b""
    from ldmbench.demo.raster import png

    return png(read_tokens(line.tokens))
