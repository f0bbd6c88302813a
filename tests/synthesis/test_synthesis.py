from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmbench.audio import sound as audio
from ldmbench.errors import BenchError
from ldmbench.synthesis import cache, dsp, espeak, instruments, materialise
from ldmbench.synthesis.__main__ import main, rewrite
from ldmbench.synthesis.recipe import GENERATORS, index, recipes

RATE = 44100

# Prints the digests of clips named GENERATOR/ID on the command line, in that order.
DIGESTS = """
import sys
from ldmbench.synthesis.recipe import recipes
for name in sys.argv[1:]:
    generator, clip = name.split("/")
    print(name, recipes(generator)[clip].audio().digest())
"""

MATERIALISE = """
import csv, json, sys
from ldmbench.synthesis import materialise
print(json.dumps(materialise("general", json.loads(sys.argv[1])).digests))
"""


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """Rows of two quick clips, as the list of builtin-general would have them."""
    made = [recipes("general")[name] for name in ("door-knock", "clicks")]
    return [{**recipe.row(), "sha256": recipe.audio().digest()} for recipe in made]


@pytest.fixture
def no_building(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(*_: object) -> None:
        raise AssertionError("built a clip that was there already")

    return lambda: monkeypatch.setattr(cache, "_build", refuse)


def fresh_process(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- signal tools ---------------------------------------------------------------------------------------------------


def test_dice_are_uniform_repeatable_and_differ_by_word() -> None:
    numbers = dsp.Dice("a", 1).many(200_000)
    assert np.array_equal(numbers, dsp.Dice("a", 1).many(200_000))
    assert not np.array_equal(numbers[:10], dsp.Dice("a", 2).many(10))
    assert numbers.min() >= -1.0
    assert numbers.max() < 1.0
    # Mean 0 and variance 1/3, with standard errors of 0.0013 and 0.0007.
    assert abs(numbers.mean()) < 0.006
    assert abs(numbers.var() - 1 / 3) < 0.004
    assert abs(np.mean(numbers[1:] * numbers[:-1])) < 0.004


def test_dice_follow_the_stream_that_numpy_promises() -> None:
    # PCG64's raw stream is guaranteed by numpy's compatibility policy; a change here changes every clip.
    seed = int.from_bytes(hashlib.sha256(b"a/1").digest()[:16], "little")
    raw = np.random.PCG64(seed).random_raw(3)
    assert np.allclose(dsp.Dice("a", 1).many(3, 0.0, 1.0), np.asarray(raw, np.float64) / 2.0**64, atol=1e-15)


@settings(max_examples=20)
@given(st.floats(60.0, 3000.0), st.floats(0.2, 0.95), st.sampled_from([16000, 44100]))
def test_harmonics_equal_their_explicit_sum(frequency: float, slope: float, rate: int) -> None:
    count = int(min(16000.0, 0.45 * rate) / frequency)
    turn = 2.0 * np.pi * frequency * np.arange(400) / rate
    expected = sum(slope**k * np.sin(k * turn) for k in range(1, count + 1))
    assert np.allclose(dsp.harmonics(frequency, rate, 400, slope), expected, atol=1e-8)


def test_harmonics_do_not_alias() -> None:
    tone = dsp.harmonics(1000.0, RATE, RATE, 0.9) * np.hanning(RATE)
    spectrum = np.abs(np.fft.rfft(tone))
    between = spectrum.copy()
    for harmonic in range(1, 17):
        between[harmonic * 1000 - 3 : harmonic * 1000 + 4] = 0.0
    assert between.max() < 1e-4 * spectrum.max()


def test_band_is_3_db_down_at_its_edges() -> None:
    impulse = np.zeros(RATE)
    impulse[0] = 1.0
    response = np.abs(np.fft.rfft(dsp.band(impulse, RATE, 500.0, 4000.0)))
    assert response[500] == pytest.approx(0.5**0.5, rel=0.02)
    assert response[4000] == pytest.approx(0.5**0.5, rel=0.02)
    assert response[1500] == pytest.approx(1.0, rel=0.02)
    assert response[50] < 0.02


def test_resonance_has_unit_gain_at_its_peak() -> None:
    impulse = np.zeros(RATE)
    impulse[0] = 1.0
    response = np.abs(np.fft.rfft(dsp.resonate(impulse, RATE, 1000.0, 50.0)))
    assert response[1000] == pytest.approx(1.0, rel=1e-3)
    assert response[1025] == pytest.approx(0.5**0.5, rel=0.03)


def test_finish_sets_the_peak_and_removes_dc() -> None:
    sound = 0.2 + 0.1 * np.sin(np.arange(2 * RATE) * 0.1)[None, :]
    finished = dsp.finish(sound, RATE, peak_db=-6.0)
    assert np.abs(finished).max() == pytest.approx(10 ** (-6 / 20))
    assert abs(finished[:, RATE:].mean()) < 1e-3
    assert finished[0, 0] == 0.0
    assert abs(finished[0, -1]) < 1e-3


def test_place_keeps_the_power_and_cuts_at_the_end() -> None:
    canvas = np.zeros((2, 1000))
    dsp.place(canvas, np.ones(400), 0.5, 1000, pan=0.3)
    assert np.allclose((canvas[:, 500:900] ** 2).sum(axis=0), 1.0)
    assert not canvas[:, :500].any()
    assert not canvas[:, 900:].any()
    dsp.place(canvas, np.ones(400), 0.95, 1000)
    assert canvas[1, 999] < 0.1
    dsp.place(canvas, np.ones(400), 1.5, 1000)


def test_a_room_adds_a_tail_that_decays_and_differs_between_ears() -> None:
    sound = np.zeros((2, RATE))
    sound[:, 100] = 1.0
    wet = dsp.room(sound, RATE, dsp.Dice("walls"), 0.5, 0.3)
    assert np.allclose(wet[:, 100], 1.0)
    early, late = (float(np.sum(wet[:, start : start + 2000] ** 2)) for start in (1000, 11000))
    # 10,000 samples are 0.227 s of a T60 of 0.5 s: 27 dB.
    assert 10 * np.log10(early / late) == pytest.approx(27.2, abs=2.5)
    assert abs(np.atleast_2d(np.corrcoef(wet[:, 700:8000]))[0, 1]) < 0.3


# --- instruments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "frequency"), [("A4", 440.0), ("C4", 261.6256), ("Bb2", 116.5409), ("F#5", 739.9888), ("B1", 61.7354)]
)
def test_pitch(name: str, frequency: float) -> None:
    assert instruments.pitch(name) == pytest.approx(frequency, rel=1e-6)


def test_score_counts_beats_and_rests() -> None:
    assert instruments.score("A4/1 -/0.5 A3/.5") == [(0.0, 1.0, 440.0), (1.5, 0.5, 220.0)]


@pytest.mark.parametrize("rate", [32000, 44100, 48000])
@pytest.mark.parametrize("name", ["A2", "E3", "C4", "G#4", "D5"])
@pytest.mark.parametrize("player", ["plucked", "bowed", "flute", "piano", "mallet", "organ"])
def test_instruments_are_in_tune(player: str, name: str, rate: int) -> None:
    frequency = instruments.pitch(name)
    note = getattr(instruments, player)(frequency, 1.5, rate, dsp.Dice(player, name))
    assert len(note) == round(1.5 * rate)
    assert np.isfinite(note).all()
    spectrum = np.abs(np.fft.rfft(note * np.hanning(len(note)), 1 << 20))
    bins = np.fft.rfftfreq(1 << 20, 1 / rate)
    near = (bins > frequency * 0.96) & (bins < frequency * 1.04)
    found = bins[near][spectrum[near].argmax()]
    assert abs(1200 * np.log2(found / frequency)) < 12.0


def test_drums_fall_silent_and_sit_where_they_belong() -> None:
    centres = {}
    for name in ("kick", "snare", "hat"):
        stroke = getattr(instruments, name)(RATE, dsp.Dice(name))
        power = np.abs(np.fft.rfft(stroke)) ** 2
        centres[name] = float(np.sum(np.fft.rfftfreq(len(stroke), 1 / RATE) * power) / power.sum())
        assert np.abs(stroke).max() == pytest.approx(1.0, abs=0.2)
        assert abs(stroke[-1]) < 1e-3
    assert centres["kick"] < 300 < 800 < centres["snare"] < 6000 < centres["hat"]


# --- espeak-ng ------------------------------------------------------------------------------------------------------


def test_speech_is_the_same_in_any_order_and_with_breathy_voices() -> None:
    # The voices f2, f3 and f5 mix in noise that espeak-ng seeds with the time of day.
    asked = [("One calm day.", "en-us+f3"), ("Two red boats.", "de+m1"), ("Three birds.", "en-us+f5")]
    first = [espeak.speak(text, voice)[1] for text, voice in asked]
    second = [espeak.speak(text, voice)[1] for text, voice in reversed(asked)][::-1]
    for one, other in zip(first, second, strict=True):
        assert len(one) > 0.5 * 22050
        assert np.array_equal(one, other)


def test_noise_of_breathy_voices_does_not_depend_on_the_time() -> None:
    first = espeak.speak("Wait.", "en-us+f5")[1]
    time.sleep(1.1)
    assert np.array_equal(first, espeak.speak("Wait.", "en-us+f5")[1])


def test_speed_pitch_and_voice_are_heard() -> None:
    plain = espeak.speak("A longer sentence about nothing.", "en-us")[1]
    fast = espeak.speak("A longer sentence about nothing.", "en-us", speed=240)[1]
    assert len(fast) < 0.8 * len(plain)
    assert not np.array_equal(plain, espeak.speak("A longer sentence about nothing.", "en-us", pitch=80)[1])
    assert not np.array_equal(plain, espeak.speak("A longer sentence about nothing.", "fr")[1])


def test_an_unknown_voice_is_one_clear_line() -> None:
    with pytest.raises(BenchError, match=r"did not speak with the voice xx-none.*SetVoiceByName"):
        espeak.speak("Hello.", "xx-none")


def test_a_long_path_of_the_data_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import espeakng_loader

    deep = tmp_path.joinpath(*["a-rather-long-folder-name"] * 8)
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    expected = espeak.speak("Hello.", "en-us")[1]
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(deep / "espeak-ng-data"))
    assert len(str(deep)) > 160
    assert np.array_equal(espeak.speak("Hello.", "en-us")[1], expected)


def test_without_the_wheel_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(BenchError, match="espeakng-loader is missing"):
        espeak.speak("Hello.", "en-us")


# --- recipes --------------------------------------------------------------------------------------------------------


def test_the_same_bytes_twice_in_a_fresh_process_in_another_order_and_on_more_threads() -> None:
    names = ["speech/workshop", "general/rain", "music/guitar-arpeggio", "speech/garage", "general/door-knock"]
    here = {}
    for name in names:
        generator, clip = name.split("/")
        here[name] = recipes(generator)[clip].audio().digest()
    for order, threads in ((names[::-1], "1"), (names[2:] + names[:2], "2")):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        lines = fresh_process(DIGESTS, *order, **limits).split("\n")
        assert dict(line.split() for line in lines if line) == here


def test_the_same_bytes_without_vector_instructions() -> None:
    # numpy's exp, log and tanh differ in the last bit with the instructions of the processor; 16 bits hide that.
    names = ["general/church-bell", "general/wind", "music/bass-line"]
    expected = fresh_process(DIGESTS, *names)
    assert expected == fresh_process(DIGESTS, *names, NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX2 AVX512F FMA3")


def test_two_recipes_of_one_name_are_refused() -> None:
    recipe = recipes("general")["clicks"]
    with pytest.raises(ValueError, match="two built-in clips are called clicks"):
        index([recipe, recipe])


def test_an_unknown_generator_is_refused() -> None:
    with pytest.raises(BenchError, match="no built-in generator 'noise'"):
        recipes("noise")


# --- the cache ------------------------------------------------------------------------------------------------------


def test_clips_appear_once_and_are_what_the_row_says(
    rows: list[dict[str, str]], cache_folder: Path, no_building: Callable[[], None]
) -> None:
    made = materialise("general", rows)
    assert made.notes == ()
    assert made.digests == {row["id"]: row["sha256"] for row in rows}
    for row in rows:
        path = made.paths[row["id"]]
        assert path.is_relative_to(cache_folder)
        assert audio.read(path).digest() == row["sha256"]
    assert not list(cache_folder.rglob("*.tmp"))
    no_building()
    assert materialise("general", rows) == made


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "text", "empty"])
def test_a_damaged_file_is_made_again(rows: list[dict[str, str]], damage: str) -> None:
    path = materialise("general", rows).paths["clicks"]
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes({
            "cut": whole[:middle],
            "flip": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "text": b"not audio",
            "empty": b"",
        }[damage])  # fmt: skip
        # File systems may count time in steps of milliseconds.
        os.utime(path, ns=(path.stat().st_mtime_ns + 10**9,) * 2)
    assert materialise("general", rows).notes == ()
    assert path.read_bytes() == whole


def test_a_copied_cache_is_checked_and_kept(rows: list[dict[str, str]], no_building: Callable[[], None]) -> None:
    path = materialise("general", rows).paths["clicks"]
    os.utime(path, (1, 1))
    no_building()
    assert materialise("general", rows).notes == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"clicks.wav": 3}', '{"clicks.wav": {"size": 1}}'])
def test_a_broken_manifest_costs_only_time(
    rows: list[dict[str, str]], cache_folder: Path, content: str, no_building: Callable[[], None]
) -> None:
    materialise("general", rows)
    (manifest,) = cache_folder.rglob("manifest.json")
    manifest.write_text(content)
    no_building()
    assert materialise("general", rows).notes == ()
    assert set(json.loads(manifest.read_text())) == {"clicks.wav", "door-knock.wav"}


def test_a_clip_that_differs_is_named_with_digests_and_versions(
    rows: list[dict[str, str]], no_building: Callable[[], None]
) -> None:
    pinned = [{**rows[0], "sha256": "0" * 64}, rows[1]]
    made = materialise("general", pinned)
    (note,) = made.notes
    for part in (
        "1 of 2",
        "door-knock",
        rows[0]["sha256"][:12],
        "0" * 12,
        f"numpy {np.__version__}",
        "espeakng-loader",
    ):
        assert part in note
    assert made.digests["door-knock"] == rows[0]["sha256"]
    no_building()
    assert materialise("general", pinned) == made
    # The list was corrected: nothing has to be made, and there is nothing to note.
    assert materialise("general", rows).notes == ()


def test_a_clip_that_differs_is_tried_again_with_other_versions(
    rows: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = [{**rows[1], "sha256": "0" * 64}]
    materialise("general", pinned)
    monkeypatch.setattr(cache, "versions", lambda: "numpy 99")
    built = []
    original = cache._build

    def build(generator: str, name: str, *rest: Any) -> object:
        built.append(name)
        return original(generator, name, *rest)

    monkeypatch.setattr(cache, "_build", build)
    assert "numpy 99" in materialise("general", pinned).notes[0]
    materialise("general", pinned)
    assert built == ["clicks"]


def test_an_older_clip_makes_way_for_the_list(rows: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache made by an older recipe: the file is sound, but the list now pins another digest."""
    path = materialise("general", rows).paths["clicks"]
    old = audio.read(path)
    audio.write(path, audio.Audio.of(0.5 * old.samples, old.rate))
    digest = audio.read(path).digest()
    (manifest,) = path.parent.glob("manifest.json")
    content = json.loads(manifest.read_text())
    stat = path.stat()
    content[path.name] |= {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "digest": digest, "pinned": digest}
    manifest.write_text(json.dumps(content))
    assert materialise("general", rows).notes == ()
    assert audio.read(path).digest() == rows[1]["sha256"]


def test_processes_may_make_the_same_clips_at_once(rows: list[dict[str, str]], cache_folder: Path) -> None:
    command = [sys.executable, "-c", MATERIALISE, json.dumps(rows)]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for job in jobs:
        output, _ = job.communicate(timeout=60)
        assert job.returncode == 0
        assert json.loads(output) == {row["id"]: row["sha256"] for row in rows}
    assert not list(cache_folder.rglob("*.tmp"))


def test_an_unknown_clip_is_one_clear_line(rows: list[dict[str, str]]) -> None:
    with pytest.raises(BenchError, match="no-such"):
        materialise("general", [{**rows[0], "id": "no-such", "path": "no-such.wav"}])


def test_a_cache_that_cannot_be_written_is_one_clear_line(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(BenchError, match=r"cannot write .*\.wav.*LDMBENCH_CACHE") as caught:
        materialise("general", rows)
    assert caught.value.exit_code == 1


def test_a_full_disk_leaves_nothing_behind(
    rows: list[dict[str, str]], cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import scipy.io.wavfile

    def half(handle: BinaryIO, *_: object) -> None:
        handle.write(b"RIFF")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scipy.io.wavfile, "write", half)
    with pytest.raises(BenchError, match="No space left on device"):
        materialise("general", rows)
    assert not [path for path in cache_folder.rglob("*") if path.is_file()]


# --- the lists ------------------------------------------------------------------------------------------------------


def test_rewriting_the_lists_asks_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "REASON" in capsys.readouterr().err


def test_rewriting_makes_list_and_card_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ldmbench.clips.card import load_dataset_card, read_list

    folder = tmp_path / "builtin-general"
    folder.mkdir()
    card = Path(__file__).parents[2] / "datasets" / "builtin-general" / "card.toml"
    (folder / "card.toml").write_text(card.read_text().replace('sha256 = "', 'sha256 = "dead'))
    assert rewrite(tmp_path, "builtin-general") is True
    assert (folder / "card.toml").read_text() == card.read_text()
    assert rewrite(tmp_path, "builtin-general") is False
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path))
    listed = read_list(load_dataset_card("builtin-general"), "test")
    assert [row["id"] for row in listed] == list(recipes("general"))
    (folder / "card.toml").write_text("nothing")
    with pytest.raises(ValueError, match="0 lines"):
        rewrite(tmp_path, "builtin-general")


def test_listing_generators_imports_nothing_heavy() -> None:
    code = "import sys, ldmbench.synthesis.recipe; print([m for m in sys.modules if m in ('scipy', 'soxr')])"
    assert fresh_process(code).strip() == "[]"
    assert set(GENERATORS) == {"speech", "music", "general", "training", "notes", "phrases"}
