"""The README says what the program does: every command, option and name in it exists, and none is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ldmbench.cli import cli
from ldmbench.clips.card import DatasetCard, list_datasets
from ldmbench.metrics._base import list_metrics
from ldmbench.suite import Suite, Sweep, list_suites
from ldmbench.system.card import SystemCard
from ldmbench.system.registry import list_systems

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^\$ ldmbench (.+)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", cli.commands)
def test_every_command_is_documented_and_helps(command: str) -> None:
    assert f"`ldmbench {command}" in README
    assert cli.commands[command].help


@pytest.mark.parametrize("line", CONSOLE)
def test_every_example_parses(line: str) -> None:
    """Click accepts the words of the example: command, options and their types."""
    words = shlex.split(line)
    command = cli.commands[words[0]]
    context = command.make_context(words[0], words[1:])
    assert context.params


def test_there_are_examples() -> None:
    assert len(CONSOLE) >= 8


@pytest.mark.parametrize("name", sorted({name.partition("@")[0] for name in list_metrics()}))
def test_every_metric_is_documented(name: str) -> None:
    name = re.sub(r"^(wer|cer)_whisper_.*", r"\1_whisper_SIZE", name)
    assert re.search(rf"`{name}[`:@]", README), name


@pytest.mark.parametrize("name", list_systems())
def test_every_system_is_documented(name: str) -> None:
    assert re.search(rf"`{name}[`@]", README), name


def test_datasets_and_suites_are_named() -> None:
    for name in (*list_datasets(), *list_suites()):
        assert name.removeprefix("builtin-") in README, name


def test_the_example_cards_are_valid() -> None:
    import tomllib

    sweep, dataset, system, suite = (
        tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    )
    Sweep.model_validate(sweep["sweep"])
    DatasetCard.model_validate(dataset)
    SystemCard.model_validate(system)
    Suite.model_validate(suite)


def test_every_metric_in_the_readme_exists() -> None:
    table = README[README.index("## Metrics") : README.index("### Word error rate")]
    named = {name for name in re.findall(r"`([a-z_]+)`", table) if "_" in name}
    known = {name.partition("@")[0] for name in list_metrics()}
    assert named <= known | {"kbps"}, named - known
