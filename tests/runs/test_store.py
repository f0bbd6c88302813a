"""The run folder: what is written is read back, what is stale or broken is not taken for a result."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.runs import writer as run_writer
from ldmbench.runs.journal import BrokenRunError, Journal
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import find_runs, open_run
from ldmbench.runs.store import run_path
from ldmbench.runs.writer import RunWriter
from tests.present import present

Sound = Callable[..., Audio]

INFO = RunInfo(
    id="0123456789ab",
    suite="mini",
    system="opus@6kbps",
    title="Opus",
    task="codec",
    settings={"bitrate": 6000, "cbr": True},
    seed=0,
    untrained=False,
    limit=0,
    identity={"card": "x"},
    datasets=(DatasetInfo("d", "D", "speech", "0", ("a note",)), DatasetInfo("m", "M", "music", "1")),
    clips=(ClipInfo("d/a", "d", "/a.wav", text="hello"), ClipInfo("d/b", "d", end=2.0), ClipInfo("m/c", "m")),
    metrics=("snr", "si_sdr"),
    environment={"python": "3"},
    created="2026-01-01T00:00:00+00:00",
)


def ok(clip: str, metric: str, value: Any, digest: str, version: int = 1) -> ScoreRow:
    return ScoreRow(clip, metric, version, "ok", value, output=digest)


def test_round_trip(tmp_path: Path, tone: Sound) -> None:
    sound = tone(0.5, channels=2)
    with RunWriter(tmp_path, INFO) as writer:
        row = writer.add_output(OutputRow("d/a", "ok", bits=100, tokens=3, details={"x": [1]}), sound)
        failed = writer.add_output(OutputRow("d/b", "failed", "it broke"))
        writer.add_scores([ok("d/a", "snr", 1.5, row.digest), ok("d/a", "kbps", [1.0, 2.0], row.digest)])
    run = open_run(tmp_path)
    assert run.info == INFO
    assert run.outputs == {"d/a": row, "d/b": failed}
    assert (row.rate, row.channels, row.seconds_audio, row.digest) == (16_000, 2, 0.5, sound.digest())
    assert audio.read(present(run.audio_path("d/a"))).digest() == sound.digest()
    assert run.audio_path("d/b") is None
    assert run.audio_path("m/c") is None
    assert run.pending == 1
    assert run.failures == [("d/b", "output", "it broke")]
    assert run.scores["d/a", "kbps"].value == [1.0, 2.0]


@pytest.mark.parametrize("together", [1, 3])
def test_what_rows_name_is_on_the_disk_before_the_rows(
    tmp_path: Path, tone: Sound, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    synced: set[int] = set()
    sync, append = os.fsync, Journal.append

    def syncing(number: int) -> None:
        synced.add(os.fstat(number).st_ino)  # By its inode, which a file keeps when it gets its name.
        sync(number)

    def appending(journal: Journal, lines: Iterable[Mapping[str, Any]]) -> None:
        lines = list(lines)
        for line in lines:
            for name in filter(None, map(line.get, ("audio", "token_file", "value"))):
                file = tmp_path / str(name)
                assert {file.stat().st_ino, file.parent.stat().st_ino} <= synced, f"{name} may be lost, and has a row"
        synced.clear()
        append(journal, lines)
        assert len(synced) == 1, "the rows may be lost"

    clips = [f"d/{number}" for number in range(together)]
    with RunWriter(tmp_path, INFO) as writer:
        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(Journal, "append", appending)
        rows = writer.add_outputs([(OutputRow(clip, "ok"), tone(), np.zeros((1, 4), np.int64)) for clip in clips])
        assert all(row.audio and row.token_file for row in rows)
        writer.add_scores([(ScoreRow(row.clip, "fd", 1, "ok", output=row.digest), np.zeros(2)) for row in rows])
    assert len(open_run(tmp_path).scores) == together


def test_an_output_that_already_is_a_file_is_referred_to(tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "elsewhere.wav", tone())
    with RunWriter(tmp_path / "run", INFO) as writer:
        writer.add_output(OutputRow("d/a", "ok", audio=str(tmp_path / "elsewhere.wav")), tone())
    run = open_run(tmp_path / "run")
    assert run.audio_path("d/a") == tmp_path / "elsewhere.wav"
    assert run.outputs["d/a"].digest == tone().digest()
    assert not (tmp_path / "run" / "audio").exists()


def test_the_newest_row_counts_and_scores_of_another_output_do_not(tmp_path: Path, tone: Sound) -> None:
    with RunWriter(tmp_path, INFO) as writer:
        old = writer.add_output(OutputRow("d/a", "ok"), tone(hz=300))
        writer.add_scores([ok("d/a", "snr", 1.0, old.digest), ok("d/a", "si_sdr", 1.0, old.digest)])
        new = writer.add_output(OutputRow("d/a", "ok"), tone(hz=400))
        writer.add_scores([ok("d/a", "snr", 2.0, new.digest), ok("d/a", "snr", 3.0, new.digest, version=2)])
    run = open_run(tmp_path)
    assert run.outputs["d/a"].digest == new.digest
    assert {key: row.value for key, row in run.scores.items()} == {("d/a", "snr"): 3.0}


def test_scores_of_an_output_that_failed_later_do_not_count(tmp_path: Path, tone: Sound) -> None:
    with RunWriter(tmp_path, INFO) as writer:
        old = writer.add_output(OutputRow("d/a", "ok"), tone())
        writer.add_scores([ok("d/a", "snr", 1.0, old.digest)])
        writer.add_output(OutputRow("d/a", "failed", "no"))
    assert open_run(tmp_path).scores == {}


def test_a_writer_keeps_what_the_run_is_and_adds_metrics(tmp_path: Path) -> None:
    with RunWriter(tmp_path, INFO) as writer:
        writer.set_parameters(7)
    later = replace(INFO, created="2027-01-01T00:00:00+00:00", metrics=("estoi", "snr"), environment={"python": "4"})
    with RunWriter(tmp_path, later):
        pass
    info = open_run(tmp_path).info
    assert info.metrics == ("snr", "si_sdr", "estoi")
    assert (info.created, info.environment, info.parameters) == (INFO.created, INFO.environment, 7)


def test_an_unchanged_record_is_not_written_again(tmp_path: Path) -> None:
    with RunWriter(tmp_path, INFO):
        pass
    before = (tmp_path / "run.json").stat()
    with RunWriter(tmp_path, INFO):
        pass
    after = (tmp_path / "run.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_two_writers_are_refused_and_a_failed_one_frees_the_run(tmp_path: Path) -> None:
    with RunWriter(tmp_path, INFO), pytest.raises(BenchError, match="is in use"):
        RunWriter(tmp_path, INFO)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(BenchError, match="is not a JSON record"):
        RunWriter(tmp_path, INFO)
    (tmp_path / "run.json").unlink()
    with RunWriter(tmp_path, INFO):
        pass


# Estimates


def test_estimates_count_every_clip_once(tmp_path: Path, tone: Sound) -> None:
    clips = (*(ClipInfo(f"d/{index}", "d") for index in range(6)), ClipInfo("m/c", "m"))
    with RunWriter(tmp_path, replace(INFO, clips=clips)) as writer:
        rows = [writer.add_output(OutputRow(clip.id, "ok"), tone(hz=300 + i)) for i, clip in enumerate(clips[:4])]
        writer.add_output(OutputRow("d/4", "failed", "no"))
        digest = writer.add_output(OutputRow("m/c", "ok"), tone(hz=900)).digest
        writer.add_scores(
            [
                ok("d/0", "snr", 1.0, rows[0].digest),
                ok("d/1", "snr", 3.0, rows[1].digest),
                ScoreRow("d/2", "snr", 1, "unscored", message="silent", output=rows[2].digest),
                ScoreRow("d/3", "snr", 1, "failed", message="broke", output=rows[3].digest),
                ok("m/c", "snr", 8.0, digest),
            ]
        )
    run = open_run(tmp_path)
    one = run.estimate("snr", "d")
    assert one is not None
    assert (one.value, one.n, one.failed, one.unscored) == (2.0, 2, 2, 1)
    every = run.estimate("snr")
    assert every is not None
    assert (every.value, every.n, every.failed) == (4.0, 3, 2)
    assert run.failures == [("d/3", "snr", "broke"), ("d/4", "output", "no")]


def test_no_estimate_where_the_metric_does_not_apply(tmp_path: Path) -> None:
    with RunWriter(tmp_path, replace(INFO, metrics=("snr", "estoi"))):
        pass
    run = open_run(tmp_path)
    assert run.estimate("estoi", "m") is None, "estoi is for speech"
    assert run.estimate("si_sdr", "d") is None, "never asked for"
    assert run.estimate("snr", "other") is None
    estimate = run.estimate("snr", "d")
    assert estimate is not None
    assert (estimate.value, estimate.n) == (None, 0)


def test_vectors_lie_beside_the_journal(tmp_path: Path) -> None:
    with RunWriter(tmp_path, INFO) as writer:
        rows = [ScoreRow("d/a", f"fad@{network}", 1, "ok") for network in ("vggish", "pann")]
        row, other = writer.add_scores(zip(rows, (np.array([1.0, 2.0]), np.array([3.0])), strict=True))
    name = str(row.value)
    assert other.value != name
    run = open_run(tmp_path)
    assert run._value(row).tolist() == [1.0, 2.0]
    (tmp_path / name).write_bytes(b"\x93NUMPY")
    with pytest.raises(BenchError, match="cannot be read"):
        run._value(row)
    (tmp_path / name).unlink()
    with pytest.raises(BenchError, match="cannot be read"):
        run._value(row)


def test_a_vector_that_cannot_be_written(tmp_path: Path) -> None:
    with RunWriter(tmp_path, INFO) as writer:
        (tmp_path / "vectors").touch()
        with pytest.raises(BenchError, match=r"cannot write .*\.npy"):
            writer.add_scores([(ScoreRow("d/a", "fad", 1, "ok"), np.zeros(2))])


# Opening what is no run


def test_what_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"is not a run: no run\.json in it"):
        open_run(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="is not a run"):
        open_run(tmp_path / "file")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"3", b""])
def test_a_broken_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(BenchError, match=r"run\.json is not a JSON record: .*remove .* and run it again"):
        open_run(tmp_path)


@pytest.mark.parametrize(
    ("system", "role"),
    [("reference", "reference"), ("lowpass@3.5khz", "anchor"), ("resample@8khz", "bound"), ("opus@6kbps", "system"),
     ("not-installed@1", "system")],
)  # fmt: skip
def test_a_run_from_before_runs_recorded_roles_has_that_of_its_card(tmp_path: Path, system: str, role: str) -> None:
    record = asdict(replace(INFO, system=system))
    del record["role"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert open_run(tmp_path).info.role == role


def test_the_role_is_recorded(tmp_path: Path) -> None:
    with RunWriter(tmp_path, replace(INFO, role="bound")):
        assert json.loads((tmp_path / "run.json").read_text())["role"] == "bound"
    assert open_run(tmp_path).info.role == "bound"


def test_another_layout(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**asdict(INFO), "schema": 99}))
    with pytest.raises(BenchError, match="has layout 99: this version reads 1"):
        open_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("run.json", None),
        ("outputs.jsonl", '{"clip": "d/a", "status": "ok", "colour": 3}\n'),
        ("outputs.jsonl", '{"status": "ok"}\n'),
        ("scores.jsonl", '{"clip": "d/a"}\n'),
        ("scores.jsonl", "3\n"),
    ],
)
def test_other_fields(tmp_path: Path, name: str, line: str | None) -> None:
    with RunWriter(tmp_path, INFO):
        pass
    (tmp_path / name).write_text(line or json.dumps({**asdict(INFO), "colour": 3}))
    with pytest.raises(BenchError, match="is not a run of this version"):
        open_run(tmp_path)


# Where runs lie


def test_runs_are_found_newest_first_per_system(tmp_path: Path) -> None:
    made = [
        ("old", "opus@6kbps", "2026-01-01"),
        ("new", "opus@6kbps", "2026-02-01"),
        ("other", "kmeans-mel:train=/data/a b/c,k=2", "2026-01-15"),
        ("dot", "..", "2026-03-01"),
    ]
    for name, system, created in made:
        path = run_path(tmp_path, "mini+My Folder", system, name)
        with RunWriter(path, replace(INFO, id=name, system=system, created=created)):
            pass
        assert path.parent.parent.parent == tmp_path, "ROOT/SUITE/SYSTEM/ID, whatever the names hold"
    found = find_runs(tmp_path, "mini+My Folder")
    assert [run.info.id for run in found] == ["other", "new", "dot"]
    assert find_runs(tmp_path, "mini") == []


def stored(root: Path, run_id: str, system: str = "opus@6kbps", **changed: Any) -> Path:
    path = run_path(root, "mini", system, run_id)
    with RunWriter(path, replace(INFO, id=run_id, system=system, **changed)) as writer:
        writer.add_output(OutputRow("d/a", "failed", "it broke"))
        writer.add_scores([ScoreRow("d/a", "snr", 1, "failed", message="x")])
    return path


def test_the_run_asked_for_last_is_shown_and_the_others_are_named(tmp_path: Path) -> None:
    stored(tmp_path, "full", created="2026-01-01T00", asked="2026-01-01T00")
    stored(tmp_path, "part", created="2026-01-02T00", asked="2026-01-02T00", limit=1)
    assert [(run.info.id, run.others) for run in find_runs(tmp_path, "mini")] == [("part", ("full",))]
    stored(tmp_path, "full", created="2026-01-03T00", asked="2026-01-03T00")
    (run,) = find_runs(tmp_path, "mini")
    assert (run.info.id, run.others, run.info.created) == ("full", ("part (limit 1)",), "2026-01-01T00")


def test_a_failed_setup_is_a_failure_until_it_succeeds(tmp_path: Path) -> None:
    with RunWriter(tmp_path, INFO) as writer:
        writer.set_problem("no weights")
    assert open_run(tmp_path).failures == [("every clip", "setup", "no weights")]
    with RunWriter(tmp_path, INFO) as writer:
        writer.set_problem("")
    assert open_run(tmp_path).failures == []


BREAKS: dict[str, tuple[str, str, str]] = {
    "journal": ("outputs.jsonl", "{oops}\n", "outputs.jsonl line 2 is not valid JSON"),
    "list": ("outputs.jsonl", "[1]\n", "is not a run of this version"),
    "NaN": (
        "scores.jsonl",
        '{"clip": "d/a", "metric": "snr", "version": 1, "status": "ok", "value": NaN, "output": ""}\n',
        "NaN is no number of JSON",
    ),
    "overflow": (
        "scores.jsonl",
        '{"clip": "d/a", "metric": "snr", "version": 1, "status": "ok", "value": 1e999, "output": ""}\n',
        "snr of d/a: value.float: Input should be a finite number",
    ),
    "value": (
        "scores.jsonl",
        '{"clip": "d/a", "metric": "snr", "version": 1, "status": "ok", "value": {}, "output": ""}\n',
        "is not a run of this version",
    ),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_broken_run_is_named_and_set_aside(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    broken, whole = stored(tmp_path, "r1"), stored(tmp_path, "r2", "noise")
    name, line, message = BREAKS[kind]
    with (broken / name).open("a") as journal:
        journal.write(line)
    assert [run.path for run in find_runs(tmp_path, "mini")] == [whole]
    assert "set aside: " in caplog.text
    assert message in caplog.text
    assert str(broken) in caplog.text
    (whole / "run.json").write_text('{"schema": 99}')
    with pytest.raises(BrokenRunError, match="has layout 99"):
        find_runs(tmp_path, "mini")


def test_readable_names_stay_readable() -> None:
    path = run_path(Path("runs"), "quickstart+audio", "semanticodec@1.40kbps:steps=10,cfg=3", "0123")
    assert path.as_posix() == "runs/quickstart+audio/semanticodec@1.40kbps%3Asteps=10,cfg=3/0123"


ID = st.text(st.sampled_from("ab/. %~AÄ音\\:*\n\0"), max_size=12) | st.text(max_size=300)


@settings(max_examples=300)
@example(ids=["a", "a.wav/b"])
@example(ids=["", ".", "..", "%2E", "/", "//", "a/", "/a", "a"])
@example(ids=["音" * 80, "音" * 81, "x" * 146 + "%~" + "0" * 32])
@given(ids=st.lists(ID, min_size=2, max_size=6, unique=True))
def test_file_names_are_safe_and_never_shared(ids: list[str]) -> None:
    names = [f"{run_writer._file_name(name)}.wav" for name in ids]
    assert len(set(names)) == len(ids)
    for name in names:
        parts = name.split("/")
        assert all(part and part not in (".", "..") and len(part.encode()) <= 200 for part in parts)
        assert not set(name) & set('\\:*?"<>|\n\0')
        # No file lies where another name needs a folder.
        assert not any(other.startswith(f"{name}/") for other in names)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clip=ID)
def test_any_clip_id_can_be_stored(tmp_path_factory: pytest.TempPathFactory, clip: str) -> None:
    path = tmp_path_factory.mktemp("any")
    sound = Audio.of([0.5], 8000)
    with RunWriter(path, INFO) as writer:
        writer.add_output(OutputRow(clip, "ok"), sound)
    run = open_run(path)
    stored = run.audio_path(clip)
    assert stored is not None
    assert path in stored.parents
    assert audio.read(stored).digest() == sound.digest()


#: Fields that may hold anything.
ANYTHING = {"settings", "details", "condition"}


@pytest.mark.parametrize(
    ("file", "kind"), [("run.json", RunInfo), ("outputs.jsonl", OutputRow), ("scores.jsonl", ScoreRow)]
)
@pytest.mark.parametrize(
    "wrong", [{"x": [1]}, [[]], -1.5, None, "x" * 9], ids=["map", "list", "number", "null", "text"]
)
def test_a_field_of_another_type_sets_the_run_aside_and_ends_nothing(
    tmp_path: Path, file: str, kind: type, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Every field of every record: it is read as what it should be, or the run is named."""
    broken, whole = stored(tmp_path, "r1"), stored(tmp_path, "r2", "noise")
    before = json.loads((broken / file).read_text())
    named = 0
    for field in fields(kind):
        (broken / file).write_text(json.dumps({**before, field.name: wrong}) + "\n")
        caplog.clear()
        runs = find_runs(tmp_path, "mini")
        assert whole in [run.path for run in runs]
        named += f"set aside: {broken}" in caplog.text
        for run in runs:
            assert isinstance(run.failures, list)
            assert run.estimate("snr") is None or run.pending >= 0
    assert named > len(fields(kind)) / 3
    if isinstance(wrong, dict):
        assert named >= len([field for field in fields(kind) if field.name not in ANYTHING])


def test_a_record_nested_without_end_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken, whole = stored(tmp_path, "r1"), stored(tmp_path, "r2", "noise")
    (broken / "run.json").write_text("[" * 100_000)
    assert [run.path for run in find_runs(tmp_path, "mini")] == [whole]
    assert f"set aside: {broken}" in caplog.text


def test_a_metric_of_a_package_that_is_gone_leaves_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = stored(tmp_path, "r1", metrics=("snr", "metric_of_nobody", "no name"))
    (run,) = find_runs(tmp_path, "mini")
    assert run.info.metrics == ("snr",)
    assert f"{path}: left out, metrics that are not known here: metric_of_nobody, no name" in caplog.text


@pytest.mark.parametrize("name", ["vectors/gone.npy", "vectors/text.npy", "../vectors/text.npy", "vectors/../run.json"])
def test_a_vector_that_is_none_is_a_failure_of_its_metric(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path, "r1", metrics=("fd_panns", "snr"))
    (path / "vectors").mkdir()
    (path / "vectors" / "text.npy").write_text("no numbers")
    with RunWriter(path, open_run(path).info) as writer:
        writer.add_output(OutputRow("d/a", "ok"))
        writer.add_scores([ScoreRow("d/a", "fd_panns", 1, "ok", name), ScoreRow("d/a", "snr", 1, "ok", 3.0)])
    if ".." in name:
        with pytest.raises(BrokenRunError, match="the fd_panns of d/a is"):
            open_run(path)
        return
    run = open_run(path)
    assert present(run.estimate("snr")).value == 3.0
    estimate = present(run.estimate("fd_panns"))
    assert (estimate.value, estimate.n) == (None, 0)
    ((clip, stage, message),) = run.failures
    assert (clip, stage) == ("every clip", "fd_panns")
    assert name in message
