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


def test_the_manifest_is_a_rayjob_of_one_volume() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (job,) = [yaml.safe_load(body) for body in blocks("yaml")]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    (workers,) = spec["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    pods = [spec["headGroupSpec"]["template"]["spec"], workers["template"]["spec"]]
    for pod in pods:
        (container,) = pod["containers"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert all(isinstance(value, str) for item in container["env"] for value in item.values())
        assert {"image", "name", "resources"} <= container.keys()
    assert pods[0]["containers"][0]["image"] == pods[1]["containers"][0]["image"]
    # What is asked for with --device cuda must be there.
    assert "nvidia.com/gpu" in pods[1]["containers"][0]["resources"]["limits"]
