"""Whatever a system does, every clip ends as one row: its sound, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.names import Name
from ldmbench.runs.generate import generate, pending
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.suite import Suite
from ldmbench.system.card import SystemCard, SystemSpec, Task
from ldmbench.system.protocol import Output
from tests.present import present

Sound = Callable[..., Audio]
CARD = SystemCard(name="fake", title="Fake", tasks=("codec",), licence="MIT")


class Fake:
    """Gives the clip back, times a number drawn from its seed; ``act`` changes what it does on a clip."""

    def __init__(self, act: Callable[[Clip], Any] | None = None, task: Task = "codec") -> None:
        self.card = CARD.model_copy(update={"tasks": (task,)})
        self.act = act
        self.batches: list[list[str]] = []
        self.parameters = 42

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        self.batches.append([clip.id.partition("/")[2] for clip in clips])
        for clip in clips:
            output = self.act(clip) if self.act else self.output(clip)
            if output is not None:
                yield output

    @staticmethod
    def output(clip: Clip, **changes: Any) -> Output:
        gain = np.random.default_rng(clip.seed).uniform(0.5, 2.0)
        return replace(Output(Audio.of(clip.audio.samples * gain, clip.audio.rate), bits=800), **changes)


@pytest.fixture
def make(tmp_path: Path, tone: Sound) -> Callable[..., Plan]:
    """``make(names)``: a plan for one fake system on clips of that name."""

    def plan(names: str = "abcdef", seed: int = 0, task: Task = "codec", **fields: Any) -> Plan:
        clips = []
        for index, name in enumerate(names):
            path = tmp_path / "clips" / f"{name}.wav"
            if not path.exists():
                audio.write(path, tone(0.2, hz=300 + 50 * index))
            clips.append(Clip(f"d/{name}", "d", path=path, **fields))
        data = Dataset("d", "D", "general", tuple(clips), "digest")
        suite = Suite(name="mini", title="Mini", task=task, datasets=("d",), metrics=())
        spec = SystemSpec(CARD.model_copy(update={"tasks": (task,)}), Name("fake"), {})
        return make_plan(suite, [data], [spec], tmp_path / "runs", seed=seed)

    return plan


def done(plan: Plan, system: Any, **options: Any) -> Run:
    generate(plan, Options(quiet=True, **options), lambda _: system)
    return open_run(plan.paths[0])


def rows(run: Run) -> dict[str, OutputRow]:
    lines = (run.path / "outputs.jsonl").read_text().splitlines()
    assert len(lines) == len(run.outputs), "one row for each clip"
    return {clip.partition("/")[2]: row for clip, row in run.outputs.items()}


def statuses(run: Run) -> str:
    """The clips that are fine, then those that failed: ``abc|d``."""
    found = sorted(rows(run).items())
    good, bad = ("".join(name for name, row in found if (row.status == "ok") is fine) for fine in (True, False))
    return f"{good}|{bad}"


def on(name: str, what: Callable[[Clip], Any]) -> Callable[[Clip], Any]:
    return lambda clip: what(clip) if clip.id == f"d/{name}" else Fake.output(clip)


def fail(clip: Clip) -> Any:
    raise RuntimeError("out of\n luck")


# What goes right


def test_every_clip_is_stored_with_its_facts(make: Callable[..., Plan]) -> None:
    plan = make("abc")
    tokens = np.zeros((2, 5), np.int64)
    run = done(plan, Fake(lambda clip: Fake.output(clip, tokens=tokens, details={"mode": "x", "list": [1, 2.5]})))
    assert statuses(run) == "abc|"
    assert list(run.outputs) == [clip.id for clip in plan.clips], "in the order of the plan"
    row = rows(run)["b"]
    assert (row.bits, row.tokens, row.details) == (800, 10, {"mode": "x", "list": [1, 2.5]})
    stored = audio.read(present(run.audio_path("d/b")))
    assert stored.digest() == row.digest
    assert (row.rate, row.channels, row.seconds_audio) == (16_000, 1, 0.2)
    assert run.info.parameters == 42
    assert run.pending == 0


def test_loud_outputs_are_not_clipped(make: Callable[..., Plan]) -> None:
    run = done(make("a"), Fake(lambda clip: Output(Audio.of(clip.audio.samples * 8, clip.audio.rate))))
    assert np.abs(audio.read(present(run.audio_path("d/a"))).samples).max() > 3.9


@pytest.mark.parametrize("batch", [2, 4, 100])
def test_batches_change_nothing(make: Callable[..., Plan], batch: int, tmp_path: Path) -> None:
    alone = done(make("abcdef"), Fake())
    plan = make("abcdef")
    system = Fake()
    together = done(replace(plan, paths=(tmp_path / "other",)), system, batch=batch)
    assert [len(part) for part in system.batches] == [min(batch, 6 - start) for start in range(0, 6, batch)]
    assert {name: row.digest for name, row in rows(alone).items()} == {
        name: row.digest for name, row in rows(together).items()
    }


def test_seeds_are_the_clips_whatever_the_order(make: Callable[..., Plan]) -> None:
    seen: dict[str, int] = {}
    plan = make("abc", seed=5)

    def act(clip: Clip) -> Output:
        seen[clip.id] = clip.seed
        return Fake.output(clip)

    done(plan, Fake(act), batch=3)
    assert seen == {clip.id: Clip(clip.id, "d").seeded(5).seed for clip in plan.clips}
    assert len(set(seen.values())) == 3


def test_cost_is_measured_only_alone(make: Callable[..., Plan], tmp_path: Path) -> None:
    alone = rows(done(make("ab"), Fake()))
    assert all(row.seconds is not None and 0 < row.seconds < 60 for row in alone.values())
    together = rows(done(replace(make("ab"), paths=(tmp_path / "other",)), Fake(), batch=2))
    assert all(row.seconds is None and row.peak_memory is None for row in together.values())


def test_time_is_that_of_the_system(make: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(number) for number in range(0, 1000, 3))
    monkeypatch.setattr("ldmbench.runs.produce.time.perf_counter", lambda: next(clock))
    assert {row.seconds for row in rows(done(make("ab"), Fake())).values()} == {3.0}


def test_a_system_of_files_is_referred_to(make: Callable[..., Plan], tmp_path: Path) -> None:
    audio.write(tmp_path / "mine.wav", Audio.of(np.ones(3200), 16_000))
    sound = audio.read(tmp_path / "mine.wav")
    run = done(make("a"), Fake(lambda clip: Output(sound, path=tmp_path / "mine.wav")))
    assert run.audio_path("d/a") == tmp_path / "mine.wav"


# What goes wrong


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_a_system_that_raises_on_a_clip(make: Callable[..., Plan], batch: int) -> None:
    run = done(make(), Fake(on("c", fail)), batch=batch)
    assert statuses(run) == "abdef|c"
    message = rows(run)["c"].message
    assert message.startswith("RuntimeError: out of luck (test_generate.py:")
    assert run.failures == [("d/c", "output", message)]


def test_outputs_before_the_error_are_kept_and_the_rest_is_tried_alone(make: Callable[..., Plan]) -> None:
    system = Fake(on("c", fail))
    done(make(), system, batch=6)
    assert system.batches == [list("abcdef"), ["c"], ["d"], ["e"], ["f"]]


def test_a_batch_that_is_too_large_succeeds_alone(make: Callable[..., Plan]) -> None:
    class Small(Fake):
        def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
            if len(clips) > 1:
                raise MemoryError("CUDA out of memory")
            yield from super().process(clips)

    run = done(make("abc"), Small(), batch=3)
    assert statuses(run) == "abc|"
    assert all(row.seconds is None for row in rows(run).values()), "a second try is no measurement"


@pytest.mark.parametrize("message", ["CUDA out of memory. Tried to allocate 2 GiB", "out of luck"])
def test_batches_are_halved_until_they_fit_and_stay_so(
    make: Callable[..., Plan], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Small(Fake):
        def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
            if len(clips) > 2:
                self.batches.append([str(len(clips))])
                raise RuntimeError(message)
            yield from super().process(clips)

    system = Small()
    assert statuses(done(make("abcdefghijkl"), system, batch=8)) == "abcdefghijkl|"
    halved = [["8"], ["4"], *map(list, ("ab", "cd", "ef", "gh", "ij", "kl"))]
    alone = [["8"], *map(list, "abcdefgh"), ["4"], *map(list, "ijkl")]
    assert system.batches == (halved if "memory" in message else alone)
    told = [record.getMessage() for record in caplog.records if "do not fit" in record.getMessage()]
    assert len(told) == (2 if "memory" in message else 0)


def test_an_error_for_the_user_is_shown_as_it_is(make: Callable[..., Plan]) -> None:
    def refuse(clip: Clip) -> Any:
        raise BenchError("the encoder refuses 8 kHz", "16 kHz", "use another")

    assert rows(done(make("ab"), Fake(on("a", refuse))))["a"].message == (
        "the encoder refuses 8 kHz: 16 kHz (fix: use another)"
    )


def test_too_few_outputs_are_not_shifted_to_other_clips(make: Callable[..., Plan]) -> None:
    """A batch without one output could be any; each clip is tried again alone, and only one fails."""
    run = done(make(), Fake(on("c", lambda clip: None)), batch=6)
    assert statuses(run) == "abdef|c"
    assert rows(run)["c"].message == "fake returned 0 outputs for 1 clips"
    for name, row in rows(run).items():
        if row.status == "ok":
            expected = Fake.output(
                Clip(f"d/{name}", "d", loaded=audio.read(run.path.parents[3] / f"clips/{name}.wav")).seeded(0)
            )
            assert row.digest == present(expected.audio).digest()


@pytest.mark.parametrize("batch", [1, 2])
def test_too_many_outputs(make: Callable[..., Plan], batch: int) -> None:
    class Chatty(Fake):
        def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
            for output in super().process(clips):
                yield output
                yield output

    run = done(make("ab"), Chatty(), batch=batch)
    assert statuses(run) == "|ab"
    assert rows(run)["a"].message == "fake returned more than 1 outputs for 1 clips"


def test_a_system_that_never_stops(make: Callable[..., Plan]) -> None:
    class Endless(Fake):
        def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
            while True:
                yield self.output(clips[0])

    assert statuses(done(make("ab"), Endless(), batch=2)) == "|ab"


BAD = {
    "None": (lambda clip: Output(None), "fake returned no audio"),
    "empty": (lambda clip: Output(Audio.of(np.zeros((1, 0)), 16_000)), "fake returned 0 samples"),
    "NaN": (
        lambda clip: Output(Audio.of([0.0, np.nan, np.inf] + [0.0] * 3197, 16_000)),
        "fake returned NaN or Inf in 2 of 3200 samples",
    ),
    "short": (lambda clip: Output(clip.audio.fit(1600)), "fake returned 0.100 s for a clip of 0.200 s"),
    "long": (lambda clip: Output(clip.audio.fit(32_000)), "fake returned 2.000 s for a clip of 0.200 s"),
    "no output": (lambda clip: clip.audio, "fake returned Audio, not an Output"),
    "array": (lambda clip: Output(clip.audio.samples), "cannot be stored: AttributeError"),
    "details": (lambda clip: Fake.output(clip, details={"x": object()}), "cannot be stored: TypeError: Object of type"),
    "nan details": (lambda clip: Fake.output(clip, details={"x": math.nan}), "cannot be stored: ValueError"),
    "bits": (lambda clip: Fake.output(clip, bits="many"), "cannot be stored: ValueError: invalid literal"),
}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", BAD)
def test_an_output_that_cannot_be_accepted(make: Callable[..., Plan], kind: str, batch: int) -> None:
    act, message = BAD[kind]
    run = done(make("abc"), Fake(on("b", act)), batch=batch)
    assert statuses(run) == "ac|b"
    assert message in rows(run)["b"].message
    assert "\n" not in rows(run)["b"].message
    assert [path.name for path in sorted((run.path / "audio" / "d").iterdir())] == ["a.wav", "c.wav"]


def test_numbers_of_numpy_are_numbers(make: Callable[..., Plan]) -> None:
    assert rows(done(make("a"), Fake(lambda clip: Fake.output(clip, bits=np.int64(7)))))["a"].bits == 7


def test_a_generated_sound_has_its_own_length(make: Callable[..., Plan]) -> None:
    system = Fake(lambda clip: Output(Audio.of(np.ones(99), 8000)), "generate")
    assert statuses(done(make("a", task="generate"), system)) == "a|"


def test_length_is_compared_with_the_reference_not_with_the_degraded_input(make: Callable[..., Plan]) -> None:
    act = lambda clip: Output(clip.input.at(48_000))  # noqa: E731
    plan = make("a", task="enhance", condition=Condition(kind="resample", rate=8000))
    assert statuses(done(plan, Fake(act, "enhance"))) == "a|"


@pytest.mark.parametrize("batch", [1, 3])
def test_a_broken_clip_is_a_failed_row(make: Callable[..., Plan], tmp_path: Path, batch: int) -> None:
    plan = make("abc")
    (tmp_path / "clips" / "b.wav").write_bytes(b"RIFF")
    system = Fake()
    run = done(plan, system, batch=batch)
    assert statuses(run) == "ac|b"
    assert "b.wav is not audio" in rows(run)["b"].message
    assert "b" not in "".join("".join(part) for part in system.batches), "the system never hears it"


def test_a_batch_of_broken_clips_is_not_handed_over(make: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make("ab")
    for name in "ab":
        (tmp_path / "clips" / f"{name}.wav").unlink()
    system = Fake()
    assert statuses(done(plan, system, batch=2)) == "|ab"
    assert system.batches == []


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_is_not_a_failure(make: Callable[..., Plan]) -> None:
    def interrupt(clip: Clip) -> Any:
        raise KeyboardInterrupt

    plan = make("abc")
    with pytest.raises(KeyboardInterrupt):
        done(plan, Fake(on("b", interrupt)))
    assert statuses(open_run(plan.paths[0])) == "a|"
    assert statuses(done(plan, Fake())) == "abc|"


def test_a_disk_that_is_full_stops_the_run_and_loses_nothing(
    make: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make("abc")
    real = Path.replace

    def full(self: Path, target: Path) -> Path:
        if "b.wav" in str(target):
            raise OSError(28, "No space left on device")
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(BenchError, match="No space left on device"):
            done(plan, Fake())
    assert statuses(open_run(plan.paths[0])) == "a|"
    system = Fake()
    assert statuses(done(plan, system)) == "abc|"
    assert system.batches == [["b"], ["c"]]


# Resuming


def test_what_is_done_is_not_done_again(make: Callable[..., Plan]) -> None:
    plan = make("abc")
    before = rows(done(plan, Fake()))

    def never(_: SystemSpec) -> Any:
        raise AssertionError("the system is not even built")

    generate(plan, Options(quiet=True), never)
    assert rows(open_run(plan.paths[0])) == before


def test_a_torn_journal_is_continued(make: Callable[..., Plan]) -> None:
    plan = make("abcd")
    whole = rows(done(plan, Fake()))
    journal = plan.paths[0] / "outputs.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:30])
    assert [clip.id for clip in pending(plan.paths[0], plan.clips)] == ["d/c", "d/d"]
    system = Fake()
    again = rows(done(plan, system))
    assert system.batches == [["c"], ["d"]]
    assert {name: row.digest for name, row in again.items()} == {name: row.digest for name, row in whole.items()}


def test_failed_clips_are_tried_again_only_when_asked(make: Callable[..., Plan]) -> None:
    plan = make("abc")
    done(plan, Fake(on("b", fail)))
    system = Fake()
    assert statuses(done(plan, system)) == "ac|b"
    assert system.batches == []
    generate(plan, Options(retry_failed=True, quiet=True), lambda _: system)
    assert system.batches == [["b"]]
    assert {row.status for row in open_run(plan.paths[0]).outputs.values()} == {"ok"}


def test_another_seed_is_another_run(make: Callable[..., Plan]) -> None:
    assert make("ab").paths != make("ab", seed=1).paths
    assert make("ab").paths == make("ab").paths


def test_a_system_that_cannot_be_built_leaves_a_run_to_continue(make: Callable[..., Plan]) -> None:
    plan = make("a")

    def broken(_: SystemSpec) -> Any:
        raise BenchError("no weights")

    assert generate(plan, Options(quiet=True), broken) == [(plan.specs[0].label, "no weights")]
    assert open_run(plan.paths[0]).pending == 1
    assert statuses(done(plan, Fake())) == "a|"
