"""AudioSR through the engine: from a folder under a condition to the journal; resumed, sharded and batched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Dataset
from ldmbench.clips.condition import Condition
from ldmbench.clips.folder import load_folder
from ldmbench.runs.generate import generate
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.suite import Suite
from ldmbench.system.registry import resolve

Make = Callable[..., Audio]

NAMES = ("a", "b", "c")


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, narrow: Make) -> Path:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    for index, (seconds, rate, channels) in enumerate(((0.6, 16_000, 1), (1.1, 48_000, 2), (0.6, 44_100, 1))):
        sound = narrow(seconds, rate, channels=channels, seed=index)
        audio.write(tmp_path / "clips" / f"{NAMES[index]}.wav", sound)
    return tmp_path / "clips"


@pytest.fixture
def plan(tiny: None, official: Path, clips: Path, tmp_path: Path) -> Callable[..., Plan]:
    """``plan(root, names)``: two steps of a tiny AudioSR on some of the clips, low-passed at 3 kHz."""

    def make(root: str, names: str = "abc") -> Plan:
        table = tmp_path / f"{names}.csv"
        table.write_text("path\n" + "".join(f"{name}.wav\n" for name in names))
        dataset: Dataset = load_folder(clips, table=table).under("3khz", Condition(kind="lowpass", cutoff_hz=3000))
        suite = Suite(name="tiny", title="Tiny", task="enhance", datasets=(dataset.name,), metrics=())
        return make_plan(suite, [dataset], [resolve("audiosr@basic:steps=2", weights=official)], tmp_path / root)

    return make


def made(plan: Plan, batch: int = 1) -> dict[str, Audio]:
    """The stored outputs of a plan, by clip."""
    assert generate(plan, Options(batch=batch, quiet=True)) == []
    run = open_run(plan.paths[0])
    assert [row.status for row in run.outputs.values()] == ["ok"] * len(plan.clips)
    paths = {clip.id: run.audio_path(clip.id) for clip in plan.clips}
    return {name: audio.read(path) for name, path in paths.items() if path is not None}


def digests(outputs: dict[str, Audio]) -> dict[str, str]:
    return {name: sound.digest() for name, sound in outputs.items()}


def test_from_folder_to_journal(plan: Callable[..., Plan]) -> None:
    outputs = made(plan("one"))
    assert list(outputs) == [f"clips@3khz/{name}" for name in NAMES]
    assert [(sound.rate, sound.channels, sound.length) for sound in outputs.values()] == [
        (48_000, 1, round(seconds * 48_000)) for seconds in (0.6, 1.1, 0.6)
    ]
    assert all(sound.samples.std() > 1e-3 for sound in outputs.values())
    rows = open_run(plan("one").paths[0]).outputs.values()
    assert [row.details["cutoff_hz"] for row in rows] == pytest.approx([3100] * 3, abs=200)


def test_resumed_after_a_kill_is_bit_equal(plan: Callable[..., Plan]) -> None:
    whole = digests(made(plan("one")))
    again = plan("two")
    assert digests(made(again)) == whole
    journal = again.paths[0] / "outputs.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0] + lines[1][:30])
    assert digests(made(again)) == whole


def test_sharded_is_bit_equal(plan: Callable[..., Plan]) -> None:
    """Two runs on parts of the list, in another order, give the clips of the one run on all of it."""
    whole = digests(made(plan("one")))
    assert {**digests(made(plan("second", "cb"))), **digests(made(plan("first", "a")))} == whole


def test_batched_differs_by_rounding_only(plan: Callable[..., Plan]) -> None:
    alone, together = made(plan("one")), made(plan("three"), batch=3)
    for name, sound in alone.items():
        tolerance = 1e-5 * float(np.abs(sound.samples).max())
        np.testing.assert_allclose(together[name].samples, sound.samples, atol=tolerance)
    assert digests(made(plan("four"), batch=3)) == digests(together)
