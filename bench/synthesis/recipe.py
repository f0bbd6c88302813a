"""What a built-in clip is: its row of the list, and the function that makes its samples."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ldmbench.audio.arrays import Signal64
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.synthesis.dsp import Dice, finish

#: Generators, as cards name them, and the modules that hold their recipes.
GENERATORS = {
    "speech": "ldmbench.synthesis.speech",
    "music": "ldmbench.synthesis.music",
    "general": "ldmbench.synthesis.general",
    "training": "ldmbench.synthesis.training",
    "notes": "ldmbench.synthesis.notes",
    "phrases": "ldmbench.synthesis.phrases",
}

#: From a rate in Hz and a source of randomness to samples ``[channels, time]``.
Maker = Callable[[int, Dice], Signal64]


@dataclass(frozen=True)
class Recipe:
    """One built-in clip.

    Attributes:
        id: Its name, unique within its generator.
        rate: Hz.
        text: Transcript of speech, caption of anything else.
        group: Voice, or kind of sound.
        make: Makes the samples; scaled and faded afterwards.
        language: BCP 47 tag of ``text``.
        peak_db: Peak of the finished clip, dBFS.
        labels: What a probe is to tell of it, by the task: ``{"timbre": "flute", "pitch": "60"}``.
        split: The fold it belongs to, in every task.
    """

    id: str
    rate: int
    text: str
    group: str
    make: Maker
    language: str = "en"
    peak_db: float = -2.0
    labels: Mapping[str, str] = field(default_factory=dict)
    split: str = ""

    def row(self, task: str = "") -> dict[str, str]:
        """The columns of the clip list that the recipe decides; for a task of its labels with label and split."""
        columns = {
            "id": self.id, "path": f"{self.id}.wav", "start": "", "end": "",
            "text": self.text, "group": self.group, "language": self.language,
        }  # fmt: skip
        return {**columns, "label": self.labels[task], "split": self.split} if task in self.labels else columns

    def pcm(self) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
        """The samples ``[channels, time]`` as 16-bit integers, rounded without dither.

        The rounding also swallows what the last bits of floating-point functions differ in between machines.
        """
        sound = finish(self.make(self.rate, Dice("ldmbench", self.id)), self.rate, self.peak_db)
        rounded: np.ndarray[tuple[int, int], np.dtype[np.int16]] = np.rint(sound * 32768.0).astype(np.int16)
        return rounded

    def audio(self) -> Audio:
        """The clip as reading its file gives it."""
        return Audio((self.pcm() / np.float32(32768.0)).astype(np.float32), self.rate)


def index(recipes: Iterable[Recipe]) -> dict[str, Recipe]:
    """Recipes by id, in order.

    Raises:
        ValueError: If two have the same id.
    """
    by_id: dict[str, Recipe] = {}
    for recipe in recipes:
        if recipe.id in by_id:
            raise ValueError(f"two built-in clips are called {recipe.id}")
        by_id[recipe.id] = recipe
    return by_id


def recipes(generator: str) -> dict[str, Recipe]:
    """The recipes of a generator by id, in the order of its list.

    Raises:
        BenchError: If there is no such generator.
    """
    if generator not in GENERATORS:
        raise BenchError(
            f"there is no built-in generator {generator!r}", fix=f"use one of {', '.join(GENERATORS)} in the card"
        )
    found: dict[str, Recipe] = importlib.import_module(GENERATORS[generator]).RECIPES
    return found
