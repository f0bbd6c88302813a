"""Audits as tables: every answer of a metric, and what each metric is most sensitive to, in steps."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ldmbench.audit.changes import CHANGES, SHOWN
from ldmbench.audit.records import Answer, Audit, in_order, shows, to_json
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.names import spreadsheet_safe
from ldmbench.reports import page
from ldmbench.reports.listening import grids
from ldmbench.reports.listening.grids import Grid

#: The same to 12 digits.
SAME = "="

#: From so many steps on, a change outweighs the difference of the two systems.
LOUD = 1.0

_TEXTS = {change.name: change.text for change in CHANGES}

_CSV = (
    "metric", "version", "unit", "better", "systems", "datasets", "value", "step", "change",
    "changed_value", "difference", "steps", "clips", "note",
)  # fmt: skip


def write(audits: Sequence[Audit], kind: str, output: Path | None) -> list[str]:
    """Audits as lines to print, or written to ``output``.

    Args:
        audits: The audits.
        kind: ``terminal``, ``markdown``, ``csv``, ``json``, or ``html`` for a page.
        output: File, a folder for a page; ``audit-page`` where None.

    Raises:
        BenchError: If it cannot be written.
    """
    if kind == "html":
        return [f"wrote {write_page(audits, output or Path('audit-page'))}"]
    text = to_text(audits, kind)
    if output is None:
        return text.rstrip("\n").splitlines()
    with replacing(output) as handle:
        handle.write(text.encode())
    return [f"wrote {output}"]


def write_page(audits: Sequence[Audit], folder: Path) -> Path:
    """Write a page: the summary as a map of colours, and below it every answer as a bar.

    Returns:
        The path of ``index.html``.

    Raises:
        BenchError: If the folder holds something else, or it cannot be written.
    """
    ordered = in_order(audits)
    try:
        page.clear(folder)
        path = folder / "index.html"
        content = {
            "audits": [(audit, detail(audit), _bars(audit)) for audit in ordered],
            "summary": summary(ordered, list(_TEXTS)),
            "heat": [[heat(abs(audit.answer(change).steps or 0)) for change in _TEXTS] for audit in ordered],
            "text_of": text_of,
        }
        path.write_text(page.render("audit.html.j2", (), content), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {folder}", error.strerror or str(error), "free disk space", 1) from None
    return path


def heat(steps_: float) -> int:
    """0 to 5 for a colour: below 0.01 steps, then 0.1, 0.5, 1 and 5."""
    return sum(steps_ >= limit for limit in (0.01, 0.1, 0.5, 1.0, 5.0))


def _bars(audit: Audit) -> list[float]:
    """Length of each answer's bar, -50 to 50: a step is 10, and what exceeds five steps is cut off."""
    return [max(-50.0, min(50.0, 10 * (answer.steps or 0.0))) for answer in audit.answers]


def to_text(audits: Sequence[Audit], kind: str) -> str:
    """Audits as text: ``terminal``, ``markdown``, ``csv`` or ``json``."""
    if kind == "json":
        return to_json(audits)
    if kind == "csv":
        return to_csv(audits)
    tables = [detail(audit) for audit in audits]
    if len(audits) > 1:
        tables.append(summary(audits))
    return "\n\n".join(map(grids.to_markdown if kind == "markdown" else grids.to_text, tables)) + "\n"


def detail(audit: Audit) -> Grid:
    """Every answer of a metric."""
    rows = [
        (
            answer.change,
            number(answer.value, audit.digits),
            difference(answer, audit.digits),
            steps(answer),
            f"{answer.clips}/{audit.clips}",
        )
        for answer in audit.answers
    ]
    unit = f" ({audit.unit})" if audit.unit else ""
    title = f"{audit.metric}: {audit.title}{unit}, {number(audit.value, audit.digits)} of {audit.systems[0]}"
    bold = frozenset((index, 3) for index, answer in enumerate(audit.answers) if abs(answer.steps or 0) >= LOUD)
    return Grid(title, ("Change", "Value", "Difference", "Steps", "Clips"), tuple(rows), bold=bold, notes=notes(audit))


def notes(audit: Audit) -> tuple[str, ...]:
    """What must be read below the answers."""
    lines = [step_text(audit), f"{audit.clips} clips of {', '.join(audit.datasets)}; version {audit.version}"]
    if audit.note:
        lines.append(f"unchanged: {audit.note}")
    # Most refusals are said of several changes.
    reasons: dict[str, list[str]] = {}
    for answer in audit.answers:
        if answer.note:
            reasons.setdefault(answer.note, []).append(answer.change)
    return (*lines, *(f"{', '.join(changes)}: {reason}" for reason, changes in reasons.items()))


def step_text(audit: Audit) -> str:
    """How long a step is."""
    first, second = audit.systems
    if audit.step is None:
        return f"no step: {first} and {second} have no values to compare"
    if not shows(audit.step, audit.digits):
        return f"no step: {first} and {second} have the same value, as far as it is printed"
    text = f"a step: {signed(audit.step, audit.digits)}, from {first} to {second}"
    return f"{text}, which it takes for the worse one" if audit.upside_down else text


def summary(audits: Sequence[Audit], changes: Sequence[str] = SHOWN) -> Grid:
    """A row for each metric, with its answers to some changes in steps."""
    rows, bold = [], set()
    for index, audit in enumerate(in_order(audits)):
        answers = [audit.answer(change) for change in changes]
        bold |= {(index, at + 3) for at, answer in enumerate(answers) if abs(answer.steps or 0) >= LOUD}
        head = (audit.metric, number(audit.value, audit.digits), signed(audit.step, audit.digits))
        rows.append((*head, *(steps(answer) + ("*" if answer.clips < audit.clips else "") for answer in answers)))
    first, second = audits[0].systems
    lines = (
        f"In steps, of which one leads from {first} to {second}; positive: it takes the change for an improvement",
        f"{SAME}: the same to 12 digits; *: some clips have no value, and the others are compared; –*: none has one",
    )
    return Grid(
        "What metrics answer to", ("Metric", "Value", "Step", *changes), tuple(rows), (), frozenset(bold), lines
    )


def text_of(change: str) -> str:
    """What is done, in one line."""
    return _TEXTS.get(change, change)


def to_csv(audits: Sequence[Audit]) -> str:
    """One line for each metric and change; numbers in full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV)
    for audit in audits:
        head = (
            audit.metric,
            audit.version,
            audit.unit,
            audit.better,
            " ".join(audit.systems),
            " ".join(audit.datasets),
        )
        for item in audit.answers:
            own = (spreadsheet_safe(item.change), item.value, item.difference, item.steps)
            writer.writerow((*head, audit.value, audit.step, *own, item.clips, spreadsheet_safe(item.note)))
    return stream.getvalue()


def number(value: float | None, digits: int) -> str:
    """A value as in tables."""
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int) -> str:
    """A difference with its sign."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def difference(answer: Answer, digits: int) -> str:
    """The difference, or that there is none."""
    return SAME if answer.unchanged else signed(answer.difference, digits)


def steps(answer: Answer) -> str:
    """The difference in steps, or that there is none."""
    if answer.unchanged:
        return SAME
    if answer.steps is None:
        return "–"
    return signed(answer.steps, 2 if abs(answer.steps) < 100 else 0)
