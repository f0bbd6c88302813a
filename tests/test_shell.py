"""The command in a shell: its output is cut off, folders have odd names, systems walk away, and two run at once."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio

Sound = Callable[..., Audio]

MISBEHAVING = Path(__file__).parent / "runs" / "misbehaving" / "misbehaving.toml"

SUITE = 'name = "tiny"\ntitle = "T"\ntask = "codec"\ndatasets = []\nsystems = ["noise", "lowpass"]\nmetrics = ["snr"]\n'


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ldmbench.cli", *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=200)
    assert "Traceback" not in errors, errors
    return process.returncode, output, errors


@pytest.fixture
def folder(tmp_path: Path, tone: Sound) -> Path:
    """A suite of two systems, and a folder with four clips."""
    (tmp_path / "tiny.toml").write_text(SUITE)
    for name in "abcd":
        audio.write(tmp_path / "clips" / f"{name}.wav", tone(0.2))
    return tmp_path


def test_whoever_reads_the_first_line_only_has_seen_enough(tmp_path: Path) -> None:
    """``ldmbench list | head -1``, with a reader that is gone before the first line is written."""
    process = start(tmp_path, "list", "systems")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 0


def test_a_system_that_walks_away_leaves_everything_where_it_was_asked_for(folder: Path) -> None:
    (folder / "clips" / "clips.csv").write_text("path,text\na.wav,chdir\nb.wav,fine\n")
    words = ["tiny.toml", "-s", str(MISBEHAVING), "--audio", "clips", "--out", "my runs", "--quiet", "--json"]
    code, output, errors = finish(start(folder, "run", *words))
    assert code == 0, errors
    assert json.loads(output)["rows"]
    assert len(list((folder / "my runs").rglob("*.wav"))) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["clips", "my runs", "tiny.toml"]


def test_two_runs_at_once_double_nothing(folder: Path) -> None:
    words = ("run", "tiny.toml", "--audio", "clips", "--quiet", "--jobs", "1")
    both = [start(folder, *words) for _ in range(2)]
    codes = [finish(process)[::2] for process in both]
    assert 0 in [code for code, _ in codes]
    for code, errors in codes:
        assert code == 0 or (code == 1 and "is in use" in errors) or (code == 2 and "is in use" in errors), errors
    code, output, errors = finish(start(folder, *words, "--json"))
    assert code == 0, errors
    assert len(json.loads(output)["rows"]) == 2
    for journal, keys in (("outputs.jsonl", ("clip",)), ("scores.jsonl", ("clip", "metric"))):
        paths = list((folder / "runs").rglob(journal))
        assert len(paths) == 2
        for path in paths:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            counts = Counter(tuple(row[key] for key in keys) for row in rows)
            assert len(counts) == 4
            assert set(counts.values()) == {1}, f"{path} has rows twice"


@pytest.mark.parametrize(
    "name", ["=1+1", *(pytest.param(n, marks=pytest.mark.slow) for n in ("+A1", "-2", "@SUM(A1)"))]
)
def test_no_cell_of_a_csv_is_a_formula(folder: Path, name: str) -> None:
    (folder / "clips").rename(folder / "ref")
    (folder / name).mkdir()
    for path in (folder / "ref").iterdir():
        (folder / name / path.name).write_bytes(path.read_bytes())
    code, _, errors = finish(start(folder, "score", f"./{name}", "--reference", "ref", "-m", "snr", "--quiet"))
    assert code == 0, errors
    code, output, errors = finish(start(folder, "report", "folders+ref", "--to", "csv"))
    assert code == 0, errors
    cells = [cell for row in csv.reader(io.StringIO(output)) for cell in row]
    assert any(name in cell for cell in cells), output
    assert not [cell for cell in cells if cell.startswith(tuple("=+@\t\r")) or (cell[:1] == "-" and name in cell)]
