"""What stands in blocks of README and its pages happens: files are written as printed, commands typed, tables compared.

Commands are typed in the order in which they stand, page after page, in one folder, with ``--limit 1`` where clips are
run. Those that ``ELSEWHERE`` names need what no machine has by itself; ``test_docs.py`` tests that all of them are read
by the command line.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.cli import cli
from ldmbench.system import beside
from tests import documentation
from tests.conftest import Sound
from tests.documentation import PAGES, README

#: Other pages of docs/ have tests of their own.
TYPED = (
    "commands", "metrics", "systems", "diffusion", "datasets", "own", "probes", "compare", "listening", "demo",
    "codecs", "exports", "interchange", "music-metrics", "speech-metrics", "statistics", "degradations",
    "listening-analysis",
)  # fmt: skip
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
    "neural-codecs": "minutes; tests/systems/neural_codecs and tests/runs/test_tokens.py",
    "ldmbench statistics": "weights, files of other tools; tests/metrics/test_statistics.py",
    "fd_panns:reference": "weights, files of other tools; tests/metrics/test_statistics.py",
    "validate ratings.csv": "ratings of the runs; tests/listening/test_validation.py",
}


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tests have a module of one name in folders of their own."""
    monkeypatch.setattr(beside._finder, "folders", [])
    monkeypatch.delitem(sys.modules, "mycodec", raising=False)


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


#: Command -> options that keep it short here.
SHORT = {"run": ("--limit", "1", "--quiet", "--jobs", "1"), "validate": ("-m", "snr", "--quiet", "--jobs", "1")}


@pytest.mark.slow
def test_every_command_does_what_it_is_there_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speechlike: Sound
) -> None:
    for package, extra in (("wandb", "loggers"), ("librosa", "music"), ("distillmos", "speech"), ("torch", "models")):
        pytest.importorskip(package, reason=f"the extra {extra!r} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("click.launch", lambda _: 0)
    readers_files(tmp_path, speechlike)
    for line in typed():
        words = shlex.split(line)
        assert words.pop(0) == "ldmbench", line
        done = invoke(*words, *SHORT.get(words[0], ()))
        assert done.exit_code == 0, f"{line}\n{done.output}"
        if words[:2] == ["mushra", "analyse"]:
            # The page leaves out the end of one line.
            printed = documentation.blocks(PAGES["docs/listening-analysis.md"], "text")[0].replace("(...)", "")
            shown = [line.strip() for line in done.stdout.splitlines()]
            assert [line for line in printed.splitlines() if not any(line.strip() in other for other in shown)] == []
    for made in ("my-page/index.html", "table.tex", "curves", "logs/codecs", "logs/wandb", "cards/mycodec.md"):
        assert (tmp_path / made).exists()
    assert len(list((tmp_path / "cards").glob("mycodec*step_*.md"))) == 2, "one for each checkpoint"


def readers_files(folder: Path, speechlike: Sound) -> None:
    """What readers have: the README's codec and its checkpoints, sounds, results of other tools, ratings."""
    (folder / "mycodec.py").write_text(block("python", "class MyCodec"))
    (folder / "mycodec.toml").write_text(block("toml", 'name = "mycodec"') + '[settings]\nweights = ""\n')
    for step in (100, 200):
        (folder / f"checkpoints/step_{step}").mkdir(parents=True)
        (folder / f"checkpoints/step_{step}/weights.bin").write_bytes(bytes([step]))
    for number in range(2):
        sound = speechlike(8.0, seed=number)
        noise = 0.01 * np.random.default_rng(number).standard_normal(sound.length)
        for name in ("my-recordings", "my-references", "references", "originals"):
            audio.write(folder / name / f"{number}.wav", sound)
        for name in ("my-outputs", "outputs"):
            audio.write(folder / name / f"{number}.wav", audio.Audio.of(sound.samples + noise, sound.rate))
    theirs = [{"key": f"{number}.wav", "stoi": 0.9, "pesq": 2.0, "si_snr": 10.0} for number in range(2)]
    (folder / "result.jsonl").write_text("\n".join(map(json.dumps, theirs)))
    (folder / "results.json").write_text(json.dumps({"my-outputs": {"Speech": {"mel": 1.0, "stft": 1.0}}}))
    shutil.copytree(documentation.ROOT / "docs/examples/stahl2024", folder / "stahl2024")
    # Sounds of that test are not here: noise in their stead.
    items, systems = (
        [row[name] for row in csv.DictReader((folder / f"stahl2024/{table}.csv").open())]
        for table, name in (("items", "item"), ("systems", "system"))
    )
    for number, item in enumerate(items):
        noise = np.random.default_rng(number).standard_normal((len(systems) + 1, 8000))
        for index, name in enumerate(["reference", *systems]):
            audio.write(folder / f"audio/{item}/{name}.wav", audio.Audio.of(0.1 * (noise[0] + noise[index]), 8000))


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
