"""What the commands print that is not a report: lists, records, preflight findings, failures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.cards import kind_of
from ldmbench.clips.card import all_dataset_cards, list_datasets, load_dataset_card
from ldmbench.errors import BenchError
from ldmbench.metrics._base import MetricFacts, list_metrics, load_metric
from ldmbench.names import Name, parse, unknown
from ldmbench.suite import all_suites, list_suites, load_suite
from ldmbench.system.registry import all_system_cards, list_systems, load_system_card, resolve

if TYPE_CHECKING:
    from ldmbench.runs.check import Finding
    from ldmbench.runs.plan import Plan
    from ldmbench.runs.prepare import Prepared
    from ldmbench.runs.results import Run

#: Failures printed one by one; the rest is counted.
_SHOWN = 20

_SIGN = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


def print_lists(kinds: Sequence[str], as_json: bool) -> None:
    """Print the names of things with one line about each."""
    listed = {kind: _LISTS[kind]() for kind in kinds}
    if as_json:
        click.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    for kind, rows in listed.items():
        if len(listed) > 1:
            click.echo(f"{kind}:")
        width = max((len(name) for name in rows), default=0)
        for name, text in rows.items():
            click.echo(f"  {name:<{width}}  {text}")


def print_record(name: str, as_json: bool) -> None:
    """Print everything about one dataset, system, metric or suite.

    Raises:
        BenchError: If nothing has that name.
    """
    records = _records(name)
    if as_json:
        click.echo(json.dumps(records[0] if len(records) == 1 else records, indent=1, ensure_ascii=False))
        return
    for number, record in enumerate(records):
        if number:
            click.echo()
        for key, value in record.items():
            if isinstance(value, dict) and value:
                click.echo(f"{key}:")
                for inner, content in value.items():
                    click.echo(f"  {inner}: {_inline(content)}")
            elif value not in ("", None, [], {}):
                click.echo(f"{key}: {_inline(value)}")


def print_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """Print a preflight."""
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
        return
    width = max((len(finding.subject) for finding in findings), default=0)
    for finding in findings:
        fix = f" (fix: {finding.fix})" if finding.fix else ""
        click.echo(f"{_SIGN[finding.level]}  {finding.subject:<{width}}  {finding.text}{fix}")


def ready(prepared: Prepared) -> Plan:
    """The plan, after saying what was left out and what the preflight warns of.

    Raises:
        BenchError: If the preflight found an error, or no system is left.
    """
    for line in prepared.left_out:
        click.echo(f"left out: {line}", err=True)
    for finding in prepared.errors:
        fix = f" (fix: {finding.fix})" if finding.fix else ""
        click.echo(f"error: {finding.subject}: {finding.text}{fix}", err=True)
    if prepared.errors:
        count = len(prepared.errors)
        raise BenchError(
            f"nothing was started: the preflight found {count} problem{'s' if count > 1 else ''}",
            fix="solve them, choose systems with -s, or leave out what is not available with --skip-unavailable",
        )
    if prepared.plan is None:
        raise BenchError("nothing was started: no system is left", fix="choose systems with -s")
    for finding in prepared.findings:
        if finding.level == "warning":
            fix = f" ({finding.fix})" if finding.fix else ""
            subject = "" if finding.text.startswith(finding.subject) else f"{finding.subject} "
            click.echo(f"note: {subject}{finding.text}{fix}", err=True)
    return prepared.plan


def print_failures(runs: Sequence[Run]) -> int:
    """Print what failed in runs on the error stream; returns how many failures there are."""
    failures = [(run.info.system, *failure) for run in runs for failure in run.failures]
    for system, clip, stage, message in failures[:_SHOWN]:
        what = f"{system}, {clip}" + ("" if stage == "output" else f", {stage}")
        click.echo(f"failed: {what}: {message}", err=True)
    if len(failures) > _SHOWN:
        click.echo(f"failed: and {len(failures) - _SHOWN} more; ldmbench export lists them all", err=True)
    return len(failures)


def _records(name: str) -> list[dict[str, Any]]:
    """What there is of that name; a suite and a system may share one."""
    records: list[dict[str, Any]] = []
    asked = parse(name)
    kind = _kind_of(asked.name)
    if name in list_suites() or kind == "suite":
        records.append({"suite": name, **load_suite(name).model_dump(mode="json", exclude={"name"})})
    if asked.name in list_systems() or kind == "system":
        records.append(_system_record(asked))
    if asked.name in list_datasets() or kind == "dataset":
        card = load_dataset_card(asked.name)
        if asked.variant and asked.variant not in card.conditions:
            raise unknown(f"condition of {card.name}", asked.variant, card.conditions)
        chosen = {"conditions": {asked.variant: card.conditions[asked.variant]}} if asked.variant else {}
        shown = card.model_copy(update=chosen).model_dump(mode="json", exclude={"name"})
        records.append({"dataset": name, **shown})
    metrics = list_metrics()
    if asked.name in {metric.partition("@")[0] for metric in metrics}:
        facts = asdict(load_metric(name).facts)
        variants = [other for other in metrics if other.startswith(f"{asked.name}@") and other != name]
        records.append({"metric": facts.pop("name"), **facts, "variants": variants})
    if not records:
        names = [*list_suites(), *list_systems(), *list_datasets(), *metrics]
        raise unknown("name", name, names, "" if asked.name else "see ldmbench list")
    return records


def _kind_of(name: str) -> str:
    """What a card is of that is named by its path, or empty for a name.

    Raises:
        BenchError: If the path is of no card.
    """
    if not name.endswith(".toml"):
        return ""
    path = Path(name)
    if not path.is_file():
        raise BenchError(f"{path} does not exist", fix="correct the path")
    kind = kind_of(path)
    if kind not in ("system", "suite", "dataset"):
        raise BenchError(f"{path} is the card of no system, suite or dataset", fix="see CONTRIBUTING.md")
    return kind


def _system_record(asked: Name) -> dict[str, Any]:
    """A card; of a variant, or with settings, what that one is set to."""
    card = load_system_card(asked.name)
    record = card.model_dump(mode="json", exclude={"name"})
    if not (asked.variant or asked.settings):
        return {"system": asked.name, **record}
    spec = resolve(asked)
    weights = {key: record["weights"][key] for key in card.weights_of(spec.name.variant)}
    del record["variants"], record["default"]
    return {"system": spec.label, **record, "settings": dict(spec.settings), "weights": weights}


def _datasets() -> dict[str, str]:
    rows = {}
    for name, card in all_dataset_cards().items():
        conditions = f"; conditions {', '.join(f'@{key}' for key in card.conditions)}" if card.conditions else ""
        rows[name] = f"{card.title} ({card.content}, {card.licence}{conditions})"
    return rows


def _systems() -> dict[str, str]:
    rows = {}
    for name, card in all_system_cards().items():
        variants = f": {' '.join(f'@{key}' for key in card.variants)}" if card.variants else ""
        role = "" if card.role == "system" else f"{card.role}; "
        rows[name] = f"{card.title} ({role}{', '.join(card.tasks)}){variants}"
    return rows


def _metrics() -> dict[str, str]:
    return {name: _fact_line(load_metric(name).facts) for name in list_metrics()}


def _suites() -> dict[str, str]:
    return {name: suite.title for name, suite in all_suites().items()}


def _fact_line(facts: MetricFacts) -> str:
    arrow = {"lower": "lower is better", "higher": "higher is better", "neither": "a fact"}[facts.better]
    unit = f", {facts.unit}" if facts.unit else ""
    content = f", {' and '.join(facts.content)} only" if facts.content else ""
    return f"{facts.title} ({arrow}{unit}{content})"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_inline(content)}" for key, content in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_inline(item) for item in value)
    return str(value)


_LISTS = {"datasets": _datasets, "systems": _systems, "metrics": _metrics, "suites": _suites}
