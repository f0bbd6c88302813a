"""What a metric is: the facts that every one declares, what the engine asks of it, and bases of its class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

from ldmbench import stats
from ldmbench.audio.arrays import Real
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output

Value = float | Real

#: A value as it comes back from the journal.
Stored = Value | Sequence[float]


@dataclass(frozen=True)
class MetricFacts:
    """What a metric says about itself; tables, checks and comparisons read only this.

    Attributes:
        name: Name with everything that changes the number (variant, settings).
        title: A short column heading.
        version: Raised whenever the numbers change; scores of different versions are not comparable.
        unit: Unit of the value, empty for scores without one.
        better: Direction of improvement; ``neither`` for plain facts such as a parameter count.
        rate: Rate in Hz at which reference and output are compared, 0 for the reference's own.
        needs: What it needs: ``audio`` (reference and output), ``output`` (output audio only), ``text``,
            ``bits``, ``tokens``, ``cost``.
        source: Paper and equation, standard and clause, or file of the reference implementation.
        content: Kinds of content it is defined for; empty means all.
        kind: How values become an estimate: ``mean`` over clips, ``ratio`` of sums of ``[2]`` values, ``largest``
            of them, or ``set`` (the metric's own aggregate over vectors).
        device: True where a model is behind it: it runs in one process, on the chosen device, in batches.
        timed: True where the value changes from run to run (time, memory).
        digits: Decimals shown in tables.
        extras: Optional dependency groups of ldmbench that it needs.
        low: Smallest value that it can have, below which no interval reaches; None where there is none.
        high: Largest value that it can have.
        interval: What its interval says, where it is not that of a mean over clips or of a ratio of sums.
        reference: Whose statistics stand for the references, where none are heard.
        note: What to know before quoting it, such as what an audit (``ldmbench audit``) brought to light.
    """

    name: str
    title: str
    version: int = 1
    unit: str = ""
    better: Literal["lower", "higher", "neither"] = "higher"
    rate: int = 0
    needs: tuple[str, ...] = ("audio",)
    source: str = ""
    content: tuple[Content, ...] = ()
    kind: Literal["mean", "ratio", "largest", "set"] = "mean"
    device: bool = False
    timed: bool = False
    digits: int = 3
    extras: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    interval: str = ""
    reference: str = ""
    note: str = ""

    def applies_to(self, content: Content) -> bool:
        """Whether the metric is defined for this kind of content."""
        return not self.content or content in self.content


@runtime_checkable
class Metric(Protocol):
    """A measure of one output, and the estimate over many; with a model behind it, it is a ``DeviceMetric``."""

    facts: MetricFacts

    def measure(self, clip: Clip, output: Output) -> Value:
        """The value of one clip.

        Raises:
            Unscored: If the metric has no value for this clip.
        """
        ...

    def aggregate(self, values: Sequence[Stored]) -> Estimate:
        """The estimate over the scored values."""
        ...


@runtime_checkable
class DeviceMetric(Metric, Protocol):
    """A metric with a model behind it, as ``facts.device`` says: computed in one process, in batches.

    The engine asks for ``problem`` before a run, calls ``configure`` once and then ``measure_batch``. The model is
    loaded when it is first needed.
    """

    def configure(self, device: str, weights: Path | None) -> None:
        """Say where the model runs (``cpu``, ``cuda:1``, ...) and where its files lie, None for the weights home."""
        ...

    def problem(self) -> str:
        """Why the metric cannot be computed here as it is configured, or empty; loads nothing."""
        ...

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> Sequence[Value | Exception]:
        """Each clip's value in order, or why there is none (``Unscored``: it has none; all else is a failure).

        Raises:
            BenchError: If the model cannot be loaded.
        """
        ...


class BaseMetric(ABC):
    """Base of metric classes: aggregates by ``facts.kind``."""

    facts: MetricFacts

    @abstractmethod
    def measure(self, clip: Clip, output: Output) -> Value:
        """The value of one clip."""

    def aggregate(self, values: Sequence[Stored]) -> Estimate:
        """Mean over clips, ratio of sums, or the largest value."""
        low, high = self.facts.low, self.facts.high
        if self.facts.kind == "ratio":
            return stats.ratio(cast(Sequence[Sequence[float]], values), low, high)
        numbers = cast(Sequence[float], values)
        return stats.largest(numbers) if self.facts.kind == "largest" else stats.mean(numbers, low, high)


class ModelMetric(BaseMetric):
    """Base of metrics with a model (``DeviceMetric``): keeps where it runs, and measures a clip as a batch of one."""

    _device: str = "cpu"
    _weights: Path | None = None

    def configure(self, device: str = "cpu", weights: Path | None = None) -> None:
        """Where the model runs and where its files lie; it is loaded when first needed.

        Args:
            device: ``cpu``, ``cuda``, ``cuda:1``, ...
            weights: Folder or file of the checkpoint; None for the weights home.
        """
        self._device, self._weights = device, weights

    @abstractmethod
    def problem(self) -> str:
        """Why this metric cannot be computed here, or empty; reads no checkpoint."""

    def measure(self, clip: Clip, output: Output) -> Value:
        """One clip's value.

        Raises:
            Unscored: If the metric has no value for this clip.
            BenchError: If audio is missing or the model cannot be loaded.
        """
        (value,) = self.measure_batch([clip], [output])
        if isinstance(value, Exception):
            raise value
        return value

    @abstractmethod
    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        """Each clip's value in order, or why there is none."""


class RecordedMetric(BaseMetric):
    """A metric whose code is not here: its values can be shown, none computed."""

    def __init__(self, facts: MetricFacts) -> None:
        self.facts = facts

    def measure(self, clip: Clip, output: Output) -> Value:
        """There is no value."""
        raise BenchError(
            f"{self.facts.name} cannot be computed", "its code is not here", "name its file, as -m ./FILE.py:FUNCTION"
        )
