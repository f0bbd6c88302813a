"""AudioCaps: pinned lists, captions by their official id, clips found by the names of their files."""

from __future__ import annotations

import csv
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.card import load_dataset_card, read_list
from ldmbench.clips.clip import Clip, NoReference
from ldmbench.clips.fetch import fetch_dataset
from ldmbench.clips.load import load_dataset
from ldmbench.clips.youtube import find_clips, segments_of
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import BaseMetric, MetricFacts
from ldmbench.names import Name
from ldmbench.reports import result
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.check import Finding, check_plan
from ldmbench.runs.generate import generate
from ldmbench.runs.plan import make_plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run
from ldmbench.stats import Estimate
from ldmbench.suite import Suite
from ldmbench.system.card import SystemCard, SystemSpec, Task
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, resolve
from ldmbench.systems.anchors.shuffled import Shuffled

LISTS = {"audiocaps-test": (4875, 975), "audiocaps-test-964": (964, 964), "audiocaps-test-886": (886, 886)}

#: Ids as they really occur: with "-" or "_" first, inside and last, with a Y first, and nearly equal.
IDS = ("7fmOlUlwoNg", "-0p7hKXZ1ww", "_xylo5_B-12", "Yabcdefghij", "abcdefghij_", "abcdefghij-", "30_40_50_60")


def rows_of(name: str) -> list[dict[str, str]]:
    card = load_dataset_card(name)
    return read_list(card, card.default)


@pytest.mark.parametrize(("name", "counts"), LISTS.items())
def test_lists_have_the_clips_of_their_sources(name: str, counts: tuple[int, int]) -> None:
    rows = rows_of(name)
    assert len(rows) == len({row["id"] for row in rows}) == counts[0]
    assert len({(row["youtube_id"], row["start_time"]) for row in rows}) == counts[1]
    official = {row["id"]: (row["youtube_id"], row["start_time"]) for row in rows_of("audiocaps-test")}
    assert all(official[row["id"]] == (row["youtube_id"], row["start_time"]) for row in rows)


def test_the_official_list_has_five_captions_for_each_clip_and_the_papers_choose_differently() -> None:
    assert set(Counter(row["youtube_id"] for row in rows_of("audiocaps-test")).values()) == {5}
    ours, tangos = ({row["id"] for row in rows_of(f"audiocaps-test-{n}")} for n in (964, 886))
    videos, tango_videos = ({row["youtube_id"] for row in rows_of(f"audiocaps-test-{n}")} for n in (964, 886))
    assert tango_videos < videos
    assert len(ours & tangos) == 846  # 40 of the 886 shared clips have another caption


@pytest.mark.parametrize("name", LISTS)
def test_the_cards_pin_one_csv_and_have_the_zero_shot_conditions(name: str) -> None:
    card = load_dataset_card(name)
    assert card.source.sha256 == "b91c4b7ded2f4f6e7db5b9c4983dc1e1dca3d556f505b61e3fd65cac7e1c638a"
    assert (card.conditions["gap"].start_s, card.conditions["gap"].end_s) == (2.5, 7.5)
    assert (card.conditions["4khz"].kind, card.conditions["4khz"].cutoff_hz) == ("lowpass", 4000)


@pytest.mark.parametrize(
    "form",
    [
        *("Y{i}", "{i}", "{i}_{s}", "Y{i}_{s}", "{i}_{s}_{e}", "Y{i}_{s}_{e}", "{i}_{s}000", "{i}_{s}000_{e}000"),
        *("Y{i}_{s}000_{e}000", "{i}_{s}.000_{e}.000", "Y{i}_{s}.0"),
    ],
)
@pytest.mark.parametrize("video", IDS)
def test_the_usual_names_are_read(form: str, video: str) -> None:
    wanted = {other: [30.0] for other in IDS}
    assert segments_of(form.format(i=video, s=30, e=40), wanted) == [(video, 30.0)]


@pytest.mark.parametrize(
    "stem",
    [
        *("30", "000012", "103549", "clip_7fmOlUlwoNg", "7fmOlUlwoNg_31", "7fmOlUlwoNg_30_90", "7fmOlUlwoNg_40_30"),
        *("7fmOlUlwoNg_30_40_50", "7fmOlUlwoN", "7fmOlUlwoNgg", "7FMOLULWONG", "YY7fmOlUlwoNg", "7fmOlUlwoNg_", ""),
        *("7fmOlUlwoNg_30 (1)", "7fmOlUlwoNg_30_40000", "y7fmOlUlwoNg"),
    ],
)
def test_other_names_are_not_guessed_at(stem: str) -> None:
    assert segments_of(stem, {"7fmOlUlwoNg": [30.0]}) == []


ids = st.text("ABCXYZabcxyz0123456789-_", min_size=11, max_size=11)


@given(st.dictionaries(ids, st.integers(0, 600), min_size=1, max_size=8), st.data())
def test_a_name_made_from_a_clip_leads_back_to_it(clips: dict[str, int], data: st.DataObject) -> None:
    video = data.draw(st.sampled_from(sorted(clips)))
    start = clips[video]
    prefix = data.draw(st.sampled_from(["", "Y"]))
    tail = data.draw(
        st.sampled_from(["", f"_{start}", f"_{start}_{start + 10}", f"_{start * 1000}_{start * 1000 + 10000}"])
    )
    found = segments_of(f"{prefix}{video}{tail}", {name: [float(first)] for name, first in clips.items()})
    assert (video, float(start)) in found
    # More than one clip only where the name itself can be read in two ways.
    assert len(found) == 1 or (prefix == "Y" and len(found) == 2)


def test_a_name_without_start_does_not_choose_between_clips_of_a_video(tmp_path: Path) -> None:
    _wav(tmp_path / "Y7fmOlUlwoNg.wav")
    with pytest.raises(BenchError, match=r"fits 2 clips.*7fmOlUlwoNg_20, 7fmOlUlwoNg_50.*add the first second"):
        find_clips(tmp_path, [("7fmOlUlwoNg", 20.0), ("7fmOlUlwoNg", 50.0)])
    (tmp_path / "Y7fmOlUlwoNg.wav").rename(tmp_path / "Y7fmOlUlwoNg_50.wav")
    found = find_clips(tmp_path, [("7fmOlUlwoNg", 20.0), ("7fmOlUlwoNg", 50.0)])
    assert dict(found.paths) == {("7fmOlUlwoNg", 50.0): tmp_path / "Y7fmOlUlwoNg_50.wav"}


def test_two_files_of_one_clip_are_refused_by_name(tmp_path: Path) -> None:
    _wav(tmp_path / "a" / "Y7fmOlUlwoNg.wav")
    _wav(tmp_path / "b" / "7fmOlUlwoNg_20_30.wav")
    with pytest.raises(BenchError, match=r"7fmOlUlwoNg_20 has 2 files.*a/Y7fmOlUlwoNg.wav, b/7fmOlUlwoNg_20_30.wav"):
        find_clips(tmp_path, [("7fmOlUlwoNg", 20.0)])


def test_hidden_files_and_other_endings_are_passed_over(tmp_path: Path) -> None:
    for name in (".Y7fmOlUlwoNg.wav", ".cache/Y7fmOlUlwoNg.wav", "Y7fmOlUlwoNg.txt", "Y7fmOlUlwoNg.wav.part"):
        _wav(tmp_path / name)
    assert not find_clips(tmp_path, [("7fmOlUlwoNg", 20.0)]).paths


# --- A small dataset of the same kind --------------------------------------------------------------------------

SMALL = (
    ("11", "-0p7hKXZ1ww", "0", "A dog"),
    ("12", "_xylo5_B-12", "30", "A bell"),
    ("13", "7fmOlUlwoNg", "20", "Rain"),
)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset ``mini`` of three clips; returns the folder for its clips."""
    for variable, folder in {"DATASETS": "cards", "DATA": "data", "CACHE": "cache"}.items():
        monkeypatch.setenv(f"LDMBENCH_{variable}", str(tmp_path / folder))
    monkeypatch.delenv("LDMBENCH_MINI", raising=False)
    clips, card = tmp_path / "data" / "mini", tmp_path / "cards" / "mini"
    clips.mkdir(parents=True)
    card.mkdir(parents=True)
    official = tmp_path / "origin" / "test.csv"
    official.parent.mkdir()
    with official.open("w", newline="") as handle:
        csv.writer(handle).writerows([("key", "youtube_id", "start_time", "caption"), *SMALL])
    (clips / "test.csv").write_bytes(official.read_bytes())
    with (card / "test.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("id", "youtube_id", "start_time"), *(row[:3] for row in SMALL)])
    (card / "card.toml").write_text(
        f"""
name = "mini"
title = "Three clips"
content = "general"
licence = "none"
[source]
kind = "youtube"
env = "LDMBENCH_MINI"
folder = "mini"
key = "key"
url = "{official.as_uri()}"
sha256 = "{_sha256(official)}"
[splits.test]
list = "test.csv"
sha256 = "{_sha256(card / "test.csv")}"
[conditions.gap]
kind = "gap"
start_s = 0.2
end_s = 0.4
"""
    )
    return clips


def test_clips_have_captions_files_and_an_identity(small: Path) -> None:
    names = ("Y-0p7hKXZ1ww.wav", "deep/er/_xylo5_B-12_30000_40000.flac", "7fmOlUlwoNg_20.wav")
    for name in names:
        _wav(small / name)
    dataset = load_dataset("mini@gap")
    assert [clip.text for clip in dataset.clips] == ["A dog", "A bell", "Rain"]
    assert [clip.path for clip in dataset.clips] == [small / name for name in names]
    assert dataset.clips[0].id == "mini@gap/-0p7hKXZ1ww_0_11"
    assert not dataset.notes
    assert dataset.clips[0].input.samples[0, 4800] == 0
    # A clip that changes is another list; a clip that moves is not.
    (small / names[2]).rename(small / "Y7fmOlUlwoNg.wav")
    assert load_dataset("mini@gap").digest == dataset.digest
    _wav(small / "Y7fmOlUlwoNg.wav", seed=9)
    assert load_dataset("mini@gap").digest != dataset.digest


def test_the_variable_names_another_folder_of_clips(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _wav(tmp_path / "elsewhere" / "Y7fmOlUlwoNg.wav")
    monkeypatch.setenv("LDMBENCH_MINI", str(tmp_path / "elsewhere"))
    paths = [clip.path for clip in load_dataset("mini").clips]  # the captions still lie in the data home
    assert paths == [None, None, tmp_path / "elsewhere" / "Y7fmOlUlwoNg.wav"]


def test_missing_clips_are_counted_and_named(small: Path) -> None:
    _wav(small / "Y7fmOlUlwoNg.wav")
    dataset = load_dataset("mini")
    (note,) = dataset.notes
    assert "2 of 3 clips are missing" in note
    assert "-0p7hKXZ1ww_0, _xylo5_B-12_30" in note
    assert "LDMBENCH_MINI" in note
    with pytest.raises(NoReference, match=r"mini/-0p7hKXZ1ww_0_11 has no reference audio: no file of clip"):
        _ = dataset.clips[0].audio
    # A metric that needs the reference leaves the clip out, and what needs it as input fails on it.
    assert issubclass(NoReference, Unscored)
    assert issubclass(NoReference, BenchError)


def test_a_whole_video_does_not_pass_for_its_clip(small: Path) -> None:
    _wav(small / "Y7fmOlUlwoNg.wav", seconds=12.0)
    _wav(small / "Y-0p7hKXZ1ww.wav", seconds=10.24)
    dataset = load_dataset("mini")
    assert dataset.clips[2].path is None
    assert "12.0 s long" in dataset.clips[2].missing
    assert any("12.0 s long" in note for note in dataset.notes)
    assert dataset.clips[0].path == small / "Y-0p7hKXZ1ww.wav"


def test_what_has_a_clips_name_and_is_no_file_is_named(small: Path) -> None:
    os.mkfifo(small / "Y-0p7hKXZ1ww.wav")
    (small / "_xylo5_B-12_30.wav").symlink_to("nowhere.wav")
    (small / "Y7fmOlUlwoNg.wav").symlink_to("Y7fmOlUlwoNg.wav")
    _wav(small / "7fmOlUlwoNg_20.wav")
    dataset = load_dataset("mini")
    assert [clip.path for clip in dataset.clips] == [None, None, small / "7fmOlUlwoNg_20.wav"]
    notes = "\n".join(dataset.notes)
    assert f"{small}/Y-0p7hKXZ1ww.wav is left out, it is no file: devices and pipes" in notes
    assert f"{small}/_xylo5_B-12_30.wav is left out, it is no file: links to what is not there" in notes
    assert f"{small}/Y7fmOlUlwoNg.wav is left out, it is no file: links that lead nowhere" in notes
    assert "2 of 3 clips are missing" in notes
    with pytest.raises(NoReference, match="no file: devices and pipes"):
        _ = dataset.clips[0].audio


def test_folders_that_are_not_looked_into_are_named(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _wav(tmp_path / "elsewhere" / "Y7fmOlUlwoNg.wav")
    (small / "more").symlink_to(tmp_path / "elsewhere")
    (small / "shut").mkdir()
    real = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", closed)
    notes = load_dataset("mini").notes
    assert "mini: not looked into, links to folders: more" in notes
    assert "mini: not looked into, cannot be opened (Permission denied): shut" in notes


def test_a_clip_that_cannot_be_read_fails_alone(small: Path) -> None:
    for name in ("Y-0p7hKXZ1ww.wav", "Y7fmOlUlwoNg.wav"):
        _wav(small / name)
    (small / "Y7fmOlUlwoNg.wav").write_bytes(b"no sound")
    first, _, last = load_dataset("mini").clips
    assert first.audio.length == 16_000
    with pytest.raises(BenchError, match=r"Y7fmOlUlwoNg\.wav is not audio|cannot be decoded"):
        _ = last.audio


def test_captions_have_to_be_the_pinned_ones(small: Path) -> None:
    (small / "test.csv").write_text("key,youtube_id,start_time,caption\n11,-0p7hKXZ1ww,0,A cat\n")
    with pytest.raises(BenchError, match=r"captions of mini are not the pinned ones.*expected"):
        load_dataset("mini")
    (small / "test.csv").unlink()
    with pytest.raises(BenchError, match=r"captions of mini are not here.*run ldmbench fetch mini"):
        load_dataset("mini")
    assert fetch_dataset("mini") == small
    assert load_dataset("mini").clips[1].text == "A bell"


def test_fetch_says_what_it_could_not_bring(small: Path) -> None:
    (small / "test.csv").unlink()
    answer = CliRunner().invoke(cli, ["fetch", "mini"])
    assert answer.exit_code == 0, answer.output
    assert (small / "test.csv").is_file()
    assert "3 of 3 clips are missing" in answer.output


def test_a_list_that_does_not_fit_the_captions_is_refused(small: Path, tmp_path: Path) -> None:
    listed = tmp_path / "cards" / "mini" / "test.csv"
    before = _sha256(listed)
    listed.write_text(listed.read_text().replace("20", "21"))
    card = listed.with_name("card.toml")
    card.write_text(card.read_text().replace(before, _sha256(listed)))
    with pytest.raises(BenchError, match="no caption 13 of clip 7fmOlUlwoNg_21"):
        load_dataset("mini")


# --- Runs on a part of the clips -------------------------------------------------------------------------------


class _Peak(BaseMetric):
    """Peak of the reference; needs the clip."""

    facts = MetricFacts("test_peak", "Peak", needs=("audio",))

    def measure(self, clip: Clip, output: Output) -> float:
        return float(np.abs(clip.audio.samples).max())


class _Words(BaseMetric):
    """Words of the caption; needs no clip."""

    facts = MetricFacts("test_words", "Words", needs=("text",))

    def measure(self, clip: Clip, output: Output) -> float:
        return float(len((clip.text or "").split()))


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (_Peak, _Words):
        entry = metrics._Entry(lambda name, settings, kind=kind: kind(), {}, {})
        monkeypatch.setitem(metrics._registry, kind.facts.name, entry)


def _run(tmp_path: Path, task: Task) -> tuple[Run, list[Finding]]:
    """A run of a system that returns a second of noise, or the clip, on ``mini``."""

    class Fake:
        def __init__(self) -> None:
            self.card = card

        def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
            for clip in clips:
                yield Output(_noise(1.0, clip.seed) if task == "generate" else clip.input)

    card = SystemCard(name="fake", title="Fake", tasks=(task,), licence="none")
    suite = Suite(name="small", title="", task=task, datasets=("mini",), metrics=("test_peak", "test_words"))
    datasets = [load_dataset("mini")]
    plan = make_plan(suite, datasets, [SystemSpec(card, Name("fake"), {})], tmp_path / "runs")
    findings = check_plan(plan, datasets, Options())
    generate(plan, Options(quiet=True), lambda spec: Fake())
    return carry_out(plan, Options(quiet=True))[0], findings


def estimate(run: Run, metric: str) -> Estimate:
    scored = run.estimate(metric)
    assert scored is not None
    return scored


def test_text_to_audio_runs_on_all_captions_and_is_scored_where_clips_are(small: Path, tmp_path: Path) -> None:
    _wav(small / "Y7fmOlUlwoNg.wav")
    run, findings = _run(tmp_path, "generate")
    assert [row.status for row in run.outputs.values()] == ["ok"] * 3
    peak, words = estimate(run, "test_peak"), estimate(run, "test_words")
    assert (peak.n, peak.unscored, peak.failed) == (1, 2, 0)
    assert (words.n, words.unscored) == (3, 0)
    assert words.value == pytest.approx(5 / 3)
    reason = run.scores["mini/-0p7hKXZ1ww_0_11", "test_peak"].message
    assert "no file of clip -0p7hKXZ1ww_0" in reason
    warning = next(finding for finding in findings if finding.level == "warning" and finding.subject == "mini")
    assert "2 of 3 clips are missing" in warning.text
    table = result.build([run])
    assert any("INCOMPLETE: 2 of 3 reference files of mini are missing" in line for line in table.banners)
    assert run.info.datasets[0].missing == 2


def test_a_task_that_needs_the_clip_fails_where_it_is_missing(small: Path, tmp_path: Path) -> None:
    _wav(small / "Y7fmOlUlwoNg.wav")
    run, _ = _run(tmp_path, "enhance")
    assert [row.status for row in run.outputs.values()] == ["failed", "failed", "ok"]
    assert "no file of clip -0p7hKXZ1ww_0" in run.outputs["mini/-0p7hKXZ1ww_0_11"].message
    peak = estimate(run, "test_peak")
    assert (peak.n, peak.failed) == (1, 2)


def test_the_input_unprocessed_and_the_shuffled_references(small: Path) -> None:
    for seed, name in enumerate(("Y7fmOlUlwoNg.wav", "Y_xylo5_B-12.wav")):
        _wav(small / name, seed=seed)
    first, *there = load_dataset("mini@gap").clips
    unprocessed = load_system(resolve("unprocessed"))
    for clip, output in zip(there, unprocessed.process(there), strict=True):
        assert output.audio is not None
        assert output.audio == clip.input or np.array_equal(output.audio.samples, clip.input.samples)
        assert not np.array_equal(output.audio.samples, clip.audio.samples)
    # A clip without a file gets another's sound, and gives none.
    shuffled = load_system(resolve("shuffled"))
    assert isinstance(shuffled, Shuffled)
    shuffled.setup([first, *there])
    partners = [output.details["clip"] for output in shuffled.process([first, *there])]
    assert partners[0] in {clip.id for clip in there}
    assert partners[1:] == [there[1].id, there[0].id]


def test_without_any_clip_only_text_to_audio_starts(small: Path, tmp_path: Path) -> None:
    _, findings = _run(tmp_path, "generate")
    assert not [finding for finding in findings if finding.level == "error"]
    _, findings = _run(tmp_path / "2", "enhance")
    (error,) = [finding for finding in findings if finding.level == "error"]
    assert "none of the 3 clips is there" in error.text
    assert "name them Y-0p7hKXZ1ww.wav" in error.fix


def test_all_clips_of_the_official_list_are_found_fast(tmp_path: Path) -> None:
    rows = {(row["youtube_id"], float(row["start_time"])) for row in rows_of("audiocaps-test")}
    content = _wav(tmp_path / "one.wav", seconds=0.01).read_bytes()
    for index, (video, start) in enumerate(sorted(rows)):
        form = (f"Y{video}", video, f"{video}_{start:g}", f"Y{video}_{start * 1000:g}_{start * 1000 + 10000:g}")[
            index % 4
        ]
        (tmp_path / f"{form}.wav").write_bytes(content)
    begin = time.perf_counter()
    found = find_clips(tmp_path, rows)
    seconds = time.perf_counter() - begin
    assert found.paths.keys() == rows
    assert seconds < 2.0


def _noise(seconds: float, seed: int = 0) -> Audio:
    return Audio.of(np.random.default_rng(seed).uniform(-0.5, 0.5, (1, round(seconds * 16000))), 16000)


def _wav(path: Path, seconds: float = 1.0, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".flac":
        import soundfile

        soundfile.write(path, _noise(seconds, seed).samples.T, 16000)
    else:
        audio_io.write(path, _noise(seconds, seed))
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
