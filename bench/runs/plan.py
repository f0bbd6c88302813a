"""A plan: which systems hear which clips under which ID, before anything is computed."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ldmbench.clips.clip import Clip, Dataset
from ldmbench.errors import BenchError
from ldmbench.metrics._base import recorded_facts
from ldmbench.probes.embedder import is_probed, why_not_probed
from ldmbench.runs.identity import identity, run_id
from ldmbench.runs.records import ClipInfo, DatasetInfo, RunInfo
from ldmbench.runs.store import run_path
from ldmbench.suite import Suite
from ldmbench.system.card import SystemSpec

#: Distributions whose versions can change a number; recorded with every run.
_RECORDED = (
    "ldmbench", "numpy", "scipy", "av", "soundfile", "soxr", "scikit-learn", "visqol-python", "pesq", "pystoi",
    "torch", "torchaudio", "transformers", "diffusers", "openai-whisper", "espeakng-loader",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Everything a run of a suite will do.

    Attributes:
        suite: The suite, with a folder already in place of its datasets where one was given.
        specs: The systems.
        clips: All planned clips, seeded.
        metrics: Names of the metrics.
        runs: One record per system, in the order of ``specs``.
        paths: Run folders, in the same order.
    """

    suite: Suite
    specs: tuple[SystemSpec, ...]
    clips: tuple[Clip, ...]
    metrics: tuple[str, ...]
    runs: tuple[RunInfo, ...]
    paths: tuple[Path, ...]


def make_plan(
    suite: Suite,
    datasets: Sequence[Dataset],
    specs: Sequence[SystemSpec],
    root: Path,
    limit: int = 0,
    seed: int | None = None,
) -> Plan:
    """Choose the clips, seed them and name the runs.

    Args:
        suite: The suite.
        datasets: Its datasets, loaded.
        specs: The systems to run.
        root: Folder of all runs.
        limit: Clips per dataset, 0 for those of the suite.
        seed: Seed of the runs, None for the suite's.

    Raises:
        BenchError: If a system is of another task, a metric is unknown, or there are no systems or clips.
    """
    names = tuple(dict.fromkeys(suite.metrics))
    facts = recorded_facts(names)
    _refuse_misfits(suite, specs)
    seed = suite.seed if seed is None else seed
    clips = _choose_clips(suite, datasets, limit, seed)
    longest = max((len(item.clips[: suite.clips or None]) for item in datasets), default=0)
    now, records = datetime.now(UTC).isoformat(timespec="milliseconds"), tuple(map(ClipInfo.of, clips))
    runs = []
    for spec in specs:
        parts = identity(spec, datasets, [clip.id for clip in clips], seed)
        info = RunInfo(
            id=run_id(parts),
            suite=suite.name,
            system=spec.label,
            title=spec.card.title,
            role=spec.card.role,
            task=suite.task,
            settings=dict(spec.settings),
            seed=seed,
            untrained=spec.untrained,
            limit=limit if limit < longest else 0,
            identity=parts,
            datasets=tuple(
                DatasetInfo(
                    *(item.name, item.title, item.content, item.digest, item.notes, missing(clips, item)),
                    item.primary_score,
                )
                for item in datasets
            ),
            clips=records,
            metrics=names,
            environment={**environment(), "device": spec.device},
            created=now,
            asked=now,
            facts=facts,
        )
        runs.append(info)
    paths = (run_path(root.absolute(), suite.name, info.system, info.id) for info in runs)
    return Plan(suite, tuple(specs), tuple(clips), names, tuple(runs), tuple(paths))


def _refuse_misfits(suite: Suite, specs: Sequence[SystemSpec]) -> None:
    """Raise where there is no system, one of another task, or one twice."""
    if not specs:
        raise BenchError(f"suite {suite.name} names no systems", fix="choose some with -s SYSTEM")
    labels = [spec.label for spec in specs]
    for spec in specs:
        if is_probed(spec):
            if reason := why_not_probed(spec):
                what = f"system {spec.label} does not fit suite {suite.name}"
                raise BenchError(what, reason, "choose another system or layer")
        elif suite.task not in spec.card.tasks:
            raise BenchError(
                f"system {spec.label} does not fit suite {suite.name}",
                f"its task is {' or '.join(spec.card.tasks)}, the suite's is {suite.task}",
                "choose another system or suite",
            )
        if labels.count(spec.label) > 1:
            raise BenchError(f"system {spec.label} is named twice", fix="name it once")


def _choose_clips(suite: Suite, datasets: Sequence[Dataset], limit: int, seed: int) -> list[Clip]:
    """The first clips of each dataset, seeded; raises where two of them have one id."""
    count = min((number for number in (limit, suite.clips) if number), default=None)
    chosen = [clip.seeded(seed) for item in datasets for clip in _first(item.clips, count)]
    clips = [replace(clip, path=clip.path.absolute()) if clip.path else clip for clip in chosen]
    repeated = [name for name, number in Counter(clip.id for clip in clips).items() if number > 1]
    if repeated:
        raise BenchError(f"clip {repeated[0]} is in suite {suite.name} twice", fix="name each dataset once")
    return clips


def _first(clips: Sequence[Clip], count: int | None) -> Sequence[Clip]:
    """The first clips; of labelled ones the first of each split and label, then the second, and so on."""
    if count is None or not any(clip.label for clip in clips):
        return clips[:count]
    order: Counter[tuple[str, str]] = Counter()
    turns = []
    for clip in clips:
        turns.append(order[clip.split, clip.label])
        order[clip.split, clip.label] += 1
    kept = set(sorted(range(len(clips)), key=lambda position: turns[position])[:count])
    return [clip for position, clip in enumerate(clips) if position in kept]


def missing(clips: Sequence[Clip], dataset: Dataset) -> int:
    """How many of the planned clips of a dataset should have reference audio and have none."""
    return sum(bool(clip.missing) for clip in clips if clip.dataset == dataset.name)


@cache
def environment() -> dict[str, str]:
    """Versions and platform of this process."""
    versions = {"python": platform.python_version(), "platform": platform.platform(), "processor": platform.machine()}
    for name in _RECORDED:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
