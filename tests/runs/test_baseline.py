"""A baseline file says what the run said, on any machine, and refuses what it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio.arrays import Real
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.metrics._embedding import pack
from ldmbench.runs import baseline
from ldmbench.runs.baseline import read_baseline, save_baseline
from ldmbench.runs.prepare import open_runs
from ldmbench.runs.records import ScoreRow
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.writer import RunWriter
from tests.compare.conftest import Scored, make_run, write_run
from tests.compare.test_gate import WER, scores


def some_run(**facts: Any) -> Run:
    """All kinds of rows: numbers, ratios, a failed output, a failed score."""
    values: dict[str, list[Scored]] = {"stoi": [*scores(11), "boom"], WER: [[100.0 * k, 7.0] for k in range(12)]}
    return make_run(values, groups=["a", "b"] * 6, failed={3: "no sound"}, **facts)


def with_vectors(path: Path) -> dict[str, Real]:
    """Adds a metric over sets to a run folder; returns the vectors by clip."""
    run, generator, vectors = open_run(path), np.random.default_rng(1), {}
    with RunWriter(path, replace(run.info, metrics=(*run.info.metrics, "fd_panns"))) as writer:
        for clip, row in run.outputs.items():
            if row.status == "ok":
                vectors[clip] = pack(generator.standard_normal((1, 8)), generator.standard_normal((1, 8)))
                score = ScoreRow(clip, "fd_panns", 1, "ok", output=row.digest)
                writer.add_scores([(score, vectors[clip])])
    return vectors


def test_a_baseline_holds_the_run(tmp_path: Path) -> None:
    folder = write_run(some_run(), tmp_path / "runs")
    vectors = with_vectors(folder)
    run = open_run(folder)
    (read,) = read_baseline(save_baseline([run], tmp_path / "baseline.parquet"))
    assert read.info == run.info
    assert read.outputs == {clip: replace(row, audio="") for clip, row in run.outputs.items()}
    assert read.scores.keys() == run.scores.keys()
    for key, row in run.scores.items():
        if row.metric != "fd_panns":
            assert read.scores[key] == row
    for clip, vector in vectors.items():
        name = read.scores[clip, "fd_panns"].value
        assert isinstance(name, str)
        np.testing.assert_array_equal(read.vector(name), vector)
    for metric in run.info.metrics:
        assert read.estimate(metric, "talk") == run.estimate(metric, "talk")
    assert read.failures == run.failures


def test_a_baseline_of_a_baseline_is_equal(tmp_path: Path) -> None:
    folder = write_run(some_run(), tmp_path / "runs")
    with_vectors(folder)
    first = save_baseline([open_run(folder)], tmp_path / "one.parquet")
    second = save_baseline(read_baseline(first), tmp_path / "two.parquet")
    assert first.read_bytes() == second.read_bytes()


def test_no_path_of_the_machine_is_in_it(tmp_path: Path) -> None:
    run = some_run()
    here = tmp_path / "secret"
    info = replace(
        run.info,
        environment={"folder": str(here), "numpy": "2"},
        clips=tuple(replace(clip, path=str(here / "a.wav")) for clip in run.info.clips),
    )
    outputs = {clip: replace(row, audio=str(here / "b.wav")) for clip, row in run.outputs.items()}
    path = save_baseline([Run(here, info, outputs, run.scores)], tmp_path / "baseline.parquet")
    (read,) = read_baseline(path)
    assert "secret" not in str(read.info) + str(read.outputs)
    assert read.audio_path("talk/00000") is None


def test_pandas_reads_the_scores(tmp_path: Path) -> None:
    table = pd.read_parquet(save_baseline([some_run()], tmp_path / "baseline.parquet"))
    values = table[(table.metric == "stoi") & (table.status == "ok")].value
    assert len(values) == 10
    assert table[table.metric == WER].numerator.max() == 1100.0


def test_what_is_no_baseline_is_refused(tmp_path: Path) -> None:
    run = some_run()
    del run.outputs["talk/00001"]
    with pytest.raises(BenchError, match="1 of 12 clips are missing"):
        save_baseline([run], tmp_path / "baseline.parquet")
    with pytest.raises(BenchError, match="named twice"):
        save_baseline([some_run(), some_run()], tmp_path / "baseline.parquet")
    other = tmp_path / "other.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(other)
    with pytest.raises(BenchError, match="is no baseline"):
        read_baseline(other)
    whole = save_baseline([some_run()], tmp_path / "baseline.parquet").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        other.write_bytes(whole[:cut])
        with pytest.raises(BenchError, match="cannot be read"):
            read_baseline(other)


def test_a_file_of_an_older_version_says_the_same(tmp_path: Path) -> None:
    """Golden: ``some_run`` and ``with_vectors`` as the version with schema 1 saved them, before sounds."""
    (read,) = read_baseline(Path(__file__).parent.parent / "golden" / "baseline-schema-1.parquet")
    folder = write_run(some_run(), tmp_path / "runs")
    vectors = with_vectors(folder)
    run = open_run(folder)
    assert read.info == run.info
    assert {clip: row.digest for clip, row in read.outputs.items()} == {c: row.digest for c, row in run.outputs.items()}
    assert read.scores.keys() == run.scores.keys()
    for metric in run.info.metrics:
        assert read.estimate(metric, "talk") == run.estimate(metric, "talk")
    for clip, vector in vectors.items():
        np.testing.assert_array_equal(read.vector(str(read.scores[clip, "fd_panns"].value)), vector)
    assert read.audio_path("talk/00000") is None
    again = save_baseline([read], tmp_path / "again.parquet")
    assert read_baseline(again)[0].scores == read.scores


def test_schemas_are_read_up_to_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_baseline([some_run()], tmp_path / "baseline.parquet")
    newest = baseline.SCHEMA
    monkeypatch.setattr(baseline, "SCHEMA", newest + 1)
    with pytest.raises(BenchError, match=f"has schema {newest}"):
        read_baseline(path)
    newer = save_baseline([some_run()], tmp_path / "newer.parquet")
    monkeypatch.setattr(baseline, "SCHEMA", newest)
    with pytest.raises(BenchError, match="install a newer ldmbench"):
        read_baseline(newer)


def sounding_run(folder: Path, clips: int = 12) -> Run:
    """A run with sounds of a second; clip 3 has none."""
    run = make_run({"stoi": scores(clips)}, failed={3: "no sound"})
    path = folder / run.info.suite / run.info.system / run.info.id
    with RunWriter(path, run.info) as writer:
        for index, row in enumerate(run.outputs.values()):
            sound = Audio.of(np.random.default_rng(index).uniform(-1, 1, (1, 8000)), 8000)
            stored = writer.add_output(replace(row, digest=""), sound if row.status == "ok" else None)
            if score := run.scores.get((row.clip, "stoi")):
                writer.add_scores([replace(score, output=stored.digest)])
    return open_run(path)


def test_sounds_are_kept_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = sounding_run(tmp_path / "runs")
    monkeypatch.setattr(baseline, "_TOGETHER", 100_000)  # Three or four sounds are kept together.
    path = tmp_path / "baseline.parquet"
    saved = invoke("baseline", "save", run.path, "-o", path, "--audio")
    assert saved.exit_code == 0
    assert path.stat().st_size > 11 * 8000 * 3
    (read,) = read_baseline(path)
    for clip in run.info.clips:
        before, after = run.audio_path(clip.id), read.audio_path(clip.id)
        assert (before is None) == (after is None) == (clip.id == "talk/00003")
        if before and after:
            assert before.read_bytes() == after.read_bytes()
    again = save_baseline([read], tmp_path / "again.parquet", audio=True)
    assert again.read_bytes() == path.read_bytes()
    silent = save_baseline([read], tmp_path / "silent.parquet")
    assert silent.stat().st_size < 20_000
    assert read_baseline(silent)[0].audio_path("talk/00000") is None
    page = invoke("report", path, run.path, "--to", "html", "-o", tmp_path / "page", "--allow-failures")
    assert page.exit_code == 0
    assert (tmp_path / "page" / "index.html").read_text().count('data-side="base" data-title="BASE" data-audio') == 11


def test_damaged_and_lost_sounds_are_named(tmp_path: Path) -> None:
    run = sounding_run(tmp_path / "runs", 2)
    path = save_baseline([run], tmp_path / "baseline.parquet", audio=True)
    (read,) = read_baseline(path)
    read.outputs["talk/00001"] = replace(read.outputs["talk/00001"], digest="0" * 64)
    assert read.audio_path("talk/00000") is not None
    with pytest.raises(BenchError, match=r"the sound of talk/00001 in .* is damaged"):
        read.audio_path("talk/00001")
    lost = run.audio_path("talk/00000")
    assert lost is not None
    lost.unlink()
    with pytest.raises(BenchError, match="the output of talk/00000 cannot be read"):
        save_baseline([run], tmp_path / "other.parquet", audio=True)
    assert not (tmp_path / "other.parquet").exists()


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def test_systems_of_a_baseline_are_chosen_by_name(tmp_path: Path) -> None:
    systems = ("codec@a", "codec@b", "other:weights=step_5", "other:weights=step_6")
    runs = [make_run({"stoi": scores()}, id=f"r{k}", system=name) for k, name in enumerate(systems)]
    path = str(save_baseline(runs, tmp_path / "baseline.parquet"))
    for chosen, expected in (
        (["codec"], systems[:2]), (["codec@b"], systems[1:2]), (["other"], systems[2:]), (["codec", "other"], systems),
        (["other:weights=step_6", "codec@a"], (systems[3], systems[0])),
    ):  # fmt: skip
        assert [run.info.system for run in open_runs((path,), tmp_path, chosen)] == list(expected)


def test_commands_read_it_wherever_they_read_a_run(tmp_path: Path) -> None:
    base = write_run(make_run({"stoi": scores()}), tmp_path / "runs")
    new = write_run(make_run({"stoi": scores(shift=-0.1, seed=1)}, id="r1", system="codec@b"), tmp_path / "runs")
    path = tmp_path / "baseline.parquet"
    saved = invoke("baseline", "save", base, "-o", path)
    assert saved.exit_code == 0
    assert "1 run" in saved.stdout
    assert invoke("compare", path, new).stdout == invoke("compare", base, new).stdout
    assert invoke("compare", path, new).exit_code == 1
    assert invoke("compare", new, path).exit_code == 0
    mixed = invoke("report", path, new, "--to", "md")
    assert mixed.exit_code == 0
    assert mixed.stdout == invoke("report", base, new, "--to", "md").stdout
    for index, source in enumerate((path, base)):
        assert invoke("export", source, "-o", tmp_path / str(index), "--to", "csv").exit_code == 0
    assert (tmp_path / "0" / "scores.csv").read_bytes() == (tmp_path / "1" / "scores.csv").read_bytes()
    page = invoke("report", path, "--to", "html", "-o", tmp_path / "page")
    assert page.exit_code == 0
    assert (tmp_path / "page" / "index.html").exists()
    refused = invoke("score", path, "-m", "estoi")
    assert refused.exit_code == 2
    assert "holds no sound" in refused.stderr
    assert invoke("baseline", "save", base, "-o", tmp_path / "baseline.csv").exit_code == 2
