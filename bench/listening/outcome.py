"""A listening test from its ratings to its results: screened, analysed, and kept as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.listening.analysis import Analysis, Part, analyse, part_of
from ldmbench.listening.screening import RECOGNISED, Decision, Rules, Screening, screen
from ldmbench.listening.votes import Ratings

#: Raised when the layout of the file changes.
SCHEMA = 1

#: What the file is called in a folder of results.
FILE = "analysis.json"


@dataclass(frozen=True)
class Result:
    """One scale of a test.

    Attributes:
        analysis: The results.
        counts: Listeners, items and ratings, before and after screening.
        rules: What was applied, in words.
        log: Every exclusion and every flag.
        datasets: Dataset of the runs -> results on its clips, where items are known to be clips.
    """

    analysis: Analysis
    counts: dict[str, tuple[int, int]]
    rules: tuple[str, ...]
    log: tuple[Decision, ...]
    datasets: dict[str, Part]


@dataclass(frozen=True)
class Outcome:
    """A test.

    Attributes:
        title: What it is called.
        results: One for each scale.
        items: All items.
        clips: Item -> clip of the runs.
        notes: What must be read beside the numbers.
        marks: What keeps the numbers from standing for the systems: ``UNTRAINED``, ``PARTIAL``.
        schema: ``SCHEMA`` at writing.
    """

    title: str
    results: tuple[Result, ...]
    items: tuple[str, ...]
    clips: dict[str, str]
    notes: tuple[str, ...]
    marks: tuple[str, ...] = ()
    schema: int = SCHEMA


def carry_out(
    ratings: Ratings,
    title: str,
    rules: Rules = "auto",
    threshold: float = RECOGNISED,
    seconds: float | None = None,
    marks: Sequence[str] = (),
) -> tuple[Outcome, list[Screening]]:
    """Screen and analyse every scale of a test.

    Args:
        ratings: As they were read.
        title: What the test is called.
        rules: Rules of screening.
        threshold: Points that the hidden reference must have.
        seconds: Length of the sounds.
        marks: What every table of the systems says.

    Returns:
        The outcome, and the ratings that count, for each scale.
    """
    results, screenings = [], []
    for scale in ratings.scales:
        screened = screen(ratings.of_scale(scale), rules, threshold, seconds)
        screenings.append(screened)
        kept = screened.ratings
        by_dataset: dict[str, list[str]] = {}
        for item in kept.items:
            if "/" in kept.clips.get(item, ""):
                by_dataset.setdefault(kept.clips[item].partition("/")[0], []).append(item)
        datasets = {name: part_of(name, kept.of_items(items)) for name, items in by_dataset.items()}
        results.append(Result(analyse(kept), screened.counts, screened.rules, screened.log, datasets))
    return Outcome(title, tuple(results), ratings.items, dict(ratings.clips), ratings.notes, tuple(marks)), screenings


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write a test as JSON, whole or not at all."""
    text = json.dumps(asdict(outcome), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as handle:
        handle.write(text.encode())


def read_outcome(path: Path) -> Outcome:
    """Read what ``write_outcome`` wrote.

    Args:
        path: The file, or the folder that ``mushra analyse`` wrote.

    Raises:
        BenchError: If there is none, or one of another version.
    """
    from pydantic import TypeAdapter, ValidationError

    path = path / FILE if path.is_dir() else path
    fix = "name the folder that ldmbench mushra analyse wrote"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), fix) from None
    except ValueError as error:
        raise BenchError(f"{path} is no analysed test", str(error), fix) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise BenchError(f"{path} is no analysed test of this version", fix=f"{fix}, or analyse it again")
    try:
        return TypeAdapter(Outcome).validate_python(data)
    except ValidationError as error:
        raise BenchError(f"{path} is no analysed test", str(error.errors()[0]["msg"]), fix) from None
