"""Runs of many clips: how much is held in memory of each, and in which processes."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.clips.packed import PackedClips
from ldmbench.host.apart import Apart
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.plan import make_plan
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.rows import record_text
from ldmbench.runs.scoring import Job, Task
from ldmbench.runs.store import read_record
from ldmbench.runs.tasks import unscored
from ldmbench.runs.writer import RunWriter
from ldmbench.suite import Suite
from ldmbench.system.registry import resolve

COUNT = 2000

CLIPS = tuple(
    Clip(f"many/{index:06}", "many", path=Path(f"/sounds/{index:06}.wav"), seed=index) for index in range(COUNT)
)

INFO = RunInfo(
    id="0", suite="many", system="lowpass", title="", task="codec", settings={}, seed=0, untrained=False, limit=0,
    identity={"version": "2"}, datasets=(DatasetInfo("many", "", "general", "0"),),
    clips=tuple(map(ClipInfo.of, CLIPS)), metrics=("snr",), environment={}, created="",
)  # fmt: skip


def output(clip: Clip, seconds: float = 1.0) -> OutputRow:
    name = f"{clip.id}.wav"
    return OutputRow(clip.id, "ok", audio=f"audio/{name}", digest=f"{clip.seed:064x}", seconds_audio=seconds)


def run_of(path: Path, rows: Sequence[OutputRow], scores: Sequence[ScoreRow] = ()) -> Run:
    return Run(path, INFO, {row.clip: row for row in rows}, {(row.clip, row.metric): row for row in scores})


def held(make: Callable[[], object]) -> tuple[object, float, float]:
    """What is made, the bytes it holds for each clip, and those held at most on the way."""
    tracemalloc.start()
    try:
        made = make()
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return made, now / COUNT, most / COUNT


def test_tasks_are_made_of_what_is_there_already() -> None:
    run = run_of(Path("/run"), list(map(output, CLIPS)))
    unscored([run], CLIPS[:1], ["snr"])  # Loads the metric.
    tasks, each, _ = held(lambda: unscored([run, run], CLIPS, ["snr"]).heaviest_first())
    assert isinstance(tasks, Sequence)
    assert len(tasks) == COUNT
    assert each < 120, "bytes of a task"
    job = Job(0, run.outputs[CLIPS[7].id], Path("/run/audio/many/000007.wav"), ("snr",), None)
    assert tasks[7] == Task(CLIPS[7], (job, replace(job, position=1)))


def test_tasks_ask_for_what_is_not_there_and_the_heaviest_comes_first() -> None:
    rows = [output(CLIPS[0], 1.0), output(CLIPS[1], 9.0), output(CLIPS[2], 5.0), output(CLIPS[3], 1.0)]
    failed = OutputRow(CLIPS[4].id, "failed", "why")
    done = ScoreRow(CLIPS[1].id, "snr", 1, "ok", 1.0, output=rows[1].digest)
    full, other = run_of(Path("/full"), [*rows, failed], [done]), run_of(Path("/other"), rows[3:])
    tasks = unscored([full, other], CLIPS, ["snr", "si_sdr"], modules=("m",))

    def asked(tasks: Sequence[Task]) -> list[tuple[int, list[tuple[int, tuple[str, ...]]]]]:
        return [(task.clip.seed, [(job.position, job.metrics) for job in task.jobs]) for task in tasks]

    both = ("snr", "si_sdr")
    assert asked(tasks) == [
        (0, [(0, both)]), (1, [(0, ("si_sdr",))]), (2, [(0, both)]), (3, [(0, both), (1, both)])
    ]  # fmt: skip
    assert (tasks.scores, tasks.weight) == (9, 2 * 1.5 + 9.5 + 2 * 5.5 + 4 * 1.5)
    assert [clip for clip, _ in asked(tasks.heaviest_first())] == [2, 1, 3, 0]
    assert [clip for clip, _ in asked(tasks.longest_first())] == [1, 2, 0, 3]
    assert asked(tasks.heaviest_first()[1:3]) == [(1, [(0, ("si_sdr",))]), (3, [(0, both), (1, both)])]
    assert all(task.modules == ("m",) for task in tasks.longest_first())
    alone = unscored([full, other], CLIPS, ["snr", "si_sdr"], together=1)
    assert asked(alone)[3:] == [(3, [(0, both)]), (3, [(1, both)])]


def test_clips_of_a_record_are_never_objects_of_json_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(record_text(INFO))
    read_record(tmp_path)  # What is made once is made.
    _, _, plain = held(lambda: json.loads((tmp_path / "run.json").read_text()))
    info, each, most = held(lambda: read_record(tmp_path))
    assert info == INFO
    assert each < 600, "bytes that are kept of a clip"
    assert most < 0.7 * plain


def test_rows_share_what_they_have_in_common_with_each_other_and_the_plan(tmp_path: Path) -> None:
    made = output(CLIPS[0])
    with RunWriter(tmp_path, INFO) as writer:
        writer.add_outputs([(made, None, None)])
        writer.add_scores([ScoreRow(made.clip, name, 1, "ok", 1.0, output=made.digest) for name in ("snr", "si_sdr")])
    run = open_run(tmp_path)
    row, scores = run.outputs[made.clip], list(run.scores.values())
    assert [score.output for score in scores] == [made.digest] * 2
    assert all(score.output is row.digest and score.clip is row.clip for score in scores)
    assert row.clip is run.info.clips[0].id
    with RunWriter(tmp_path, INFO) as writer:
        assert writer.info.clips is INFO.clips
    other = replace(INFO, clips=tuple(replace(clip, language="de") for clip in INFO.clips))
    with RunWriter(tmp_path, other) as writer:
        assert writer.info.clips == INFO.clips, "what a run is does not change"


def test_a_packed_list_of_clips_is_small_on_its_way_and_keeps_nothing_that_was_looked_at() -> None:
    packed = pickle.dumps(PackedClips(CLIPS))
    assert len(packed) < 100 * COUNT

    def look() -> PackedClips:
        there: PackedClips = pickle.loads(packed)
        assert there[5] == CLIPS[5]
        assert sum(clip.seed for clip in there) == sum(clip.seed for clip in CLIPS)
        return there

    there, each, most = held(look)
    assert there is not None
    assert each < 110, "bytes that are kept of a clip"
    assert most < 300, "of 256 clips more is held while one of them is looked at"


@pytest.mark.parametrize(("jobs", "worth", "kept"), [(1, 0.5, True), (2, 0.5, False), (2, 200.0, True)])
def test_processes_of_metrics_start_where_the_systems_process_has_ended(
    jobs: int, worth: float, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one process scores, it is the one that is there; where several are of use, none has a system's memory."""
    audio.write(tmp_path / "a.wav", Audio.of([[0.1, 0.2, 0.3] * 100], 8000))
    clips = tuple(Clip(f"d/{index}", "d", path=tmp_path / "a.wav") for index in range(2))
    suite = Suite(name="mini", title="Mini", task="codec", datasets=("d",), metrics=("snr",))
    plan = make_plan(suite, [Dataset("d", "D", "general", clips, "0")], [resolve("reference")], tmp_path / "runs")
    started: list[bool] = []

    def measure(*args: Any) -> None:
        started.extend(item.child.started for item in args if isinstance(item, Apart))

    monkeypatch.setattr("ldmbench.runs.carry_out.measure", measure)
    monkeypatch.setattr("ldmbench.runs.measure._WORTH", worth)
    (run,) = carry_out(plan, Options(quiet=True, jobs=jobs))
    assert len(run.outputs) == 2
    assert started == [kept]
