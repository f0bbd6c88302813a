"""``ldmbench list`` chooses by what things are for and by what is here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ldmbench.cli import cli
from ldmbench.metrics._base import list_metrics, load_metric
from ldmbench.system.registry import all_system_cards


def listed(kind: str, *words: str) -> dict[str, dict[str, Any]]:
    done = CliRunner().invoke(cli, ["list", kind, "--json", *words])
    assert done.exit_code == 0, done.output
    records: dict[str, dict[str, Any]] = json.loads(done.stdout)[kind]
    return records


def test_systems_by_task_role_rate_and_licence() -> None:
    cards = all_system_cards()
    assert set(listed("systems", "--task", "generate")) == {n for n, card in cards.items() if "generate" in card.tasks}
    assert set(listed("systems", "--role", "bound")) == {n for n, card in cards.items() if card.role == "bound"}
    assert set(listed("systems", "--rate", "48khz")) == {n for n, card in cards.items() if card.rate in (0, 48_000)}
    assert set(listed("systems", "--licence", "bsd")) == {n for n, c in cards.items() if "bsd" in c.licence.lower()}


def test_metrics_fold_their_variants_and_lose_none() -> None:
    records = listed("metrics")
    named = [form for name, item in records.items() for form in (name, *(f"{name}@{v}" for v in item["variants"]))]
    assert sorted(named) == list_metrics()
    speech = listed("metrics", "--content", "music")
    assert "estoi" not in speech
    assert set(speech) == {name for name in records if load_metric(name).facts.applies_to("music")}


def test_ready_is_what_can_be_used_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "DATA", "WEIGHTS"):
        monkeypatch.setenv(f"LDMBENCH_{name}", str(tmp_path))
    systems = listed("systems", "--ready")
    assert {"opus", "reference"} <= systems.keys()
    assert "semanticodec" not in systems
    assert {name.partition("-")[0] for name in listed("datasets", "--ready")} == {"builtin"}
    suites = listed("suites", "--ready")
    assert "quickstart" in suites
    assert "audioldm-sota" not in suites


def test_what_a_kind_does_not_have_is_told() -> None:
    done = CliRunner().invoke(cli, ["list", "datasets", "--task", "codec"])
    assert done.exit_code == 2
    assert done.stderr == "error: datasets have no task (fix: ldmbench list systems --task ...)\n"


def test_a_filter_lists_the_kinds_that_have_it() -> None:
    done = CliRunner().invoke(cli, ["list", "--task", "generate", "--json"])
    assert json.loads(done.stdout).keys() == {"systems", "suites"}
