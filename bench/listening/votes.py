"""Ratings of a listening test, whichever program collected them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ldmbench.errors import BenchError
from ldmbench.names import some

#: What a condition of a test is there for; only systems are compared.
Role = Literal["system", "reference", "low anchor", "mid anchor"]

#: The scale of a test that asks one question.
QUALITY = "quality"

#: How programs and papers call the hidden reference and the low-pass anchors, in lower case without punctuation.
_USUAL: Mapping[str, Role] = {
    **dict.fromkeys(("reference", "ref", "hiddenreference", "hiddenref", "orig", "original"), "reference"),
    **dict.fromkeys(("anchor", "anchor35", "lowanchor", "lp35", "lowpass35khz", "anchor3500"), "low anchor"),
    **dict.fromkeys(("anchor70", "midanchor", "lp70", "lowpass7khz", "lowpass70khz", "anchor7000"), "mid anchor"),
}


@dataclass(frozen=True)
class Vote:
    """One score that one listener gave one sound.

    Attributes:
        listener: Who gave it; never a name or an e-mail that a form asked for.
        session: One sitting of a listener, as the program numbered it.
        item: The excerpt.
        system: The condition: the stimulus as the file names it, until a key says what it was.
        score: On the scale of the test.
        scale: Which question it answers, where a test asks several.
        block: Part of a test that is given to one listener, empty where it has none.
        page: Position of the page in the session, from 1; None where it is not recorded.
        position: Position of the slider on the page, from 1.
        seconds: Time that the listener spent on the page.
        played: Whether the sound was played.
        touched: Whether the slider was moved.
        repeat: 0 for the first time that a listener met the sound, 1 for a repetition put in on purpose, ...
        sound: The file that was rated, as the ratings name it.
        source: The file that the rating was read from.
    """

    listener: str
    session: str
    item: str
    system: str
    score: float
    scale: str = QUALITY
    block: str = ""
    page: int | None = None
    position: int | None = None
    seconds: float | None = None
    played: bool | None = None
    touched: bool | None = None
    repeat: int = 0
    sound: str = ""
    source: str = ""


@dataclass(frozen=True)
class Ratings:
    """The ratings of one test.

    Attributes:
        rows: In the order in which they were read.
        roles: Condition -> what it is there for.
        groups: Item -> group to report by, for those that have one.
        clips: Item -> clip of the runs that it is an excerpt of.
        kinds: Condition -> ``neural``, ``classical``, ..., for those where it is said.
        low: Lowest score of the scale.
        high: Highest.
        method: How was rated; ``mushra`` where the files do not say it.
        notes: What must be read beside the ratings: what was left out, and why.
    """

    rows: tuple[Vote, ...]
    roles: Mapping[str, Role] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    clips: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    low: float = 0.0
    high: float = 100.0
    method: str = "mushra"
    notes: tuple[str, ...] = ()

    @property
    def listeners(self) -> tuple[str, ...]:
        """All listeners, in the order in which they first occur."""
        return tuple(dict.fromkeys(row.listener for row in self.rows))

    @property
    def items(self) -> tuple[str, ...]:
        """All items."""
        return tuple(dict.fromkeys(row.item for row in self.rows))

    @property
    def conditions(self) -> tuple[str, ...]:
        """All conditions: hidden reference, then systems, then anchors."""
        order = {"reference": 0, "system": 1, "mid anchor": 2, "low anchor": 3}
        names = dict.fromkeys(row.system for row in self.rows)
        return tuple(sorted(names, key=lambda name: order[self.roles.get(name, "system")]))

    @property
    def systems(self) -> tuple[str, ...]:
        """The conditions that are compared."""
        return tuple(name for name in self.conditions if self.roles.get(name, "system") == "system")

    @property
    def scales(self) -> tuple[str, ...]:
        """The questions that the test asked."""
        return tuple(dict.fromkeys(row.scale for row in self.rows))

    def named(self, role: Role) -> str | None:
        """The condition with a role, None where the test has none; the first where it has several."""
        return next((name for name in self.conditions if self.roles.get(name, "system") == role), None)

    def of_scale(self, scale: str) -> Ratings:
        """The ratings that answer one question."""
        return replace(self, rows=tuple(row for row in self.rows if row.scale == scale))

    def of_items(self, items: Iterable[str]) -> Ratings:
        """The ratings of some items."""
        chosen = set(items)
        return replace(self, rows=tuple(row for row in self.rows if row.item in chosen))


def usual_role(name: str) -> Role:
    """What a condition is there for, by the names that programs and papers give to references and anchors.

    Example:
        >>> usual_role("anchor70"), usual_role("Hidden_Reference"), usual_role("opus@6kbps")
        ('mid anchor', 'reference', 'system')
    """
    return _USUAL.get(re.sub(r"[\W_]", "", name.lower()), "system")


def check_scores(rows: Iterable[Vote], low: float, high: float) -> None:
    """Refuse scores that the scale does not have.

    Raises:
        BenchError: If a score lies outside ``low`` to ``high``.
    """
    outside = [row for row in rows if not low <= row.score <= high]
    if outside:
        shown = some([f"{row.score:g} ({row.listener}, {row.item}, {row.system})" for row in outside])
        raise BenchError(
            f"{len(outside)} scores of {outside[0].source} lie outside {low:g} to {high:g}",
            shown,
            "name the scale with --scale LOW HIGH",
        )
