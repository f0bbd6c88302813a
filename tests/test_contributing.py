"""The recipes of CONTRIBUTING.md and the worked examples of docs/ do what they say, exactly as they are printed."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from tests.conftest import Sound

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.skipif(
    not (BIN / "ldmbench").exists(), reason="the console script is not installed beside this Python"
)


def steps(text: str) -> Iterator[tuple[str, str]]:
    """A document's files as (path, content) and its commands as ("$", line), in order."""
    for path, _, body in re.findall(r"(?:^`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if path:
            yield path, body
        yield from (("$", line) for line in re.findall(r"^\$ (.+)$", body, re.MULTILINE))


def section(text: str, heading: str) -> str:
    """What stands under a heading."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def follow(text: str, folder: Path, package: Path, limit: bool = False) -> list[str]:
    """Write the files and type the commands; what each printed. ``limit`` runs one clip of each dataset."""
    variables = {**os.environ, "PYTHONPATH": str(package), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    printed = []
    for path, content in steps(text):
        if path != "$":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
            continue
        words = shlex.split(content)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            variables[name] = value
            continue
        assert words[0] == "ldmbench", content
        more = ["--limit", "1"] if limit and words[1] in ("run", "check") else []
        done = subprocess.run([*words, *more], cwd=folder, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, f"{content}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return printed


def rows(table: str) -> dict[str, list[float]]:
    """The numbers of a Markdown table by row, those of several sections one after the other."""
    values: dict[str, list[float]] = {}
    for line in table.splitlines():
        name, *cells = (cell.strip(" *") for cell in line.strip("| ").split("|"))
        numbers = [float(cell) for cell in cells if re.fullmatch(r"-?\d+(\.\d+)?", cell)]
        if numbers:
            values.setdefault(name, []).extend(numbers)
    return values


def clips(folder: Path, sound: Sound, count: int = 3) -> None:
    for number in range(count):
        audio.write(folder / f"{number}.wav", sound(2.0, seed=number))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, speechlike: Sound) -> Path:
    """A copy of what is installed, with recordings in it."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("bench", "systems", "reports", "datasets", "src"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    clips(folder / "my-recordings", speechlike)
    return folder


@pytest.fixture(scope="module")
def followed(checkout: Path) -> list[str]:
    """What the commands of the recipes printed."""
    recipes = CONTRIBUTING.partition("\n## The same in a repository of your own\n")[0]
    return follow(recipes, checkout, checkout / "src")


def test_the_recipes_end_in_a_table_with_all_that_was_added(followed: list[str]) -> None:
    table = rows(followed[-1])
    assert table.keys() == {"reference", "mulaw@32kbps", "mulaw@64kbps"}
    # kbps, peak error and STFT of music; the same and ESTOI of speech. A reference has no bits.
    music, speech = slice(0, 3), slice(3, 7)
    for part in (music, speech):
        coarse, fine = table["mulaw@32kbps"][part], table["mulaw@64kbps"][part]
        assert coarse[0] == pytest.approx(32, abs=0.05)
        assert fine[0] == pytest.approx(64, abs=0.05)
        assert 0 < fine[1] < coarse[1] < 2
    assert table["mulaw@32kbps"][6] < table["mulaw@64kbps"][6] < 1
    assert table["reference"] == [0, 0, 0, 0, 1]


def test_the_recipes_show_and_score_what_was_added(followed: list[str]) -> None:
    system, first_run, scored, dataset, findings, *_ = followed
    assert "Mu-law at 8 kHz" in system
    assert "mulaw@32kbps" in first_run
    assert "Peak error" not in first_run
    assert "Peak error" in scored
    assert "My test set" in dataset
    assert "ERROR" not in findings


def test_every_recipe_is_short_and_in_the_style_of_the_project(checkout: Path, followed: list[str]) -> None:
    files = {path: content for path, content in steps(CONTRIBUTING) if path != "$"}
    assert len(files) == 5
    for path, content in files.items():
        assert len([line for line in content.splitlines() if line]) <= 20, path
    python = [path for path in files if path.endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([BIN / "ruff", *command, *python], cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_recipes_are_typed(checkout: Path, followed: list[str]) -> None:
    names = ["ldmbench.systems.codecs.mulaw", "ldmbench.metrics.peak_error"]
    words = [str(BIN / "mypy"), *(word for name in names for word in ("-m", name)), "--cache-dir", "mypy"]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def in_a_repository(folder: Path) -> str:
    """The recipes' system and suite outside the checkout; returns the section that uses them."""
    files = dict(steps(CONTRIBUTING))
    (folder / "mulaw.py").write_text(files["systems/codecs/mulaw.py"])
    card = files["systems/codecs/mulaw.toml"].replace("ldmbench.systems.codecs.mulaw:", "mulaw:")
    (folder / "mycodec.toml").write_text(card)
    metric = files["bench/metrics/peak_error.py"]
    (folder / "peak.py").write_text(metric.replace("from ldmbench.metrics._base import", "from ldmbench import"))
    suite = files["reports/suites/mine-table.toml"].replace('"peak_error", ', "").replace(', "mine"]', "]")
    (folder / "my-suite.toml").write_text(suite)
    return section(CONTRIBUTING, "The same in a repository of your own")


def test_the_same_by_paths(tmp_path: Path) -> None:
    printed, again = follow(in_a_repository(tmp_path), tmp_path, ROOT / "src")
    for text in (printed, again):
        assert "mulaw@64kbps" in text
        assert "Peak error" in text


def test_the_same_by_entry_points(tmp_path: Path) -> None:
    """What an installer makes of the table in pyproject.toml, and the folders and the module that it names."""
    import tomllib

    (block,) = re.findall(r"```toml\n(.*?)```", in_a_repository(tmp_path), re.DOTALL)
    groups: Mapping[str, Mapping[str, str]] = tomllib.loads(block)["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in own.items()) for group, own in groups.items()
    ]
    package = tmp_path / "site" / "mypaper"
    for name in ("", "systems", "suites", "datasets/mine"):
        (package / name).mkdir(parents=True, exist_ok=True)
    for name in ("", "systems", "suites", "datasets"):
        (package / name / "__init__.py").touch()
    for name, path in (
        ("mycodec.toml", "systems"),
        ("mulaw.py", "systems"),
        ("my-suite.toml", "suites/mine-table.toml"),
    ):
        shutil.move(tmp_path / name, package / path)
    card = package / "systems" / "mycodec.toml"
    card.write_text(card.read_text().replace('"mulaw:', '"mypaper.systems.mulaw:').replace('"mulaw"', '"mycodec"'))
    suite = package / "suites" / "mine-table.toml"
    text = re.sub(r"(?m)^datasets = .*", 'datasets = ["mine"]', suite.read_text())
    suite.write_text(text.replace("mulaw", "mycodec"))
    dataset = dict(steps(CONTRIBUTING))["datasets/mine/card.toml"]
    (package / "datasets" / "mine" / "card.toml").write_text(dataset)
    shutil.move(tmp_path / "peak.py", package / "metrics.py")
    audio.write(tmp_path / "sounds" / "a.wav", Audio.of(0.1 * np.random.default_rng(1).standard_normal(24_000), 16_000))
    information = tmp_path / "site" / "mypaper-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mypaper\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("\n".join(lines))
    paths = f"{ROOT / 'src'}{os.pathsep}{tmp_path / 'site'}"
    variables = {**os.environ, "PYTHONPATH": paths, "MINE": str(tmp_path / "sounds")}

    def type_in(*words: str) -> str:
        done = subprocess.run([BIN / "ldmbench", *words], cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = type_in("run", "mine-table", "-m", "peak_error", "--quiet")
    shown = rows(type_in("report", "mine-table", "--to", "md"))
    assert shown.keys() == {"reference", "mycodec@32kbps", "mycodec@64kbps"}
    assert "Peak error" in printed
    assert "mine" in printed


@pytest.mark.slow
def test_example_codec_table(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "examples" / "codec-table.md").read_text(encoding="utf-8")
    *_, own, _, _, _ = follow(text, tmp_path, ROOT / "src", limit=True)
    assert "coarse" in own
    assert "coarse:bits=6" in own
    latex = (tmp_path / "table.tex").read_text()
    for name in ("reference", "opus", "lowpass", "coarse"):
        assert name in latex
    assert (tmp_path / "page" / "index.html").is_file()
    with (tmp_path / "scores" / "scores.csv").open(newline="") as file:
        assert {"reference", "opus@6kbps", "coarse"} <= {row["system"] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_example_own_folder(tmp_path: Path, speechlike: Sound) -> None:
    text = (ROOT / "docs" / "examples" / "own-folder.md").read_text(encoding="utf-8")
    for number in range(2):
        sound = speechlike(2.0, seed=number)
        audio.write(tmp_path / "references" / f"{number}.wav", sound)
        audio.write(tmp_path / "outputs" / f"{number}.wav", Audio.of(np.round(64 * sound.samples) / 64, sound.rate))
    plain, speech, as_json, export, own = follow(text, tmp_path, ROOT / "src", limit=True)
    assert "n = 2 clips" in plain
    assert "PESQ" in speech
    assert '"si_sdr"' in as_json
    assert "scores.csv" in export
    assert "opus@12kbps" in own
