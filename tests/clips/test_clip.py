"""Cards and pinned lists become clips; nothing that changes what a system hears goes unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import datasets_root, list_datasets, load_dataset_card
from ldmbench.clips.clip import Clip, clips_digest
from ldmbench.clips.condition import Condition
from ldmbench.clips.load import load_dataset, load_source
from ldmbench.errors import BenchError

Sound = Callable[..., Audio]

CARD = """
name = "mini"
title = "Two clips"
content = "speech"
licence = "CC0-1.0"
[source]
kind = "folder"
env = "MINI_HOME"
[splits.test]
list = "test.csv"
sha256 = "{sha256}"
[conditions.4khz]
kind = "lowpass"
cutoff_hz = 4000
[conditions.8k]
kind = "resample"
rate = 8000
"""

LIST = """id,path,start,end,text,group,language,sha256
one,a.wav,,,"Hello, ""world""
over\u2028two lines",f,en,{sha256}
two,a.wav,0.25,0.5,,,,
"""


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tone: Sound) -> Path:
    """A dataset root with one dataset, whose audio is there."""
    sound = tone()
    audio.write(tmp_path / "audio" / "a.wav", sound)
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path / "cards"))
    monkeypatch.setenv("MINI_HOME", str(tmp_path / "audio"))
    folder = tmp_path / "cards" / "mini"
    folder.mkdir(parents=True)
    write_list(folder, LIST.format(sha256=sound.digest()))
    return folder


def write_list(folder: Path, text: str) -> None:
    (folder / "test.csv").write_bytes(text.encode())
    (folder / "card.toml").write_text(CARD.format(sha256=hashlib.sha256(text.encode()).hexdigest()))


def test_rows_become_clips(mini: Path) -> None:
    dataset = load_dataset("mini")
    one, two = dataset.clips
    assert (dataset.name, dataset.title, dataset.content, dataset.notes) == ("mini", "Two clips", "speech", ())
    assert (one.id, one.dataset, one.content, one.group, one.language) == ("mini/one", "mini", "speech", "f", "en")
    assert one.text == 'Hello, "world"\nover\u2028two lines'
    assert (two.text, two.group, two.language, two.start, two.end) == (None, None, "", 0.25, 0.5)
    assert (one.audio.length, two.audio.length) == (16_000, 4000)
    assert np.array_equal(two.audio.samples, one.audio.samples[:, 4000:8000])


def test_listing(mini: Path) -> None:
    assert list_datasets() == ["mini"]
    assert datasets_root() == mini.parent
    assert load_dataset_card("mini").source.env == "MINI_HOME"


def test_without_the_variable_the_data_home_is_used(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINI_HOME")
    monkeypatch.setenv("LDMBENCH_DATA", "/somewhere")
    assert load_dataset("mini").clips[0].path == Path("/somewhere/mini/a.wav")


def test_a_list_that_does_not_match_its_card_is_refused(mini: Path) -> None:
    with (mini / "test.csv").open("a") as handle:
        handle.write("three,a.wav,,,,,,\n")
    with pytest.raises(BenchError, match=r"does not match its card: SHA-256 .*, the card says .*restore the list"):
        load_dataset("mini")


def test_a_missing_list(mini: Path) -> None:
    (mini / "test.csv").unlink()
    with pytest.raises(BenchError, match=r"the clip list .*test\.csv does not exist"):
        load_dataset("mini")


def test_a_condition_is_a_variant(mini: Path) -> None:
    plain, low, slow = load_dataset("mini"), load_dataset("mini@4khz"), load_dataset("mini@8k")
    assert low.name == "mini@4khz"
    assert {clip.dataset for clip in low.clips} == {"mini@4khz"}
    assert low.clips[0].condition == Condition(kind="lowpass", cutoff_hz=4000)
    assert slow.clips[0].input.rate == 8000
    assert slow.clips[0].audio.rate == 16_000
    assert len({plain.digest, low.digest, slow.digest}) == 3
    # A suite may hold a dataset under several conditions.
    assert [clip.id for clip in plain.clips] == ["mini/one", "mini/two"]
    assert [clip.id for clip in low.clips] == ["mini@4khz/one", "mini@4khz/two"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mimi", "unknown dataset 'mimi' .*did you mean mini"),
        ("mini@4kh", "unknown condition of mini '4kh' .*did you mean 4khz"),
        ("mini@", "is not a name"),
        ("mini@4khz:cutoff_hz=3000", "a dataset has none"),
    ],
)
def test_unknown_names(mini: Path, name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        load_dataset(name)


def test_a_clip_that_is_not_the_pinned_one_fails_when_it_is_heard(mini: Path, tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "audio" / "a.wav", tone(hz=441))
    one, two = load_dataset("mini").clips
    with pytest.raises(BenchError, match=r"mini/one is not the pinned clip: .*the list says .*fetch the dataset again"):
        one.load()
    assert two.load().audio.length == 4000


def test_load_source_takes_names_and_folders(mini: Path, tmp_path: Path) -> None:
    assert load_source("mini@4khz").name == "mini@4khz"
    assert load_source(str(tmp_path / "audio")).name == "audio"
    spaced = tmp_path / "a folder: @ odd"
    (tmp_path / "audio").rename(spaced)
    assert len(load_source(str(spaced)).clips) == 1
    with pytest.raises(BenchError, match=r"unknown dataset or folder 'mimi' .*did you mean mini"):
        load_source("mimi")


def test_a_clip_without_audio() -> None:
    clip = Clip("d/c", "d", text="a dog barks")
    with pytest.raises(BenchError, match="d/c has no reference audio"):
        _ = clip.audio


def test_loading_holds_the_audio(mini: Path, tmp_path: Path) -> None:
    clip = load_dataset("mini").clips[0].load()
    (tmp_path / "audio" / "a.wav").unlink()
    assert clip.load() is clip
    assert clip.audio is clip.audio


# Seeds


def test_seeds_differ_among_clips_and_runs_and_nothing_else() -> None:
    clips = [Clip(f"d/{index}", "d") for index in range(1000)]
    seeds = [clip.seeded(0).seed for clip in clips]
    assert len(set(seeds)) > 995
    assert [clip.seeded(0).seed for clip in reversed(clips)] == seeds[::-1]
    gap = Condition(kind="gap", end_s=1.0)
    assert replace(clips[3], text="x", path=Path("y"), condition=gap).seeded(0).seed == seeds[3]
    assert clips[3].seeded(1).seed != seeds[3]
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_seeds_never_change() -> None:
    # First four bytes of SHA-256("SEED/ID"), little-endian; a change would change every generated sound.
    assert Clip("d/c", "d").seeded(0).seed == int.from_bytes(hashlib.sha256(b"0/d/c").digest()[:4], "little")
    assert [Clip("builtin-speech/a", "b").seeded(seed).seed for seed in (0, 1)] == [3441570143, 359624576]


# Digests


def test_the_digest_covers_what_a_system_is_given() -> None:
    base = Clip("d/c", "d", text="a", end=2.0, sha256="0")
    changed = [
        replace(base, id="d/d"),
        replace(base, text="b"),
        replace(base, end=3.0),
        replace(base, start=1.0),
        replace(base, sha256="1"),
        replace(base, condition=Condition(kind="gap", end_s=1.0)),
    ]
    digests = {clips_digest([clip]) for clip in (base, *changed)}
    digests |= {clips_digest([base], ["x"]), clips_digest([base, base]), clips_digest([])}
    assert len(digests) == 10
    # Where the file lies and how it is grouped change nothing.
    assert clips_digest([replace(base, path=Path("elsewhere"), group="g", seed=3)]) == clips_digest([base])


def test_the_shipped_lists_match_their_cards() -> None:
    for name in list_datasets():
        card = load_dataset_card(name)
        assert card.name == name
        for split in card.splits.values():
            if split.rule or split.labelled:
                continue
            content = (datasets_root() / name / split.list).read_bytes()
            assert hashlib.sha256(content).hexdigest() == split.sha256
