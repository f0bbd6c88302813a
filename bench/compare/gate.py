"""Two sets of runs as cells with verdicts: what pairs is tested, what does not compare is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ldmbench.compare.judge import Draft, Numbers, draft, judge, numbers_of_clips
from ldmbench.compare.noise import averaged, with_noise
from ldmbench.compare.paired import FEWEST
from ldmbench.compare.pairs import Pairs, obstacle, pair
from ldmbench.compare.records import Cell, Comparison, Rules
from ldmbench.compare.sequential import Look
from ldmbench.compare.sets import numbers_of_set
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import MetricFacts, load_metric
from ldmbench.names import some, unknown
from ldmbench.runs.records import ClipInfo
from ldmbench.runs.results import Run


def compare(
    base: Sequence[Run], new: Sequence[Run], rules: Rules, noise: Sequence[Run] = (), look: Look | None = None
) -> Comparison:
    """Compare NEW with BASE.

    One run on each side is a pair whatever they are called; several pair by the labels of their systems.

    Args:
        base: The stored runs.
        new: The runs that are judged.
        rules: How strict to be.
        noise: Repeats of BASE, with other seeds or on other machines: ``worse`` then also has to stand out among them.
        look: Which clips of NEW are there, where it is looked at before it is complete.

    Raises:
        BenchError: If a metric is named that neither side has, a rule is for one that is not compared, or noise is to
            be measured on too few runs or for several systems.
    """
    if noise and len(base) != 1:
        raise BenchError("noise is measured for one system", f"BASE has {len(base)}", "choose one with -s")
    names = _metrics(base, new, rules)
    notes: list[str] = []
    drafts: list[Draft] = []
    for label, before, after in couples(base, new, notes):
        runs, mean = ((before, *noise), averaged(before, noise)) if noise else ((), before)
        # By dataset, then by metric, as tables are read.
        for dataset in (item.name for item in before.info.datasets):
            for facts in map(_facts, names):
                if dataset not in _datasets(before, facts):
                    continue
                if after is None:
                    reason = "NEW has no run of this system"
                    drafts.append(Draft(Cell(label, dataset, facts, "all", "not comparable", reason)))
                else:
                    drafts += _drafts(label, mean, after, facts, dataset, rules, runs, look)
        if after is not None:
            notes += _other_facts(before, after, names)
    if not drafts:
        raise BenchError("there is nothing to compare", "no metric of BASE has a direction", "name metrics with -m")
    base_names, new_names = (tuple(f"{run.info.system} ({run.info.id})" for run in side) for side in (base, new))
    banners = _banners(base, new, look)
    return Comparison(base_names, new_names, judge(drafts, look), rules, banners, tuple(dict.fromkeys(notes)))


def _metrics(base: Sequence[Run], new: Sequence[Run], rules: Rules) -> list[str]:
    """Names of the metrics to compare: those asked for, else all of BASE's that say what is better."""
    present = list(dict.fromkeys(name for run in base for name in run.info.metrics))
    everywhere = {name for run in (*base, *new) for name in run.info.metrics}
    for name in rules.metrics:
        if name not in everywhere:
            raise unknown("metric of these runs", name, everywhere)
        if _facts(name).better == "neither":
            raise BenchError(f"{name} has no better and worse", "a plain fact", "compare metrics with a direction")
    chosen = list(rules.metrics) or [
        name for name in present if _facts(name).better != "neither" and not _facts(name).timed
    ]
    for name in (*rules.margins, *rules.tolerances):
        if name not in chosen:
            raise unknown("compared metric", name, chosen)
    for name in rules.tolerances:
        if _facts(name).kind == "set":
            raise BenchError(f"{name} has no tolerance", "clips have no value of their own", "give it a margin")
    return chosen


def _facts(name: str) -> MetricFacts:
    return load_metric(name).facts


def couples(base: Sequence[Run], new: Sequence[Run], notes: list[str]) -> Iterator[tuple[str, Run, Run | None]]:
    """(label, run of BASE, run of NEW or None where it has none); what only NEW has becomes a note."""
    if len(base) == len(new) == 1:
        labels = [run.info.system for run in (*base, *new)]
        yield (labels[0] if labels[0] == labels[1] else " → ".join(labels)), base[0], new[0]
        return
    for side, name in ((base, "BASE"), (new, "NEW")):
        systems = [run.info.system for run in side]
        if doubled := sorted({system for system in systems if systems.count(system) > 1}):
            raise BenchError(f"{name} has several runs of {some(doubled)}", fix="name one run folder")
    others = {run.info.system: run for run in new}
    for run in base:
        yield run.info.system, run, others.pop(run.info.system, None)
    if others:
        notes.append(f"Only in NEW, compared with nothing: {some(sorted(others))}")


def _datasets(run: Run, facts: MetricFacts) -> list[str]:
    return [item.name for item in run.info.datasets if facts.applies_to(item.content)]


def _drafts(
    label: str,
    base: Run,
    new: Run,
    facts: MetricFacts,
    dataset: str,
    rules: Rules,
    runs: Sequence[Run],
    look: Look | None,
) -> Iterator[Draft]:
    """The cell of all clips of a dataset, and those of its groups; ``runs`` are BASE and its repeats, if any."""
    cell = Cell(label, dataset, facts, "all", "undecided", margin=rules.margins.get(facts.name, 0.0))
    problem = obstacle(base, new, facts, dataset)
    if not problem and facts.kind == "largest":
        problem = "a largest value has no test"
    if problem:
        yield Draft(replace(cell, verdict="not comparable", reason=problem))
        return
    clips = [clip for clip in base.info.clips if clip.dataset == dataset]
    pairs = pair(base, new, facts, clips, look.clips if look else None)
    if differ := pairs.weights_differ():
        reason = f"what {differ} clips are counted by (words, say) differs"
        yield Draft(replace(cell, verdict="not comparable", reason=reason))
        return
    # A metric without a value for any clip of both runs says nothing about either.
    if pairs.clips or pairs.broken or pairs.recovered or pairs.left:
        if facts.kind == "set" and pairs.left:
            # A set is tested when it is complete; until then only failures say something.
            nothing = np.zeros(len(pairs.clips))
            yield draft(cell, pairs, Numbers(None, None, nothing, nothing, None), rules)
            return
        if facts.kind == "set":
            item = _set_draft(cell, base, new, pairs, rules)
            yield with_noise(item, runs, new, pairs) if runs else item
            return
        for part, own in (("all", pairs), *((name, pairs.only(members)) for name, members in _groups(clips, rules))):
            item = draft(replace(cell, part=part), own, numbers_of_clips(own, facts, cell.margin), rules)
            yield with_noise(item, runs, new, own) if runs else item


def _set_draft(cell: Cell, base: Run, new: Run, pairs: Pairs, rules: Rules) -> Draft:
    """The cell of a metric over sets; its groups are no cells: what holds for few clips was not measured."""
    try:
        return draft(cell, pairs, numbers_of_set(base, new, pairs, cell.metric, cell.margin), rules)
    except Unscored as reason:
        return Draft(replace(cell, verdict="not comparable", reason=str(reason)))


def _groups(clips: Sequence[ClipInfo], rules: Rules) -> Iterator[tuple[str, set[str]]]:
    """Groups that are large enough to be tested, where there are at least two; equal groups come once."""
    seen: list[set[str]] = []
    for by in rules.by:
        members: dict[str, set[str]] = {}
        for clip in clips:
            members.setdefault(clip.group if by == "group" else clip.language, set()).add(clip.id)
        if len(members) < 2:
            continue
        for name, ids in sorted(members.items()):
            if name and len(ids) >= FEWEST and ids not in seen:
                seen.append(ids)
                yield f"{by}={name}", ids


def _other_facts(base: Run, new: Run, names: Sequence[str]) -> list[str]:
    """What else differs: facts without a direction, metrics that only NEW has, and the seed."""
    notes = []
    for name in base.info.metrics:
        facts = _facts(name)
        if facts.better != "neither" or name not in new.info.metrics:
            continue
        for dataset in _datasets(base, facts):
            before, after = (run.estimate(name, dataset) for run in (base, new))
            if before and after and before.value is not None and after.value is not None:
                shown = [f"{item:.{facts.digits}f}" for item in (before.value, after.value)]
                if shown[0] != shown[1]:
                    notes.append(f"{facts.title} on {dataset}: {' → '.join(shown)} {facts.unit}".rstrip())
    if more := [name for name in new.info.metrics if name not in base.info.metrics and name not in names]:
        notes.append(f"Only in NEW, compared with nothing: {some(more)}")
    if base.info.seed != new.info.seed:
        notes.append(f"Seed {base.info.seed} in BASE, {new.info.seed} in NEW")
    return notes


def _banners(base: Sequence[Run], new: Sequence[Run], look: Look | None) -> tuple[str, ...]:
    lines = []
    if look is not None and not look.last:
        heard = f"{len(look.clips)} of {look.planned} clips"
        lines.append(f"PARTIAL: stopped after {heard}, where the verdict was certain; differences are biased by that")
    for side, name in ((base, "BASE"), (new, "NEW")):
        for run in side:
            if run.info.untrained:
                lines.append(f"UNTRAINED: {name} has random weights; this says nothing about quality")
            if run.info.limit:
                lines.append(f"PARTIAL: {name} has at most {run.info.limit} clips of each dataset")
            if run.pending and look is None:
                lines.append(f"INTERRUPTED: {name} lacks {run.pending} of {len(run.info.clips)} clips; run it again")
    return tuple(dict.fromkeys(lines))
