"""Exit codes are those that docs/commands.md prints, for every command that it names."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from tests.documentation import PAGES
from tests.registry import own_metrics

SUITE = """
name = "tiny"
title = "Two anchors"
task = "codec"
datasets = []
systems = ["reference", "noise"]
metrics = ["snr"]
"""
METRIC = """
from ldmbench.metrics._base import metric

@metric("broken", title="Broken", better="higher", source="this test")
def broken(reference, estimate, rate):
    raise ValueError("it is broken")
"""

#: Code -> commands, typed in this order in one folder with the runs of ``home``.
CASES = {
    0: (
        "run tiny.toml --audio clips",
        "run tiny.toml --audio bad --out elsewhere --allow-failures",
        "score clips --reference clips -m si_sdr",
        "validate ratings.csv --audio rated -m snr --allow-failures",
        "audit ./broken.py:broken -d clips --content speech -s noise -s reference --allow-failures",
        "check tiny.toml --audio clips",
        "merge tiny+clips",
        "compare tiny+clips tiny+clips -s noise",
        "report tiny+clips",
        "--help",
    ),
    1: (
        "run tiny.toml --audio bad --out elsewhere",
        "run tiny.toml --audio clips -s reference -s encodec --skip-unavailable",
        "score few --reference clips -m si_sdr",
        "validate ratings.csv --audio rated -m snr",
        "audit ./broken.py:broken -d clips --content speech -s noise -s reference",
        "merge tiny+clips --out parts",
        "compare runs/tiny+clips/reference/* runs/tiny+clips/noise/* -m stft_dac",
        "run tiny.toml --audio clips -s noise -m stft_dac --against reference.parquet",
        "report tiny+clips --to csv --output clips/a.wav/table.csv",
    ),
    2: (
        "run nothing",
        "run tiny.toml --audio clips -s encodec",
        "run tiny.toml --audio clips --margin snr=1",
        "check tiny.toml --audio clips -s encodec",
        "mushra check clips",
        "score clips",
        "score clips --reference clips --versa ratings.csv --out unused",
        "report nothing",
        "compare tiny+clips nothing",
        "run --nonsense",
    ),
    3: (
        "compare runs/tiny+clips/noise/* runs/tiny+few/noise/*",
        "run tiny.toml --audio few -s noise --against reference.parquet",
    ),
}


def invoke(line: str) -> Result:
    words: list[str] = []
    for word in shlex.split(line):
        words += map(str, sorted(Path().glob(word))) if "*" in word else [word]
    if words[0] in ("run", "score", "validate", "audit"):
        words += ["--quiet", "--jobs", "1"]
    return CliRunner().invoke(cli, words)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Clips, some of them bad; ratings; a metric that raises; and runs."""
    home = tmp_path_factory.mktemp("home")
    random = np.random.default_rng(0)
    noise = [Audio.of(0.1 * random.standard_normal((1, 4000)), 8000) for _ in range(8)]
    for number, sound in enumerate(noise):
        audio.write(home / "clips" / f"{chr(97 + number)}.wav", sound)
    for folder in ("few", "bad"):
        audio.write(home / folder / "a.wav", noise[0])
    (home / "bad" / "b.wav").write_text("this is no sound")
    lines = ["listener,item,system,score"]
    for item in ("one", "two", "three"):
        for number, name in enumerate(("reference", "x", "y")):
            audio.write(home / "rated" / item / f"{name}.wav", noise[number])
            lines += [f"{listener},{item},{name},{100 - 10 * number - len(item)}" for listener in ("k", "l")]
    (home / "rated" / "two" / "y.wav").write_bytes(b"")
    (home / "ratings.csv").write_text("\n".join(lines))
    (home / "tiny.toml").write_text(SUITE)
    (home / "broken.py").write_text(METRIC)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        # The metric is this module's own: other tests list all there are.
        own_metrics(patch)
        for line in (
            "run tiny.toml --audio clips -m stft_dac",
            "run tiny.toml --audio few",
            "run tiny.toml --audio clips -s noise --shard 1/2 --out parts",
            "baseline save tiny+clips -s reference --output reference.parquet",
        ):
            done = invoke(line)
            assert done.exit_code == 0, f"{line}\n{done.output}"
        yield home


@pytest.mark.usefixtures("home", "in_this_process")
@pytest.mark.parametrize(("code", "line"), [(code, line) for code, lines in CASES.items() for line in lines])
def test_a_command_ends_as_the_page_says(code: int, line: str) -> None:
    done = invoke(line)
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert not Path("unused").exists()


@pytest.mark.usefixtures("home", "ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_with_130(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*_: Any) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("ldmbench.runs.carry_out.carry_out", press)
    done = invoke("run tiny.toml --audio clips --json")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["error"]["exit_code"] == 130


def test_the_page_has_these_codes_and_names_these_commands() -> None:
    table = PAGES["docs/commands.md"].partition("## Exit codes")[2]
    rows = {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", table, re.MULTILINE)}
    assert rows.keys() == {*CASES, 130}
    for code, lines in CASES.items():
        named = {name for name in re.findall(r"`([a-z -]+)`", rows[code]) if not name.startswith("-")}
        for name in named:
            first, *rest = name.split()
            assert any(line.startswith(first) and all(word in line for word in rest) for line in lines), name
