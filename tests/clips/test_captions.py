"""Two folders and their captions: what pairs, what is named, what is refused, and what is scored."""

from __future__ import annotations

import csv
import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.captions import captions_for
from ldmbench.clips.pairs import load_references, pair
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import BaseMetric, MetricFacts
from ldmbench.reports import result
from ldmbench.runs.existing import Outputs, score_folders
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run
from ldmbench.runs.scoring import forget_metrics
from ldmbench.stats import Estimate
from ldmbench.suite import load_suite


class _Words(BaseMetric):
    """A text metric behind a model: words of the caption times the output's duration."""

    facts = MetricFacts("test_caption_words", "Words", needs=("output", "text"), device=True)

    def configure(self, device: str = "cpu", weights: Path | None = None) -> None:
        """Nothing to load."""

    def problem(self) -> str:
        return ""

    def measure(self, clip: Any, output: Any) -> float:
        (value,) = self.measure_batch([clip], [output])
        if isinstance(value, Exception):
            raise value
        return value

    def measure_batch(self, clips: Sequence[Any], outputs: Sequence[Any]) -> list[float | Exception]:
        return [
            Unscored(f"{clip.id} has no caption")
            if clip.text is None
            else len(clip.text.split()) * output.audio.duration
            for clip, output in zip(clips, outputs, strict=True)
        ]


class _Spread(BaseMetric):
    """A metric over sets: distance of the mean levels, without a value below two clips."""

    facts = MetricFacts("test_set_level", "test_set_level", kind="set", better="lower", device=True)

    def configure(self, device: str = "cpu", weights: Path | None = None) -> None:
        """Nothing to load."""

    def problem(self) -> str:
        return ""

    def measure(self, clip: Any, output: Any) -> Any:
        return np.array([np.std(clip.audio.samples), np.std(output.audio.samples)])

    def measure_batch(self, clips: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
        return [self.measure(clip, output) for clip, output in zip(clips, outputs, strict=True)]

    def aggregate(self, values: Sequence[Any]) -> Estimate:
        if len(values) < 2:
            return Estimate(None, n=len(values))
        means = np.mean(values, axis=0)
        return Estimate(float(abs(means[0] - means[1])), n=len(values))


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (_Words, _Spread):
        entry = metrics._Entry(lambda name, settings, kind=kind: kind(), {}, {})
        monkeypatch.setitem(metrics._registry, kind.facts.name, entry)
    # The engine remembers metrics by name for the length of a session.
    forget_metrics()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """``gen`` and ``ref`` with three pairs; the outputs have another rate and other durations."""
    for index, name in enumerate(("rain", "sub/dog bark", "Y7fmOlUlwoNg")):
        _wav(tmp_path / "ref" / f"{name}.wav", 1.0, 16000, index)
        _wav(tmp_path / "gen" / f"{name}.wav", 0.5 + 0.5 * index, 24000, index + 5)
    return tmp_path / "gen", tmp_path / "ref"


def test_captions_by_path_with_and_without_ending(folders: tuple[Path, Path], tmp_path: Path) -> None:
    table = _csv(
        tmp_path / "c.csv",
        ["text", "path"],
        ["heavy rain, on a roof", "rain.wav"],
        ["a dog", "./sub/dog bark"],
        ["x", "Y7fmOlUlwoNg.FLAC"],
    )
    dataset = load_references(folders[1], captions=table)
    assert {clip.id: clip.text for clip in dataset.clips} == {
        "ref/rain": "heavy rain, on a roof",
        "ref/sub/dog bark": "a dog",
        "ref/Y7fmOlUlwoNg": "x",
    }
    assert len(pair(folders[0], dataset).files) == 3
    assert not dataset.notes


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_captions_and_files_may_be_written_in_other_letters_of_unicode(
    tmp_path: Path, written: Literal["NFC", "NFD"], stored: Literal["NFC", "NFD"]
) -> None:
    """As macOS writes a name, and as a keyboard does."""
    name = unicodedata.normalize(stored, "Caf\u00e9/M\u00fcnchen")
    for index, folder in enumerate(("ref", "gen")):
        _wav(tmp_path / folder / f"{name}.wav", 1.0, 16000, index)
    rows = [["path", "text"], [unicodedata.normalize(written, "Caf\u00e9/M\u00fcnchen.wav"), "people talk"]]
    dataset = load_references(tmp_path / "ref", captions=_csv(tmp_path / "c.csv", *rows))
    assert [clip.text for clip in dataset.clips] == ["people talk"]
    assert len(pair(tmp_path / "gen", dataset).files) == 1
    assert not dataset.notes


def test_captions_of_audiocaps(folders: tuple[Path, Path], tmp_path: Path) -> None:
    table = _csv(
        tmp_path / "test.csv",
        ["audiocap_id", "youtube_id", "start_time", "caption"],
        ["1", "7fmOlUlwoNg", "20", "a sewing machine"],
        ["2", "6BJ455B1aAs", "0", "a rocket"],
    )
    dataset = load_references(folders[1], captions=table)
    assert [clip.text for clip in dataset.clips] == ["a sewing machine", None, None]
    bare, spare = dataset.notes
    assert "no caption for 2 of 3 clips" in bare
    assert "rain" in bare
    assert "sub/dog bark" in bare
    assert "1 captions belong to no clip: 6BJ455B1aAs_0" in spare


def test_captions_change_the_run_and_nothing_else_does(folders: tuple[Path, Path], tmp_path: Path) -> None:
    plain = load_references(folders[1])
    one = _csv(tmp_path / "1.csv", ["path", "text"], ["rain", "rain"])
    two = _csv(tmp_path / "2.csv", ["path", "text"], ["rain", "snow"])
    digests = {load_references(folders[1], captions=table).digest for table in (one, two)}
    assert len(digests | {plain.digest}) == 3
    assert load_references(folders[1], captions=one).digest in digests


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [["path", "text"], ["rain", "a"], ["rain.wav", "b"]],
            r"more than one caption for 1 clips: rain.*keep the one",
        ),
        ([["path", "text"], ["snow", "a"], ["snow", "b"], ["rain", "c"]], r"more than one caption for 1 clips: snow"),
        (
            [["file", "caption"], ["rain", "a"]],
            r"wrong columns: file, caption .*path,text or youtube_id,start_time,cap",
        ),
        ([["path", "text", "group"], ["rain", "a", "g"]], r"wrong columns"),
        ([["path"], ["rain"]], r"wrong columns"),
        ([["path", "text"], ["rain", "a", "roof"]], r"line 2 has the wrong number of fields .*quote texts"),
        ([["path", "text"], ["rain"]], r"line 2 has the wrong number of fields"),
        ([["path", "text"], ["snow", "a"]], r"no caption for any of the 3 clips"),
        ([["path", "text"], ["rain", "  "]], r"no caption for any of the 3 clips"),
        ([["path", "path", "text"], ["rain", "rain", "a"]], r"names a column twice"),
        (
            [["youtube_id", "start_time", "caption"], ["7fmOlUlwoNg", "x", "a"]],
            r"start_time of 7fmOlUlwoNg is not a number",
        ),
        (
            [["youtube_id", "start_time", "caption"], ["7fmOlUlwoNg", "20", "a"], ["7fmOlUlwoNg", "20", "b"]],
            r"more than one caption for 1 clips: 7fmOlUlwoNg_20",
        ),
        (
            [["youtube_id", "start_time", "caption"], ["7fmOlUlwoNg", "20", "a"], ["7fmOlUlwoNg", "50", "b"]],
            r"name of Y7fmOlUlwoNg fits 2 captions.*7fmOlUlwoNg_20, 7fmOlUlwoNg_50",
        ),
    ],
)
def test_bad_captions_are_refused_by_name(
    folders: tuple[Path, Path], tmp_path: Path, rows: list[list[str]], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        load_references(folders[1], captions=_csv(tmp_path / "c.csv", *rows))


def test_files_that_are_no_captions(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="does not exist"):
        captions_for(tmp_path / "none.csv", ["rain"])
    with pytest.raises(BenchError, match="not a CSV in UTF-8"):
        captions_for(_wav(tmp_path / "x.csv", 0.1, 16000, 0), ["rain"])
    with pytest.raises(BenchError, match="cannot be read"):
        captions_for(tmp_path, ["rain"])


def test_a_dataset_of_videos_can_caption_a_folder(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = _csv(
        tmp_path / "data" / "mini" / "test.csv",
        ["audiocap_id", "youtube_id", "start_time", "caption"],
        ["11", "7fmOlUlwoNg", "20", "a machine"],
        ["12", "7fmOlUlwoNg", "20", "another caption of the same clip"],
    )
    card = tmp_path / "cards" / "mini"
    listed = _csv(card / "test.csv", ["id", "youtube_id", "start_time"], ["11", "7fmOlUlwoNg", "20"])
    (card / "card.toml").write_text(
        'name = "mini"\ntitle = ""\ncontent = "general"\nlicence = ""\n[source]\nkind = "youtube"\nenv = "LDMBENCH_M"\n'
        f'folder = "mini"\nkey = "audiocap_id"\nurl = "https://example.org/test.csv"\nsha256 = "{_sha256(official)}"\n'
        f'[splits.test]\nlist = "test.csv"\nsha256 = "{_sha256(listed)}"\n'
    )
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path / "cards"))
    monkeypatch.setenv("LDMBENCH_DATA", str(tmp_path / "data"))
    assert captions_for("mini", ["rain", "Y7fmOlUlwoNg"]).texts == {"Y7fmOlUlwoNg": "a machine"}


def test_a_clip_without_caption_keeps_its_other_scores(folders: tuple[Path, Path], tmp_path: Path) -> None:
    table = _csv(tmp_path / "c.csv", ["path", "text"], ["rain", "two words"], ["sub/dog bark", "a dog barks"])
    run = _score(folders, tmp_path, ("test_caption_words", "test_set_level"), captions=table)
    words, level = run.estimate("test_caption_words"), run.estimate("test_set_level")
    assert words is not None
    assert level is not None
    assert (words.n, words.unscored, words.failed) == (2, 1, 0)
    assert words.value == pytest.approx((2 * 0.5 + 3 * 1.0) / 2)
    assert "no caption" in run.scores["ref/Y7fmOlUlwoNg", "test_caption_words"].message
    # Lengths and rates differ within every pair: sets are compared all the same.
    assert (level.n, level.failed) == (3, 0)


def test_one_pair_has_no_distance_between_sets_and_says_so(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("sub/dog bark", "Y7fmOlUlwoNg"):
        (folders[0] / f"{name}.wav").unlink()
    run = _score(folders, tmp_path, ("test_set_level",))
    estimate = run.estimate("test_set_level")
    assert estimate is not None
    assert (estimate.value, estimate.n) == (None, 1)
    assert "No test_set_level for gen on ref: 1 clip is too few" in result.build([run]).notes


def test_a_metric_without_its_model_is_refused_before_anything_is_decoded(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Words, "problem", lambda self: "its checkpoint is not here")
    with pytest.raises(BenchError, match="test_caption_words: its checkpoint is not here"):
        _score(folders, tmp_path, ("test_caption_words",))
    assert not (tmp_path / "runs").exists()


def test_the_command_line(folders: tuple[Path, Path], tmp_path: Path) -> None:
    table = _csv(tmp_path / "c.csv", ["path", "text"], ["rain", "two words"])
    command = ["score", str(folders[0]), "--reference", str(folders[1]), "--out", str(tmp_path / "runs"), "--quiet"]
    answer = CliRunner().invoke(cli, [*command, "--captions", str(table), "-m", "test_caption_words"])
    assert answer.exit_code == 0, answer.output
    assert "note: " in answer.output
    assert "no caption for 2 of 3 clips" in answer.output
    assert "n=1, 2 unscored" in answer.output or "1.000" in answer.output
    assert (tmp_path / "runs" / "folders-text-to-audio+ref").is_dir()
    answer = CliRunner().invoke(cli, ["score", "quickstart", "--captions", str(table), "-m", "snr"])
    assert answer.exit_code == 2
    assert "--captions belongs to folders" in answer.output


def test_captions_choose_the_metrics_of_text_to_audio() -> None:
    suite = load_suite("folders-text-to-audio")
    assert suite.task == "generate"
    assert any(name.startswith("clap_score") for name in suite.metrics)
    assert not any(name.startswith("clap_score") for name in load_suite("folders").metrics)


def _score(folders: tuple[Path, Path], tmp_path: Path, metrics: tuple[str, ...], captions: Path | None = None) -> Run:
    suite = load_suite("folders-text-to-audio")
    generated, reference = folders
    outputs = [Outputs(generated)]
    (run,) = score_folders(
        suite, outputs, reference, metrics, tmp_path / "runs", Options(quiet=True), captions=captions
    )
    return run


def _wav(path: Path, seconds: float, rate: int, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (1, round(seconds * rate)))
    audio_io.write(path, Audio.of(noise, rate))
    return path


def _csv(path: Path, *rows: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
