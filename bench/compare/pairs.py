"""Which clips of two runs pair under a metric, and what keeps two runs from being compared."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.metrics._base import MetricFacts
from ldmbench.names import parse, some
from ldmbench.runs.records import ClipInfo
from ldmbench.runs.results import Run


@dataclass(frozen=True)
class Pairs:
    """The clips of a dataset under one metric.

    Attributes:
        clips: Clips with a score in both runs.
        base: Their values in BASE: ``[n]``, or ``[n, 2]`` numerators and denominators; 0 of a metric over sets.
        new: Their values in NEW.
        broken: Clips with a score in BASE only, and why NEW has none.
        recovered: Clips with a score in NEW only.
        without: Clips with a score in neither.
        equal: Ids of clips whose outputs are the same sample by sample.
        left: Ids of clips with a score in BASE that a look at NEW has not come to yet.
    """

    clips: tuple[ClipInfo, ...]
    base: Real
    new: Real
    broken: tuple[tuple[ClipInfo, str], ...]
    recovered: tuple[ClipInfo, ...]
    without: tuple[ClipInfo, ...]
    equal: frozenset[str]
    left: frozenset[str] = frozenset()

    @property
    def unchanged(self) -> bool:
        """Whether no output of a pair changed."""
        return all(clip.id in self.equal for clip in self.clips)

    def weights_differ(self) -> int:
        """Pairs of a ratio whose denominators differ."""
        return int((self.base[:, 1] != self.new[:, 1]).sum()) if self.base.ndim == 2 else 0

    def only(self, clips: set[str]) -> Pairs:
        """The part of some clips, by their ids."""
        rows = [index for index, clip in enumerate(self.clips) if clip.id in clips]
        return Pairs(
            tuple(self.clips[index] for index in rows),
            self.base[rows],
            self.new[rows],
            tuple(item for item in self.broken if item[0].id in clips),
            tuple(clip for clip in self.recovered if clip.id in clips),
            tuple(clip for clip in self.without if clip.id in clips),
            self.equal,
            self.left & clips,
        )


def pair(
    base: Run, new: Run, facts: MetricFacts, clips: Sequence[ClipInfo], heard: Container[str] | None = None
) -> Pairs:
    """Pair ``clips`` by their ids, sorted by them; of a look at NEW only those that are ``heard`` by then.

    A clip that failed, is unscored or has not been run has no score, and neither has one whose value is not finite.
    """
    both: list[ClipInfo] = []
    broken: list[tuple[ClipInfo, str]] = []
    recovered: list[ClipInfo] = []
    without: list[ClipInfo] = []
    left: set[str] = set()
    values: tuple[list[float | list[float]], list[float | list[float]]] = ([], [])
    for clip in sorted(clips, key=lambda clip: clip.id):
        before, _ = _value(base, clip, facts.name)
        if heard is not None and clip.id not in heard:
            left |= set() if before is None else {clip.id}
            continue
        after, reason = _value(new, clip, facts.name)
        if before is not None and after is not None:
            both.append(clip)
            values[0].append(before)
            values[1].append(after)
        elif before is not None:
            broken.append((clip, reason))
        else:
            (without if after is None else recovered).append(clip)
    digests = [(clip.id, base.outputs[clip.id].digest, new.outputs[clip.id].digest) for clip in both]
    equal = frozenset(name for name, before, after in digests if before and before == after)
    width = (2,) if facts.kind == "ratio" else ()
    first, second = (np.asarray(side, np.float64).reshape(len(both), *width) for side in values)
    rest = tuple(broken), tuple(recovered), tuple(without)
    return Pairs(tuple(both), first, second, *rest, equal, frozenset(left))


def obstacle(base: Run, new: Run, facts: MetricFacts, dataset: str, same_rate: bool = True) -> str:
    """What keeps a metric of two runs on a dataset from being compared, empty where nothing does.

    Two versions of one system have to write at the same rate; other systems than BASE (not ``same_rate``) need not.
    """
    if facts.name not in new.info.metrics:
        return "NEW was not scored with it"
    if facts.name not in base.info.metrics:
        return "BASE was not scored with it"
    if base.info.untrained != new.info.untrained:
        return f"weights: those of {'BASE' if base.info.untrained else 'NEW'} are random"
    if parse(facts.name).settings.get("official") is False:
        return "weights: the metric's checkpoint is not the official one, and runs do not record which it is"
    return list_differs(base, new, dataset) or _scores_differ(base, new, facts, dataset, same_rate)


def list_differs(base: Run, new: Run, dataset: str) -> str:
    """How the clips of a dataset differ between two runs."""
    digests = []
    for run, name in ((base, "BASE"), (new, "NEW")):
        digest = next((item.digest for item in run.info.datasets if item.name == dataset), None)
        if digest is None:
            return f"{name} was not run on it"
        digests.append(digest)
    before, after = ({clip.id for clip in run.info.clips if clip.dataset == dataset} for run in (base, new))
    if before != after:
        counts = f"{len(before)} clips in BASE, {len(after)} in NEW"
        sides = (("NEW", before - after), ("BASE", after - before))
        return f"clip list: {counts}; " + "; ".join(f"{name} lacks {some(sorted(ids))}" for name, ids in sides if ids)
    if digests[0] != digests[1]:
        return f"clip list: digest {digests[0][:12]} in BASE, {digests[1][:12]} in NEW"
    return ""


def _scores_differ(base: Run, new: Run, facts: MetricFacts, dataset: str, same_rate: bool) -> str:
    """How what was scored, or the metric that scored it, differs between two runs."""
    clips = [clip.id for clip in base.info.clips if clip.dataset == dataset]
    versions = []
    for run in (base, new):
        rows = (run.scores.get((clip, facts.name)) for clip in clips)
        versions.append(sorted({row.version for row in rows if row is not None}))
    if all(versions) and (versions[0] != versions[1] or len(versions[0]) > 1):
        first, second = (" and ".join(map(str, numbers)) for numbers in versions)
        return f"metric version: {first} in BASE, {second} in NEW"
    pairs = [(base.outputs[clip], new.outputs[clip]) for clip in clips if clip in base.outputs and clip in new.outputs]
    references = [(old.clip, old.reference, now.reference) for old, now in pairs if old.reference and now.reference]
    if changed := [clip for clip, old, now in references if old != now]:
        return f"references: those of {len(changed)} clips differ, {some(changed)}"
    if same_rate and {"audio", "output"} & set(facts.needs):
        rates = {(old.rate, now.rate) for old, now in pairs if old.rate and now.rate and old.rate != now.rate}
        if rates:
            old_rate, new_rate = min(rates)
            return f"rate of the outputs: {old_rate} Hz in BASE, {new_rate} Hz in NEW"
    return ""


def _value(run: Run, clip: ClipInfo, metric: str) -> tuple[float | list[float] | None, str]:
    """A clip's value (0 where it is a vector, of a metric over sets), or why there is none."""
    output, score = run.outputs.get(clip.id), run.scores.get((clip.id, metric))
    if output is None:
        return None, "not run"
    if output.status != "ok":
        return None, output.message or "failed"
    if score is None:
        return None, "not scored"
    if score.status != "ok" or score.value is None:
        return None, score.message or score.status
    if isinstance(score.value, str):
        return 0.0, ""
    numbers = score.value if isinstance(score.value, list) else [score.value]
    if not all(map(math.isfinite, numbers)):
        return None, f"the value is {score.value}"
    return score.value, ""
