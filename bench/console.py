"""What the commands print that is not a report: lists, records, preflight findings, failures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.cards import kind_of
from ldmbench.clips.card import list_datasets, load_dataset_card
from ldmbench.errors import BenchError
from ldmbench.metrics._base import list_metrics, load_metric
from ldmbench.names import Name, parse, unknown
from ldmbench.suite import list_suites, load_suite
from ldmbench.system.registry import list_systems, load_system_card, resolve

if TYPE_CHECKING:
    from ldmbench.runs.check import Finding
    from ldmbench.runs.plan import Plan
    from ldmbench.runs.results import Run
    from ldmbench.runs.survey import Prepared

#: Failures printed one by one; the rest is counted.
_SHOWN = 20

_SIGN = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


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
            elif value not in ("", None, [], (), {}):
                click.echo(f"{key}: {_inline(value)}")


def print_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """Print a preflight, and the one command that gets what a command can get."""
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
        return
    width = max((len(finding.subject) for finding in findings), default=0)
    for finding in findings:
        fix = f" (fix: {finding.fix})" if finding.fix else ""
        click.echo(f"{_SIGN[finding.level]}  {finding.subject:<{width}}  {finding.text}{fix}")
    from ldmbench.runs.check import one_command

    if command := one_command(findings):
        click.echo(f"\nto get what is not here: {command}")


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
        from ldmbench.runs.check import one_command

        command = one_command(prepared.errors)
        raise BenchError(
            f"nothing was started: the preflight found {count} problem{'s' if count > 1 else ''}",
            fix=(f"{command}, " if command else "solve them, ")
            + "choose systems with -s, or leave out what is not available with --skip-unavailable",
            details=[asdict(finding) for finding in prepared.errors],
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
    if asked.name in {metric.partition("@")[0] for metric in metrics} or ".py:" in asked.name:
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


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_inline(content)}" for key, content in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_inline(item) for item in value)
    return str(value)
