"""Suites: datasets and metrics that make one table, with the systems shown by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import field_validator, model_validator

from ldmbench.cards import Card, load_card, refuse_other_kind
from ldmbench.clips.card import load_dataset_card, own_name
from ldmbench.clips.clip import Dataset
from ldmbench.clips.condition import Condition
from ldmbench.clips.load import load_dataset
from ldmbench.errors import BenchError
from ldmbench.host.packages import registered_folders
from ldmbench.metrics._base import own_name as metric_name
from ldmbench.names import Name, Setting, is_path, parse, unknown
from ldmbench.system.card import Task

#: Suites that were named by their paths in this process.
_named_by_path: dict[str, Suite] = {}


class Sweep(Card):
    """``[sweep]`` of a suite: ``systems`` as bases, and beside it each setting with its values.

    Every setting is swept on its own, the others stay as in the base: ``systems = ["a@b"]`` with ``steps = [10, 25]``
    stands for ``a@b:steps=10`` and ``a@b:steps=25``. With ``grid = true`` all values of all settings are combined;
    two settings make a heat map.
    """

    systems: tuple[str, ...]
    grid: bool = False
    settings: dict[str, tuple[Setting, ...]]

    @model_validator(mode="before")
    @classmethod
    def _collect(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and "settings" not in content:
            own = {key: content[key] for key in ("systems", "grid") if key in content}
            settings = {key: value for key, value in content.items() if key not in own}
            return {"systems": (), **own, "settings": settings}
        return content

    @field_validator("systems", "settings")
    @classmethod
    def _something(cls, value: Any) -> Any:
        if not value or (isinstance(value, Mapping) and not all(value.values())):
            raise ValueError("empty: name systems and, beside them, a setting with a list of values")
        return value

    def expand(self) -> tuple[str, ...]:
        """Names of all systems of the sweep.

        Raises:
            BenchError: If a base already sets what is swept.
        """
        names = []
        if self.grid:
            whole = product(*([(setting, value) for value in values] for setting, values in self.settings.items()))
            changes = [dict(place) for place in whole]
        else:
            changes = [{setting: value} for setting, values in self.settings.items() for value in values]
        for base in map(parse, self.systems):
            if twice := sorted(base.settings.keys() & self.settings.keys()):
                raise BenchError(f"{base} sets {twice[0]}, which the sweep sets too", fix="keep one of the two")
            names += [str(Name(base.name, base.variant, {**base.settings, **change})) for change in changes]
        return tuple(names)


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
        sweep: A sweep of settings, drawn as curves; ``load_suite`` appends its systems to ``systems``.
        curves: Metrics drawn against kbps.
        averages: Metrics also averaged over the datasets, in a section ``average`` of the table.
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
    sweep: Sweep | None = None
    curves: tuple[str, ...] = ()
    averages: tuple[str, ...] = ()
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
    return Path(__file__).parent / "reports" / "suites"


def suite_files() -> dict[str, Path]:
    """All suites by name: those that ship with the bench, and those of the entry points ``ldmbench.suites``."""
    files: dict[str, Path] = {}
    for folder in (suites_folder(), *registered_folders("ldmbench.suites")):
        for path in folder.glob("*.toml"):
            files.setdefault(path.stem, path)
    return dict(sorted(files.items()))


def list_suites() -> list[str]:
    """Names of all suites that ship with the bench or with a package."""
    return list(suite_files())


def load_suite(name: str) -> Suite:
    """A suite by name, or by the path of its TOML file, in which other paths are relative to it.

    Raises:
        BenchError: If there is no such suite or its file is not valid.

    Example:
        >>> load_suite("quickstart").datasets
        ('builtin-speech', 'builtin-music', 'builtin-general')
    """
    if is_path(name):
        refuse_other_kind(Path(name), "suite")
        suite = _expanded(_beside(load_card(Path(name), Suite), Path(name).parent))
        _named_by_path[suite.name] = suite
        return suite
    files = suite_files()
    if name not in files:
        raise unknown("suite", name, files)
    suite = load_card(files[name], Suite)
    if suite.name != name:
        raise BenchError(f"{files[name]} is called {suite.name} inside", fix=f"call the file {suite.name}.toml")
    return _expanded(suite)


def all_suites() -> dict[str, Suite]:
    """The suites that ship with the bench or with a package, by name.

    Raises:
        BenchError: If the file of one is not valid.
    """
    return {name: _expanded(load_card(path, Suite)) for name, path in suite_files().items()}


def suite_of(name: str) -> Suite | None:
    """The suite whose runs are called ``NAME`` or ``NAME+FOLDER``: named by its path before, or known by name.

    Raises:
        BenchError: If its file is not valid.
    """
    name = name.partition("+")[0]
    if name in _named_by_path:
        return _named_by_path[name]
    return load_suite(name) if name in suite_files() else None


def runs_of(target: str) -> str:
    """What runs of a suite are filed under that may be named by its path: ``./mine.toml+clips`` is ``mine+clips``.

    Raises:
        BenchError: If the file is not valid.
    """
    path, ending, folder = target.partition(".toml")
    if not ending or (folder and not folder.startswith("+")):
        return target
    return load_suite(path + ending).name + folder


def _beside(suite: Suite, folder: Path) -> Suite:
    """The suite of a file in ``folder``: cards and metrics that it names by their paths are looked for from there."""

    def found(name: str) -> str:
        asked = parse(name)
        return str(replace(asked, name=str(folder / asked.name))) if is_path(asked.name) else name

    changes: dict[str, Any] = {"systems": tuple(map(found, suite.systems))}
    for key in ("metrics", "curves", "averages"):
        changes[key] = tuple(metric_name(found(name)) for name in getattr(suite, key))
    changes["datasets"] = tuple(own_name(found(name)) for name in suite.datasets)
    if suite.sweep is not None:
        changes["sweep"] = suite.sweep.model_copy(update={"systems": tuple(map(found, suite.sweep.systems))})
    return suite.model_copy(update=changes)


def _expanded(suite: Suite) -> Suite:
    """The suite with the systems of its sweep behind those it lists."""
    if suite.sweep is None:
        return suite
    systems = (*suite.systems, *suite.sweep.expand())
    repeated = {name for name in systems if systems.count(name) > 1}
    if repeated:
        raise BenchError(f"suite {suite.name} names systems twice", ", ".join(sorted(repeated)), "keep one of each")
    return suite.model_copy(update={"systems": systems})


def load_datasets(suite: Suite) -> list[Dataset]:
    """The datasets of a suite, each checked against the list the suite pins.

    Raises:
        BenchError: If a dataset is unknown, or its list is not the pinned one.
    """
    refuse_other_lists(suite)
    return [load_one(suite, name) for name in suite.datasets]


def refuse_other_lists(suite: Suite) -> None:
    """Raise ``BenchError`` if the list of a dataset is not the one that the suite was written for."""
    for name, expected in suite.lists.items():
        card = load_dataset_card(parse(name).name)
        digest = card.splits[card.default].sha256
        if digest != expected:
            raise BenchError(
                f"suite {suite.name} was written for another clip list of {name}",
                f"{digest[:12]}, the suite says {expected[:12]}",
                f"install the version of ldmbench that has the list, or change lists.{name} if the new one is meant",
            )


def load_one(suite: Suite, name: str) -> Dataset:
    """A dataset of a suite.

    Raises:
        BenchError: If it is not there, with what can be run without it.
    """
    try:
        return load_dataset(name)
    except BenchError as error:
        others = dict.fromkeys(parse(item).name for item in suite.datasets if parse(item).name != parse(name).name)
        if not others:
            raise
        alone = " ".join(f"-d {other}" for other in others)
        fix = f"{error.fix}; or run the others alone: {alone}" if error.fix else f"run the others alone: {alone}"
        raise BenchError(error.what, error.found, fix, error.exit_code) from None


def with_datasets(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite on some of its datasets only: ``vctk-test`` stands for all of its conditions.

    Raises:
        BenchError: If the suite has no such dataset.
    """
    choices = [*suite.datasets, *(parse(name).name for name in suite.datasets)]
    for name in names:
        if name not in choices:
            raise unknown(f"dataset of suite {suite.name}", name, choices)
    chosen = tuple(name for name in suite.datasets if name in names or parse(name).name in names)
    lists = {name: digest for name, digest in suite.lists.items() if name in {parse(item).name for item in chosen}}
    return suite.model_copy(update={"datasets": chosen, "lists": lists})


def with_folder(
    suite: Suite, folder: Dataset, asked: Mapping[str, Condition] | None = None
) -> tuple[Suite, list[Dataset]]:
    """The suite on a folder in place of its datasets, under a name of its own; and what the folder becomes.

    Where the suite's datasets have input conditions, the folder takes the place of each: ``mine@4khz``. Those that are
    ``asked`` for, by name, take their place.

    Raises:
        BenchError: If two datasets of the suite mean different things by one condition.
    """
    conditions: dict[str, Condition] = dict(asked or {})
    for name in () if asked else suite.datasets:
        own = parse(name)
        if own.variant:
            condition = load_dataset_card(own.name).condition(own.variant)
            if conditions.setdefault(own.variant, condition) != condition:
                raise BenchError(
                    f"condition {own.variant} differs between the datasets of suite {suite.name}",
                    fix=f"choose one of them with --dataset, such as {name}",
                )
    datasets = [folder.under(variant, condition) for variant, condition in conditions.items()]
    if not datasets or (not asked and any(not parse(name).variant for name in suite.datasets)):
        datasets.insert(0, folder)
    changes = {"datasets": tuple(item.name for item in datasets), "lists": {}, "clips": 0}
    return suite.model_copy(update={"name": f"{suite.name}+{folder.name}", **changes}), datasets
