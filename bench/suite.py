"""Suites: datasets and metrics that make one table, with the systems shown by default."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pydantic import field_validator

from bench.cards import Card, load_card
from bench.dataset import Dataset, load_dataset, load_dataset_card
from bench.errors import BenchError
from bench.names import parse, unknown
from bench.system import Task


class Suite(Card):
    """``reports/suites/NAME.toml``.

    Attributes:
        name: As typed on the command line.
        title: One line.
        task: What the systems are asked to do.
        datasets: Names, conditions included.
        systems: Rows shown by default.
        metrics: Columns, in order; a metric is computed for the content it is defined for.
        seed: Seed of the runs.
        clips: Clips taken from the start of every dataset, 0 for all.
        curves: Metrics drawn against kbps.
        anchor: System family that BD-rates are relative to.
        lists: Dataset -> SHA-256 of the pinned list the suite was written for.
        note: Shown below the table.
    """

    name: str
    title: str
    task: Task
    datasets: tuple[str, ...]
    systems: tuple[str, ...] = ()
    metrics: tuple[str, ...]
    seed: int = 0
    clips: int = 0
    curves: tuple[str, ...] = ()
    anchor: str = ""
    lists: dict[str, str] = {}
    note: str = ""

    @field_validator("datasets", "systems", "metrics")
    @classmethod
    def _no_repeats(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"listed twice: {', '.join(sorted(repeated))}")
        return names


def suites_folder() -> Path:
    """The folder of the suites that ship with the bench."""
    found = importlib.util.find_spec("reports")
    places = list(found.submodule_search_locations or []) if found else []
    if not places:
        raise BenchError("the package 'reports' is not installed", fix="reinstall ldmbench")
    return Path(places[0]) / "suites"


def list_suites() -> list[str]:
    """Names of all suites that ship with the bench."""
    return sorted(path.stem for path in suites_folder().glob("*.toml"))


def load_suite(name: str) -> Suite:
    """A suite by name, or by the path of its TOML file.

    Raises:
        BenchError: If there is no such suite or its file is not valid.
    """
    if name.endswith(".toml"):
        return load_card(Path(name), Suite)
    path = suites_folder() / f"{name}.toml"
    if not path.is_file():
        raise unknown("suite", name, list_suites())
    return load_card(path, Suite)


def load_datasets(suite: Suite) -> list[Dataset]:
    """The datasets of a suite, each checked against the list the suite pins.

    Raises:
        BenchError: If a dataset is unknown, or its list is not the pinned one.
    """
    for name, expected in suite.lists.items():
        card = load_dataset_card(parse(name).name)
        found = card.splits[card.default].sha256
        if found != expected:
            raise BenchError(
                f"suite {suite.name} was written for another clip list of {name}",
                f"{found[:12]}, the suite says {expected[:12]}",
                f"install the version of ldmbench that has the list, or change lists.{name} if the new one is meant",
            )
    return [load_dataset(name) for name in suite.datasets]


def with_folder(suite: Suite, folder: Dataset) -> Suite:
    """The suite on a folder in place of its datasets, under a name of its own."""
    return suite.model_copy(
        update={"name": f"{suite.name}+{folder.name}", "datasets": (folder.name,), "lists": {}, "clips": 0}
    )
