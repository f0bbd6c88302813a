"""``--json`` is JSON on every path of every command that has it, and ``check`` says at once all that is not here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ldmbench.cli import cli
from ldmbench.runs.check import Finding, one_command

#: Command -> words that it refuses.
REFUSED = {
    "list": ["nothing-like-it"],
    "show": ["nothing-like-it"],
    "check": ["nothing-like-it"],
    "fetch": ["nothing-like-it"],
    "run": ["quickstart", "-s", "opsu"],
    "merge": ["nothing-like-it"],
    "score": ["nothing-like-it", "-m", "snr"],
    "compare": ["nothing-like-it", "no-more-than-this"],
    "export": ["nothing-like-it"],
    "audit": ["nothing-like-it"],
    "profile": ["nothing-like-it"],
    "mushra plan": ["--systems", "3", "--pilot", "nothing-like-it"],
    "mushra export": ["nothing-like-it", "--out", "pack"],
    "mushra check": ["nothing-like-it"],
    "mushra results": ["nothing-like-it"],
    "mushra analyse": ["nothing-like-it"],
}


def commands(group: click.Group = cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


WITH_JSON = [path for path, command in commands() if any("--json" in item.opts for item in command.params)]


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_all_of_them_are_tried() -> None:
    assert REFUSED.keys() == set(WITH_JSON)


@pytest.mark.parametrize("path", WITH_JSON)
def test_what_is_refused_is_json(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (REFUSED[path], ["--no-such-option"], ["a"] * 9):
        done = invoke(*path.split(), *words, "--json")
        error = json.loads(done.stdout)["error"]
        assert done.exit_code == error["exit_code"] == 2, done.output
        assert error["what"] in done.stderr
        assert error.keys() == {"what", "found", "fix", "exit_code", "details"}


@pytest.mark.parametrize("words", [["nonsense", "--json"], ["report", "nothing-like-it", "--to", "json"]])
def test_other_errors_are_json_as_well(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(*words)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["what"]


def test_without_json_the_standard_output_stays_empty() -> None:
    for words in (["show", "nothing-like-it"], ["show", "--", "--json"], ["show", "--no-such-option"]):
        done = invoke(*words)
        assert done.exit_code == 2
        assert done.stdout == ""


SUITE = """
name = "needy"
title = "Needs much"
task = "codec"
datasets = ["librispeech-dev-clean", "builtin-general"]
systems = ["reference", "semanticodec@1.40kbps", "nonesuch", "./program.toml", "opus@6kbps"]
metrics = ["snr", "wer_whisper_base", "fd_panns", "no_such_metric"]
"""
NAMES = ("librispeech-dev-clean", "semanticodec@1.40kbps", "whisper-base", "panns-16khz")
PROGRAM = """
name = "program"
title = "A program that is not there"
tasks = ["codec"]
rate = 16000
licence = "MIT"
command = ["{python}", "{here}/codec.py", "{input}", "{output}"]
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CACHE", "WEIGHTS"):
        monkeypatch.setenv(f"LDMBENCH_{name}", str(tmp_path / name))
    (tmp_path / "program.toml").write_text(PROGRAM)
    (tmp_path / "needy.toml").write_text(SUITE)
    return tmp_path / "needy.toml"


def findings(suite: Path, *more: str) -> dict[str, dict[str, Any]]:
    done = invoke("check", suite, "--json", *more)
    assert done.exit_code == 2
    return {item["subject"]: item for item in json.loads(done.stdout) if item["level"] == "error"}


def test_check_lists_everything_that_is_not_here_at_once(suite: Path) -> None:
    found = findings(suite)
    assert found.keys() == {
        "librispeech-dev-clean",
        "semanticodec@1.40kbps",
        "nonesuch",
        "program",
        "wer_whisper_base",
        "fd_panns",
        "no_such_metric",
    }
    assert found["program"]["text"] == f"its command names {suite.parent}/codec.py, which is not there"
    assert found["no_such_metric"]["text"] == "unknown metric 'no_such_metric'"
    lines = invoke("check", suite).stdout.splitlines()
    assert lines[-1] == f"to get what is not here: ldmbench fetch {' '.join(NAMES)}"


def test_run_lists_the_same_and_starts_nothing(suite: Path, tmp_path: Path) -> None:
    done = invoke("run", suite, "--out", tmp_path / "runs", "--json")
    error = json.loads(done.stdout)["error"]
    assert error["what"] == "nothing was started: the preflight found 7 problems"
    assert {item["subject"] for item in error["details"]} == findings(suite).keys()
    assert f"ldmbench fetch {' '.join(NAMES)}, choose systems" in error["fix"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "level", "text"),
    [
        ("snr", "ok", "SNR"),
        ("opus@6kbps", "ok", "Opus"),
        ("wer_whisper_base", "error", "base.pt"),
        ("semanticodec@1.40kbps:steps=10", "error", "weights of semanticodec@1.40kbps"),
        ("builtin-general", "ok", "clips"),
    ],
)
def test_check_looks_at_one_thing(suite: Path, name: str, level: str, text: str) -> None:
    done = invoke("check", name, "--json")
    (finding,) = json.loads(done.stdout)
    assert (finding["level"], done.exit_code) == (level, 0 if level == "ok" else 2)
    assert text in finding["text"]


def test_a_card_by_its_path_is_fetched_by_its_path(suite: Path) -> None:
    path = suite.parent / "my card.toml"
    weights = '[weights.all]\nurls = { "a.bin" = "https://example.org/a.bin" }\n'
    path.write_text(PROGRAM.replace('"{here}/codec.py", ', "") + weights)
    (finding,) = json.loads(invoke("check", path, "--json").stdout)
    assert f"ldmbench fetch '{path}'" in finding["fix"]
    assert one_command([Finding(**finding)]) == f"ldmbench fetch '{path}'"


def test_one_command_gets_extras_and_names_once() -> None:
    made = one_command(
        [
            Finding("error", "a", "needs torch", "pip install 'ldmbench[models]'"),
            Finding("error", "b", "x not installed (fix: pip install 'ldmbench[speech,models]')"),
            Finding("error", "c", "not here", "run ldmbench fetch vggish, or put it there"),
            Finding("error", "d", "not here (fix: ldmbench fetch vggish)"),
            Finding("warning", "e", "", "ldmbench fetch other"),
        ]
    )
    assert made == "pip install 'ldmbench[models,speech]' && ldmbench fetch vggish"
