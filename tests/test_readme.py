"""What stands in blocks of README and its pages happens: files are written as printed, commands typed, tables compared.

Commands are typed in the order in which they stand, page after page, in one folder, with ``--limit 1`` where clips are
run. Those that ``ELSEWHERE`` names need what no machine has by itself; ``test_docs.py`` tests that all of them are read
by the command line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.cli import cli
from tests import documentation
from tests.conftest import Sound
from tests.documentation import PAGES, README

#: Other pages of docs/ have tests of their own.
TYPED = ("commands", "metrics", "systems", "diffusion", "datasets", "own", "probes", "compare", "listening", "demo")
LINES = [line for text in (README, *(PAGES[f"docs/{name}.md"] for name in TYPED)) for line in documentation.typed(text)]

#: Part of a command -> why it is not typed here.
ELSEWHERE = {
    "make ": "makes environments; the pipeline does",
    "pip install": "the network",
    "_LDMBENCH_COMPLETE": "typed in real shells by test_cli.py",
    "ldmbench fetch": "the network",
    "ldmbench demo": "a server; tests/demo",
    "--device cuda": "an accelerator",
    "semanticodec": "weights, or checkpoints of one's own; tests/systems/semanticodec",
    "audiosr": "weights; tests/systems/audiosr",
    "audioldm": "weights; tests/systems/audioldm",
    "demo-generate": "weights",
    "demo-enhance": "weights",
    "ladiffcodec@": "weights, or minutes; tests/systems/ladiffcodec",
    "wer_whisper": "weights",
    "my-generated": "weights; tests/clips/test_captions.py",
    "/OLD": "the IDs of runs; tests/compare",
    "baseline.parquet": "runs of somebody else; tests/compare and tests/runs/test_baseline.py",
    "my-test": "listeners; tests/listening",
    "my-results": "listeners; tests/listening",
    "probe-quickstart": "minutes; tests/reports/test_probes.py",
    "token-quickstart": "minutes; tests/metrics/test_tokens.py",
    "--estimate": "minutes; its own tests",
    "--shard": "the other parts; tests/runs/test_shards.py",
    "ldmbench merge": "the other parts; tests/runs/test_shards.py",
    "folders-test": "more systems' outputs; tests/listening",
    "packet-loss": "minutes; its own tests",
    "packet_loss": "minutes; its own tests",
    "ldmbench audit": "minutes; its own tests",
    "profile encodec": "minutes; tests/test_profile.py",
}


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def typed() -> Iterator[str]:
    yield from (line for line in LINES if not any(part in line for part in ELSEWHERE))


def block(language: str, holding: str) -> str:
    """The one block of a language that holds a text."""
    (text,) = [text for text in documentation.blocks(README, language) if holding in text]
    return text


def test_every_reason_not_to_type_a_command_has_one() -> None:
    assert [part for part in ELSEWHERE if not any(part in line for line in LINES)] == []
    assert len(list(typed())) >= 9


def test_the_codec_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its card has 16 kHz and eight bits a sample: 128 kbps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mycodec.py").write_text(block("python", "class MyCodec"))
    (tmp_path / "mycodec.toml").write_text(block("toml", 'name = "mycodec"'))
    (line,) = [line for line in LINES if "./mycodec.toml -s opus" in line]
    done = invoke(*shlex.split(line)[1:], "-d", "builtin-general", "--limit", "1", "--quiet", "--jobs", "1")
    assert done.exit_code == 0, done.output
    # Where the terminal is narrow the table has parts; bitrates are in the first.
    assert re.findall(r"^mycodec +([\d.]+)", done.stdout, re.MULTILINE)[0] == "128.00"


@pytest.mark.slow
def test_every_command_does_what_it_is_there_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speechlike: Sound
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("click.launch", lambda _: 0)
    (tmp_path / "mycodec.py").write_text(block("python", "class MyCodec"))
    (tmp_path / "mycodec.toml").write_text(block("toml", 'name = "mycodec"'))
    for number in range(2):
        for folder in ("my-recordings", "my-outputs"):
            audio.write(tmp_path / folder / f"{number}.wav", speechlike(8.0, seed=number))
    for line in typed():
        words = shlex.split(line)
        assert words.pop(0) == "ldmbench", line
        limit = ["--limit", "1", "--quiet", "--jobs", "1"] if words[0] == "run" else []
        done = invoke(*words, *limit)
        assert done.exit_code == 0, f"{line}\n{done.output}"
    for made in ("my-page/index.html", "table.tex", "curves"):
        assert (tmp_path / made).exists()


def cells(table: str) -> dict[str, list[str]]:
    """The rows of a Markdown table by their first cells, marks of the best left out."""
    rows = [[cell.strip(" *") for cell in line.strip("| ").split("|")] for line in table.splitlines() if "|" in line]
    return {row[0]: row[1:] for row in rows if row[0] and set(row[0]) - set(":- ")}


@pytest.mark.slow
def test_the_table_is_what_the_quickstart_prints(tmp_path: Path) -> None:
    """Digit by digit; learned codebooks, whose training may end elsewhere on another CPU, to 1 %."""
    printed = README.partition("A part of what `make quickstart` prints")[2].partition("\n## ")[0]
    expected = cells(printed)
    assert len(expected) == 15
    out = str(tmp_path / "runs")
    done = invoke("run", "quickstart", "-d", "builtin-speech", "--out", out, "--quiet")
    assert done.exit_code == 0, done.output
    metrics = ("kbps", "visqol_audio", "mel_dac", "visqol_speech_lattice", "pesq_wb", "stoi", "dnsmos_p808")
    words = [word for name in metrics for word in ("-m", name)]
    found = cells(invoke("report", "quickstart", "--out", out, "--to", "md", *words).stdout)
    header = expected.pop("System")
    assert found["System"] == header
    for system, row in expected.items():
        if not system.startswith("kmeans-mel"):
            assert found[system] == row, system
            continue
        values, printed_values = (np.array(list(map(float, cells_))) for cells_ in (found[system], row))
        np.testing.assert_allclose(values, printed_values, rtol=0.01, err_msg=system)


@pytest.mark.slow
def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example = block("python", "ldmbench.evaluate(")
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    assert "opus@12kbps" in capsys.readouterr().out
