"""Metrics: their bases, and how a name becomes a metric."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._aligned import AlignedBatches
from ldmbench.metrics._facts import BaseMetric as BaseMetric
from ldmbench.metrics._facts import DeviceMetric as DeviceMetric
from ldmbench.metrics._facts import Metric as Metric
from ldmbench.metrics._facts import MetricFacts as MetricFacts
from ldmbench.metrics._facts import ModelMetric as ModelMetric
from ldmbench.metrics._facts import RecordedMetric as RecordedMetric
from ldmbench.metrics._facts import Stored as Stored
from ldmbench.metrics._facts import Value as Value
from ldmbench.metrics._file import Loaded, forget, load_file
from ldmbench.metrics._notes import NOTES
from ldmbench.metrics._packages import import_packages, importable
from ldmbench.metrics._pair import signals, without_delay
from ldmbench.names import Name, Setting, is_path, parse, show, typed, unknown
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output

#: Setting of every metric that compares two sounds: remove the output's delay first.
_ALIGN = "align"


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
    """A registered metric: how to build it from variant and settings.

    Attributes:
        function: What computes it, where that is a function, or its class.
        file: The file of a user's own that defines it.
    """

    build: Callable[..., Metric]
    variants: Mapping[str, Mapping[str, Setting]]
    defaults: Mapping[str, Setting]
    function: Callable[..., Any] | None = None
    file: Loaded | None = None


_registry: dict[str, _Entry] = {}

#: Metrics whose code is not here, by the facts that runs of them recorded.
_recorded: dict[str, MetricFacts] = {}


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
        _registry[name] = _Entry(build, variants or {}, defaults, function)
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
    """``NAME[@VARIANT][:setting=value,...]`` as a metric; ``./FILE.py:FUNCTION`` in place of a name is one's own.

    Raises:
        BenchError: If metric, variant or setting is unknown, a value has the wrong type, or the metric declares a
            model and is no ``DeviceMetric`` (or the other way round).

    Example:
        >>> facts = load_metric("mel_dac@16khz").facts
        >>> facts.name, facts.rate, facts.better
        ('mel_dac@16khz', 16000, 'lower')
    """
    _import_all()
    asked = parse(own_name(name))
    if asked.name not in _registry:
        if str(asked) in _recorded:
            return RecordedMetric(_recorded[str(asked)])
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
    if entry.file is not None:
        built.facts = replace(built.facts, version=entry.file.version)
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
    # Of its class, since it is asked for more than its values: where it runs, and what a comparison needs.
    kind: Any = type(type(built).__name__, (AlignedBatches, type(built)), {})
    model: Metric = kind.__new__(kind)
    vars(model).update(vars(built), facts=facts)
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
        return parse(name).name in _registry or name in _recorded
    except BenchError:
        return False


def homes(names: Sequence[str]) -> tuple[str, ...] | None:
    """Modules and files of others that register these metrics, as ``import_home`` takes them.

    None if one of them cannot be imported in another process: the script that Python was started with is such a module,
    and what was made in an interactive session.
    """
    _import_all()
    asked = [parse(own_name(name)).name for name in names]
    entries = [_registry[name] for name in asked if name in _registry]
    files = sorted({entry.file.home for entry in entries if entry.file is not None})
    modules = {entry.build.__module__ for entry in entries if entry.file is None}
    others = sorted(module for module in modules if module.partition(".")[0] != "ldmbench")
    return (*files, *others) if all(map(importable, others)) else None


def import_home(home: str) -> None:
    """Import a module that registers metrics, or a user's own file.

    Raises:
        BenchError: If the file is not the one it was.
    """
    if home.partition("#")[0].partition(":")[0].endswith(".py"):
        name, _, digest = home.rpartition("#")
        _register_file(name, digest)
    else:
        importlib.import_module(home)


def own_name(name: str) -> str:
    """The name of a metric that may be named by its file: ``./peak.py:error:order=2`` is ``error:order=2``.

    Raises:
        BenchError: If the file cannot be loaded, or defines no such metric.
    """
    if ".py:" not in name:
        return name
    asked = parse(name)
    return str(replace(asked, name=_register_file(asked.name))) if is_path(asked.name) else name


def _register_file(name: str, digest: str = "") -> str:
    """Register ``FILE.py:FUNCTION``; returns the name it then has.

    Raises:
        BenchError: As ``own_name``, or if the file's digest is another one than ``digest``.
    """
    _import_all()
    before = dict(_registry)
    loaded = load_file(name, digest)
    if _defined_by(loaded) is None:
        _declare(loaded)
    own = {key: entry for key, entry in _registry.items() if entry.build.__module__ == loaded.module.__name__}
    for key in own:
        old = before.get(key)
        if old is not None and (old.file is None or old.file.path != loaded.path):
            _registry.clear()
            _registry.update(before)
            forget(loaded)
            other = f"{old.file.path if old.file else old.build.__module__} has one of that name"
            raise BenchError(f"{loaded.path} defines a metric {key}", other, "give it another name")
    _registry.update({key: replace(entry, file=loaded) for key, entry in own.items()})
    defined = _defined_by(loaded)
    assert defined is not None, "it is registered"
    return defined


def _defined_by(loaded: Loaded) -> str | None:
    """The name of the metric that a function, class or builder of a file was registered for, or None."""
    for key, entry in _registry.items():
        if entry.function is loaded.defined or entry.build is loaded.defined:
            return key
    return None


def _declare(loaded: Loaded) -> None:
    """Register a function that says nothing about itself, or a class that has ``facts``.

    Raises:
        BenchError: If it is neither.
    """
    defined = loaded.defined
    facts = getattr(defined, "facts", None)
    if isinstance(facts, MetricFacts) and isinstance(defined, type):
        if lacking := sorted(getattr(defined, "__abstractmethods__", ())):
            raise BenchError(f"{loaded.path.name}:{loaded.attribute} is no metric", f"it lacks {', '.join(lacking)}")

        def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
            made: Metric = defined()
            return made

        build.__module__ = loaded.module.__name__
        _registry[facts.name] = _Entry(build, {}, {}, defined)
        return
    takes = f"{loaded.path.name}:{loaded.attribute} is no metric"
    fix = "write a function of reference, estimate and rate; keyword-only parameters with defaults are settings"
    if not inspect.isfunction(defined):
        raise BenchError(takes, f"it is of type {type(defined).__name__}", fix)
    parameters = inspect.signature(defined).parameters.values()
    settings = [p for p in parameters if p.kind is p.KEYWORD_ONLY and isinstance(p.default, bool | int | float | str)]
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(places) != 3 or len(places) + len(settings) != len(parameters):
        raise BenchError(takes, f"it takes {inspect.signature(defined)}", fix)
    about = (inspect.getdoc(defined) or "").partition("\n")[0]
    source = f"{loaded.path.name}, {loaded.attribute}" + (f": {about}" if about else "")
    metric(loaded.attribute, title=loaded.attribute, better="neither", source=source)(defined)


def recorded_facts(names: Sequence[str]) -> dict[str, MetricFacts]:
    """What runs record of metrics that do not come with ldmbench, to be shown where their code is not.

    Of a metric with an estimate of its own there is nothing, since facts do not make it.

    Raises:
        BenchError: If a metric is unknown.
    """
    loaded = {name: load_metric(name) for name in names}
    return {name: item.facts for name, item in loaded.items() if homes([name]) != () and _is_made_of_facts(item)}


def _is_made_of_facts(built: Metric) -> bool:
    built = built.inner if isinstance(built, AlignedMetric) else built
    return built.facts.kind != "set" and getattr(type(built), "aggregate", None) is BaseMetric.aggregate


def remember(facts: Mapping[str, MetricFacts]) -> None:
    """Let metrics whose code is not here be known by the facts that a run recorded."""
    _recorded.update(facts)


def settings_title(asked: Name) -> str:
    """What a column heading adds for overridden settings, such as `` windows=all UNTRAINED``."""
    own = [f"{key}={show(value)}" for key, value in asked.settings.items() if key != "untrained"]
    title = f" {','.join(own)}" if own else ""
    return title + (" UNTRAINED" if asked.settings.get("untrained") else "")


def untrained(name: str) -> str:
    """The metric's name with random weights where it has a model (``fd_panns:untrained=true``), else as it is."""
    facts = load_metric(name).facts
    asked = parse(name)
    # A metric that has a network in some variants only has the setting in all.
    if not facts.device or "untrained" not in _registry[asked.name].defaults:
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
