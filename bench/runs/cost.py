"""What a run will cost: two clips go through every system and metric, and the rest is reckoned from them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ldmbench.audio.sound import duration
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.apart import Apart
from ldmbench.host.homes import data_home, weights_home
from ldmbench.host.memory import high_water_mark
from ldmbench.metrics._base import DeviceMetric, homes, load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.runs.check import in_bytes
from ldmbench.runs.estimate import in_words
from ldmbench.runs.plan import Plan
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import Options
from ldmbench.runs.scoring import Job, ModelTask, Scored, Task, score, score_with_model
from ldmbench.runs.studio import NotReadyError, Studio
from ldmbench.runs.writer import keep_output
from ldmbench.system.card import SystemSpec
from ldmbench.system.registry import load_system

#: Bytes of an output's row and of a score's in the journals, about.
_ROW, _SCORE = 700, 250

#: Seconds beyond its limit that the first answer of a metric may take: it imports and loads.
_LOADING_S = 600.0


@dataclass(frozen=True)
class SystemCost:
    """What one system will cost.

    Attributes:
        system: Its label.
        start_s: Seconds until it is ready, with what its first clip took longer than the second.
        clip_s: Seconds for the longest clip, once it is warm.
        generate_s: Seconds for all clips.
        score_s: Seconds for all scores, in one process.
        memory: Bytes at the peak while it worked on the longest clip, None where it cannot be told.
        disk: Bytes of its run in the end.
        problem: Why there is no estimate, empty where there is one.
    """

    system: str
    start_s: float = 0.0
    clip_s: float = 0.0
    generate_s: float = 0.0
    score_s: float = 0.0
    memory: int | None = None
    disk: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes:
        clips: Clips of each system.
        seconds_audio: Seconds of all of them; of clips without a length, their number.
        longest_s: Seconds of the longest one, 0 where clips have no length.
        systems: Each system's cost.
        metrics: Seconds that each metric takes for the longest clip, the mean of the systems.
        scoring_memory: Bytes at the peak of a process that scores.
        wall_s: Seconds of all: systems one after the other on each device, then scores in the processes for them.
        disk: Bytes of all runs.
        disk_free: Bytes that are free.
    """

    clips: int
    seconds_audio: float
    longest_s: float
    systems: tuple[SystemCost, ...]
    metrics: Mapping[str, float]
    scoring_memory: int | None
    wall_s: float
    disk: int
    disk_free: int

    def as_json(self) -> dict[str, Any]:
        """The same, in plain types."""
        return asdict(self)

    def lines(self, jobs: int, device: str) -> Iterator[str]:
        """The same, for people."""
        clip = f"a clip of {self.longest_s:.1f} s" if self.longest_s else "a clip"
        audio = f", {in_words(self.seconds_audio)} of sound" if self.longest_s else ""
        yield f"{self.clips} clips{audio}; measured on the shortest and the longest:"
        for cost in self.systems:
            if cost.problem:
                yield f"  {cost.system}: no estimate: {cost.problem}"
                continue
            memory = "" if cost.memory is None else f"; memory {in_bytes(cost.memory)}"
            yield (
                f"  {cost.system}: ready in {cost.start_s:.1f} s, {cost.clip_s:.2g} s {clip}, "
                f"{in_words(cost.generate_s)} for all; scores {in_words(cost.score_s)}{memory}; "
                f"disk {in_bytes(cost.disk)}"
            )
        for name, seconds in self.metrics.items():
            yield f"  {name}: {seconds:.2g} s {clip}"
        scoring = "" if self.scoring_memory is None else f", each up to {in_bytes(self.scoring_memory)}"
        processes = f"{jobs} process{'es' if jobs > 1 else ''}"
        yield (
            f"in all about {in_words(self.wall_s)} on {device}, with {processes} for scores"
            f"{scoring}; {in_bytes(self.disk)} of disk, {in_bytes(self.disk_free)} free"
        )
        grows = "the seconds of sound" if self.longest_s else "the number of clips"
        yield f"time and disk grow with {grows}; memory with the longest clip and --batch, not with the number of clips"


def estimate(plan: Plan, options: Options) -> Estimate:
    """Send the shortest and the longest clip through every system and metric, and reckon the rest.

    Nothing is kept. The pace is that of the longest clip, which goes second: what the first one takes beyond it, for
    loading and compiling, is counted once.

    Raises:
        BenchError: If the suite is one of embeddings, whose cache makes every second time another one.
    """
    if plan.suite.task == "embed":
        raise BenchError(f"{plan.suite.name} has no estimate", "embeddings are kept, so no clip costs what it did")
    lengths = {clip.id: _length(clip) for clip in plan.clips}
    ordered = sorted(plan.clips, key=lambda clip: lengths[clip.id] or 0.0)
    pair = [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered
    with (
        tempfile.TemporaryDirectory() as folder,
        Studio(plan.clips, load_system, options.timeout) as studio,
        Apart() as apart,
    ):
        apart.call(_know_nothing, Path(folder) / "cache")
        probe = _Probe(plan, options, lengths, pair, Path(folder), apart)
        measured = [probe.system(studio, spec) for spec in plan.specs]
        scoring_memory = apart.call(high_water_mark)
    systems = tuple(cost for cost, _ in measured)
    by_metric: dict[str, list[float]] = {}
    for _, seconds in measured:
        for name, value in seconds.items():
            by_metric.setdefault(name, []).append(value)
    place = plan.paths[0]
    while not place.exists():
        place = place.parent
    generate_s = sum(cost.start_s + cost.generate_s for cost in systems)
    return Estimate(
        clips=len(plan.clips),
        seconds_audio=sum(_weight(lengths[clip.id]) for clip in plan.clips),
        longest_s=lengths[pair[-1].id] or 0.0,
        systems=systems,
        metrics={name: sum(values) / len(values) for name, values in by_metric.items()},
        scoring_memory=scoring_memory,
        wall_s=generate_s / len(options.devices) + sum(cost.score_s for cost in systems) / options.jobs,
        disk=sum(cost.disk for cost in systems),
        disk_free=shutil.disk_usage(place).free,
    )


def _length(clip: Clip) -> float | None:
    """Seconds of a clip; None where it has none, as a caption, or its file cannot be read."""
    if clip.seconds or clip.end is not None:
        return clip.seconds or (clip.end or 0.0) - clip.start
    try:
        return duration(clip.path) - clip.start if clip.path is not None else None
    except BenchError:
        return None


def _weight(length: float | None) -> float:
    return 1.0 if length is None else length


def _know_nothing(folder: Path) -> None:
    """In the process that scores: what earlier runs have left in the cache would cost nothing, and is not looked at."""
    os.environ.update(LDMBENCH_WEIGHTS=str(weights_home()), LDMBENCH_DATA=str(data_home()), LDMBENCH_CACHE=str(folder))


class _Probe:
    """Two clips on their way through systems and metrics."""

    def __init__(
        self,
        plan: Plan,
        options: Options,
        lengths: Mapping[str, float | None],
        pair: Sequence[Clip],
        folder: Path,
        apart: Apart,
    ) -> None:
        self._plan, self._options, self._pair = plan, options, pair
        self._folder, self._apart = folder, apart
        self._modules = homes(plan.metrics) or ()
        self._warm = set[str]()
        audio = {clip.id: _weight(lengths[clip.id]) for clip in plan.clips}
        #: How many times the longest clip all clips are together, and the shortest is.
        self._all = sum(audio.values()) / audio[pair[-1].id]
        self._first = audio[pair[0].id] / audio[pair[-1].id]

    def system(self, studio: Studio, spec: SystemSpec) -> tuple[SystemCost, dict[str, float]]:
        """What a system costs, and the seconds of each metric for its longest clip."""
        begin = time.perf_counter()
        try:
            studio.start(replace(spec, device=self._options.local_device))
        except NotReadyError as error:
            return SystemCost(spec.label, problem=str(error)), {}
        start_s, seconds, rows, files = time.perf_counter() - begin, [], list[OutputRow](), list[Path]()
        for clip in self._pair:
            begin = time.perf_counter()
            (made,) = studio.process([clip], True)
            seconds.append(time.perf_counter() - begin)
            row, files = keep_output(self._folder / spec.card.name, *made, durable=False)
            if row.status != "ok":
                return SystemCost(spec.label, problem=f"{clip.id}: {row.message}"), {}
            rows.append(row)
        pace = seconds[-1]
        warm_up = max(0.0, seconds[0] - pace * self._first) if len(seconds) > 1 else 0.0
        scores, held = self._scores(self._folder / spec.card.name, rows)
        count = len(self._plan.clips)
        size = sum(path.stat().st_size for path in files) + held
        cost = SystemCost(
            spec.label,
            start_s=start_s + warm_up,
            clip_s=pace,
            generate_s=pace * self._all,
            score_s=sum(scores.values()) * self._all,
            memory=rows[-1].peak_memory,
            disk=int(size * self._all) + count * (_ROW + _SCORE * len(scores)),
        )
        return cost, scores

    def _scores(self, folder: Path, rows: Sequence[OutputRow]) -> tuple[dict[str, float], int]:
        """Seconds of each metric for the longest clip, and the bytes of what is stored beside its scores."""
        seconds, held = {}, 0
        for name in self._plan.metrics:
            metric = load_metric(name)
            if isinstance(metric, ProbeMetric) or not metric.facts.applies_to(self._pair[-1].content):
                continue
            # What is loaded with the first clip is there for the second, and for the next systems.
            positions = range(len(rows)) if name not in self._warm else [len(rows) - 1]
            for position in positions:
                begin = time.perf_counter()
                scored = self._score(folder, self._pair[position], rows[position], name)
                seconds[name] = time.perf_counter() - begin
            self._warm.add(name)
            held += sum(0 if vector is None else vector.nbytes + 128 for _, _, vector in scored)
        return seconds, held

    def _score(self, folder: Path, clip: Clip, row: OutputRow, name: str) -> list[Scored]:
        audio = folder / row.audio if row.audio else None
        job = Job(0, row, audio, (name,), None, folder / row.token_file if row.token_file else None)
        limit = self._options.timeout + _LOADING_S
        if isinstance(load_metric(name), DeviceMetric):
            options = self._options
            task = ModelTask(name, ((clip, job),), options.local_device, options.weights, self._modules)
            return self._apart.call(score_with_model, task, limit=limit)
        return self._apart.call(score, Task(clip, (job,), self._modules), limit=limit)
