"""Only what is missing is computed; a value, no value and a failure are three different things."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.host.interrupt import Interrupted, interruptible
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import BaseMetric, MetricFacts
from ldmbench.runs.measure import measure
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.scoring import forget_metrics
from ldmbench.runs.writer import RunWriter
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError
from tests.present import present

Sound = Callable[..., Audio]
QUIET = Options(quiet=True)


class Fake(BaseMetric):
    """A metric that does what a test says, and remembers on which clips."""

    def __init__(self, act: Callable[[Clip, Output], Any], **facts: Any) -> None:
        self.facts = MetricFacts(**{"name": "fake", "title": "Fake", **facts})
        self.act = act
        self.calls: list[str] = []

    def measure(self, clip: Clip, output: Output) -> Any:
        self.calls.append(clip.id.partition("/")[2])
        return self.act(clip, output)


class FakeModel(Fake):
    """A metric with a model: whole batches, on a device."""

    def __init__(self, act: Callable[[Clip, Output], Any], **facts: Any) -> None:
        super().__init__(act, device=True, **facts)
        self.batches: list[int] = []
        self.configured: list[tuple[Any, ...]] = []

    def configure(self, *where: Any) -> None:
        self.configured.append(where)

    def problem(self) -> str:
        return ""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Any]:
        self.batches.append(len(clips))
        return [self.measure(clip, output) for clip, output in zip(clips, outputs, strict=True)]

    def aggregate(self, values: Sequence[Any]) -> Estimate:
        return Estimate(float(np.linalg.norm(np.mean(values, axis=0))), n=len(values))


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Fake], Fake]]:
    """Make a fake metric known under its name."""
    metrics._import_all()

    def add(fake: Fake) -> Fake:
        monkeypatch.setitem(metrics._registry, fake.facts.name, metrics._Entry(lambda *_: fake, {}, {}))
        forget_metrics()
        return fake

    yield add
    forget_metrics()


@pytest.fixture
def work(tmp_path: Path, tone: Sound) -> Work:
    return Work(tmp_path, tone)


class Work:
    """Clips a (music), b, c (speech) and two runs on them."""

    def __init__(self, folder: Path, tone: Sound) -> None:
        self.clips = []
        clips: tuple[tuple[str, Content, float], ...] = (
            ("a", "music", 0.3),
            ("b", "speech", 0.2),
            ("c", "speech", 0.5),
        )
        for name, content, seconds in clips:
            path = folder / "clips" / f"{name}.wav"
            audio.write(path, tone(seconds))
            self.clips.append(Clip(f"{content}/{name}", content, content, path))
        self.paths = [folder / "one", folder / "two"]
        self.info = RunInfo(
            id="1", suite="mini", system="x", title="X", task="codec", settings={}, seed=0, untrained=False, limit=0,
            identity={}, datasets=tuple(DatasetInfo(name, name, name, "0") for name in ("music", "speech")),
            clips=tuple(ClipInfo(clip.id, clip.dataset) for clip in self.clips),
            metrics=("fake",), environment={}, created="", parameters=42,
        )  # fmt: skip
        generator = np.random.default_rng(0)
        for path in self.paths:
            with RunWriter(path, self.info) as writer:
                for clip in self.clips:
                    noisy = clip.audio.samples + 0.1 * generator.standard_normal(clip.audio.samples.shape)
                    row = OutputRow(clip.id, "ok", bits=99, tokens=5, seconds=0.25, details={"mode": "x"})
                    writer.add_output(row, Audio.of(noisy, 16_000))

    def measure(self, *names: str, options: Options = QUIET, runs: int = 1) -> Run:
        paths = self.paths[:runs]
        with ExitStack() as stack:
            writers = [stack.enter_context(RunWriter(path, replace(self.info, metrics=names))) for path in paths]
            measure(paths, self.clips, names, options, writers)
        return open_run(paths[0])

    def values(self, run: Run, name: str = "fake") -> dict[str, Any]:
        return {clip.partition("/")[2]: row.value for (clip, metric), row in run.scores.items() if metric == name}

    def rows(self, run: Run, name: str = "fake") -> dict[str, ScoreRow]:
        return {clip.partition("/")[2]: row for (clip, metric), row in run.scores.items() if metric == name}


def constant(value: Any) -> Callable[[Clip, Output], Any]:
    return lambda clip, output: value


def on(name: str, error: Exception) -> Callable[[Clip, Output], float]:
    def act(clip: Clip, output: Output) -> float:
        if clip.id.endswith(name):
            raise error
        return 1.0

    return act


def test_a_metric_sees_the_clip_and_the_output_as_stored(work: Work, register: Any) -> None:
    seen: dict[str, tuple[Clip, Output]] = {}

    def act(clip: Clip, output: Output) -> float:
        seen[clip.id] = (clip, output)
        return 1.5

    register(Fake(act))
    run = work.measure("fake")
    assert work.values(run) == {"a": 1.5, "b": 1.5, "c": 1.5}
    clip, output = seen["speech/b"]
    assert clip.loaded is not None
    assert output.audio is not None
    assert output.audio.digest() == run.outputs["speech/b"].digest == work.rows(run)["b"].output
    assert (output.bits, output.cost.seconds, output.cost.parameters) == (99, 0.25, 42)
    assert output.details == {"mode": "x", "token_count": 5}


def test_only_what_is_missing_is_computed(work: Work, register: Any) -> None:
    fake = register(Fake(constant(1.0)))
    work.measure("fake")
    assert sorted(fake.calls) == ["a", "b", "c"]
    work.measure("fake")
    assert len(fake.calls) == 3
    other = register(Fake(constant(2.0), name="other"))
    run = work.measure("fake", "other")
    assert (len(fake.calls), len(other.calls)) == (3, 3)
    assert work.values(run, "other") == {"a": 2.0, "b": 2.0, "c": 2.0}


def test_a_torn_journal_is_completed(work: Work, register: Any) -> None:
    fake = register(Fake(constant(1.0)))
    whole = work.values(work.measure("fake"))
    journal = work.paths[0] / "scores.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1][:20])
    fake.calls.clear()
    assert work.values(work.measure("fake")) == whole
    assert len(fake.calls) == 2


def test_another_version_is_computed_again(work: Work, register: Any) -> None:
    register(Fake(constant(1.0)))
    work.measure("fake")
    newer = register(Fake(constant(2.0), version=2))
    run = work.measure("fake")
    assert len(newer.calls) == 3
    assert {row.version for row in run.scores.values()} == {2}
    assert set(work.values(run).values()) == {2.0}


def test_another_output_is_scored_again(work: Work, register: Any, tone: Sound) -> None:
    fake = register(Fake(lambda clip, output: float(present(output.audio).samples.max())))
    work.measure("fake")
    with RunWriter(work.paths[0], work.info) as writer:
        writer.add_output(OutputRow("speech/b", "ok"), tone(0.2, peak=0.875))
    fake.calls.clear()
    assert work.values(work.measure("fake"))["b"] == 0.875
    assert fake.calls == ["b"]


def test_failed_outputs_are_not_scored(work: Work, register: Any) -> None:
    with RunWriter(work.paths[0], work.info) as writer:
        writer.add_output(OutputRow("speech/b", "failed", "no"))
    assert set(work.values((register(Fake(constant(1.0))), work.measure("fake"))[1])) == {"a", "c"}


def test_unscored_is_not_failed_and_neither_is_zero(work: Work, register: Any) -> None:
    register(Fake(on("b", Unscored("the reference is silent"))))
    register(Fake(on("b", ValueError("two\n lines")), name="broken"))
    register(Fake(on("b", BenchError("no audio", fix="use another")), name="refused"))
    run = work.measure("fake", "broken", "refused")
    found = {name: work.rows(run, name)["b"] for name in ("fake", "broken", "refused")}
    assert [(row.status, row.value, row.message) for row in found.values()] == [
        ("unscored", None, "the reference is silent"),
        ("failed", None, "ValueError: two lines"),
        ("failed", None, "no audio (fix: use another)"),
    ]
    assert all(len(work.rows(run, name)) == 3 for name in found)
    estimate = run.estimate("fake", "speech")
    assert estimate is not None
    assert (estimate.value, estimate.n, estimate.unscored, estimate.failed) == (1.0, 1, 1, 0)
    assert [(clip, stage) for clip, stage, _ in run.failures] == [("speech/b", "broken"), ("speech/b", "refused")]


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (math.nan, "mean", "the metric returned nan"),
        (-math.inf, "mean", "the metric returned -inf"),
        ([1.0, math.nan], "ratio", "the metric returned"),
        ([1.0, 2.0], "mean", r"an array (2,) as its mean value"),
        (1.0, "ratio", "an array () as its ratio value"),
        ("loud", "mean", "could not convert"),
        (None, "mean", "the metric returned None"),
    ],
)
@pytest.mark.parametrize("kind_of_metric", [Fake, FakeModel])
def test_a_value_that_is_none(
    work: Work, register: Any, value: Any, kind: str, message: str, kind_of_metric: type[Fake]
) -> None:
    register(
        kind_of_metric(
            lambda clip, output: value if clip.id.endswith("b") else ([1, 2] if kind == "ratio" else 1), kind=kind
        )
    )
    row = work.rows(work.measure("fake"))["b"]
    assert (row.status, row.value) == ("failed", None)
    assert message in row.message


def test_ratios_are_two_numbers(work: Work, register: Any) -> None:
    register(Fake(constant(np.array([3, 4])), kind="ratio"))
    run = work.measure("fake")
    assert work.values(run)["a"] == [3.0, 4.0]
    estimate = run.estimate("fake")
    assert estimate is not None
    assert estimate.value == 0.75


def test_content_decides_where_a_metric_applies(work: Work, register: Any) -> None:
    fake = register(Fake(constant(1.0), content=("speech",)))
    run = work.measure("fake")
    assert sorted(fake.calls) == ["b", "c"]
    assert set(work.values(run)) == {"b", "c"}


def test_a_missing_output_file_fails_and_the_rest_goes_on(work: Work, register: Any) -> None:
    run = open_run(work.paths[0])
    present(run.audio_path("speech/b")).unlink()
    register(Fake(constant(1.0)))
    rows = work.rows(work.measure("fake"))
    assert rows["b"].status == "failed"
    assert "b.wav does not exist" in rows["b"].message
    assert (rows["a"].status, rows["c"].status) == ("ok", "ok")


@pytest.mark.parametrize("kind_of_metric", [Fake, FakeModel])
def test_a_broken_reference_fails_and_the_rest_goes_on(work: Work, register: Any, kind_of_metric: type[Fake]) -> None:
    present(work.clips[1].path).write_bytes(b"RIFF")
    register(kind_of_metric(constant(1.0)))
    rows = work.rows(work.measure("fake"))
    assert rows["b"].status == "failed"
    assert "is not audio" in rows["b"].message
    assert (rows["a"].status, rows["c"].status) == ("ok", "ok")


def test_failed_scores_are_computed_again_only_when_asked(work: Work, register: Any) -> None:
    register(Fake(on("b", ValueError("no"))))
    work.measure("fake")
    mended = register(Fake(constant(2.0)))
    assert work.rows(work.measure("fake"))["b"].status == "failed"
    assert mended.calls == []
    run = work.measure("fake", options=replace(QUIET, retry_failed=True))
    assert mended.calls == ["b"]
    assert work.values(run) == {"a": 1.0, "b": 2.0, "c": 1.0}


def test_the_longest_clips_come_first(work: Work, register: Any) -> None:
    fake = register(Fake(constant(1.0)))
    work.measure("fake")
    assert fake.calls == ["c", "a", "b"]


def test_a_clip_is_read_and_resampled_once_for_all_runs(
    work: Work, register: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = audio.read

    def note_and_read(path: Path, *rest: Any) -> Audio:
        read.append(str(path))
        return real(path, *rest)

    monkeypatch.setattr(audio, "read", note_and_read)
    references: set[int] = set()

    def act(clip: Clip, output: Output) -> float:
        references.add(id(clip.audio.at(8000)))
        return 1.0

    register(Fake(act))
    register(Fake(act, name="other"))
    work.measure("fake", "other", runs=2)
    assert len(read) == len(set(read)) == 3 + 6


def test_processes_and_this_process_agree_to_the_last_digit(work: Work) -> None:
    names = ("snr", "si_sdr", "stft_dac")
    here = work.measure(*names, runs=2)
    both = [open_run(path).scores for path in work.paths]
    for path in work.paths:
        (path / "scores.jsonl").unlink()
    work.measure(*names, options=Options(jobs=2, quiet=True), runs=2)
    assert [open_run(path).scores for path in work.paths] == both
    assert len(here.scores) == 9
    assert all(row.status == "ok" for row in here.scores.values())


def test_every_run_gets_its_own_scores(work: Work, register: Any) -> None:
    register(Fake(lambda clip, output: float(present(output.audio).samples[0, 0])))
    work.measure("fake", runs=2)
    for path in work.paths:
        run = open_run(path)
        for clip in work.clips:
            stored = audio.read(present(run.audio_path(clip.id)))
            assert run.scores[clip.id, "fake"].value == float(stored.samples[0, 0])


@pytest.mark.parametrize("kind", [Fake, FakeModel])
def test_nothing_is_stored_of_what_ctrl_c_came_into(
    kind: type[Fake], work: Work, register: Any, ctrl_c: Callable[[], None]
) -> None:
    """Though the metric swallows it, and whether or not it has a model."""

    def act(clip: Clip, output: Output) -> float:
        with contextlib.suppress(KeyboardInterrupt):
            ctrl_c()
        return 1.0

    register(kind(act))
    with pytest.raises(Interrupted), interruptible():
        work.measure("fake")
    assert not open_run(work.paths[0]).scores


# Metrics with a model


def test_a_model_is_configured_once_and_gets_batches_longest_first(work: Work, register: Any) -> None:
    model = register(FakeModel(constant(1.0)))
    work.measure("fake", options=Options(device="cuda:1", weights=Path("w"), quiet=True), runs=2)
    assert model.configured == [("cuda:1", Path("w").absolute())]
    assert model.batches == [6]
    assert model.calls == ["c", "c", "a", "a", "b", "b"]


def test_a_model_with_nothing_to_do_is_not_configured(work: Work, register: Any) -> None:
    model = register(FakeModel(constant(1.0)))
    work.measure("fake")
    work.measure("fake")
    other = register(FakeModel(constant(1.0), name="other"))
    work.measure("fake", "other")
    assert (len(model.configured), len(other.configured)) == (1, 1)


def test_vectors_are_stored_and_aggregated(work: Work, register: Any) -> None:
    register(FakeModel(lambda clip, output: np.full(3, present(output.audio).duration), kind="set"))
    run = work.measure("fake")
    assert all(isinstance(value, str) for value in work.values(run).values())
    assert np.load(run.path / work.values(run)["c"]).tolist() == [0.5, 0.5, 0.5]
    estimate = run.estimate("fake")
    assert estimate is not None
    assert estimate.value == pytest.approx(np.sqrt(3) / 3)
    assert estimate.n == 3


def test_a_vector_that_is_gone_is_computed_again(work: Work, register: Any) -> None:
    model = register(FakeModel(constant(np.ones(3)), kind="set"))
    run = work.measure("fake")
    (run.path / work.values(run)["b"]).unlink()
    model.calls.clear()
    assert present(work.measure("fake").estimate("fake")).n == 3
    assert model.calls == ["b"]


def test_a_vector_that_is_not_finite_is_a_failure(work: Work, register: Any) -> None:
    register(FakeModel(lambda clip, output: np.array([1.0, math.nan if clip.id.endswith("b") else 0.0]), kind="set"))
    run = work.measure("fake")
    assert {name: row.status for name, row in work.rows(run).items()} == {"a": "ok", "b": "failed", "c": "ok"}
    assert not list(run.path.glob("vectors/fake/speech/b*"))


def test_a_model_may_return_errors_in_place_of_values(work: Work, register: Any) -> None:
    register(FakeModel(lambda clip, output: Unscored("silent") if clip.id.endswith("b") else 1.0))
    rows = work.rows(work.measure("fake"))
    assert {name: row.status for name, row in rows.items()} == {"a": "ok", "b": "unscored", "c": "ok"}


def test_a_batch_that_fails_is_tried_one_by_one(work: Work, register: Any) -> None:
    model = register(FakeModel(on("b", RuntimeError("CUDA out of memory"))))
    rows = work.rows(work.measure("fake"))
    assert {name: row.status for name, row in rows.items()} == {"a": "ok", "b": "failed", "c": "ok"}
    assert rows["b"].message == "RuntimeError: CUDA out of memory"
    assert model.batches == [3, 1, 1, 1]


def test_a_model_that_loses_count(work: Work, register: Any) -> None:
    class Short(FakeModel):
        def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Any]:
            return super().measure_batch(clips, outputs)[1:] if len(clips) > 1 else [3.0]

    register(Short(constant(1.0)))
    assert work.values(work.measure("fake")) == {"a": 3.0, "b": 3.0, "c": 3.0}


def test_a_model_that_cannot_be_built_stops_the_run_but_keeps_the_other_scores(work: Work, register: Any) -> None:
    class Broken(FakeModel):
        def configure(self, *where: Any) -> None:
            raise BenchError("no weights")

    register(Broken(constant(1.0), name="model"))
    register(Fake(constant(1.0)))
    with pytest.raises(BenchError, match="no weights"):
        work.measure("model", "fake")
    assert len(work.values(open_run(work.paths[0]))) == 3


# What is not installed is no score


@pytest.mark.parametrize("kind", [Fake, FakeModel])
@pytest.mark.parametrize(
    "error",
    [ModuleNotFoundError("No module named 'nowhere'"), CheckpointError("no weights", fix="fetch it")],
    ids=["package", "checkpoint"],
)
def test_what_a_metric_lacks_is_named_and_nothing_is_stored_of_it(
    work: Work, register: Any, kind: type[Fake], error: Exception
) -> None:
    lacking = register(kind(on("b", error), name="lacking"))
    register(Fake(constant(1.0)))
    with pytest.raises(BenchError, match=r"lacking cannot be computed here.*(No module named|no weights)") as raised:
        work.measure("lacking", "fake")
    assert raised.value.exit_code == 2
    run = open_run(work.paths[0])
    assert "b" not in work.rows(run, "lacking")
    assert {row.status for row in run.scores.values()} == {"ok"}
    assert len(work.rows(run)) == 3
    lacking.act = constant(2.0)
    assert work.values(work.measure("lacking", "fake"), "lacking")["b"] == 2.0


@pytest.mark.parametrize("error", [ValueError("no sum"), SystemExit(0), GeneratorExit()])
def test_a_metric_that_fails_on_the_values_is_a_failure_of_its_own(
    work: Work, register: Any, error: BaseException
) -> None:
    class Odd(Fake):
        def aggregate(self, values: Sequence[Any]) -> Estimate:
            raise error

    register(Odd(constant(1.0)))
    register(Fake(constant(2.0), name="other"))
    run = work.measure("fake", "other")
    estimate, other = present(run.estimate("fake")), present(run.estimate("other"))
    assert (estimate.value, estimate.failed, other.value, other.failed) == (None, 3, 2.0, 0)
    ((clip, stage, message),) = run.failures
    assert (clip, stage) == ("every clip", "fake")
    assert message.startswith(f"no estimate: {type(error).__name__}")
