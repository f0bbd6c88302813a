"""Scores that are made while systems go on: none that was made is lost, whatever ends the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.host.executor import Executor, Serial
from ldmbench.runs.generate import generate
from ldmbench.runs.lanes import Lane
from ldmbench.runs.plan import Plan
from ldmbench.runs.prepare import prepare
from ldmbench.runs.produce import Made
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import Options, Request
from ldmbench.runs.results import open_run
from ldmbench.runs.writer import RunWriter
from ldmbench.system.card import SystemSpec
from tests.present import present

CLIPS = 5


class Scorers(Serial):
    """Scores here, and counts what was taken from it."""

    taken = 0

    def map(self, *words: Any, **more: Any) -> Iterator[tuple[int, Any]]:
        for pair in super().map(*words, **more):
            yield pair
            self.taken += 1


class Crew:
    """One lane, which hands each clip back and then does something else."""

    size, chunk = 1, 1

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.counting, self.then = Scorers(), then
        self.scorers: Executor = self.counting

    def lanes(self, count: int, clips: Sequence[Clip], build: object, root: Path) -> list[Lane]:
        return [self]

    def models(self, count: int) -> list[Any]:
        return []

    def ready(self, unneeded: Callable[[], bool]) -> bool:
        return not unneeded()

    def start(self, spec: SystemSpec) -> int | None:
        return None

    def process(self, run: Path, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        for clip in clips:
            yield Made(OutputRow(clip.id, "ok"), clip.load().audio)
        self.then()

    def end(self) -> None:
        pass

    def interrupt_once_scored(self) -> None:
        while self.counting.taken < CLIPS:
            time.sleep(0.01)
        raise KeyboardInterrupt


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\ntitle = "T"\ntask = "codec"\ndatasets = []\nsystems = ["noise"]\nmetrics = ["snr"]\n'
    )
    generator = np.random.default_rng(1)
    for index in range(CLIPS):
        sound = Audio.of(0.1 * generator.standard_normal((1, 4000)), 8000)
        audio.write(tmp_path / "clips" / f"{index}.wav", sound)
    request = Request(str(tmp_path / "tiny.toml"), audio=tmp_path / "clips", out=tmp_path / "runs")
    return present(prepare(request, Options()).plan)


def made(plan: Plan, crew: Crew) -> None:
    generate(plan, Options(quiet=True, batch=CLIPS), isolate=True, crew=crew)


def test_what_was_scored_when_ctrl_c_is_pressed_is_stored(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    add = RunWriter.add_scores

    def slowly(writer: RunWriter, rows: Iterable[Any]) -> Any:
        time.sleep(0.3)
        return add(writer, rows)

    monkeypatch.setattr(RunWriter, "add_scores", slowly)
    crew = Crew()
    crew.then = crew.interrupt_once_scored
    with pytest.raises(KeyboardInterrupt):
        made(plan, crew)
    run = open_run(plan.paths[0])
    assert (len(run.outputs), len(run.scores)) == (CLIPS, CLIPS)


def test_a_score_that_cannot_be_stored_ends_the_run(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def full(writer: RunWriter, rows: Iterable[Any]) -> Any:
        tried.set()
        raise OSError("no space")

    def until_tried() -> None:
        tried.wait(20)

    monkeypatch.setattr(RunWriter, "add_scores", full)
    with pytest.raises(OSError, match="no space"):
        made(plan, Crew(until_tried))
    assert len(open_run(plan.paths[0]).outputs) == CLIPS
