"""Carries audits out: outputs are made, changed and measured, and every answer is held against the unchanged one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ldmbench.audit.ask import Refusal, Said, Task, ask, ask_together, refusal
from ldmbench.audit.changes import BASE, BETTER, CHANGES
from ldmbench.audit.records import Answer, Audit, shows
from ldmbench.audit.subjects import CLIPS, DATASETS, SYSTEMS, Subject, Workshop, load_datasets, too_few, why_not
from ldmbench.clips.card import Content
from ldmbench.errors import BenchError
from ldmbench.host.executor import executor
from ldmbench.host.progress import Advance, progress
from ldmbench.metrics._base import DeviceMetric, Metric, Stored, load_metric


@dataclass(frozen=True)
class Options:
    """On what, and how.

    Attributes:
        datasets: Datasets by name, or folders.
        content: What the folders hold.
        systems: Whose outputs are changed, and whose are a step better.
        limit: Clips of each dataset, 0 for all; None for four, and all where a metric is one of sets.
        device: Where models run.
        weights: Folder of checkpoints, None for the weights home.
        jobs: Processes.
        quiet: Show no progress.
    """

    datasets: tuple[str, ...] = DATASETS
    content: Content = "general"
    systems: tuple[str, str] = SYSTEMS
    limit: int | None = None
    device: str = "cpu"
    weights: Path | None = None
    jobs: int = 1
    quiet: bool = False


def audit(names: Sequence[str], options: Options, keep: Callable[[Sequence[Audit]], None] | None = None) -> list[Audit]:
    """Audit metrics.

    Args:
        names: Their names.
        options: On what, and how.
        keep: Called with what is finished, as soon as it is.

    Raises:
        BenchError: If one cannot be audited here, or a clip or output cannot be had.
    """
    for name in names:
        if reason := why_not(name, options.device, options.weights):
            raise BenchError(f"{name} cannot be audited here", reason)
    datasets = load_datasets(options.datasets, options.content)
    workshop = Workshop(options.systems)
    audits: list[Audit] = []
    groups: dict[tuple[object, ...], list[Metric]] = {}
    for name in dict.fromkeys(names):
        metric = load_metric(name)
        facts = metric.facts
        groups.setdefault((facts.content, facts.kind == "set", facts.device), []).append(metric)
    total = len(CHANGES) + 2
    for metrics in groups.values():
        facts = metrics[0].facts
        limit = options.limit if options.limit is not None else 0 if facts.kind == "set" else CLIPS
        subjects = workshop.subjects(datasets, facts, limit)
        with progress("audit", total * len(metrics) * len(subjects), options.quiet) as advance:
            ask_all = _with_models if facts.device else _in_processes
            said = ask_all(metrics, subjects, options, advance)
        done = [_audit(metric, subjects, said[metric.facts.name], options.systems) for metric in metrics]
        audits += done
        if keep is not None:
            keep(done)
    return audits


def _in_processes(
    metrics: Sequence[Metric], subjects: Sequence[Subject], options: Options, advance: Advance
) -> dict[str, list[Said]]:
    """Metric -> what it said of each clip."""
    names = tuple(metric.facts.name for metric in metrics)
    # The smallest pieces whose metrics still share what they compute of a sound: one for each clip.
    tasks = [Task(names, subject) for subject in subjects]
    said: dict[str, dict[int, Said]] = {name: {} for name in names}
    for index, result in executor(options.jobs, len(tasks)).map(ask, tasks):
        if isinstance(result, Exception):
            # What ended a clip's process is said of all its changes.
            ended = refusal(result)
            result = {name: dict.fromkeys((BASE, BETTER, *(item.name for item in CHANGES)), ended) for name in names}
        for name, answers in result.items():
            said[name][index] = answers
        advance((len(CHANGES) + 2) * len(names), subjects[index].clip.id)
    return {name: [said[name][index] for index in range(len(subjects))] for name in names}


def _with_models(
    metrics: Sequence[Metric], subjects: Sequence[Subject], options: Options, advance: Advance
) -> dict[str, list[Said]]:
    """Metric -> what it said of each clip."""
    models = [cast(DeviceMetric, metric) for metric in metrics]
    for model in models:
        model.configure(options.device, options.weights)
    said: dict[str, list[dict[str, object]]] = {metric.facts.name: [{} for _ in subjects] for metric in metrics}
    for name, change, answers in ask_together(models, subjects):
        for own, answer in zip(said[name], answers, strict=True):
            own.update(answer)
        advance(len(subjects), f"{name}: {change}")
    return cast(dict[str, list[Said]], said)


def _audit(metric: Metric, subjects: Sequence[Subject], said: Sequence[Said], systems: tuple[str, str]) -> Audit:
    facts = metric.facts
    better = _answer(metric, BETTER, said, None)
    base = _answer(metric, BASE, said, None)
    step = better.difference if shows(better.difference, facts.digits) else None
    answers = tuple(_answer(metric, change.name, said, step) for change in CHANGES)
    datasets = tuple(dict.fromkeys(subject.clip.dataset for subject in subjects))
    return Audit(
        facts.name, facts.version, facts.title, facts.unit, facts.better, facts.digits,
        systems, datasets, len(subjects), base.value, better.difference, answers, base.note,
    )  # fmt: skip


def _answer(metric: Metric, change: str, said: Sequence[Said], step: float | None) -> Answer:
    """What the metric says to a change over all clips; the difference is over those that have a value both times."""
    values = [one[change] for one in said if not isinstance(one[change], Refusal)]
    both = [one for one in said if not isinstance(one[change], Refusal) and not isinstance(one[BASE], Refusal)]
    try:
        value = _estimate(metric, values)
        new, old = (_estimate(metric, [one[name] for one in both]) for name in (change, BASE))
    except BaseException as error:
        reason = refusal(error)
        return Answer(change, None, None, None, len(values), f"{reason.status}: no estimate: {reason.message}")
    difference = None if new is None or old is None else new - old
    steps = None
    if difference is not None and step:
        sign = -1 if metric.facts.better == "lower" else 1
        steps = sign * difference / abs(step)
    note = _note([one[change] for one in said])
    if values and value is None:
        note = "; ".join(filter(None, ["no estimate of so few clips", note]))
    return Answer(change, value, difference, steps, len(values), note)


def _estimate(metric: Metric, values: Sequence[object]) -> float | None:
    return metric.aggregate(cast(Sequence[Stored], values)).value if values else None


def _note(answers: Sequence[object]) -> str:
    """How many clips have no value and why, the most frequent kind first."""
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    parts = []
    for status, count in Counter(item.status for item in refusals).most_common():
        first = next(item.message for item in refusals if item.status == status)
        parts.append(f"{count} of {len(answers)} {status}: {first}")
    return "; ".join(parts)


def computable(names: Sequence[str], options: Options) -> tuple[list[str], Mapping[str, str]]:
    """Those of the metrics that can be audited here, and why the others cannot."""
    datasets = load_datasets(options.datasets, options.content)
    reasons = {
        name: why_not(name, options.device, options.weights) or too_few(datasets, load_metric(name).facts)
        for name in names
    }
    return [name for name in names if not reasons[name]], {name: reason for name, reason in reasons.items() if reason}
