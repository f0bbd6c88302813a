"""Metrics: the protocol, the facts every metric declares, and how a name becomes a metric."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

from ldmbench import stats
from ldmbench.audio.arrays import Real
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._aligned import AlignedBatches
from ldmbench.metrics._notes import NOTES
from ldmbench.metrics._packages import import_packages, importable
from ldmbench.metrics._pair import signals, without_delay
from ldmbench.names import Name, Setting, parse, show, typed, unknown
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output

#: Setting of every metric that compares two sounds: remove the output's delay first.
_ALIGN = "align"

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


class BaseMetric:
    """Base of metric classes: aggregates by ``facts.kind``."""

    facts: MetricFacts

    def measure(self, clip: Clip, output: Output) -> Value:
        """The value of one clip."""
        raise NotImplementedError

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

    def problem(self) -> str:
        """Why this metric cannot be computed here, or empty; reads no checkpoint."""
        raise NotImplementedError

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

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        """Each clip's value in order, or why there is none."""
        raise NotImplementedError


@dataclass
class SignalMetric(BaseMetric):
    """A function of two mono signals of equal rate and length, made a metric by ``@metric``."""

    facts: MetricFacts
    function: Callable[..., float]
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def measure(self, clip: Clip, output: Output) -> float:
        """The function's value on the mono mix of both, at ``facts.rate``."""
        reference, estimate, rate = signals(clip, output, self.facts.rate)
        return float(self.function(reference, estimate, rate, **self.settings))


@dataclass
class AlignedMetric(BaseMetric):
    """A metric of the output moved to where it fits its reference best: what ``:align=true`` makes of a metric."""

    facts: MetricFacts
    inner: Metric

    def measure(self, clip: Clip, output: Output) -> Value:
        """The value without the delay."""
        return self.inner.measure(clip, without_delay(clip, output))

    def aggregate(self, values: Sequence[Stored]) -> Estimate:
        """As the metric itself."""
        return self.inner.aggregate(values)


@dataclass(frozen=True)
class _Entry:
    """A registered metric: how to build it from variant and settings."""

    build: Callable[..., Metric]
    variants: Mapping[str, Mapping[str, Setting]]
    defaults: Mapping[str, Setting]


_registry: dict[str, _Entry] = {}


def metric(
    name: str, *, variants: Mapping[str, Mapping[str, Setting]] | None = None, **facts: Any
) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function ``f(reference, estimate, rate, *, setting=default, ...) -> float`` as a metric.

    ``reference`` and ``estimate`` are float32 ``[time]``, mono, of equal length, at ``rate`` Hz. Keyword-only
    parameters are settings: ``lsd:n_fft=1024`` gets its own name in tables. A variant is a set of settings
    under a name; the pseudo-setting ``rate`` of a variant changes ``facts.rate``.

    Example:
        >>> @metric("peak_error", title="Peak error", better="lower", source="this docstring")
        ... def peak_error(reference, estimate, rate):
        ...     return float(abs(reference - estimate).max())
        >>> load_metric("peak_error").facts.title
        'Peak error'
    """

    def register_function(function: Callable[..., float]) -> Callable[..., float]:
        parameters = inspect.signature(function).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

        def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
            settings = dict(settings)
            rate = cast(int, settings.pop("rate", facts.get("rate", 0)))
            declared = MetricFacts(**{**facts, "name": str(asked), "rate": rate})
            title = declared.title if str(asked) == name else declared.title + str(asked).removeprefix(name)
            return SignalMetric(replace(declared, title=title), function, settings)

        build.__module__ = function.__module__  # As ``homes`` has it.
        _registry[name] = _Entry(build, variants or {}, defaults)
        return function

    return register_function


def register(
    name: str,
    build: Callable[[Name, Mapping[str, Setting]], Metric],
    *,
    variants: Mapping[str, Mapping[str, Setting]] | None = None,
    defaults: Mapping[str, Setting] | None = None,
) -> None:
    """Register a metric class through a function of its parsed name and its settings."""
    _registry[name] = _Entry(build, variants or {}, defaults or {})


def list_metrics() -> list[str]:
    """Names of all metrics, variants included as ``NAME@VARIANT``."""
    _import_all()
    names = []
    for name, entry in _registry.items():
        names += [name, *(f"{name}@{variant}" for variant in entry.variants)]
    return sorted(names)


def load_metric(name: str) -> Metric:
    """``NAME[@VARIANT][:setting=value,...]`` as a metric.

    Raises:
        BenchError: If metric, variant or setting is unknown, a value has the wrong type, or the metric declares a
            model and is no ``DeviceMetric`` (or the other way round).

    Example:
        >>> facts = load_metric("mel_dac@16khz").facts
        >>> facts.name, facts.rate, facts.better
        ('mel_dac@16khz', 16000, 'lower')
    """
    _import_all()
    asked = parse(name)
    if asked.name not in _registry:
        raise unknown("metric", asked.name, _registry)
    entry = _registry[asked.name]
    if asked.variant and asked.variant not in entry.variants:
        raise unknown(f"variant of {asked.name}", asked.variant, entry.variants)
    settings = {**entry.defaults, **entry.variants.get(asked.variant, {})}
    own = {key: value for key, value in asked.settings.items() if key != _ALIGN}
    for key, value in own.items():
        if key not in entry.defaults:
            raise unknown(f"setting of {asked.name}", key, entry.defaults)
        settings[key] = typed(asked.name, key, value, entry.defaults[key])
    built = entry.build(replace(asked, settings=own), settings)
    if not built.facts.note and asked.name in NOTES:
        built.facts = replace(built.facts, note=NOTES[asked.name])
    if built.facts.device is not isinstance(built, DeviceMetric):
        what = f"{type(built).__name__} is {'no' if built.facts.device else 'a'} DeviceMetric"
        raise BenchError(
            f"metric {asked.name} is not what its facts say",
            f"device is {built.facts.device}, and {what}",
            "derive it from ModelMetric and declare device=True, or neither",
        )
    if typed(asked.name, _ALIGN, asked.settings.get(_ALIGN, False), False):
        return _aligned(asked, built)
    return built


def _aligned(asked: Name, built: Metric) -> Metric:
    if "audio" not in built.facts.needs:
        raise BenchError(
            f"metric {asked.name} cannot be aligned",
            "it does not compare two sounds",
            f"leave out {_ALIGN}=true",
        )
    facts = replace(built.facts, name=str(asked), title=f"{built.facts.title} aligned")
    if not built.facts.device:
        return AlignedMetric(facts, built)
    # Of the same class, since it is asked for more than its values: where it runs, and what a comparison needs.
    model = copy(built)
    model.__class__ = type(type(built).__name__, (AlignedBatches, type(built)), {})
    model.facts = facts
    return model


def align(name: str) -> str:
    """The metric's name with the output's delay removed first, where it compares two sounds, else as it is."""
    facts = load_metric(name).facts
    asked = parse(name)
    if "audio" not in facts.needs:
        return name
    return str(Name(asked.name, asked.variant, {**asked.settings, _ALIGN: True}))


def is_metric(name: str) -> bool:
    """Whether there is a metric of that name, whatever its variant and settings."""
    _import_all()
    try:
        return parse(name).name in _registry
    except BenchError:
        return False


def homes(names: Sequence[str]) -> tuple[str, ...] | None:
    """Modules of others that register these metrics; None if one of them cannot be imported in another process.

    The script that Python was started with is such a module, and what was made in an interactive session.
    """
    _import_all()
    modules = {_registry[parse(name).name].build.__module__ for name in names}
    others = sorted(module for module in modules if module.partition(".")[0] != "ldmbench")
    return tuple(others) if all(map(importable, others)) else None


def settings_title(asked: Name) -> str:
    """What a column heading adds for overridden settings, such as `` windows=all UNTRAINED``."""
    own = [f"{key}={show(value)}" for key, value in asked.settings.items() if key != "untrained"]
    title = f" {','.join(own)}" if own else ""
    return title + (" UNTRAINED" if asked.settings.get("untrained") else "")


def untrained(name: str) -> str:
    """The metric's name with random weights where it has a model (``fd_panns:untrained=true``), else as it is."""
    load_metric(name)
    asked = parse(name)
    if "untrained" not in _registry[asked.name].defaults:
        return name
    return str(Name(asked.name, asked.variant, {**asked.settings, "untrained": True}))


@cache
def _import_all() -> None:
    """Import every module of metrics and of the entry points ``ldmbench.metrics``; none imports a model."""
    package = importlib.import_module("ldmbench.metrics")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"ldmbench.metrics.{module.name}")
    import_packages()
