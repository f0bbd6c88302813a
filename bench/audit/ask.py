"""What metrics say to every change of every clip: values, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ldmbench.audit.changes import BASE, BETTER, CHANGES, Case
from ldmbench.audit.subjects import Subject
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored, describe, one_line
from ldmbench.host import interrupt
from ldmbench.metrics._base import DeviceMetric, Value, load_metric
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError


@dataclass(frozen=True)
class Refusal:
    """Why there is no value.

    Attributes:
        status: ``unscored`` (the metric says that there is none), ``refused`` (an error with a message to the user),
            or ``failed`` (anything else that was raised).
        message: The reason.
    """

    status: str
    message: str


#: Change -> what the metric said to it, of one clip.
Said = Mapping[str, Value | Refusal]


@dataclass(frozen=True)
class Task:
    """Metrics without a model, and a clip whose changes they hear."""

    metrics: tuple[str, ...]
    subject: Subject


def ask(task: Task) -> dict[str, dict[str, Value | Refusal]]:
    """Metric -> change -> what it said."""
    from threadpoolctl import threadpool_limits

    said: dict[str, dict[str, Value | Refusal]] = {name: {} for name in task.metrics}
    metrics = [load_metric(name) for name in task.metrics]
    # As in scoring: the number of threads can change the last digit of a sum.
    with threadpool_limits(1):
        for change, (clip, output) in _changed(task.subject):
            for metric in metrics:
                try:
                    value = _value(metric.measure(clip, output))
                except BaseException as error:
                    value = refusal(error)
                said[metric.facts.name][change] = value
    return said


def ask_together(metrics: Sequence[DeviceMetric], subjects: Sequence[Subject]) -> Iterator[tuple[str, str, list[Said]]]:
    """(metric, change, what it said of each clip) of metrics with a model, which hear all clips of a change at once.

    A model that cannot be loaded is not tried again: its metric says the same to every change.
    """
    unusable: dict[str, Refusal] = {}
    changed = [_changed(subject) for subject in subjects]
    for every in zip(*changed, strict=True):
        change = every[0][0]
        clips, outputs = (list(side) for side in zip(*(pair for _, pair in every), strict=True))
        for metric in metrics:
            name = metric.facts.name
            try:
                if name in unusable:
                    values: list[Value | Refusal] = [unusable[name]] * len(clips)
                else:
                    values = [_value(value) for value in metric.measure_batch(clips, outputs)]
            except BaseException as error:
                values = [refusal(error)] * len(clips)
                if isinstance(error, ImportError | CheckpointError):
                    unusable[name] = refusal(error)
            yield name, change, [{change: value} for value in values]


def refusal(error: BaseException) -> Refusal:
    """What an exception says; a model that cannot be loaded is a failure, whatever the sound.

    Raises:
        BaseException: That exception, where it is Ctrl-C.
    """
    if interrupt.from_keyboard(error):
        raise error
    if isinstance(error, Unscored):
        return Refusal("unscored", one_line(error))
    if isinstance(error, CheckpointError):
        return Refusal("failed", str(error))
    return Refusal("refused", str(error)) if isinstance(error, BenchError) else Refusal("failed", describe(error))


def _value(value: Value | Exception) -> Value | Refusal:
    if isinstance(value, Exception):
        return refusal(value)
    return value if np.isfinite(value).all() else Refusal("failed", f"the metric returned {value}")


def _changed(subject: Subject) -> Iterator[tuple[str, tuple[Clip, Output]]]:
    """(name of the change, (clip, output)), the unchanged output first and the better one last."""
    assert subject.output.audio is not None, "subjects have sounds"
    yield BASE, (subject.clip, subject.output)
    case = Case(subject.clip.audio, subject.output.audio, subject.other)
    for change in CHANGES:
        reference, output = change.apply(case)
        clip = subject.clip if reference is case.reference else replace(subject.clip, loaded=reference)
        yield change.name, (clip, Output(output))
    yield BETTER, (subject.clip, subject.better)
