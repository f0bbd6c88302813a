from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ldmbench.clips.card import load_dataset_card, read_list
from ldmbench.clips.clip import Dataset
from ldmbench.clips.load import load_dataset
from ldmbench.synthesis.recipe import recipes

ROOT = Path(__file__).parents[2] / "datasets"
EVALUATED = ("speech", "music", "general")
ALL = (*EVALUATED, "training")

#: Datasets by name, and the CPU seconds that the evaluated ones took.
Built = tuple[dict[str, Dataset], float]

#: From the text of a list to another.
Edit = Callable[[str], str]

# Where the digests were pinned; elsewhere a clip may differ in a sample, and a note says so.
EXACT = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LDMBENCH_CACHE", str(folder))
        patch.delenv("LDMBENCH_DATASETS", raising=False)
        yield folder


@pytest.fixture(scope="module")
def built(home: Path) -> Built:
    """All four datasets, and the CPU seconds that the three evaluated ones took."""
    start = time.process_time() + sum(_children())
    found = {name: load_dataset(f"builtin-{name}") for name in EVALUATED}
    seconds = time.process_time() + sum(_children()) - start
    found["training"] = load_dataset("builtin-training")
    return found, seconds


def _children() -> tuple[float, float]:
    times = os.times()
    return times.children_user, times.children_system


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Edit], None]:
    """Cards that a test may change; returns a function that rewrites a list and pins it in the card."""
    for name in ALL:
        shutil.copytree(ROOT / f"builtin-{name}", tmp_path / f"builtin-{name}")
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path))

    def change(name: str, edit: Edit) -> None:
        folder = tmp_path / f"builtin-{name}"
        content = edit((folder / "test.csv").read_text(encoding="utf-8"))
        (folder / "test.csv").write_text(content, encoding="utf-8")
        digest = hashlib.sha256((folder / "test.csv").read_bytes()).hexdigest()
        card = (folder / "card.toml").read_text()
        (folder / "card.toml").write_text(re.sub(r'(list = "test.csv", sha256 = )"\w+"', rf'\1"{digest}"', card))

    return change


@pytest.mark.parametrize("name", ALL)
def test_lists_say_what_the_recipes_make(name: str) -> None:
    card = load_dataset_card(f"builtin-{name}")
    assert card.licence == "CC0-1.0"
    assert card.source.kind == "builtin"
    assert card.source.generator == name
    assert card.content == ("general" if name == "training" else name)
    listed = read_list(card, "test")
    expected = [recipe.row() for recipe in recipes(name).values()]
    assert [{key: row[key] for key in expected[0]} for row in listed] == expected
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) for row in listed)
    assert not list((ROOT / f"builtin-{name}").rglob("*.py"))


@pytest.mark.parametrize("name", ALL)
def test_digests_are_the_pinned_ones(built: Built, name: str) -> None:
    dataset = built[0][name]
    if not EXACT:
        pytest.skip(f"digests are pinned on Linux x86_64, this is {sys.platform} {platform.machine()}")
    assert dataset.notes == ()
    listed = read_list(load_dataset_card(f"builtin-{name}"), "test")
    assert [clip.audio.digest() for clip in dataset.clips] == [row["sha256"] for row in listed]


@pytest.mark.parametrize("name", ALL)
def test_clips_are_sound(built: Built, name: str) -> None:
    for clip in built[0][name].clips:
        sound = clip.audio
        assert 16000 <= sound.rate <= 48000, clip.id
        assert sound.channels in (1, 2), clip.id
        assert 3.0 <= sound.duration <= 10.0, clip.id
        assert np.array_equal(sound.samples * 32768, np.rint(sound.samples * 32768)), clip.id
        peak = 20 * np.log10(np.abs(sound.samples).max())
        assert -3.0 <= peak <= -1.0, clip.id
        assert np.abs(sound.samples.mean(axis=1, dtype=np.float64)).max() < 1e-4, clip.id
        edges = np.abs(sound.samples[:, [0, -1]]).max()
        assert edges < 0.003, clip.id
        level = 10 * np.log10(np.mean(sound.samples.astype(np.float64) ** 2))
        assert (-40.0 if clip.id.endswith("clicks") else -27.0) < level < -10.0, clip.id
        if sound.channels == 2:
            assert not np.array_equal(sound.samples[0], sound.samples[1]), clip.id
        assert (clip.text or "").endswith((".", "?")), clip.id
        assert all((clip.group, clip.language)), clip.id


def test_the_contents_are_varied(built: Built) -> None:
    sounds = {name: [clip.audio for clip in built[0][name].clips] for name in EVALUATED}
    assert {name: len(clips) for name, clips in sounds.items()} == {"speech": 12, "music": 10, "general": 10}
    assert {sound.rate for sound in sounds["speech"]} == {16000, 22050, 24000, 48000}
    assert {sound.rate for sound in sounds["music"]} == {44100, 48000}
    assert {sound.rate for sound in sounds["general"]} == {32000, 44100, 48000}
    for clips in sounds.values():
        assert {sound.channels for sound in clips} == {1, 2}


def test_speech_has_exact_transcripts_in_several_languages_and_voices(built: Built) -> None:
    clips = built[0]["speech"].clips
    languages = [clip.language.split("-")[0] for clip in clips]
    assert languages.count("en") > len(clips) / 2
    assert len(set(languages)) >= 4
    assert len({clip.group for clip in clips}) >= 8
    for clip in clips:
        assert clip.text is not None
        # Nothing that could be read aloud in more than one way.
        assert not re.search(r"\d|[A-Z]{2}|\b(Mr|Dr|etc)\b|[&%$/]", clip.text), clip.text
        assert 8 <= len(clip.text.split()) <= 20


def test_speech_is_where_the_energy_of_speech_is(built: Built) -> None:
    for clip in built[0]["speech"].clips:
        sound = clip.audio.at(16000).mono().samples[0].astype(np.float64)
        power = np.abs(np.fft.rfft(sound)) ** 2
        bins = np.fft.rfftfreq(len(sound), 1 / 16000)
        assert power[(bins > 80) & (bins < 4000)].sum() > 0.8 * power.sum(), clip.id
        frames = np.sqrt(np.mean(sound[: len(sound) // 320 * 320].reshape(-1, 320) ** 2, axis=1))
        # Pauses and stops between syllables.
        assert np.percentile(frames, 10) < 0.15 * np.percentile(frames, 90), clip.id


def test_general_sounds_are_what_they_claim(built: Built) -> None:
    sound = {clip.id.split("/")[1]: clip.audio.mono() for clip in built[0]["general"].clips}

    def flatness(name: str) -> float:
        samples = sound[name].samples[0].astype(np.float64)
        power = np.mean(np.abs(np.fft.rfft(samples[: len(samples) // 1024 * 1024].reshape(-1, 1024))) ** 2, axis=0)
        power = power[10:300]
        return float(np.exp(np.mean(np.log(power))) / np.mean(power))

    def crest(name: str) -> float:
        samples = sound[name].samples[0]
        return float(np.abs(samples).max() / np.sqrt(np.mean(samples**2)))

    assert flatness("rain") > 0.3 > 0.1 > max(flatness("church-bell"), flatness("siren"))
    assert crest("clicks") > 40 > crest("door-knock") > crest("crowd") > 2.5


@pytest.mark.parametrize("name", EVALUATED)
def test_conditions_apply_to_every_clip(built: Built, name: str) -> None:
    card = load_dataset_card(f"builtin-{name}")
    assert {"4khz", "gap"} <= set(card.conditions)
    for condition in card.conditions:
        dataset = load_dataset(f"builtin-{name}@{condition}")
        assert dataset.digest != built[0][name].digest
        for clip in dataset.clips:
            changed = clip.input
            assert changed.rate == clip.audio.rate
            assert changed.samples.shape == clip.audio.samples.shape
            restyled = card.conditions[condition].kind == "restyle"
            kept = card.conditions[condition].reference == "input"
            assert np.array_equal(changed.samples, clip.audio.samples) == (restyled or kept), clip.id
            assert not kept or clip.audio.digest() != clip.sha256
            assert not restyled or clip.text == card.conditions[condition].text


def test_training_is_disjoint_from_what_is_evaluated(built: Built) -> None:
    seen = {clip.text or "" for name in EVALUATED for clip in built[0][name].clips}
    voices = {clip.group for clip in built[0]["speech"].clips}
    digests = {clip.sha256 for name in EVALUATED for clip in built[0][name].clips}
    training = built[0]["training"].clips
    assert len(training) == 24
    kinds = [clip.id.split("/")[1].split("-")[0] for clip in training]
    assert {kind: kinds.count(kind) for kind in EVALUATED} == {"speech": 10, "music": 7, "general": 7}
    for clip in training:
        assert clip.text not in seen
        assert clip.group not in voices
        assert clip.sha256 not in digests
    words = [set(re.findall(r"\w{6,}", text.lower())) for text in (*seen, *(clip.text or "" for clip in training))]
    for number, sentence in enumerate(words):
        assert all(len(sentence & other) < max(3, 0.5 * len(sentence)) for other in words[number + 1 :])


def test_a_loaded_dataset_answers_at_once(built: Built) -> None:
    start = time.perf_counter()
    for name in EVALUATED:
        load_dataset(f"builtin-{name}")
    assert time.perf_counter() - start < 0.5


def test_synthesis_is_quick(built: Built) -> None:
    assert built[1] < 20.0


def test_adding_a_clip_changes_the_digest(built: Built, copied: Callable[[str, Edit], None]) -> None:
    copied("general", lambda text: "".join(text.splitlines(keepends=True)[:-1]))
    shorter = load_dataset("builtin-general")
    assert len(shorter.clips) == len(built[0]["general"].clips) - 1
    assert shorter.digest != built[0]["general"].digest
    assert shorter.notes == ()


def test_a_clip_that_differs_is_noted_and_changes_the_digest_only_by_what_it_is(
    built: Built, copied: Callable[[str, Edit], None]
) -> None:
    pinned = built[0]["general"].clips[-1].sha256
    copied("general", lambda text: text.replace(pinned, "f" * 64))
    dataset = load_dataset("builtin-general")
    (note,) = dataset.notes
    assert "clicks" in note
    assert pinned[:12] in note
    assert dataset.clips[-1].audio.digest() == dataset.clips[-1].sha256 == pinned
    # What a system hears is the same, whatever the list hoped for.
    assert dataset.digest == built[0]["general"].digest
