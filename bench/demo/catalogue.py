"""Which systems of a task can be tried here, and why others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ldmbench.demo.settings import Settings
from ldmbench.errors import BenchError
from ldmbench.host.extras import missing_extras
from ldmbench.metrics._base import load_metric
from ldmbench.names import parse
from ldmbench.runs.check import check_systems, look_at_model
from ldmbench.system.card import SystemCard, SystemSpec, Task
from ldmbench.system.registry import list_systems, load_system_card, resolve

#: Gives back what systems receive; every trial of the tab Enhance has it, to be heard and measured before and after.
INPUT = "unprocessed"


@dataclass(frozen=True)
class Choice:
    """A system that can be chosen, or cannot.

    Attributes:
        label: Its name and variant as they are typed, with the path of a card where it was named by that.
        family: Its name.
        reason: Why it cannot be run here, empty where it can.
        fix: What to do about that, such as ``ldmbench fetch NAME``.
        untrained: Whether it would have random weights.
        settings: Names of its settings.
    """

    label: str
    family: str
    reason: str = ""
    fix: str = ""
    untrained: bool = False
    settings: tuple[str, ...] = ()


def choices(task: Task, settings: Settings) -> list[Choice]:
    """Every system of a task with every variant, or those that were named, in the order of the list.

    Of those that generate only systems: anchors make their sounds of a reference, and a prompt has none. ``INPUT`` is
    not to be chosen, since it is always there.

    Raises:
        BenchError: If a name means nothing.
    """
    specs = {
        label: resolve(label, settings.options.device, settings.untrained, settings.options.weights)
        for name in settings.systems or list_systems()
        if _offered(load_system_card(parse(name).name), task)
        for label in _variants(name)
    }
    return _looked_at(specs)


def _offered(card: SystemCard, task: Task) -> bool:
    return task in card.tasks and card.name != INPUT and (task != "generate" or card.role == "system")


def _variants(name: str) -> list[str]:
    """A name that says which variant, or else all of them."""
    asked = parse(name)
    card = load_system_card(asked.name)
    if asked.variant or asked.settings or not card.variants:
        return [name]
    return [f"{name}@{variant}" for variant in card.variants]


def _looked_at(specs: Mapping[str, SystemSpec]) -> list[Choice]:
    # Variants of a system without weights need the same; those of others have files of their own.
    asked = {label: spec.label if spec.card.weights else spec.card.name for label, spec in specs.items()}
    first = {asked[label]: spec for label, spec in reversed(list(specs.items()))}
    found = {key: next(iter(check_systems([spec]))) for key, spec in first.items()}
    made = []
    for label, spec in specs.items():
        finding = found[asked[label]]
        ready = finding.level != "error"
        made.append(
            Choice(
                label,
                spec.card.name,
                "" if ready else finding.text,
                "" if ready else finding.fix,
                spec.untrained,
                tuple(spec.card.settings),
            )
        )
    return made


def is_ready(metric: str, settings: Settings) -> bool:
    """Whether a metric with a model can be computed here: its libraries and its checkpoint are there."""
    if missing_extras(load_metric(metric).facts.extras):
        return False
    try:
        return not look_at_model(metric, settings.options.device, settings.options.weights)
    except BenchError:
        return False
