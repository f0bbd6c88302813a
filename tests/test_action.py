"""The GitHub action: its steps run as they are written, and the workflows of the documentation fit it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import junitparser
import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli

yaml: Any = pytest.importorskip("yaml", reason="PyYAML comes with the models' and the docs' libraries")

ROOT = Path(__file__).resolve().parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "compare.md").read_text(), re.DOTALL)
WORKFLOWS: list[dict[str, Any]] = [yaml.safe_load(block) for block in BLOCKS]


def steps_of_workflows() -> list[dict[str, Any]]:
    return [step for flow in WORKFLOWS for job in flow.get("jobs", {}).values() for step in job["steps"]]


def test_every_input_is_described_and_used() -> None:
    text = (ROOT / "action.yml").read_text()
    for name, content in ACTION["inputs"].items():
        assert content["description"]
        assert content.get("required") or "default" in content
        assert f"inputs.{name}" in text
    assert set(re.findall(r"inputs\.(\w+)", text)) == ACTION["inputs"].keys()
    for step in ACTION["runs"]["steps"]:
        # What a pull request can name gets into scripts by the environment alone.
        assert "${{" not in step.get("run", "")


def test_the_workflows_use_inputs_that_exist() -> None:
    used = [step for step in steps_of_workflows() if step.get("uses", "").startswith("ldmbench/")]
    assert len(used) == 2
    for step in used:
        assert step["with"].keys() <= ACTION["inputs"].keys()
        required = {name for name, content in ACTION["inputs"].items() if content.get("required")}
        assert required <= step["with"].keys()


def commands() -> list[list[str]]:
    """The commands of ldmbench in workflows, and those that the action makes of their inputs."""
    lines = [
        line.split()
        for flow in WORKFLOWS
        for job in flow.values()
        if isinstance(job, dict)
        for line in job.get("script", [])
    ]
    lines += [
        ["ldmbench", "run", step["with"]["suite"], *step["with"].get("arguments", "").split()]
        for step in steps_of_workflows()
        if step.get("uses", "").startswith("ldmbench/")
    ]
    return [[word.strip('"') for word in line[1:]] for line in lines if line[0] == "ldmbench"]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_options_in_workflows_exist(words: list[str]) -> None:
    known = set(re.findall(r"--[a-z-]+", CliRunner().invoke(cli, [words[0], "--help"]).output)) | {"-s"}
    assert {word for word in words if word.startswith("-")} <= known


SYSTEM = '''
import numpy as np
from ldmbench.audio.sound import Audio
from ldmbench.system.codec import Codec, Stream

class Mine(Codec):
    """Rounds to a few bits."""

    def encode(self, audio):
        levels = 2 ** int(self.spec.settings["bits"])
        return Stream((np.round(audio.samples * levels) / levels, audio.rate), bits=audio.length)

    def decode(self, stream):
        return Audio.of(*stream.payload)
'''
CARD = """
name = "mine"
title = "Mine"
tasks = ["codec"]
module = "mine_codec:Mine"
licence = "none"
default = "good"
[settings]
bits = 8
[variants.good]
[variants.bad]
bits = 5
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What somebody's repository holds: a system, a suite, clips."""
    (tmp_path / "mine_codec.py").write_text(SYSTEM)
    (tmp_path / "mine.toml").write_text(CARD)
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\ntitle = "Tiny"\ntask = "codec"\ndatasets = []\nsystems = []\nmetrics = ["snr"]\n'
    )
    for index in range(10):
        sound = Audio.of(np.random.default_rng(index).uniform(-0.5, 0.5, (1, 4000)), 8000)
        (tmp_path / "clips").mkdir(exist_ok=True)
        audio_io.write(tmp_path / "clips" / f"{index}.wav", sound)
    return tmp_path


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """An environment of its own, with the libraries of this one and without ldmbench."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


def take(step: dict[str, Any], inputs: dict[str, str], cwd: Path, environment: dict[str, str]) -> int:
    """Run a step as the runner does: inputs into its environment, its script in bash with errors ending it."""
    given = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: inputs[match[1]], text)
        for name, text in step["env"].items()
    }
    script = cwd / "step.sh"
    script.write_text(step["run"])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    done = subprocess.run(command, cwd=cwd, env=environment | given, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done.returncode


@pytest.mark.slow
def test_the_steps_run_as_written(repository: Path, fresh: Path) -> None:
    """Installed from this checkout, a system against itself is fine, and one that lost three bits is worse."""
    install, gate, upload = ACTION["runs"]["steps"]
    assert upload["uses"].startswith("actions/upload-artifact@")
    files = {name: repository / f"{name.lower()}.txt" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = {
        "PATH": f"{fresh / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(repository), "GITHUB_ACTIONS": "true",
        **{name: str(path) for name, path in files.items()},
    }  # fmt: skip
    checkout = repository / "ldmbench"
    for name in ("bench", "systems", "reports", "datasets", "src"):
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, checkout / name)
    inputs = {name: content.get("default", "") for name, content in ACTION["inputs"].items()} | {
        "suite": "./tiny.toml",
        "system": "./mine.toml\n",
        "arguments": "--audio clips --jobs 1 --margin snr=0.5",
        "install": f"--no-deps --no-build-isolation {checkout}",
    }
    assert take(install, inputs, repository, environment) == 0
    program = fresh / "bin" / "ldmbench"
    for words in (
        ("run", "./tiny.toml", "-s", "./mine.toml", "--audio", "clips", "--jobs", "1"),
        ("baseline", "save", "tiny+clips", "--audio", "-o", "baseline.parquet"),
    ):
        subprocess.run([str(program), *words], cwd=repository, env=environment, check=True)
    assert take(gate, inputs, repository, environment) == 0
    assert take(gate, inputs | {"system": "./mine.toml@bad"}, repository, environment) == 1
    assert take(gate, inputs | {"arguments": "--audio clips --limit 8"}, repository, environment) == 3
    assert take(gate, inputs | {"suite": "nothing"}, repository, environment) == 2
    written = files["GITHUB_OUTPUT"].read_text().splitlines()
    assert written[::2] == ["verdict=fine", "verdict=worse", "verdict=not comparable", "verdict=error"]
    assert set(written[1::2]) == {"page=ldmbench-gate/page/index.html"}
    assert "ldmbench compare: WORSE" in files["GITHUB_STEP_SUMMARY"].read_text()
    (suite,) = junitparser.JUnitXml.fromfile(str(repository / "ldmbench-gate" / "gate.xml"))
    assert (suite.tests, suite.failures) == (1, 1)
    page = (repository / "ldmbench-gate" / "page" / "index.html").read_text()
    assert page.count('data-side="base" data-title="BASE" data-audio') == 10
