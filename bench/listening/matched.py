"""Ratings and values of metrics on one grid of items and systems."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.errors import BenchError
from ldmbench.listening.crossed import Scores, cube
from ldmbench.listening.votes import Ratings
from ldmbench.metrics._base import load_metric
from ldmbench.names import some
from ldmbench.runs.results import Run


@dataclass(frozen=True)
class Matched:
    """Ratings and values on one grid.

    Attributes:
        scores: ``[listeners, items, systems]``.
        values: Metric -> ``[items, systems]``, signed so that higher is better.
        items: Names.
        systems: Names.
    """

    scores: Scores
    values: dict[str, Real]
    items: tuple[str, ...]
    systems: tuple[str, ...]

    def part(self, items: Sequence[str], systems: Sequence[str]) -> Matched:
        """Some items and systems, with the listeners who rated any of them."""
        rows = [self.items.index(item) for item in items]
        columns = [self.systems.index(system) for system in systems]
        scores = self.scores[:, rows][:, :, columns]
        scores = scores[~np.isnan(scores).all(axis=(1, 2))]
        values = {name: array[np.ix_(rows, columns)] for name, array in self.values.items()}
        return Matched(scores, values, tuple(items), tuple(systems))


def match(
    ratings: Ratings, runs: Sequence[Run], metrics: Sequence[str] = ()
) -> tuple[Matched, dict[str, str], list[str]]:
    """Ratings and values of the sounds that have both.

    Args:
        ratings: Of one scale.
        runs: The systems; their labels are the ratings' names of systems.
        metrics: Metrics to look at; all that have a value for each clip where empty.

    Returns:
        The grid, item -> clip, and notes on what is not in it.

    Raises:
        BenchError: If no sound has both a rating and a value.
    """
    by_system = {run.info.system: run for run in runs}
    systems = tuple(name for name in ratings.systems if name in by_system)
    clips = clips_of(ratings.items, ratings.clips, runs)
    items = tuple(item for item in ratings.items if item in clips)
    if not systems or not items:
        raise BenchError(
            "no sound was both rated and measured",
            f"rated: {some(list(ratings.systems))} on {some(list(ratings.items))}; "
            f"measured: {some(list(by_system))} on {some([clip.id for run in runs[:1] for clip in run.info.clips])}",
            "say with --systems and --items which is which",
        )
    names = metrics or list(dict.fromkeys(name for run in runs for name in run.info.metrics))
    notes = _left_out(ratings, systems, items)
    values: dict[str, Real] = {}
    for name in names:
        facts = load_metric(name).facts
        array = np.full((len(items), len(systems)), np.nan)
        for row, item in enumerate(items):
            for column, system in enumerate(systems):
                array[row, column] = _value(by_system[system], clips[item], name)
        if facts.better == "neither" or facts.timed or facts.kind in ("set", "largest"):
            continue
        if np.isnan(array).all() or np.nanmax(array) == np.nanmin(array):
            notes.append(f"{facts.title}: no values that differ, left out")
            continue
        values[name] = -array if facts.better == "lower" else array
    if not values:
        raise BenchError("no metric has values for single clips", some(list(names)), "add one with score -m")
    scores = cube(ratings.of_items(items), systems)
    order = ratings.of_items(items).items
    arranged = [order.index(item) for item in items]
    return Matched(scores[:, arranged], values, items, systems), clips, notes


def clips_of(items: Sequence[str], said: Mapping[str, str], runs: Sequence[Run]) -> dict[str, str]:
    """Item -> clip of the runs: as ``said``, or the clip with the item's name, with or without its dataset.

    In a rated set the clip of an item is the reference in its folder, ``DATASET/ITEM/reference``.
    """
    measured = list(dict.fromkeys(clip.id for run in runs for clip in run.info.clips))
    ends: dict[str, list[str]] = {}
    for name in measured:
        within = name.partition("/")[2]
        for end in {within, within.rpartition("/")[0]} - {""}:
            ends.setdefault(end, []).append(name)
    clips = {}
    for item in items:
        wanted = said.get(item, item)
        matching = [wanted] if wanted in measured else ends.get(wanted, [])
        if len(matching) == 1:
            clips[item] = matching[0]
    return clips


def kind_of(run: Run) -> str:
    """Whether a system has trained weights; empty for a folder of outputs, of which nothing is known."""
    if run.info.identity.get("code") == "":
        return ""
    return "neural" if run.info.identity.get("weights") else "classical"


def _left_out(ratings: Ratings, systems: Sequence[str], items: Sequence[str]) -> list[str]:
    notes = []
    ends = [name for name in ratings.conditions if name not in ratings.systems]
    if ends:
        notes.append(f"Left out, ends of the scale: {some(ends)}")
    alone = [name for name in ratings.systems if name not in systems]
    if alone:
        notes.append(f"Rated, not measured: {some(alone)}")
    strange = [name for name in ratings.items if name not in items]
    if strange:
        notes.append(f"Rated items without a clip of the runs: {some(strange)}")
    return notes


def _value(run: Run, clip: str, metric: str) -> float:
    row = run.scores.get((clip, metric))
    if row is None or row.status != "ok" or isinstance(row.value, str) or row.value is None:
        return math.nan
    if isinstance(row.value, list):
        return row.value[0] / row.value[1] if row.value[1] else math.nan
    return float(row.value)


def parts_of(data: Matched, ratings: Ratings, runs: Sequence[Run]) -> Iterator[tuple[str, Matched]]:
    """All sounds, then kinds of systems and groups of items, where there are several."""
    yield "all", data
    by_system = {run.info.system: run for run in runs}
    kinds = {name: ratings.kinds.get(name) or kind_of(by_system[name]) for name in data.systems}
    for kind in dict.fromkeys(kinds.values()):
        own = [name for name in data.systems if kinds[name] == kind]
        if kind and len(set(kinds.values())) > 1 and len(own) > 1:
            yield f"{kind} systems", data.part(data.items, own)
    groups = dict.fromkeys(ratings.groups.get(item, "") for item in data.items)
    for group in groups if len(groups) > 1 else ():
        own = [item for item in data.items if ratings.groups.get(item, "") == group]
        if group and len(own) > 1:
            yield f"group {group}", data.part(own, data.systems)
