"""docs/cluster.md: its scripts and manifests parse, and the command lines in them are valid."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from ldmbench.cli import cli

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "cluster.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def command_lines() -> list[str]:
    """Every call of ldmbench: typed, in scripts, in manifests."""
    text = "\n".join(body for language in ("console", "bash", "yaml") for body in blocks(language))
    text = text.replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"\bldmbench (?:\w[^|\n]*)", text) if line.split()[1] in cli.commands]


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_valid(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command, *words = shlex.split(re.sub(r"\$\{?\w+\}?", "3", line), comments=True)[1:]
    chosen = cli.commands[command]
    assert not isinstance(chosen, click.Group)
    # An option that must be there, as a folder, is not looked for here.
    for parameter in chosen.params:
        if isinstance(parameter.type, click.Path):
            monkeypatch.setattr(parameter.type, "exists", False)
    assert chosen.make_context(command, words).params


def test_there_are_examples() -> None:
    assert len(command_lines()) >= 6


@pytest.mark.parametrize("script", [body for body in blocks("bash") if body.startswith("#!")])
def test_scripts_parse_and_say_what_they_want_of_slurm(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).stderr == ""
    directives = re.findall(r"^#SBATCH (.+)$", script, re.MULTILINE)
    assert directives
    assert all(re.fullmatch(r"--[a-z-]+(=\S+)?", directive) for directive in directives), directives
    head, _, rest = script.partition("\n\n")
    assert "#SBATCH" not in rest, "sbatch reads no directive after the first command"
    assert head.startswith("#!/bin/bash")
