"""The page of runs: its spectrograms and sounds, and the document that holds them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from PIL import Image

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.reports import curves, drawing, encoding, media, page, panels, spectrogram
from ldmbench.reports.compare import page as versus
from ldmbench.reports.listening import scatter
from ldmbench.runs.records import ClipInfo, OutputRow
from ldmbench.runs.results import Run
from tests.present import present
from tests.reports.conftest import PUBLISHED, TITLE, embedded

if TYPE_CHECKING:
    pass


# ---- spectrograms


def test_a_sine_lies_at_its_frequency_and_level() -> None:
    rate, hz = 48_000, 3000.0
    sine = Audio.of(0.5 * np.sin(2 * np.pi * hz * np.arange(rate) / rate), rate)
    levels = spectrogram.levels(sine, 1.0, rate / 2, width=100, height=200)
    assert levels.shape == (200, 100)
    column = levels[:, 50]
    row = int(column.argmax())
    assert (row + 0.5) / 200 == pytest.approx(spectrogram.height_of(hz, rate / 2), abs=1.5 / 200)
    assert column[row] == pytest.approx(-6.02, abs=4)
    quieter = spectrogram.levels(Audio.of(sine.samples / 10, rate), 1.0, rate / 2, width=100, height=200)
    assert column[row] - quieter[row, 50] == pytest.approx(20, abs=0.01)
    assert column[int(200 * spectrogram.height_of(500, rate / 2))] < -70


def test_nothing_above_nyquist_and_nothing_after_the_end() -> None:
    noise = Audio.of(0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    levels = spectrogram.levels(noise, 2.0, 24_000, width=100, height=200)
    edge = spectrogram.height_of(4000, 24_000)
    assert np.isneginf(levels[int(200 * edge) + 1 :]).all()
    assert np.isfinite(levels[: int(200 * edge) - 1, 2:48]).all()
    assert np.isneginf(levels[:, 50:]).all()


@pytest.mark.parametrize("length", [1, 5, 100])
def test_very_short_and_silent_sounds_have_a_picture(length: int) -> None:
    levels = spectrogram.levels(Audio.of(np.zeros(length), 16_000), length / 16_000, 8000)
    picture = Image.open(io.BytesIO(spectrogram.webp(levels, 0.0)))
    assert picture.size == (spectrogram.WIDTH, spectrogram.HEIGHT)
    assert np.asarray(picture.convert("RGB")).max() <= 8, "black, as far as a lossy picture is"


def test_the_picture_brightens_with_the_level_and_has_low_frequencies_below() -> None:
    levels = np.repeat(np.linspace(-100, 10, 50, dtype=np.float32)[:, None], 64, axis=1)
    picture = Image.open(io.BytesIO(spectrogram.webp(levels, 0.0)))
    lightness = np.asarray(picture.convert("L"), int)[::-1, 32]
    assert (np.diff(lightness) >= -4).all(), "but for the grain of a lossy picture"
    assert lightness[0] < 8
    assert lightness[-1] > 230


def test_the_picture_packs_small_and_stays_close() -> None:
    noise = Audio.of(0.1 * np.random.default_rng(0).standard_normal(96_000), 16_000)
    levels = spectrogram.levels(noise, 6.0, 8000)
    packed = spectrogram.webp(levels, -20.0)
    assert len(packed) < 24_000, "noise is the worst to pack"
    shown = np.asarray(Image.open(io.BytesIO(packed)).convert("L"), float)[::-1]
    expected = np.clip((levels + 20) / spectrogram.RANGE + 1, 0, 1)
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("top", [4000, 8000, 11_025, 16_000, 22_050, 24_000, 48_000])
def test_frequency_labels_keep_their_distance(top: int) -> None:
    ticks = spectrogram.ticks(top)
    heights = [height for _, height in ticks]
    assert len(ticks) >= 4
    assert all(b - a >= 0.09 for a, b in pairwise(heights))
    assert all(spectrogram.height_of(float(label) * 1000, top) == height for label, height in ticks)


# ---- sounds


def one_clip(tmp_path: Path, sounds: Mapping[str, Audio | None], run: Run) -> tuple[ClipInfo, list[Run]]:
    """A clip with a reference and an output of each named system; None stands for a failure."""
    clip = replace(run.info.clips[0], path=str(tmp_path / "reference.wav"))
    made = []
    for name, sound in sounds.items():
        if name == "Reference":
            audio.write(clip.path, present(sound))
            continue
        row = OutputRow(clip.id, "failed", "boom")
        if sound is not None:
            audio.write(tmp_path / name / "a.wav", sound)
            row = OutputRow(clip.id, "ok", audio="a.wav")
        made.append(Run(tmp_path / name, replace(run.info, system=name, clips=(clip,)), {clip.id: row}, {}))
    return clip, made


def noise(peak: float, rate: int = 16_000, channels: int = 1) -> Audio:
    samples = np.random.default_rng(int(peak * 10)).standard_normal((channels, rate))
    return Audio.of(peak * samples / np.abs(samples).max(), rate)


def test_flac_is_the_sound_to_16_bits(tmp_path: Path, runs: list[Run]) -> None:
    sounds = {"Reference": noise(0.9), "a": noise(0.4, 48_000, 2)}
    clip, made = one_clip(tmp_path, sounds, runs[1])
    found = media.write_clip(clip, made, tmp_path / "page" / "clips", "000")
    assert (found.note, [item.message for item in found.stimuli]) == ("", ["", ""])
    for item, sound in zip(found.stimuli, sounds.values(), strict=True):
        samples, rate = soundfile.read(tmp_path / "page" / item.audio, dtype="float64", always_2d=True)
        assert rate == sound.rate
        assert np.abs(samples.T - sound.samples).max() <= 2**-16 * 1.001
    assert found.stimuli[1].facts == "48 kHz, stereo, 1.00 s"


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (48_000, 1)])
def test_opus_is_as_long_as_the_sound_and_close(tmp_path: Path, runs: list[Run], rate: int, channels: int) -> None:
    time = np.arange(2 * rate) / rate
    tone = 0.4 * np.sin(2 * np.pi * np.array([[440.0], [660.0]])[:channels] * time)
    sound = Audio.of(tone, rate)
    clip, made = one_clip(tmp_path, {"Reference": sound, "a": sound}, runs[1])
    packed = media.write_clip(clip, made, tmp_path / "page" / "clips", "000", "opus").stimuli[1]
    file = tmp_path / "page" / packed.audio
    assert file.suffix == ".opus"
    samples, coded = soundfile.read(file, always_2d=True)
    assert coded == 48_000
    assert samples.shape == (96_000, channels)
    error = samples.T - sound.at(48_000).samples
    assert 10 * np.log10(np.square(tone).mean() / np.square(error[:, 2400:-2400]).mean()) > 20
    assert np.abs(audio.read(file).samples - samples.T).max() < 1e-4, "the bench reads its own file in time"
    bits = 8 * file.stat().st_size / 2
    assert bits < 1.6 * channels * min(encoding.OPUS_RATE, encoding.OPUS_BITS * rate)
    again = encoding.write_opus(tmp_path / "again", sound, 1.0)
    assert again.read_bytes() == file.read_bytes()


def test_opus_spends_on_two_channels_what_their_band_needs() -> None:
    low = Audio.of(np.random.default_rng(0).standard_normal((2, 48_000)), 48_000)
    spectrum = np.fft.rfft(low.samples)
    narrow = spectrum * (np.fft.rfftfreq(48_000, 1 / 48_000) < 7000)
    sound = Audio.of(np.fft.irfft(narrow, 48_000), 48_000)
    assert encoding.band(sound) == pytest.approx(7000, rel=0.01)
    assert encoding.band(low) == pytest.approx(24_000, rel=0.001)
    assert encoding.opus_rate(sound) == pytest.approx(2 * 6 * 7000, rel=0.01)
    assert encoding.opus_rate(low) == 2 * encoding.OPUS_STEREO
    assert encoding.opus_rate(sound.mono()) == encoding.OPUS_RATE
    assert encoding.opus_rate(Audio.of(np.zeros((2, 10)), 48_000)) == 2 * encoding.OPUS_LEAST


def test_opus_turns_down_like_flac_and_leaves_surround_alone(tmp_path: Path) -> None:
    loud = noise(1.0, 48_000)
    full, half = (soundfile.read(encoding.write_opus(tmp_path / str(gain), loud, gain))[0] for gain in (1.0, 0.5))
    assert np.square(half).mean() / np.square(full).mean() == pytest.approx(0.25, rel=0.05)
    assert encoding.write_opus(tmp_path / "six", noise(0.5, 16_000, 6), 1.0).suffix == ".flac"


def test_above_full_scale_the_whole_clip_is_turned_down_and_says_so(tmp_path: Path, runs: list[Run]) -> None:
    sounds = {"Reference": noise(0.9), "a": noise(1.5), "b": noise(0.3)}
    clip, made = one_clip(tmp_path, sounds, runs[1])
    found = media.write_clip(clip, made, tmp_path / "page" / "clips", "000")
    assert "3.5 dB lower" in found.note
    for item, sound in zip(found.stimuli, sounds.values(), strict=True):
        samples, _ = soundfile.read(tmp_path / "page" / item.audio, always_2d=True)
        assert np.abs(samples.T - sound.samples * (media.FULL_SCALE / 1.5)).max() <= 2**-15
        assert item.message == ""


def test_one_absurdly_loud_output_does_not_silence_the_others(tmp_path: Path, runs: list[Run]) -> None:
    clip, made = one_clip(tmp_path, {"Reference": noise(0.9), "a": noise(50.0)}, runs[1])
    found = media.write_clip(clip, made, tmp_path / "page" / "clips", "000")
    reference, _ = soundfile.read(tmp_path / "page" / found.stimuli[0].audio)
    loud, _ = soundfile.read(tmp_path / "page" / found.stimuli[1].audio)
    assert np.abs(reference).max() == pytest.approx(0.9, abs=2**-16)
    assert 0.999 < np.abs(loud).max() < 1
    assert "34.0 dB above full scale" in found.stimuli[1].message
    assert found.note == ""


def test_what_cannot_be_played_says_why(tmp_path: Path, runs: list[Run]) -> None:
    clip, made = one_clip(tmp_path, {"Reference": noise(0.9), "a": None, "b": noise(0.5), "c": noise(0.5)}, runs[1])
    Path(clip.path).unlink()
    (tmp_path / "b" / "a.wav").write_bytes(b"RIFF")
    made[2].outputs.clear()
    found = media.write_clip(clip, made, tmp_path / "page" / "clips", "000")
    assert [item.status for item in found.stimuli] == ["missing", "failed", "missing", "pending"]
    assert "does not exist" in found.stimuli[0].message
    assert found.stimuli[1].message == "boom"
    assert "interrupted" in found.stimuli[3].message
    assert not any(item.audio for item in found.stimuli)


def test_sounds_that_flac_cannot_hold_are_named(tmp_path: Path, runs: list[Run]) -> None:
    clip, made = one_clip(tmp_path, {"Reference": noise(0.9), "a": noise(0.5, 16_000, 9)}, runs[1])
    found = media.write_clip(clip, made, tmp_path / "page" / "clips", "000")
    assert found.stimuli[1].status == "missing"
    assert "9 channels" in found.stimuli[1].message


# ---- the document


def test_the_page_holds_its_files_and_nothing_from_elsewhere(written: Path, html: str) -> None:
    folder = written.parent
    used = set()
    for clip in embedded(html)["clips"]:
        for item in clip["stimuli"]:
            used |= {item[kind] for kind in ("audio", "image") if item[kind]}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert present == used | {"index.html"}
    assert not re.search(r'(?:src|href|action)\s*=\s*"?(?:https?:)?//', html)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_the_script_is_whole_and_in_the_page(html: str) -> None:
    files = {path.name for path in page.TEMPLATES.glob("*.js")}
    assert files == {*page.SCRIPTS, *scatter.SCRIPTS, *versus.SCRIPTS}
    script = present(re.search(r"<script>\n(.*?)</script>", html, re.DOTALL))[1]
    for name in page.SCRIPTS:
        assert (page.TEMPLATES / name).read_text(encoding="utf-8") in script


def test_names_and_texts_are_never_markup(html: str, evil: str) -> None:
    assert evil not in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>8 kHz</b>" not in html
    messages = [item["message"] for clip in embedded(html)["clips"] for item in clip["stimuli"]]
    assert "encoder said: <b>8 kHz</b> not supported" in messages
    assert page.embed({"a": "</script><!--\u2028"}) == '{"a":"\\u003c/script\\u003e\\u003c!--\\u2028"}'


def test_what_no_clip_can_have_is_not_said_at_each_of_them(html: str) -> None:
    """A low-pass filter has no bitrate and a reference no finite error: dashes; a silent output is said where it is."""
    said = re.findall(r'<span class="chip odd">(\d+ unscored)</span>', html)
    assert said == ["1 unscored"], "the output of one clip is silent"
    data = embedded(html)
    rate = next(index for index, item in enumerate(data["metrics"]) if item["name"] == "kbps")
    for clip in data["clips"]:
        for item in clip["stimuli"]:
            if item["name"] in ("Reference", "lowpass@3.5khz"):
                assert item["scores"][rate] == ["none", ""]


def test_figures_are_packed_and_keep_every_letter_where_it_was(runs: list[Run]) -> None:
    curve = curves.build(runs, ["visqol_audio"])[0]
    names = drawing.family_names([curve])
    whole = drawing.render([curve], "svg", palette=names).decode()
    packed = panels.curve_panel(curve, names, "c0-").svg
    assert len(packed) < 0.6 * len(whole)
    assert packed.count("<use ") == whole.count("<use ")
    for pattern in (r"scale\(([\d.]+) ", r"<use [^>]*?x=\"([\d.]+)\"", r"translate\(([\d.]+) "):
        before, after = ([float(number) for number in re.findall(pattern, text)] for text in (whole, packed))
        assert after == pytest.approx(before, abs=0.006, rel=1e-3), pattern
    assert packed.count("paint-order") > 3
    ElementTree.fromstring(packed.replace("xlink:href", "href"))


def test_ids_are_unique_and_references_resolve(html: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="|url\()#([^")]+)', html))
    assert references <= set(ids)
    assert set(re.findall(r'aria-(?:controls|labelledby)="([^"]+)"', html)) <= set(ids)


def test_the_page_says_what_it_leaves_out(html: str) -> None:
    assert "builtin-speech: showing 3 of 4 clips" in html
    assert [clip["id"] for clip in embedded(html)["clips"]][:3] == [f"builtin-speech/clip-0{k}" for k in range(3)]


def test_failed_clips_come_first_into_the_excerpt(sounding_runs: list[Run]) -> None:
    chosen = page._choose_clips(sounding_runs, 1)
    assert [clip.id for clip in chosen] == [
        "builtin-speech/clip-01",
        "builtin-music/clip-00",
        "builtin-general/clip-00",
    ]


def test_scores_of_a_clip_are_its_own(html: str, sounding_runs: list[Run]) -> None:
    data = embedded(html)
    titles = [metric["title"] for metric in data["metrics"]]
    clip = data["clips"][0]
    item = next(item for item in clip["stimuli"] if item["name"] == "opus@12kbps")
    run = next(run for run in sounding_runs if run.info.system == "opus@12kbps")
    assert item["scores"][titles.index("ViSQOL")] == ["ok", f"{run.scores[clip['id'], 'visqol_audio'].value:.2f}"]
    assert item["scores"][titles.index("Bitrate")] == ["ok", "12.20"]
    names = [item["name"] for item in clip["stimuli"]]
    assert names[0] == "Reference"
    assert "reference" not in names, "the reference system is the reference, and is not played twice"
    assert clip["stimuli"][0]["scores"][titles.index("ViSQOL")][0] == "ok"


def test_every_run_tells_its_provenance(html: str, sounding_runs: list[Run]) -> None:
    section = html.partition('id="provenance"')[2]
    for run in sounding_runs:
        assert run.info.id in section
    for word in ("ldmbench run quickstart", "2.4.6", "0f" * 16, "a" * 64, "2026-01-02T03:04:05Z", "doi:10.1109"):
        assert word in section


def test_marks_and_refusals_reach_the_page(
    sounding_runs: list[Run], change: Callable[..., Run], tmp_path: Path
) -> None:
    runs = [change(run, untrained=True, limit=2) for run in sounding_runs[1:3]]
    text = page.write_page(runs, tmp_path / "p", TITLE, published=PUBLISHED, max_clips=1).read_text(encoding="utf-8")
    assert re.search(r'class="banner untrained"><b>UNTRAINED</b>', text)
    assert re.search(r'class="banner partial"><b>PARTIAL</b>', text)
    assert text.count('class="mark untrained">UNTRAINED') >= 6
    assert "publ. 3.41" not in text
    assert "No published numbers beside opus@12kbps: the run is untrained and partial" in text


def test_an_anchor_without_points_is_replaced_and_named(
    runs: list[Run], change: Callable[..., Run], tmp_path: Path
) -> None:
    text = page.write_page(runs[1:], tmp_path / "p", TITLE, anchor="aac", max_clips=1).read_text(encoding="utf-8")
    assert "aac has no measured bitrate here: opus is the anchor in its place" in text
    partial = [change(run, limit=4) for run in runs[1:]]
    text = page.write_page(partial, tmp_path / "p", TITLE, anchor="opus", max_clips=1).read_text(encoding="utf-8")
    assert "against <code>opus [PARTIAL]</code>" in text
    assert "in its place" not in text


def test_the_same_runs_give_the_same_page(sounding_runs: list[Run], tmp_path: Path) -> None:
    runs = sounding_runs[:3]
    one = page.write_page(runs, tmp_path / "a", TITLE, max_clips=1)
    two = page.write_page(runs, tmp_path / "b", TITLE, max_clips=1)
    files = sorted(path.relative_to(one.parent) for path in one.parent.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two.parent) for path in two.parent.rglob("*") if path.is_file())
    for name in files:
        assert (one.parent / name).read_bytes() == (two.parent / name).read_bytes()


def test_only_a_page_is_replaced(runs: list[Run], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("my own page")
    with pytest.raises(BenchError, match="something other than a page"):
        page.write_page(runs[1:3], mine, TITLE)
    assert (mine / "index.html").read_text() == "my own page"
    folder = tmp_path / "p"
    page.write_page(runs[1:3], folder, TITLE, max_clips=1)
    (folder / "clips").mkdir(exist_ok=True)
    (folder / "clips" / "old.flac").write_bytes(b"x")
    page.write_page(runs[1:3], folder, TITLE, max_clips=1)
    assert not (folder / "clips" / "old.flac").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(BenchError, match="is a file"):
        page.write_page(runs[1:3], tmp_path / "file", TITLE)


def test_an_interrupted_page_can_be_written_again(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "p"
    with monkeypatch.context() as patch:
        patch.setattr(media, "write_clip", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            page.write_page(runs[1:3], folder, TITLE, max_clips=1)
    assert "not finished" in (folder / "index.html").read_text(encoding="utf-8")
    assert TITLE.split()[0] in page.write_page(runs[1:3], folder, TITLE, max_clips=1).read_text(encoding="utf-8")


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    values = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_meets_wcag(scheme: int) -> None:
    css = (page.TEMPLATES / "page.css").read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))

    def ratio(one: str, two: str) -> float:
        dark, light = sorted((luminance(colours[one]), luminance(colours[two])))
        return (light + 0.05) / (dark + 0.05)

    for text in ("ink", "muted", "accent"):
        for ground in ("paper", "back", "soft"):
            assert ratio(text, ground) >= 4.5, (text, ground)
    for text in ("odd", "bad", "best"):
        assert ratio(text, f"{text}-back") >= 4.5, text
        assert ratio(text, "paper") >= 4.5, text
    for index in range(8):
        assert ratio(f"c{index}", "paper") >= 3, index
