"""VERSA's and Codec-SUPERB's files are read as they are written, and set beside the right clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.compare.peer_names import CODEC_SUPERB, VERSA
from ldmbench.compare.peers import read_codec_superb, read_versa
from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from tests.conftest import Sound

Scored = tuple[Path, dict[str, dict[str, float]]]


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, words)])


def score(folder: Path, *more: str | Path) -> Result:
    metrics = ("-m", "stoi", "-m", "pesq_wb", "-m", "si_sdr", "-m", "mel_audiotools")
    words = ("score", folder / "mine", "--reference", folder / "ref", "--content", "speech", *metrics)
    return invoke(*words, "--out", folder / "runs", "--jobs", "1", "--quiet", *more)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, speechlike: Sound) -> Scored:
    """Folders ``ref`` and ``mine``, scored into ``runs``; and the scores of each clip."""
    folder = tmp_path_factory.mktemp("peers")
    for number, name in enumerate(("a", "b.c", "deep/d")):
        sound = speechlike(2.0, seed=number)
        noise = 0.01 * np.random.default_rng(number).standard_normal(sound.length)
        audio_io.write(folder / "ref" / f"{name}.wav", sound)
        audio_io.write(folder / "mine" / f"{name}.wav", Audio.of(sound.samples + noise, sound.rate))
    answer = score(folder)
    assert answer.exit_code == 0, answer.output
    (suite,) = [path.name for path in (folder / "runs").iterdir()]
    words = ("export", suite, "--to", "versa", "--out", folder / "runs", "-o", folder / "versa", "--json")
    (path,) = json.loads(invoke(*words).stdout)
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return folder, {row.pop("key"): row for row in rows}


def test_a_run_is_written_under_the_names_that_mean_the_same(scored: Scored) -> None:
    _, rows = scored
    assert {Path(key).name for key in rows} == {"a", "b.c", "d"}
    for row in rows.values():
        # VERSA's pesq is nearly ours, and so keeps our name.
        assert row.keys() == {"stoi", "si_snr", "pesq_wb", "mel_audiotools"}
        assert all(isinstance(value, float) for value in row.values())


def beside(answer: Result) -> dict[str, list[str]]:
    """Metric -> the cells after it, of the table of a comparison."""
    table = answer.stdout[answer.stdout.index("Beside ") :].splitlines()
    rows = [line.split("  ") for line in table if line.startswith("mine")]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {row[1]: row[2:] for row in cells}


def test_versa_stands_beside_the_same_clips(scored: Scored, tmp_path: Path) -> None:
    folder, rows = scored
    keys = list(rows)
    theirs: list[dict[str, Any]] = [
        {"key": f"{key.removesuffix('.wav')}.wav", "stoi": row["stoi"] + 0.01 * number, "si_snr": row["si_snr"],
         "pesq": row["pesq_wb"]}
        for number, (key, row) in enumerate(rows.items())
    ]  # fmt: skip
    theirs[0] |= {"si_snr": float("inf"), "pesq": 0.0}
    path = tmp_path / "versa.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in theirs))
    answer = score(folder, "--versa", path)
    assert answer.exit_code == 0, answer.output
    table = beside(answer)
    mean = np.mean([rows[key]["stoi"] for key in keys])
    assert table["stoi"] == [f"{mean:.5f}", "stoi", f"{mean + 0.01:.5f}", "0.02000", "3", "same definition"]
    without = np.mean([rows[key]["pesq_wb"] for key in keys[1:]])
    assert table["pesq_wb"] == [f"{without:.4f}", "pesq", f"{without:.4f}", "0.0000", "2", "nearly"]
    assert "pesq: no number, or one that stands for an error, for 1 clips" in answer.stdout
    assert "pesq: narrow band below 16 kHz" in answer.stdout


def test_counts_of_word_errors_become_a_rate(tmp_path: Path) -> None:
    counts = {"whisper_wer_insert": 1, "whisper_wer_delete": 2, "whisper_wer_replace": 3, "whisper_wer_equal": 15}
    (tmp_path / "x.jsonl").write_text(json.dumps({"key": "a", "whisper_hyp_text": "so", **counts}) + "\n\n")
    edits, words = read_versa(tmp_path / "x.jsonl")["a"]["whisper_wer"]
    assert edits / words == pytest.approx(100 * 6 / 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no scores"),
        ("{'key': 'a'}", "line 1 is no object with a 'key'"),
        ('{"stoi": 1}', "line 1 is no object"),
        ('{"key": "a"}\n{"key": "a"}', "has 'a' twice"),
        ("[1]", "line 1 is no object"),
    ],
)
def test_what_versa_did_not_write_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(BenchError, match=message):
        read_versa(tmp_path / "x.jsonl")


def test_other_clips_are_refused(scored: Scored, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"key": "elsewhere.wav", "stoi": 1.0}\n')
    answer = score(scored[0], "--versa", tmp_path / "x.jsonl")
    assert answer.exit_code == 2
    assert "no clip of the run is among VERSA's keys" in answer.stderr


def test_codec_superb_is_written_read_and_set_beside(scored: Scored, tmp_path: Path) -> None:
    folder, rows = scored
    (suite,) = [path.name for path in (folder / "runs").iterdir()]
    exported = invoke("export", suite, "--to", "codec-superb", "--out", folder / "runs", "-o", tmp_path)
    assert exported.exit_code == 0, exported.output
    content = read_codec_superb(tmp_path / "codec-superb.json")
    mel = np.mean([row["mel_audiotools"] for row in rows.values()])
    assert content["mine"].keys() == {"Speech", "overall"}
    assert content["mine"]["Speech"]["mel"] == content["mine"]["overall"]["mel"] == pytest.approx(mel)
    answer = score(folder, "--codec-superb", tmp_path / "codec-superb.json")
    assert answer.exit_code == 0, answer.output
    value = content["mine"]["Speech"]["mel"]
    assert beside(answer)["mel_audiotools"] == [f"{value:.5f}", "mel", f"{value:.5f}", "–", "3", "same definition"]
    (tmp_path / "codec-superb.json").write_text("[]")
    with pytest.raises(BenchError, match="no result of Codec-SUPERB"):
        read_codec_superb(tmp_path / "codec-superb.json")


def test_names_that_mean_the_same_are_those_of_metrics() -> None:
    """A name that nothing answers to would compare nothing."""
    for name in (*VERSA, *CODEC_SUPERB):
        if name.how == "same":
            assert load_metric(name.ours).facts.name == name.ours
