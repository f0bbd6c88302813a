"""Whatever a module of others does when it is imported or asked, the command says it and ends as it should."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.runs.check import check_systems
from ldmbench.system.registry import resolve

Sound = Callable[..., Audio]

#: What a module does -> what the preflight says.
MODULES = {
    "leave": ("import os; os._exit(0)", "its import: ended its process with exit code 0"),
    "crash": ("import os; os.abort()", "its import: its process was killed by SIGABRT"),
    "exits": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "beyond": ("raise GeneratorExit('gone')", "GeneratorExit: gone"),
    "typo": ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
    "asked": (
        "import os\nclass Odd:\n    @staticmethod\n    def available(): os._exit(0)",
        "its import: ended its process with exit code 0",
    ),
    "raises": (
        "class Odd:\n    @staticmethod\n    def available(): raise ValueError('no idea')",
        "cannot say whether it is ready: ValueError: no idea",
    ),
    "number": ("class Odd:\n    @staticmethod\n    def available(): return 7", "7"),
}


def card(folder: Path, name: str) -> Path:
    (folder / f"{name}.py").write_text(MODULES[name][0])
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\ntitle = "Odd"\ntasks = ["codec"]\nlicence = "MIT"\nmodule = "{name}:Odd"\n')
    return path


@pytest.mark.parametrize("name", MODULES)
def test_the_preflight_survives_and_names_it(tmp_path: Path, name: str) -> None:
    (finding,) = check_systems([resolve(str(card(tmp_path, name)))])
    assert (finding.level, finding.subject) == ("error", name)
    assert MODULES[name][1] in finding.text


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "ldmbench.cli", *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_a_command_with_such_a_system_ends_with_2_and_a_word(tmp_path: Path, tone: Sound) -> None:
    (tmp_path / "clips").mkdir()
    audio.write(tmp_path / "clips" / "a.wav", tone(0.1))
    words = ["quickstart", "-s", str(card(tmp_path, "leave")), "--audio", "clips", "--quiet"]
    done = bench(tmp_path, "run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ended its process with exit code 0" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_packages_of_metrics_and_systems_that_do_harm_are_named_and_the_rest_is_there(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "odd-1.dist-info").mkdir(parents=True)
    (site / "odd-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (site / "odd-1.dist-info" / "entry_points.txt").write_text(
        "[ldmbench.metrics]\na = leave\nb = crash\nc = nowhere.at_all\n"
        "[ldmbench.systems]\na = leave.cards\nb = nowhere.cards\n"
    )
    for name in ("leave", "crash"):
        (site / f"{name}.py").write_text(MODULES[name][0])
    metrics = bench(tmp_path, "show", "snr")
    assert metrics.returncode == 0, metrics.stderr
    assert "the metrics of leave cannot be loaded: the import: ended its process with exit code 0" in metrics.stderr
    assert "the metrics of crash cannot be loaded: the import: its process was killed by SIGABRT" in metrics.stderr
    assert "the metrics of nowhere.at_all cannot be loaded: ModuleNotFoundError" in metrics.stderr
    for package in ("leave.cards", "nowhere.cards"):
        assert f"the systems of {package} cannot be found" in metrics.stderr
    assert "Traceback" not in metrics.stderr
