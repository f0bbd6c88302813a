"""What listeners are asked and told: one TOML file for each protocol, with the source of its wording."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from ldmbench.cards import Card, load_card
from ldmbench.listening.pack import Criterion, Method, Words
from ldmbench.names import unknown

FOLDER = Path(__file__).parent / "presets"

#: The protocol of a method where no other is named.
DEFAULTS: Mapping[Method, str] = {
    "mushra": "bs1534",
    "mushra-1s": "mushra-1s",
    "acr": "acr",
    "dcr": "dcr",
    "ab": "ab",
    "sheet": "audioldm",
}


class Preset(Card):
    """``presets/NAME.toml``, or a file of one's own.

    Texts may hold ``{organiser}``, ``{minutes}`` and ``{pages}``.

    Attributes:
        name: As typed on the command line.
        title: What it is.
        source: Whose wording and numbers these are.
        methods: Methods it is for.
        anchors: Edges of the low-pass anchors, Hz.
        seconds: Longest excerpt.
        items: Items of the test.
        per_listener: Most pages of a listener, 0 for all of them.
        must_hear_s: Seconds of every sound that have to be heard, 0 for all of it.
        criteria: What is asked.
        consent: What a listener agrees to.
        instructions: What to do.
        training: What the training page is for.
        thanks: The last words.
    """

    name: str
    title: str
    source: str
    methods: tuple[Method, ...] = Field(min_length=1)
    anchors: tuple[float, ...] = ()
    seconds: float = 12.0
    items: int = 10
    per_listener: int = 0
    must_hear_s: float = 0.0
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    consent: tuple[str, ...]
    instructions: tuple[str, ...]
    training: tuple[str, ...] = ()
    thanks: tuple[str, ...]

    def words(self, organiser: str, minutes: int, pages: int) -> Words:
        """The texts with what they leave open filled in."""

        def fill(paragraphs: tuple[str, ...]) -> tuple[str, ...]:
            facts = {"{organiser}": organiser or NOBODY, "{minutes}": str(minutes), "{pages}": str(pages)}
            for name, value in facts.items():
                paragraphs = tuple(text.replace(name, value) for text in paragraphs)
            return tuple(re.sub(r"\b1 (minute|page)s\b", r"1 \1", text) for text in paragraphs)

        return Words(
            preset=self.name,
            consent=fill(self.consent),
            instructions=fill(self.instructions),
            training=fill(self.training),
            thanks=fill(self.thanks),
        )


#: Stands in a consent text whose organiser was not named; ``mushra check`` looks for it.
NOBODY = "[name and address of the organiser]"


def list_presets() -> dict[str, Path]:
    """All presets by name, with their files."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def load_preset(name: str) -> Preset:
    """A preset by name, or by the path of a TOML file.

    Raises:
        BenchError: If there is none, or its file is not valid.
    """
    if name.endswith(".toml"):
        return load_card(Path(name), Preset)
    presets = list_presets()
    if name not in presets:
        raise unknown("preset", name, presets)
    return load_card(presets[name], Preset)
