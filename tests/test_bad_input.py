"""A folder with every kind of bad file: one clear line each, the rest goes on, the exit code says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from ldmbench.cli import cli

RATE = 16_000
SUITE = """
name = "bad"
title = "Bad input"
task = "codec"
datasets = []
systems = ["reference", "opus@12kbps", "mp3@32kbps", "noise"]
metrics = ["kbps", "stft_dac", "snr", "pesq_wb", "stoi"]
"""

#: What becomes of each file, and a word of the line that says why.
FAILED = {
    "empty.wav": "is empty",
    "truncated.wav": "is truncated",
    "zero-length.wav": "holds no samples",
    "nan.wav": "holds NaN or Inf",
    "text.wav": "is not audio",
}
FINE = ("8-bit", "24-bit", "above-one", "one-sample", "silent", "surround", "wrong-ending", "speech")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bad") / "clips"
    root.mkdir()
    time = np.arange(2 * RATE) / RATE
    speech = 0.3 * np.sin(2 * np.pi * 150 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    speech += 0.01 * np.random.default_rng(5).standard_normal(len(time))

    def write(name: str, samples: np.ndarray, subtype: str = "PCM_16", kind: str = "WAV") -> None:
        soundfile.write(root / name, samples, RATE, subtype=subtype, format=kind)

    write("speech.wav", speech)
    write("8-bit.wav", speech, "PCM_U8")
    write("24-bit.wav", speech, "PCM_24")
    write("above-one.wav", 5 * speech, "FLOAT")
    write("one-sample.wav", speech[5000:5001])
    write("silent.wav", np.zeros(RATE))
    write("surround.wav", np.stack([speech] * 6, axis=1))
    write("wrong-ending.mp3", speech, "PCM_16", "FLAC")
    write("zero-length.wav", speech[:0])
    write("nan.wav", np.where(time > 1, np.nan, speech), "FLOAT")
    (root / "truncated.wav").write_bytes((root / "speech.wav").read_bytes()[:9000])
    (root / "empty.wav").write_bytes(b"")
    (root / "text.wav").write_text("this is no sound at all, whatever its name says\n" * 40)
    (root / "notes.txt").write_text("not audio by its name")
    return root


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    suite = folder.parent / "bad.toml"
    suite.write_text(SUITE)
    words = ["run", suite, "--audio", folder, "--content", "speech", "--out", folder.parent / "runs", "--quiet"]
    return CliRunner().invoke(cli, [*map(str, words), "--jobs", "1"])


def rows(folder: Path, system: str, name: str) -> list[dict[str, object]]:
    (path,) = (folder.parent / "runs").glob(f"bad+clips/{system}/*/{name}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_exit_code_says_that_clips_failed(result: Result) -> None:
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("name", FAILED)
def test_a_bad_file_is_a_failed_row_with_one_line(result: Result, folder: Path, name: str) -> None:
    for system in ("reference", "opus@12kbps", "noise"):
        (row,) = (row for row in rows(folder, system, "outputs") if row["clip"] == f"clips/{Path(name).stem}")
        assert row["status"] == "failed"
        assert FAILED[name] in str(row["message"])
        assert "\n" not in str(row["message"])


@pytest.mark.parametrize("name", FINE)
@pytest.mark.parametrize("system", ["reference", "opus@12kbps", "mp3@32kbps", "noise"])
def test_an_odd_file_goes_through(result: Result, folder: Path, name: str, system: str) -> None:
    (row,) = (row for row in rows(folder, system, "outputs") if row["clip"] == f"clips/{name}")
    assert row["status"] == "ok", row["message"]


def test_samples_above_one_are_kept(result: Result, folder: Path) -> None:
    (path,) = (folder.parent / "runs").glob("bad+clips/reference/*/audio/clips/above-one.wav")
    assert np.abs(soundfile.read(path)[0]).max() > 1.4


@pytest.mark.parametrize(
    ("clip", "metric", "reason"),
    [
        ("silent", "snr", "silent"),
        ("silent", "pesq_wb", "silent"),
        ("one-sample", "stft_dac", "short"),
        ("one-sample", "pesq_wb", "short"),
        ("one-sample", "stoi", ""),
    ],
)
def test_what_has_no_value_is_unscored_with_the_reason(
    result: Result, folder: Path, clip: str, metric: str, reason: str
) -> None:
    wanted = (f"clips/{clip}", metric)
    (row,) = (row for row in rows(folder, "opus@12kbps", "scores") if (row["clip"], row["metric"]) == wanted)
    assert (row["status"], row["value"]) == ("unscored", None)
    assert reason in str(row["message"])
    assert row["message"]


def test_no_score_failed(result: Result, folder: Path) -> None:
    for system in ("reference", "opus@12kbps", "mp3@32kbps", "noise"):
        assert [row for row in rows(folder, system, "scores") if row["status"] == "failed"] == []


def test_the_table_counts_them(result: Result) -> None:
    assert "FAILED: opus@12kbps on 5 of 13 clips" in result.stdout
    assert "left out, not audio by their names: notes.txt" in result.stderr
