from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
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
from ldmbench.reports.published import Published, PublishedValue
from ldmbench.runs.records import ClipInfo, OutputRow
from ldmbench.runs.results import Run
from tests.present import present

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver as Chrome

TITLE = "Classical codecs & a k-means mel codec"
PUBLISHED = Published(
    (PublishedValue("Opus 12", "opus@12kbps", 12.0, "builtin-speech", "visqol_audio", 3.41, "Doe 2024, table 2"),)
)


@pytest.fixture(scope="module")
def written(sounding_runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "out"
    return page.write_page(sounding_runs, folder, TITLE, published=PUBLISHED, anchor="opus", max_clips=3)


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return written.read_text(encoding="utf-8")


def embedded(html: str) -> dict[str, Any]:
    script = present(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL))
    data: dict[str, Any] = json.loads(script[1])
    return data


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


# ---- the page in a browser


@pytest.fixture(scope="module")
def browser(browsers: Callable[..., Chrome]) -> Chrome:
    return browsers("autoplay-policy=no-user-gesture-required")


@pytest.fixture
def opened(browser: Chrome, written: Path) -> Chrome:
    resize(browser, 1280, 900)
    browser.get(written.as_uri())
    return browser


def resize(browser: Chrome, width: int, height: int, scheme: str = "light") -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def open_clip(browser: Chrome, index: int = 0) -> None:
    browser.execute_script("document.querySelectorAll('.open')[arguments[0]].click()", index)
    wait(browser, "return [...document.querySelectorAll('audio')].every(a => a.readyState >= 2)")


def wait(browser: Chrome, script: str, *arguments: object) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 15, 0.02).until(lambda b: b.execute_script(script, *arguments))


def log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    driver: Any = browser
    return list(driver.get_log(kind))


def press(browser: Chrome, key: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(key).perform()


def names(browser: Chrome, table: int = 0) -> list[str]:
    script = """const table = document.querySelectorAll('table.results')[arguments[0]];
      return [...table.tBodies[0].rows].map(row => row.cells[0].innerText)"""
    return [name.replace("\u200b", "").strip() for name in browser.execute_script(script, table)]


def chosen(browser: Chrome) -> str:
    name: str = browser.execute_script("return document.querySelector('.stimuli tr.on .pick').innerText")
    return name.replace("\u200b", "")


def test_opens_from_a_file_without_errors_or_requests(opened: Chrome) -> None:
    open_clip(opened)
    assert opened.title == f"{TITLE} · ldmbench"
    assert [entry for entry in log(opened, "browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    requests = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in log(opened, "performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert any(url.endswith(".flac") for url in requests)
    # chrome: is the browser's own empty tab, before the page.
    assert {url.partition(":")[0] for url in requests} <= {"file", "data", "chrome"}


def test_hostile_text_is_shown_as_text(opened: Chrome, evil: str) -> None:
    shown = opened.execute_script("return [...document.querySelectorAll('.clip .text')].map(e => e.textContent)")
    assert evil in shown


def test_headings_sort_better_first_then_worse_then_as_it_was(opened: Chrome) -> None:
    original = names(opened)

    def press_heading(column: int) -> str | None:
        order: str | None = opened.execute_script(
            "const h = document.querySelector('table.results').tHead.rows[0].cells[arguments[0]];"
            "h.querySelector('button').click(); return h.getAttribute('aria-sort')",
            column,
        )
        return order

    def values(column: int) -> list[str]:
        script = """const table = document.querySelector('table.results');
          return [...table.tBodies[0].rows].map(row => row.cells[arguments[0]].dataset.value)"""
        shown: list[str] = opened.execute_script(script, column)
        return shown

    for column, first in ((2, "descending"), (3, "ascending")):
        assert press_heading(column) == first
        numbers = [float(value) for value in values(column)]
        assert numbers == sorted(numbers, reverse=first == "descending")
        assert press_heading(column) != first
        numbers = [float(value) for value in values(column)]
        assert numbers == sorted(numbers, reverse=first != "descending")
        assert press_heading(column) is None
        assert names(opened) == original
    press_heading(1)
    rates = values(1)
    assert rates[-2:] == ["", ""], "systems without a bitrate stay below"
    assert [float(value) for value in rates[:-2]] == sorted(float(value) for value in rates[:-2])
    press_heading(0)
    opus = [name for name in names(opened) if name.startswith("opus")]
    assert opus == ["opus@6kbps", "opus@12kbps", "opus@24kbps", "opus@64kbps"], "numbers in names sort as numbers"


def test_intervals_appear_on_request(opened: Chrome) -> None:
    script = "return getComputedStyle(document.querySelector('td .interval')).display"
    assert opened.execute_script(script) == "none"
    opened.execute_script("document.getElementById('intervals').click()")
    assert opened.execute_script(script) == "block"


def test_filters_narrow_the_list(opened: Chrome) -> None:
    def shown() -> list[str]:
        clips: list[str] = opened.execute_script(
            """return [...document.querySelectorAll('.clip')].filter(clip => clip.offsetParent)
              .map(clip => clip.dataset.dataset + '/' + clip.dataset.group)"""
        )
        return clips

    def choose(field: str, value: str) -> None:
        opened.execute_script(
            "const e = document.querySelector(`#filter [name=${arguments[0]}]`); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', {bubbles: true}))",
            field,
            value,
        )

    assert len(shown()) == 9
    choose("dataset", "builtin-music")
    assert shown() == ["builtin-music/voice-a", "builtin-music/voice-b", "builtin-music/voice-a"]
    choose("group", "voice-b")
    assert shown() == ["builtin-music/voice-b"]
    choose("words", "no such words")
    assert shown() == []
    assert opened.execute_script("return document.getElementById('nothing').offsetParent !== null")
    for field in ("words", "dataset", "group"):
        choose(field, "")
    choose("words", "ALERT music")
    assert shown() == ["builtin-music/voice-a"]
    choose("words", "")
    opened.execute_script("document.querySelector('#filter [name=failed]').click()")
    assert shown() == ["builtin-speech/voice-b"]
    assert opened.execute_script("return document.getElementById('count').textContent") == "1 of 9 clips"


#: Presses keys, each 0.2 s after the sound before it was heard, and records in every frame what is heard and where.
WATCH = """
const [keys, done] = arguments, frames = [], body = document.querySelector('.panel-body:not([hidden])');
const sounds = [...document.querySelectorAll('audio')], start = performance.now();
let pressed = 0, since = 0;
const step = () => {
  const now = performance.now() - start;
  const heard = sounds.filter(a => !a.paused && !a.muted && a.volume > 0.1);
  frames.push([now, heard.map(a => Number(a.dataset.index)), heard.map(a => a.currentTime)]);
  if (pressed && (!heard.length || heard[0].dataset.index !== keys[pressed - 1])) since = now;
  if (now - since > 200) {
    if (pressed === keys.length) return done(frames);
    body.dispatchEvent(new KeyboardEvent('keydown', {key: keys[pressed++], bubbles: true}));
    since = now;
  }
  requestAnimationFrame(step);
};
step();
"""


def test_switching_keeps_the_position_without_a_gap(opened: Chrome) -> None:
    open_clip(opened)
    opened.execute_script("document.querySelector('.play').click()")
    wait(opened, "return [...document.querySelectorAll('audio')].some(a => a.currentTime > 0.05)")
    frames = opened.execute_async_script(WATCH, ["2", "0", "7", "1", "0"])
    order = [heard[0] for _, heard, _ in frames if heard]
    assert [key for index, key in enumerate(order) if index == 0 or order[index - 1] != key] == [0, 2, 0, 7, 1, 0]
    assert all(len(heard) == 1 for _, heard, _ in frames), "one sound is heard at every moment, and only one"
    # Where the playback is, against the clock, in every frame: no jump, and no pause either.
    offsets = np.array([place[0] - now / 1000 for now, _, place in frames])
    print(f"largest deviation {1000 * np.abs(offsets - offsets[0]).max():.1f} ms")
    assert np.abs(offsets - offsets[0]).max() < 0.08


def test_keys_play_seek_step_and_loop(opened: Chrome) -> None:
    open_clip(opened)
    heard = "return [...document.querySelectorAll('audio')].filter(a => !a.paused && a.volume > 0.1).length"
    clock = "return parseFloat(document.querySelector('.clock').textContent)"
    assert chosen(opened).endswith("Reference")
    press(opened, "\ue015")
    assert chosen(opened).endswith("opus@6kbps")
    press(opened, "\ue013")
    press(opened, "\ue013")
    assert chosen(opened).endswith("lowpass@3.5khz"), "up from the first goes to the last"
    press(opened, "3")
    assert chosen(opened).endswith("opus@24kbps")
    press(opened, "\ue014")
    press(opened, "\ue014")
    wait(opened, clock + " === 1")
    press(opened, "\ue012")
    wait(opened, clock + " === 0.5")
    press(opened, "l")
    assert opened.execute_script("return document.querySelector('.loop').getAttribute('aria-pressed')") == "true"
    press(opened, " ")
    wait(opened, heard + " === 1")
    assert opened.execute_script(
        "return [...document.querySelectorAll('audio')].find(a => !a.paused && a.volume > 0.1).currentTime >= 0.5"
    )
    wait(
        opened,
        "return [...document.querySelectorAll('audio')].find(a => !a.paused && a.volume > 0.1).currentTime < 0.4",
    )
    press(opened, " ")
    wait(opened, heard + " === 0")
    press(opened, "\ue00c")
    assert opened.execute_script("return document.querySelectorAll('.panel-body:not([hidden]), audio').length") == 0


def test_without_a_loop_the_end_stops_and_goes_back(opened: Chrome) -> None:
    open_clip(opened)
    opened.execute_script(
        "const s = document.querySelector('.seek'); s.value = 2.8; s.dispatchEvent(new Event('input'));"
        "document.querySelector('.play').click()"
    )
    wait(opened, "return document.querySelector('.play').textContent.includes('Play')")
    wait(opened, "return document.querySelector('.clock').textContent.startsWith('0.00')")


def test_failed_sounds_say_so_and_cannot_be_chosen(opened: Chrome) -> None:
    open_clip(opened, 1)
    row = "[...document.querySelectorAll('.stimuli .pick')].find(p => p.innerText.includes('mp3@\u200b8kbps'))"
    assert opened.execute_script(f"return {row}.innerText.includes('FAILED')")
    opened.execute_script(f"{row}.click()")
    assert chosen(opened).endswith("Reference")
    press(opened, "5")
    assert chosen(opened).endswith("Reference")
    text = opened.execute_script("return document.querySelector('.stimuli').innerText")
    assert "encoder said: <b>8 kHz</b> not supported" in text


def test_unscored_values_give_their_reason_and_gains_are_declared(opened: Chrome) -> None:
    open_clip(opened, 2)
    text = opened.execute_script("return document.querySelector('.panel-body:not([hidden])').innerText")
    assert "PESQ-WB unscored: the output is silent (kmeans-mel@0.35kbps)" in text
    open_clip(opened, 0)
    text = opened.execute_script("return document.querySelector('.panel-body:not([hidden])').innerText")
    assert re.search(r"All sounds of this clip play \d\.\d dB lower", text)


def test_the_spectrogram_of_the_chosen_sound_is_shown(opened: Chrome) -> None:
    open_clip(opened)
    script = """const shown = [...document.querySelectorAll('.spectrogram img')].filter(
      i => getComputedStyle(i).visibility === 'visible');
      return shown.map(i => [i.alt, i.complete && i.naturalWidth, i.getBoundingClientRect().width > 500])"""
    wait(opened, "return [...document.querySelectorAll('.spectrogram img')].every(i => i.complete)")
    assert opened.execute_script(script) == [["Spectrogram of Reference", spectrogram.WIDTH, True]]
    press(opened, "1")
    assert opened.execute_script(script) == [["Spectrogram of opus@6kbps", spectrogram.WIDTH, True]]
    labels = opened.execute_script("return [...document.querySelectorAll('.hz')].map(e => e.textContent)")
    assert {"1", "4", "kHz"} <= set(labels)


def test_points_of_the_curves_tell_their_numbers(opened: Chrome) -> None:
    titles = opened.execute_script(
        "return [...document.querySelectorAll('.panel .point title')].map(t => t.textContent)"
    )
    assert any(re.match(r"opus@12kbps: 12\.20 kbit/s, \d\.\d\d \[.*\], n=4$", title) for title in titles)
    assert any("1 FAILED" in title for title in titles)
    size = opened.execute_script(
        "const b = document.querySelector('.panel svg').getBoundingClientRect(); return [b.width, b.height]"
    )
    assert min(size) > 200


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_scrolls_sideways(browser: Chrome, written: Path, width: int) -> None:
    resize(browser, width, 844)
    browser.get(written.as_uri())
    open_clip(browser, 1)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    browser.execute_script("document.getElementById('intervals').click()")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_dark_and_light_differ(opened: Chrome) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = opened.execute_script(colour)
    resize(opened, 1280, 900, "dark")
    assert opened.execute_script(colour) != light


def test_controls_have_names(opened: Chrome) -> None:
    open_clip(opened)
    nameless = opened.execute_script(
        """return [...document.querySelectorAll('button, input, select, img, svg[role=img]')].filter(e => !(
          e.getAttribute('aria-label') || e.getAttribute('alt') || e.textContent.trim()
          || (e.labels && [...e.labels].some(l => l.textContent.trim())))).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


def test_an_average_is_headed_as_such(runs: list[Run], tmp_path: Path) -> None:
    path = page.write_page(runs, tmp_path / "page", "Mine", metrics=["visqol_audio"], averages=["visqol_audio"])
    text = path.read_text(encoding="utf-8")
    assert "<figcaption><b>Mean over the datasets</b> <code>average</code>" in text


# ---- sound first


def told(browser: Chrome) -> str:
    text: str = browser.execute_script("return document.querySelector('.listen .chosen').textContent")
    return text


def heard(browser: Chrome) -> str:
    name: str = browser.execute_script("return document.querySelector('#dock .who').textContent")
    return name


def test_the_first_screen_holds_a_player_and_the_best_median_and_worst_clip(opened: Chrome) -> None:
    low = opened.execute_script(
        "return ['#dock .play', '.feature .spectrogram', 'table.results'].map(q => "
        "document.querySelector(q).getBoundingClientRect().top)"
    )
    assert max(low) < 900
    assert "median of 9 clips by ViSQOL" in told(opened)
    values = {}
    for rank in ("best", "median", "worst"):
        opened.execute_script(f"document.querySelector('[data-rank={rank}]').click()")
        values[rank] = float(present(re.search(r"ViSQOL, ([\d.]+)", told(opened)))[1])
        assert opened.execute_script("return document.querySelectorAll('.panel-body:not([hidden])').length") == 1
    assert values["best"] > values["median"] > values["worst"]


def test_every_number_plays_the_clip_behind_it(opened: Chrome, sounding_runs: list[Run]) -> None:
    script = "document.querySelector('table.results tr[data-run=\"{run}\"] td[data-metric=visqol_audio] .cell').click()"
    run = next(index for index, run in enumerate(sounding_runs) if run.info.system == "mp3@32kbps")
    opened.execute_script(script.format(run=run))
    assert heard(opened) == "mp3@32kbps"
    wait(opened, "return [...document.querySelectorAll('audio')].filter(a => !a.paused && a.volume > 0.1).length === 1")
    stored = sounding_runs[run]
    mean = present(present(stored.estimate("visqol_audio", "builtin-speech")).value)
    shown = [f"builtin-speech/clip-0{index}" for index in range(3)]
    values = {clip: float(str(stored.scores[clip, "visqol_audio"].value)) for clip in shown}
    nearest = min(shown, key=lambda clip: abs(round(values[clip], 2) - mean))
    assert told(opened).startswith(f"{nearest}: ViSQOL {values[nearest]:.2f}".rstrip("0").rstrip("."))
    opened.execute_script(script.format(run=0))
    assert heard(opened) == "Reference", "the reference's row plays the reference"
    opened.execute_script(
        "[...document.querySelectorAll('.point[data-system]')].find(p => p.dataset.system === 'opus@24kbps')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    assert heard(opened) == "opus@24kbps"


def test_keys_reach_every_sound_and_arrows_every_cell(opened: Chrome) -> None:
    open_clip(opened)
    count = opened.execute_script("return document.querySelectorAll('.panel-body:not([hidden]) .pick').length")
    assert count == 13
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(opened).key_down("\ue008").send_keys("2").key_up("\ue008").perform()
    assert chosen(opened).endswith("lowpass@3.5khz")
    stops = opened.execute_script(
        "return document.querySelector('table.results').querySelectorAll('.cell[tabindex=\"0\"]').length"
    )
    assert stops == 1
    opened.execute_script("document.querySelector('.cell').focus()")
    before = opened.execute_script("return document.activeElement.closest('tr').rowIndex")
    press(opened, "\ue015")
    assert opened.execute_script("return document.activeElement.closest('tr').rowIndex") > before


def test_blind_listening_hides_all_but_the_two_and_tells_afterwards(opened: Chrome) -> None:
    open_clip(opened)
    press(opened, "3")
    opened.execute_script("document.querySelector('.blind').click()")
    body = "document.querySelector('.panel-body:not([hidden])')"
    shown = opened.execute_script(f"return {body}.innerText + document.getElementById('dock').innerText")
    assert not re.search(r"opus|Reference|FAILED|\d\.\d\d\d", shown)
    letters = (
        "return [...document.querySelectorAll('.stimuli .pick')].filter(p => p.offsetParent).map(p => p.dataset.letter)"
    )
    assert opened.execute_script(letters) == ["Sound A", "Sound B"]
    spoken = letters.replace("p.dataset.letter", "p.getAttribute('aria-label')")
    assert opened.execute_script(spoken) == ["Sound A", "Sound B"]
    press(opened, "1")
    press(opened, "b")
    assert heard(opened) == "Sound B", "keys of other sounds do nothing"
    opened.execute_script("document.querySelector('.blind').click()")
    words = opened.execute_script("return document.querySelector('.panel-body .warn[role=status]').textContent")
    assert {*re.findall(r"was ([^,]+?)[,.](?= |$)", words)} == {"Reference", "opus@24kbps"}
    assert opened.execute_script("return document.querySelectorAll('.stimuli tr[hidden]').length") == 0


def test_loudness_is_matched_on_request(opened: Chrome, html: str) -> None:
    pytest.importorskip("pyloudnorm")
    stimuli = embedded(html)["clips"][0]["stimuli"]
    levels = [item["lufs"] for item in stimuli if item["audio"]]
    assert len({round(level, 1) for level in levels}) > 1
    open_clip(opened)
    level = "return [...document.querySelectorAll('audio')].map(a => a.volume).filter(v => v > 0.001)"
    opened.execute_script("document.querySelector('.play').click()")
    wait(opened, "return [...document.querySelectorAll('audio')].some(a => a.currentTime > 0.05)")
    assert opened.execute_script(level) == [1]
    opened.execute_script("document.getElementById('match').click()")
    expected = 10 ** ((min(levels) - levels[0]) / 20)
    assert opened.execute_script(level) == [pytest.approx(expected, abs=1e-3)]


def test_a_link_leads_to_clip_sound_and_position(browser: Chrome, written: Path, html: str) -> None:
    resize(browser, 1280, 900)
    browser.get("about:blank")
    clip = embedded(html)["clips"][4]["id"]
    browser.get(f"{written.as_uri()}#clip={clip}&sound=mp3@64kbps&t=1.5")
    assert heard(browser) == "mp3@64kbps"
    assert browser.execute_script("return document.querySelector('#dock .what').textContent") == clip
    wait(browser, "return document.querySelector('.clock').textContent.startsWith('1.50')")
    browser.execute_script("document.querySelector('.link').click()")
    assert "t=1.50" in browser.current_url
    assert browser.execute_script("return document.querySelector('.download').href").endswith(".flac")


def test_columns_and_systems_can_be_hidden(opened: Chrome) -> None:
    count = "return [...document.querySelectorAll('table.results:first-of-type')][0].innerText"
    assert "PESQ-WB" in opened.execute_script(count)
    opened.execute_script(
        "for (const q of ['[data-metric=pesq_wb]', '[data-run=\"1\"]']) document.querySelector('#shown ' + q).click()"
    )
    text = opened.execute_script(count).replace("\u200b", "")
    assert "PESQ-WB" not in text
    assert "opus@6kbps" not in text
    open_clip(opened)
    text = opened.execute_script("return document.querySelector('.stimuli').innerText").replace("\u200b", "")
    assert "PESQ-WB" not in text
    assert "opus@6kbps" not in text


def test_a_clip_marks_its_best_and_shows_no_empty_column(opened: Chrome, html: str) -> None:
    open_clip(opened)
    best = opened.execute_script(
        "return [...document.querySelectorAll('.stimuli .best')].map("
        "b => [b.closest('td').dataset.metric, b.textContent])"
    )
    data = embedded(html)
    column = next(k for k, item in enumerate(data["metrics"]) if item["name"] == "visqol_audio")
    values = [float(item["scores"][column][1]) for item in data["clips"][0]["stimuli"] if item["role"] == "system"]
    assert ["visqol_audio", f"{max(values):.2f}"] in best
    assert not any(metric == "kbps" for metric, _ in best), "no bitrate is better than another"
    open_clip(opened, 4)  # music
    heads = opened.execute_script(
        "return [...document.querySelectorAll('.stimuli thead th')].map(h => h.dataset.metric)"
    )
    assert "visqol_audio" in heads
    assert "pesq_wb" not in heads
