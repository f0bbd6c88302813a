"""Systems in lanes: each clip has one row, whichever lanes are lost, and the numbers are those of one lane."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.cluster import LostError
from ldmbench.host.spread import spread
from ldmbench.runs.lanes import Lane, Output, Problem, Ready, in_lanes, works_of
from ldmbench.runs.produce import Made
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import Options
from ldmbench.runs.studio import NotReadyError
from ldmbench.system.card import SystemSpec
from ldmbench.system.registry import resolve

SPECS = [resolve("lowpass@3.5khz"), resolve("noise")]
PATHS = [Path("a"), Path("b")]


def clips(count: int) -> list[Clip]:
    return [Clip(f"d/{number}", "d", "general") for number in range(count)]


class Fake:
    """A lane that does what ``act(position, clip)`` says: an empty text is a row."""

    def __init__(self, act: Callable[[str, Clip], str] = lambda _, __: "") -> None:
        self.act, self.starts, self.ended, self.clips = act, list[str](), False, list[str]()

    def ready(self, unneeded: Callable[[], bool]) -> bool:
        return not unneeded()

    def start(self, spec: SystemSpec) -> int | None:
        self.starts.append(spec.label)
        self.label = spec.label
        return len(self.starts)

    def process(self, run: Path, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        for clip in clips:
            match self.act(self.label, clip):
                case "lost":
                    raise LostError("it was switched off")
                case "problem":
                    raise NotReadyError("no weights")
                case "error":
                    raise BenchError("the disk is full")
            self.clips.append(clip.id)
            yield Made(OutputRow(clip.id, "ok"))

    def end(self) -> None:
        self.ended = True


def carried_out(lanes: Sequence[Lane], counts: Sequence[int], batch: int = 1) -> list[Any]:
    works = works_of([clips(count) for count in counts], batch, len(lanes))
    return list(in_lanes(lanes, works, SPECS[: len(counts)], PATHS[: len(counts)], batch == 1))


def rows(answers: Sequence[Any]) -> Counter[tuple[int, str]]:
    return Counter((answer.position, answer.made.row.clip) for answer in answers if isinstance(answer, Output))


def every_clip_once(counts: Sequence[int]) -> Counter[tuple[int, str]]:
    return Counter((position, clip.id) for position, count in enumerate(counts) for clip in clips(count))


@settings(max_examples=40)
@given(st.integers(0, 40), st.integers(0, 9), st.integers(1, 5), st.integers(1, 6))
def test_every_clip_has_one_row(first: int, second: int, lanes: int, batch: int) -> None:
    fakes = [Fake() for _ in range(lanes)]
    assert rows(carried_out(fakes, [first, second], batch)) == every_clip_once([first, second])
    assert all(fake.ended for fake in fakes)


@given(st.integers(0, 60), st.integers(1, 6), st.integers(1, 7))
def test_batches_are_those_of_one_lane(count: int, batch: int, lanes: int) -> None:
    works = works_of([clips(count)], batch, lanes)
    assert [clip for work in works for clip in work.clips] == clips(count)
    if batch > 1:
        assert [len(work.clips) for work in works[:-1]] == [batch] * max(0, len(works) - 1)


def test_a_lost_lane_is_tried_again_and_nothing_is_made_twice() -> None:
    losses = iter(["lost"] * 2)
    lock = threading.Lock()

    def act(label: str, clip: Clip) -> str:
        with lock:
            return next(losses, "") if clip.id == "d/3" else ""

    fakes = [Fake(act), Fake(act)]
    answers = carried_out(fakes, [8], batch=4)
    assert rows(answers) == every_clip_once([8])
    assert {answer.made.row.status for answer in answers if isinstance(answer, Output)} == {"ok"}
    # A lane that was lost has forgotten what it held.
    assert sum(len(fake.starts) for fake in fakes) >= 3


def test_a_clip_that_loses_every_lane_fails_alone() -> None:
    fakes = [Fake(lambda _, clip: "lost" if clip.id == "d/2" else "") for _ in range(2)]
    answers = carried_out(fakes, [6], batch=6)
    assert rows(answers) == every_clip_once([6])
    failed = [
        answer.made.row for answer in answers if isinstance(answer, Output) and answer.made.row.status == "failed"
    ]
    assert [row.clip for row in failed] == ["d/2"]
    assert failed[0].message == "lowpass@3.5khz: its worker was lost 3 times (it was switched off)"


def test_a_system_that_cannot_be_set_up_leaves_the_others_alone() -> None:
    fakes = [Fake(lambda label, _: "problem" if label == "noise" else "") for _ in range(2)]
    answers = carried_out(fakes, [12, 12])
    assert rows(answers) == every_clip_once([12])
    assert {answer for answer in answers if isinstance(answer, Problem)} == {Problem(1, "no weights")}
    assert any(isinstance(answer, Ready) and answer.position == 0 for answer in answers)


def test_an_error_of_the_run_ends_all_lanes() -> None:
    def act(label: str, clip: Clip) -> str:
        if clip.id == "d/1":
            return "error"
        time.sleep(0.01)
        return ""

    fakes = [Fake(act) for _ in range(3)]
    with pytest.raises(BenchError, match="the disk is full"):
        carried_out(fakes, [400])
    assert all(fake.ended for fake in fakes)
    assert sum(len(fake.clips) for fake in fakes) < 300


def test_lanes_wait_for_who_takes_the_answers() -> None:
    fake = Fake()
    answers = in_lanes([fake, Fake()], works_of([clips(500)], 1, 2), SPECS, PATHS, True)
    next(answers)
    time.sleep(0.3)
    assert len(fake.clips) < 40
    answers.close()  # type: ignore[attr-defined]
    assert fake.ended


def test_spread_gives_each_item_once_and_raises_what_is_raised() -> None:
    assert sorted(spread([lambda item: item**2] * 3, range(50))) == [(item, item**2) for item in range(50)]
    assert list(spread([lambda item: -item], [1, 2])) == [(1, -1), (2, -2)]
    assert list(spread([], [])) == []

    def raising(item: int) -> int:
        if item == 7:
            raise ValueError("seven")
        return item

    with pytest.raises(ValueError, match="seven"):
        list(spread([raising] * 2, range(1000)))


def test_devices_of_options() -> None:
    several = Options("cuda:0, cuda:1")
    assert (several.devices, several.local_device) == (("cuda:0", "cuda:1"), "cuda:0")
    assert Options().devices == ("cpu",)
    assert Options("cuda", ray="auto").local_device == "cpu"
    for wrong in ({"device": "cpu,"}, {"device": ""}, {"device": "cpu,cpu", "ray": "auto"}, {"gpus": 0.0}, {"gpus": 2}):
        with pytest.raises(BenchError):
            Options(**wrong)


def test_two_devices_make_the_tables_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(
        'name = "tiny"\ntitle = "T"\ntask = "codec"\ndatasets = []\n'
        'systems = ["noise", "lowpass@3.5khz"]\nmetrics = ["snr", "stft_dac"]\n'
    )
    generator = np.random.default_rng(1)
    for index in range(20):
        audio.write(Path(f"clips/{index:02}.wav"), Audio.of(0.1 * generator.standard_normal((1, 4000)), 8000))

    def table(out: str, *more: str) -> str:
        words = ("run", "tiny.toml", "--audio", "clips", "--quiet", "--jobs", "1", "--out", out, *more)
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return CliRunner().invoke(cli, ("report", "tiny.toml+clips", "--to", "csv", "--out", out)).stdout

    assert table("two", "--device", "cpu,cpu") == table("one")
    assert "device 'cuda:0' is not available" in _refused("tiny.toml", "--audio", "clips", "--device", "cpu,cuda:0")


def _refused(*words: str) -> str:
    done = CliRunner().invoke(cli, ("run", *words))
    assert done.exit_code == 2
    return done.stderr
