"""Runs by the names that a user types: which systems are meant, in which order, and what to do where there are none."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.names import Name, is_path, parse, show
from ldmbench.runs.labels import FOLDER
from ldmbench.runs.results import Run
from ldmbench.runs.store import suites_in
from ldmbench.suite import list_suites, suite_of
from ldmbench.system.card import WEIGHTS
from ldmbench.system.checkpoints import expand, label_of
from ldmbench.system.registry import load_system_card, resolve

#: Folder of all runs where nothing else is said.
RUNS = Path("runs")


def where(root: Path) -> tuple[str, ...]:
    """The words that let a command look for runs in ``root``; none where it looks there anyhow."""
    return () if root.absolute() == RUNS.absolute() else ("--out", str(root))


def command(*words: str, root: Path) -> str:
    """A command of ldmbench as it can be pasted into a shell, for runs in ``root``."""
    return shlex.join(["ldmbench", *words, *where(root)])


def no_runs(target: str, root: Path) -> BenchError:
    """The error for a target that has no runs, with what would make or find some."""
    what, looked = f"there are no runs of {target!r}", f"looked in {root}"
    suite, plus, folder = target.rpartition("+") if "+" in target else (target, "", "")
    if is_path(suite) or suite in list_suites():
        more = ("--audio", folder) if plus else ()
        return BenchError(what, looked, command("run", suite, *more, root=root))
    made = suites_in(root)
    near = difflib.get_close_matches(target, made, n=3, cutoff=0.5)
    if made:
        fix = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(made[:12])}"
        return BenchError(what, looked, fix)
    near = difflib.get_close_matches(target, list_suites(), n=1, cutoff=0.5)
    return BenchError(what, looked, command("run", *near, root=root) if near else "see ldmbench list suites")


def chosen(runs: Sequence[Run], systems: Sequence[str]) -> list[Run]:
    """The runs of some systems, in the order in which these are named as ``ldmbench run`` takes them.

    Raises:
        BenchError: If there is none of them.
    """
    named = [run for name in systems for run in runs if _answers(run, name)]
    # Runs of a baseline share their path, and checkpoints of equal files their ID.
    kept = list({(run.path, run.info.id, run.info.system): run for run in named}.values())
    if not kept:
        labels = list(dict.fromkeys(run.info.system for run in runs))
        near = [label for name in systems for label in difflib.get_close_matches(name, labels, n=2, cutoff=0.5)]
        raise BenchError(
            f"there are no runs of {', '.join(systems)}",
            fix=f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else f"there are {', '.join(labels[:12])}",
        )
    return kept


def _answers(run: Run, name: str) -> bool:
    """Whether a run's system is called so: by its label, its name and variant without settings, or its name."""
    own = run.info.name
    called = {run.info.system, str(replace(own, settings={})), own.name}
    return name in called or (("=" in name or ".toml" in name) and not called.isdisjoint(_filed(name)))


def _filed(name: str) -> list[str]:
    """What runs of a system are filed under that is named with the path of its card or of a checkpoint.

    Raises:
        BenchError: If the card is not valid, or a pattern matches no checkpoint.
    """
    labels = []
    for asked in expand([name]):
        own = load_system_card(asked.name).name if is_path(asked.name) else asked.name
        settings = dict(asked.settings)
        if WEIGHTS in settings:
            settings[WEIGHTS] = label_of(Path(show(settings[WEIGHTS])))
        labels.append(str(Name(own, asked.variant, settings)))
    return labels


def in_order(runs: Sequence[Run]) -> list[Run]:
    """Runs as their suite lists the systems, then folders, then other systems, by number rather than by letter."""
    listed = {suite: _labels(suite) for suite in {run.info.suite for run in runs}}

    def key(run: Run) -> tuple[str, int, bool, list[tuple[float, str]]]:
        labels = listed[run.info.suite]
        rank = labels.index(run.info.system) if run.info.system in labels else len(labels)
        parts = re.findall(r"\d+\.?\d*|\D+", run.info.system)
        by_number = [(float(part), "") if part[0].isdigit() else (-1.0, part) for part in parts]
        return run.info.suite, rank, FOLDER not in run.info.environment, by_number

    return sorted(runs, key=key)


def _labels(name: str) -> list[str]:
    """The labels of the systems that a suite lists; of a suite that is not known here none."""
    suite = suite_of(name)
    labels = []
    for system in suite.systems if suite else ():
        label = system
        with suppress(BenchError):  # A card that is not there any more: its runs are shown all the same.
            label = resolve(system).label if is_path(parse(system).name) else system
        labels.append(label)
    return labels
