"""The built-in notes and phrases: what their lists say, and that neither task can be told by how folds are made."""

from __future__ import annotations

import platform
import sys
from collections import Counter

import pytest

from ldmbench.clips.card import load_dataset_card, read_list
from ldmbench.synthesis.recipe import recipes

TASKS = {"timbre": ("notes", 8), "pitch": ("notes", 12), "voice": ("phrases", 4), "language": ("phrases", 5)}

EXACT = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.mark.parametrize("task", TASKS)
def test_lists_say_what_the_recipes_make(task: str) -> None:
    card = load_dataset_card(f"builtin-{task}")
    generator, classes = TASKS[task]
    assert card.source.generator == generator
    listed = read_list(card, "test")
    made = recipes(generator).values()
    expected = [recipe.row(task) for recipe in made]
    assert [{key: row[key] for key in expected[0]} for row in listed] == expected
    assert len({row["label"] for row in listed}) == classes
    # Every fold has as many clips of every class.
    assert len(set(Counter((row["split"], row["label"]) for row in listed).values())) == 1


@pytest.mark.parametrize("task", TASKS)
def test_what_differs_least_is_in_one_fold(task: str) -> None:
    """The loud and the soft note of one instrument and pitch; one phrase in all voices."""
    folds: dict[str, set[str]] = {}
    for recipe in recipes(TASKS[task][0]).values():
        folds.setdefault(recipe.id.rpartition("-")[0], set()).add(recipe.split)
    assert all(len(found) == 1 for found in folds.values())


@pytest.mark.parametrize(("task", "name"), [("timbre", "violin-57-soft"), ("language", "fr-3-f2")])
def test_digests_are_the_pinned_ones(task: str, name: str) -> None:
    if not EXACT:
        pytest.skip(f"digests are pinned on Linux x86_64, this is {sys.platform} {platform.machine()}")
    (row,) = (row for row in read_list(load_dataset_card(f"builtin-{task}"), "test") if row["id"] == name)
    sound = recipes(TASKS[task][0])[name].audio()
    assert sound.digest() == row["sha256"]
    assert sound.rate == 16000
