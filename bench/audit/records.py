"""What an audit says of a metric, and how it is kept: one line of JSON for each metric."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.host.files import replacing


def shows(difference: float | None, digits: int) -> bool:
    """Whether a difference is one in print; others are no measure to count in."""
    return difference is not None and abs(difference) >= 0.5 * 10.0**-digits


@dataclass(frozen=True)
class Answer:
    """What a metric says to one change.

    Attributes:
        change: Name of the change.
        value: The estimate over the clips that have a value, None where none has.
        difference: Value minus that of the same clips unchanged; None where there is none to compare.
        steps: The difference in steps, positive where the metric takes the change for an improvement; of a metric
            without a direction, where its value grows.
        clips: Clips with a value.
        note: What kept the others from having one, the most frequent reason first: ``unscored``, ``refused``, or
            ``failed``, how many, and the first message.
    """

    change: str
    value: float | None
    difference: float | None
    steps: float | None
    clips: int
    note: str = ""

    @property
    def unchanged(self) -> bool:
        """Whether the value is the same but for rounding: to 12 digits."""
        if self.difference is None or self.value is None:
            return False
        return abs(self.difference) <= 1e-12 * max(abs(self.value), abs(self.value - self.difference))

    @property
    def failed(self) -> bool:
        """Whether the metric raised something other than a reason or a refusal."""
        return "failed" in self.note


@dataclass(frozen=True)
class Audit:
    """How a metric answers.

    Attributes:
        metric: Its name.
        version: Its version.
        title: Its heading.
        unit: Its unit.
        better: Its direction.
        digits: Its decimals.
        systems: Whose outputs are changed, and whose are a step better.
        datasets: Whose clips.
        clips: How many.
        value: Of the outputs, unchanged; None where no clip has one, with the reason in ``note``.
        step: Value of the better outputs minus that of the others.
        answers: To each change.
        note: What kept clips from having a value.
    """

    metric: str
    version: int
    title: str
    unit: str
    better: str
    digits: int
    systems: tuple[str, str]
    datasets: tuple[str, ...]
    clips: int
    value: float | None
    step: float | None
    answers: tuple[Answer, ...]
    note: str = ""

    @property
    def upside_down(self) -> bool:
        """Whether the metric takes the better outputs for the worse ones."""
        sign = {"higher": 1, "lower": -1, "neither": 0}[self.better]
        return self.step is not None and sign * self.step < 0

    def answer(self, change: str) -> Answer:
        """The answer to a change."""
        return next(answer for answer in self.answers if answer.change == change)


def to_json(audits: Sequence[Audit]) -> str:
    """A list with one line for each metric, in the order of their names: two versions of the file can be compared."""
    lines = [json.dumps(asdict(audit), ensure_ascii=False, allow_nan=False) for audit in in_order(audits)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def in_order(audits: Sequence[Audit]) -> list[Audit]:
    """By name."""
    return sorted(audits, key=lambda audit: audit.metric)


def read(path: Path) -> list[Audit]:
    """Audits that were kept.

    Raises:
        BenchError: If the file is not there, or holds something else.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [_audit(row) for row in rows]
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "check the path") from None
    except (ValueError, TypeError, KeyError) as error:
        raise BenchError(f"{path} holds no audits", str(error), "write it with ldmbench audit --to json") from None


def write(path: Path, audits: Sequence[Audit]) -> None:
    """Keep audits.

    Raises:
        BenchError: If the file cannot be written.
    """
    with replacing(path) as handle:
        handle.write(to_json(audits).encode())


def _audit(row: dict[str, Any]) -> Audit:
    first, second = row["systems"]
    answers = tuple(Answer(**answer) for answer in row["answers"])
    return Audit(**{**row, "systems": (first, second), "datasets": tuple(row["datasets"]), "answers": answers})
