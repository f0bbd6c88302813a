from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.adhoc import condition_of, prompts
from ldmbench.clips.card import load_dataset_card
from ldmbench.errors import BenchError
from ldmbench.names import parse
from ldmbench.runs.prepare import evaluate, prepare
from ldmbench.runs.request import Options, Request


def test_a_condition_of_a_card_is_that_one() -> None:
    name, condition = condition_of("vctk-test@4khz")
    assert (name, condition) == ("4khz", load_dataset_card("vctk-test").condition("4khz"))


def test_a_condition_is_written_by_its_fields_and_its_name_can_be_a_variant() -> None:
    name, condition = condition_of("lowpass:order=6,cutoff_hz=4000,filter=butter")
    assert (condition.kind, condition.cutoff_hz, condition.filter, condition.order) == ("lowpass", 4000.0, "butter", 6)
    assert parse(f"mine@{name}").variant == name
    assert condition_of("gap:end_s=1,start_s=0.5") == condition_of("gap:start_s=0.5,end_s=1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur:radius=3", "'blur:radius=3' is not an input condition"),
        ("lowpass:cutoff=4000", "unknown key 'cutoff', known are kind, cutoff_hz, "),
        ("lowpass:order=6", "condition: cutoff_hz: Hz above which nothing is left for kind = 'lowpass', and "),
        ("lowpass:cutoff_hz=4000,filter=butter,order=0", "order: Input should be greater than or equal to 1"),
        ("lowpass:cutoff_hz=inf", "cutoff_hz: Input should be a finite number"),
        ("resample", "rate: Hz to which it is taken for kind = 'resample', and for nothing else"),
        ("gap", "end_s: seconds at which the silence ends for kind = 'gap', and for nothing else"),
        ("gap:start_s=2,end_s=1", "end_s: seconds after start_s at which the silence ends"),
        ("gap:start_s=-1,end_s=1", "start_s: Input should be greater than or equal to 0"),
        ("gap:start_s=1,end_s=2,rate=8000", "rate: Hz to which it is taken for kind = 'resample', and"),
        ("lowpass:filter=brick", "filter: Input should be"),
        ("vctk-test@5khz", "unknown condition of vctk-test '5khz'"),
    ],
)
def test_what_is_no_condition_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)) as error:
        condition_of(text)
    assert "\n" not in str(error.value)


def test_a_folder_is_degraded_as_asked(tmp_path: Path) -> None:
    sound = Audio.of(0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    audio.write(tmp_path / "mine" / "a.wav", sound)
    asked = "gap:end_s=0.5,start_s=0.25"
    (run,) = evaluate(
        "demo-enhance", ["unprocessed"], audio=tmp_path / "mine", conditions=[asked], out=tmp_path / "runs", quiet=True
    )
    assert [clip.id for clip in run.info.clips] == ["mine@gap,end_s=0.5,start_s=0.25/a"]
    made = audio.read(str(run.audio_path(run.info.clips[0].id))).samples[0]
    expected = np.array(sound.samples[0])
    expected[4000:8000] = 0
    assert np.array_equal(made, expected)


def test_a_condition_without_a_folder_and_prompts_of_another_task_are_refused() -> None:
    with pytest.raises(BenchError, match="--condition belongs to a folder"):
        prepare(Request("demo-enhance", conditions=("vctk-test@4khz",)), Options())
    with pytest.raises(BenchError, match="suite demo-code cannot be run on prompts: its task is codec"):
        prepare(Request("demo-code", prompts=("rain",)), Options())


def test_prompts_become_clips_without_a_sound() -> None:
    (clip,) = prompts(["Rain  falls\non a roof, heavily."]).clips
    assert clip.id.startswith("prompts/rain-falls-on-a-roof-heavily-")
    assert (clip.text, clip.path) == ("Rain falls on a roof, heavily.", None)
    assert prompts(["rain"]).digest != prompts(["Rain"]).digest
    assert prompts(["雨"]).clips[0].id.startswith("prompts/")


@pytest.mark.parametrize(("texts", "message"), [(["  "], "a prompt is empty"), (["rain", " rain "], "there twice")])
def test_prompts_are_texts_that_differ(texts: list[str], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        prompts(texts)


def test_a_plan_of_prompts_has_their_texts(tmp_path: Path) -> None:
    prepared = prepare(
        Request("demo-generate", ("audioldm@s-full",), prompts=("rain",), untrained=True, out=tmp_path), Options()
    )
    assert prepared.plan is not None
    assert [clip.text for clip in prepared.plan.clips] == ["rain"]
    assert prepared.plan.suite.name == "demo-generate+prompts"
