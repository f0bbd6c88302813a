"""The plan's record keeps all of a clip that matters, so that scoring again is scoring the same clip."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.runs.existing import rescore
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.runs.writer import RunWriter

TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
SECONDS = st.floats(0, 1e6)
CONDITIONS = (
    st.builds(
        Condition,
        kind=st.just("lowpass"),
        cutoff_hz=st.floats(0, 24_000, exclude_min=True),
        filter=st.sampled_from(["kaiser", "stft", "cheby1", "butter", "ellip", "bessel", "random"]),
        order=st.integers(1, 12),
    )
    | st.builds(Condition, kind=st.just("resample"), rate=st.integers(1, 192_000))
    | st.builds(Condition, kind=st.just("gap"), start_s=SECONDS, end_s=st.floats(1e6 + 1, 1e7))
)
CLIPS = st.builds(
    Clip,
    id=TEXT,
    dataset=TEXT,
    content=st.sampled_from(get_args(Content)),
    path=st.none() | TEXT.filter(lambda text: "\0" not in text).map(Path),
    start=SECONDS,
    end=st.none() | SECONDS,
    text=st.none() | TEXT,
    group=st.none() | TEXT,
    language=st.sampled_from(["", "en", "zh-Hant"]),
    sha256=st.sampled_from(["", "0" * 64]),
    condition=st.none() | CONDITIONS,
    seed=st.integers(0, 2**32 - 1),
    missing=st.just("") | TEXT,
)
#: As it was written before it held all of a clip.
OLD: dict[str, Any] = {
    "id": "d/a",
    "dataset": "d",
    "path": "/a.wav",
    "start": 1.0,
    "end": None,
    "text": "hello",
    "group": "",
    "language": "en",
}


@given(clip=CLIPS)
def test_a_clip_is_read_back_whole(clip: Clip) -> None:
    record = json.loads(json.dumps(asdict(ClipInfo.of(clip)), ensure_ascii=False).encode())
    assert ClipInfo(**record) == ClipInfo.of(clip)
    assert ClipInfo(**record).clip(clip.content) == clip


def test_every_field_of_a_clip_is_looked_at() -> None:
    """A field that is added to ``Clip`` belongs into the record, or here."""
    assert {field.name for field in fields(Clip)} - {field.name for field in fields(ClipInfo)} == {"content", "loaded"}


def test_audio_in_memory_is_no_part_of_the_record() -> None:
    clip = Clip("d/a", "d", loaded=Audio.of([0.5], 8000))
    assert ClipInfo.of(clip).clip("general") == replace(clip, loaded=None)


def test_an_empty_text_is_no_text() -> None:
    assert ClipInfo.of(Clip("d/a", "d", text="", group="")).clip("general") == Clip("d/a", "d")


def test_the_record_of_an_older_version_has_the_defaults() -> None:
    expected = Clip("d/a", "d", "speech", Path("/a.wav"), start=1.0, text="hello", language="en")
    assert ClipInfo(**OLD).clip("speech") == expected


@pytest.mark.parametrize("condition", [{"kind": "reverb"}, {"kind": "gap", "depth": 1}, {}])
def test_a_condition_of_another_version_is_one_clear_line(condition: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="the condition of d/a is not one of this version") as caught:
        ClipInfo("d/a", "d", condition=condition).clip("general")
    assert "\n" not in str(caught.value)


def info(*clips: Clip) -> RunInfo:
    datasets = {clip.dataset: DatasetInfo(clip.dataset, "", clip.content, "0") for clip in clips}
    return RunInfo(
        id="0", suite="mini", system="noise", title="", task="enhance", settings={}, seed=0, untrained=False, limit=0,
        identity={}, datasets=tuple(datasets.values()), clips=tuple(map(ClipInfo.of, clips)), metrics=("kbps",),
        environment={}, created="",
    )  # fmt: skip


def test_a_run_gives_back_the_clips_it_was_planned_for(tmp_path: Path) -> None:
    condition = Condition(kind="lowpass", cutoff_hz=4000.0, filter="random")
    clips = [
        Clip("s@4khz/a", "s@4khz", "speech", Path("/a.wav"), condition=condition, seed=7, sha256="1" * 64),
        Clip("g/b", "g", "general", text="rain", seed=2**32 - 1, missing="its video is gone"),
    ]
    with RunWriter(tmp_path, info(*clips)):
        pass
    assert open_run(tmp_path).info.planned() == clips


def scored(path: Path, clip: Clip, sound: Audio, metric: str) -> ScoreRow:
    """The row of ``metric``, added to a run in which ``sound`` is the output of ``clip``."""
    with RunWriter(path, info(clip)) as writer:
        writer.add_output(OutputRow(clip.id, "ok"), sound)
    (done,) = rescore([open_run(path)], [metric], Options(quiet=True))
    return done.scores[clip.id, metric]


def test_scoring_again_says_why_a_reference_is_missing(tmp_path: Path) -> None:
    clip = Clip("d/a", "d", text="rain", missing="its video is gone")
    row = scored(tmp_path / "run", clip, Audio.of([0.5] * 8000, 8000), "snr")
    assert row.status == "unscored"
    assert "its video is gone" in row.message


def test_scoring_again_refuses_a_reference_that_is_not_the_pinned_one(tmp_path: Path) -> None:
    sound = Audio.of([0.5, -0.5] * 4000, 8000)
    audio.write(tmp_path / "a.wav", sound)
    clip = Clip("d/a", "d", path=tmp_path / "a.wav", sha256=sound.digest())
    output = Audio.of(0.5 * sound.samples, 8000)
    assert scored(tmp_path / "right", clip, output, "snr").status == "ok"
    row = scored(tmp_path / "wrong", replace(clip, sha256="0" * 64), output, "snr")
    assert row.status == "failed"
    assert "is not the pinned clip" in row.message
