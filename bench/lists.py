"""``ldmbench list``: what there is, by what it is for and by what is here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import click

from ldmbench.clips.card import Content, all_dataset_cards
from ldmbench.errors import BenchError
from ldmbench.host.streams import no_noise
from ldmbench.metrics._base import MetricFacts, list_metrics, load_metric
from ldmbench.suite import all_suites
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.registry import all_system_cards, resolve

#: Names of a family from which on they share a line: ``wer_whisper_{base,...}``.
_FAMILY = 6

#: Headings of metrics, by what they need.
_GROUPS = {
    "audio": "output against reference",
    "output": "the output alone",
    "set": "sets of clips",
    "text": "against a text",
    "embedding": "probes of embeddings",
    "tokens": "tokens",
    "bits": "bitrate",
    "cost": "time, memory and size",
}


@dataclass(frozen=True)
class Choice:
    """What shall be listed; empty fields choose everything.

    Attributes:
        task: Of systems and suites.
        role: Of systems.
        rate: Hz, of systems and metrics; those that follow the sound or the variant have every rate.
        content: Of datasets and metrics.
        licence: A part of the licence of systems and datasets.
        ready: Only what can be used as it is here.
    """

    task: str = ""
    role: str = ""
    rate: int = 0
    content: str = ""
    licence: str = ""
    ready: bool = False


#: What each kind can be chosen by.
_FIELDS = {
    "datasets": ("content", "licence", "ready"),
    "systems": ("task", "role", "rate", "licence", "ready"),
    "metrics": ("rate", "content", "ready"),
    "suites": ("task", "ready"),
}


def read_rate(text: str) -> int:
    """Hz of ``16000``, ``16k``, ``16khz`` or ``44.1kHz``.

    Raises:
        BenchError: If the text is no rate.

    Example:
        >>> read_rate("44.1kHz"), read_rate("16000")
        (44100, 16000)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(k?)(?:hz)?", text.lower())
    if match is None:
        raise BenchError(f"{text!r} is no rate", fix="write it as 16000 or 16khz")
    return round(float(match[1]) * (1000 if match[2] else 1))


def print_lists(kind: str | None, choice: Choice, as_json: bool) -> None:
    """Print the names of things with one line about each; variants share the line of their name.

    Raises:
        BenchError: If the kind has nothing of what is chosen by.
    """
    asked = [name for name, value in vars(choice).items() if value]
    kinds = [kind] if kind else [name for name, fields in _FIELDS.items() if set(asked) <= set(fields)]
    if kind and (other := [name for name in asked if name not in _FIELDS[kind]]):
        has = [name for name, fields in _FIELDS.items() if set(asked) <= set(fields)]
        fix = f"ldmbench list {has[0]} --{other[0]} ..." if has else "choose by something else"
        raise BenchError(f"{kind} have no {other[0]}", fix=fix)
    if not kinds:
        raise BenchError(f"nothing has {' and '.join(asked)}", fix="choose by fewer of them")
    with no_noise():  # To see what is ready, modules of others are imported.
        listed = {name: _LISTS[name](choice) for name in kinds}
    if as_json:
        click.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    for name, records in listed.items():
        if len(listed) > 1:
            click.echo(f"{name}:")
        _print(records)


def _print(records: Mapping[str, Mapping[str, Any]]) -> None:
    if not records:
        click.echo("  none")
    rows = [(record.get("group", ""), name, record) for name, record in _families(records)]
    width = max((len(name) for _, name, _ in rows), default=0)
    for group, members in groupby(sorted(rows, key=lambda row: _order(row[0])), lambda row: row[0]):
        if group:
            click.echo(f"  {group}:")
        for _, name, record in members:
            variants = f": {' '.join(f'@{key}' for key in record['variants'])}" if record["variants"] else ""
            click.echo(f"  {name:<{min(width, 40)}}  {record['about']}{variants}")


def _order(group: str) -> int:
    return [*_GROUPS.values(), group].index(group)


def _families(records: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names with what is said of them; many that begin alike and belong to one group share a line."""
    stems: dict[str, list[str]] = {}
    for name in records:
        match = re.match(r"[^_]+_[^_]+_", name)
        stems.setdefault(match[0] if match and "group" in records[name] else name, []).append(name)
    for stem, names in stems.items():
        if len(names) < _FAMILY:
            yield from ((name, records[name]) for name in names)
            continue
        first = records[names[0]]
        about = re.sub(r"\s*\(.*", "", first["about"])
        sizes = ", ".join(name.removeprefix(stem) for name in names)
        yield f"{stem}...", {**first, "about": f"{about} and its like: {sizes}"}


def _systems(choice: Choice) -> dict[str, dict[str, Any]]:
    chosen = {
        name: card
        for name, card in all_system_cards().items()
        if choice.task in ("", *card.tasks)
        and choice.role in ("", card.role)
        and choice.licence.lower() in card.licence.lower()
        and (not choice.rate or card.rate in (0, choice.rate))
    }
    records = {}
    variants = _ready_variants(chosen) if choice.ready else {name: list(card.variants) for name, card in chosen.items()}
    for name, kept in variants.items():
        card = chosen[name]
        kind = ", ".join([*([] if card.role == "system" else [card.role]), *card.tasks])
        records[name] = {
            "about": f"{card.title} ({kind}; {_khz(card.rate)}; {card.licence})",
            "title": card.title, "tasks": list(card.tasks), "role": card.role, "rate": card.rate,
            "licence": card.licence, "variants": kept,
        }  # fmt: skip
    return records


def _ready_variants(cards: Mapping[str, SystemCard]) -> dict[str, list[str]]:
    """The systems that can be run here, each with those of its variants that can."""
    names = {name: [f"{name}@{key}" for key in card.variants] or [name] for name, card in cards.items()}
    specs = [resolve(label) for labels in names.values() for label in labels]
    faulty = _faulty(specs, ())
    ready = {name: [label for label in labels if label not in faulty] for name, labels in names.items()}
    return {
        name: [label.partition("@")[2] for label in labels if "@" in label] for name, labels in ready.items() if labels
    }


def _khz(rate: int) -> str:
    return f"{rate / 1000:g} kHz" if rate else "rate of the sound or variant"


def _datasets(choice: Choice) -> dict[str, dict[str, Any]]:
    records = {}
    here = _here(list(all_dataset_cards())) if choice.ready else set()
    for name, card in all_dataset_cards().items():
        if choice.content not in ("", card.content) or choice.licence.lower() not in card.licence.lower():
            continue
        if choice.ready and name not in here:
            continue
        records[name] = {
            "about": f"{card.title} ({card.content}; {card.licence})", "title": card.title, "content": card.content,
            "licence": card.licence, "variants": list(card.conditions),
        }  # fmt: skip
    return records


def _metrics(choice: Choice) -> dict[str, dict[str, Any]]:
    facts = {name: load_metric(name).facts for name in list_metrics()}
    chosen = {
        name: own
        for name, own in facts.items()
        if (not choice.content or own.applies_to(_content(choice.content)))
        and (not choice.rate or own.rate in (0, choice.rate))
    }
    if choice.ready:
        faulty = _faulty((), list(chosen))
        chosen = {name: own for name, own in chosen.items() if name not in faulty}
    records: dict[str, dict[str, Any]] = {}
    for name, own in chosen.items():
        base, _, variant = name.partition("@")
        about, group = fact_line(own), _group(own)
        if variant and base not in records:  # Its bare form is of another rate.
            about = fact_line(facts[base])
        made = {"about": about, "group": group, "title": own.title, "better": own.better, "unit": own.unit}
        record = records.setdefault(base, {**made, "rate": own.rate, "content": list(own.content), "variants": []})
        if variant:
            record["variants"].append(variant)
    return records


def _faulty(specs: Sequence[SystemSpec], metrics: Sequence[str]) -> set[str]:
    """Labels of systems and names of metrics that cannot be used here."""
    from ldmbench.runs.check import check_metrics, check_systems
    from ldmbench.runs.request import Options

    everything: list[tuple[str, Content]] = [(kind, kind) for kind in ("speech", "music", "general")]
    found = [*check_systems(specs), *check_metrics(everything, metrics, Options())]
    return {finding.subject for finding in found if finding.level == "error"}


def _here(datasets: Sequence[str]) -> set[str]:
    """Those of the datasets whose files are here."""
    from ldmbench.runs.datasets import is_here

    return set(filter(is_here, datasets))


def _content(text: str) -> Content:
    for content in ("speech", "music", "general"):
        if text == content:
            return content
    raise BenchError(f"there is no content {text!r}", fix="choose speech, music or general")


def _group(facts: MetricFacts) -> str:
    if facts.kind == "set" and "tokens" not in facts.needs:
        return _GROUPS["set"]
    for need in ("cost", "tokens", "text", "embedding", "bits"):
        if need in facts.needs:
            return _GROUPS[need]
    return _GROUPS["audio" if "audio" in facts.needs else "output"]


def fact_line(facts: MetricFacts) -> str:
    """A metric in a line: title, direction, unit, and for what it is."""
    arrow = {"lower": "lower is better", "higher": "higher is better", "neither": "a fact"}[facts.better]
    unit = f", {facts.unit}" if facts.unit else ""
    content = f", {' and '.join(facts.content)} only" if facts.content else ""
    return f"{facts.title} ({arrow}{unit}{content})"


def _suites(choice: Choice) -> dict[str, dict[str, Any]]:
    chosen = {name: suite for name, suite in all_suites().items() if choice.task in ("", suite.task)}
    if choice.ready:
        wanted = dict.fromkeys(system for suite in chosen.values() for system in suite.systems)
        metrics = dict.fromkeys(metric for suite in chosen.values() for metric in suite.metrics)
        labels = {system: resolve(system.partition(":")[0]) for system in wanted}
        faulty = _faulty(list({spec.label: spec for spec in labels.values()}.values()), list(metrics))
        here = _here(list({dataset for suite in chosen.values() for dataset in suite.datasets}))
        chosen = {
            name: suite
            for name, suite in chosen.items()
            if here.issuperset(suite.datasets)
            and faulty.isdisjoint({*suite.metrics, *(labels[system].label for system in suite.systems)})
        }
    return {
        name: {"about": f"{suite.title} ({suite.task})", "title": suite.title, "task": suite.task, "variants": []}
        for name, suite in chosen.items()
    }


_LISTS: dict[str, Callable[[Choice], dict[str, dict[str, Any]]]] = {
    "datasets": _datasets, "systems": _systems, "metrics": _metrics, "suites": _suites,
}  # fmt: skip
