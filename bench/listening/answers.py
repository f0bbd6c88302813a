"""What a browser sends for a page, held against what the page asked; nothing that does not fit is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ldmbench.listening.pack import Criterion, Pack, Page, Sound
from ldmbench.listening.store import Answer

#: Longest time on a page that is stored, ms: a day.
LONGEST_MS = 86_400_000

#: How much shorter than asked a sound may have been heard, ms: clocks of sound and page differ.
TOLERANCE_MS = 60


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is not carried out, with what the listener's page is told and the HTTP status."""

    def __init__(self, reason: str, status: int = 422) -> None:
        self.status = status
        super().__init__(reason)


def read(pack: Pack, page: Page, order: Sequence[Sound], data: Mapping[str, Any]) -> tuple[int, list[Answer]]:
    """Time on the page and the scores of all its stimuli, one for each criterion.

    Args:
        pack: The pack.
        page: The page.
        order: Its stimuli as they were shown.
        data: What the browser sent: ``time_ms`` and ``answers``.

    Raises:
        Refused: If an answer is absent, too many, out of its scale, unheard or untouched.
    """
    time_ms = _count(data.get("time_ms"), "time_ms")
    rows = data.get("answers")
    expected = {(sound.key, criterion.name) for sound in page.stimuli for criterion in pack.criteria}
    if not isinstance(rows, list) or len(rows) != len(expected):
        raise Refused(f"this page has {len(expected)} answers")
    criteria = {criterion.name: criterion for criterion in pack.criteria}
    places = {sound.key: place for place, sound in enumerate(order, 1)}
    least = 1000 * min(pack.must_hear_s, page.seconds) - TOLERANCE_MS
    answers = [_answer(row, criteria, places, least) for row in rows]
    if {(answer.stimulus, answer.criterion) for answer in answers} != expected:
        raise Refused("these are not the answers of this page")
    if pack.method == "ab":
        scores = sorted(answer.score for answer in answers)
        if scores != [0.0, 1.0] and not (pack.ties and scores == [0.5, 0.5]):
            raise Refused("one of the two is to be chosen")
    return time_ms, answers


def _answer(row: object, criteria: Mapping[str, Criterion], places: Mapping[str, int], least: float) -> Answer:
    if not isinstance(row, Mapping):
        raise Refused("an answer is a JSON object")
    stimulus, name, score = row.get("stimulus"), row.get("criterion"), row.get("score")
    if not isinstance(stimulus, str) or not isinstance(name, str) or stimulus not in places or name not in criteria:
        raise Refused("these are not the answers of this page")
    criterion = criteria[name]
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise Refused("a score is a number")
    if not criterion.low <= score <= criterion.high:
        raise Refused(f"a score is between {criterion.low:g} and {criterion.high:g}")
    if not math.isclose((score - criterion.low) / criterion.step % 1.0, 0.0, abs_tol=1e-9):
        raise Refused(f"scores are {criterion.step:g} apart")
    played = _count(row.get("played_ms"), "played_ms")
    if row.get("touched") is not True:
        raise Refused("every score has to be set")
    if played < least:
        raise Refused("every sound has to be heard")
    return Answer(stimulus, name, float(score), places[stimulus], played, True)


def _count(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_MS:
        raise Refused(f"{what} is a number of milliseconds")
    return round(value)
