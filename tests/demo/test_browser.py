"""The page in a real browser: from an empty form to a sound that is the run's, bit for bit."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.host.orphans import descendants
from ldmbench.listening.pack import load_key, load_pack
from ldmbench.runs.results import Run, open_run
from tests.conftest import Sound
from tests.demo.conftest import Served

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver as Chrome

pytestmark = pytest.mark.slow

DECODED = """
const [url, rate, done] = arguments;
fetch(url).then(answer => answer.arrayBuffer())
  .then(data => new OfflineAudioContext(1, 1, rate).decodeAudioData(data))
  .then(sound => done(Array.from({length: sound.numberOfChannels}, (_, channel) => {
    const bytes = new Uint8Array(sound.getChannelData(channel).buffer);
    let text = ""; for (let at = 0; at < bytes.length; at += 32768) {
      text += String.fromCharCode(...bytes.subarray(at, at + 32768)); }
    return btoa(text);
  })), error => done(String(error)));
"""


#: No name is looked up but this machine's.
BLOCKED = "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@pytest.fixture(scope="module")
def browser(browsers: Callable[..., Chrome]) -> Chrome:
    made = browsers("window-size=1280,1000", BLOCKED)
    made.set_script_timeout(30)
    return made


@pytest.fixture(scope="module")
def other(browsers: Callable[..., Chrome]) -> Chrome:
    """Another visitor, whose microphone beeps once a second."""
    microphone = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream")
    made = browsers("window-size=1280,1000", BLOCKED, *microphone)
    made.set_script_timeout(30)
    return made


def wait(browser: Chrome, condition: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not browser.execute_script(f"return Boolean({condition})"):
        if time.monotonic() > end:
            pytest.fail(f"{condition} did not come true:\n{browser.execute_script('return document.body.innerText')}")
        time.sleep(0.05)


def click(browser: Chrome, selector: str) -> None:
    wait(browser, f"document.querySelector({selector!r})", 30)
    element = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def state(prefix: str, *wanted: str) -> str:
    return " || ".join(f"document.querySelector('#{prefix}-result .ldm[data-state={name}]')" for name in wanted)


def rows(browser: Chrome, prefix: str) -> dict[str, dict[str, str]]:
    """Label -> URL, run ID and text of every line of a result."""
    found: list[dict[str, str]] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(row => ({label: row.dataset.label, "
        "run: row.dataset.run || '', text: row.innerText, url: row.querySelector('.ldm-pick')?.dataset.url || ''}))",
        f"#{prefix}-result .ldm-table tbody tr",
    )
    return {row["label"]: row for row in found}


def decoded(browser: Chrome, url: str, rate: int) -> np.ndarray[Any, Any]:
    channels = browser.execute_async_script(DECODED, url, rate)
    assert isinstance(channels, list), channels
    return np.stack([np.frombuffer(base64.b64decode(channel), "<f4") for channel in channels])


def runs_of(served: Served, lines: Mapping[str, Mapping[str, str]], label: str) -> list[Run]:
    """The runs on disk that a line shows."""
    return [open_run(path) for path in served.runs.glob(f"demo-*/*/{lines[label]['run']}")]


def same_as_runs(browser: Chrome, prefix: str, served: Served) -> dict[str, Audio]:
    """Hold every sound of a result against the run's file; system -> its sound."""
    sounds = {}
    lines = rows(browser, prefix)
    for label, row in lines.items():
        if not row["run"]:
            continue
        (run,) = runs_of(served, lines, label)
        assert run.info.system == label
        (clip,) = run.info.clips
        expected = audio.read(str(run.audio_path(clip.id)))
        assert np.array_equal(decoded(browser, row["url"], expected.rate), expected.samples), label
        sounds[label] = expected
    return sounds


def open_tab(browser: Chrome, name: str) -> None:
    click(browser, f"#tab-{name}-button")
    wait(browser, f"document.querySelector('#{name}-run')?.offsetParent", 30)


def fill(browser: Chrome, selector: str, text: str) -> None:
    field = browser.find_element("css selector", selector)
    field.clear()
    field.send_keys(text)


def run(browser: Chrome, prefix: str, *wanted: str) -> None:
    """Press the button, and wait for the end of what it starts."""
    click(browser, f"#{prefix}-run")
    wait(browser, state(prefix, "running"), 30)
    wait(browser, state(prefix, *(wanted or ("done", "failed"))))


def test_generate_from_an_empty_form_to_sound(browser: Chrome, served: Served) -> None:
    browser.get(served.url)
    open_tab(browser, "generate")
    seen = set()
    fill(browser, "#generate-steps input, #generate-steps textarea", "20")
    click(browser, "#generate-run")
    while not browser.execute_script(f"return Boolean({state('generate', 'done', 'failed')})"):
        seen.add(browser.execute_script("return document.querySelector('#generate-result progress')?.value ?? null"))
        time.sleep(0.05)
    assert len(seen - {None}) >= 2, "the steps are shown"
    sounds = same_as_runs(browser, "generate", served)
    assert list(sounds) == ["chime:steps=20"]
    assert len(browser.find_elements("css selector", "#generate-result .ldm-picture img")) == 1


def test_enhance_from_an_empty_form_to_sound(browser: Chrome, served: Served) -> None:
    browser.get(served.url)
    open_tab(browser, "enhance")
    run(browser, "enhance")
    sounds = same_as_runs(browser, "enhance", served)
    assert list(sounds) == ["unprocessed", "resample@8khz"]
    lines = rows(browser, "enhance")
    assert list(lines) == ["reference", "unprocessed", "resample@8khz"]
    (lsd,) = [run.scores[clip, "lsd"].value for run in runs_of(served, lines, "unprocessed") for clip in run.outputs]
    assert f"{lsd:.3f}" in lines["unprocessed"]["text"], "the distance before, beside those after"
    command = browser.find_element("css selector", "#enhance-result .ldm-command code").text
    assert " -c builtin-general@4khz -s unprocessed -s resample@8khz" in command


def test_code_from_an_empty_form_to_sound(browser: Chrome, served: Served) -> None:
    browser.get(served.url)
    open_tab(browser, "code")
    run(browser, "code")
    sounds = same_as_runs(browser, "code", served)
    assert list(sounds) == ["opus@6kbps", "opus@24kbps", "mp3@8kbps", "resample@8khz"]
    assert len(browser.find_elements("css selector", "#code-result .ldm-curve svg")) == 1
    assert len(browser.find_elements("css selector", "#code-result .ldm-picture img")) == 5
    click(browser, "#code-result tr[data-label='opus@24kbps'] .ldm-pick")
    wait(browser, "[...ldmbenchPlayer.groups.values()].some(it => it.playing && ldmbenchPlayer.now(it) > 0.2)")
    click(browser, "#code-result tr[data-label='mp3@8kbps'] .ldm-pick")
    here = "[...ldmbenchPlayer.groups.values()].find(it => it.playing)"
    wait(browser, f"{here} && {here}.url.includes('mp3') && {here}.nodes.size >= 2 && ldmbenchPlayer.now({here}) > 0.2")


def test_a_cancelled_run_ends_at_once_and_another_one_starts(browser: Chrome, served: Served) -> None:
    browser.get(served.url)
    open_tab(browser, "generate")
    steps = "#generate-steps input, #generate-steps textarea"
    fill(browser, steps, "400")
    click(browser, "#generate-run")
    wait(browser, "document.querySelector('#generate-result progress')?.value > 2")
    children = descendants(served.process.pid)
    start = time.monotonic()
    click(browser, "#generate-cancel")
    wait(browser, state("generate", "cancelled"), 15)
    assert time.monotonic() - start < 10, "twenty seconds were left"
    assert children
    assert not set(children) & set(descendants(served.process.pid))
    assert "cancelled: 0 of 1" in browser.find_element("css selector", "#generate-result").text
    fill(browser, steps, "2")
    run(browser, "generate")
    assert list(same_as_runs(browser, "generate", served)) == ["chime:steps=2"]


def upload(browser: Chrome, prefix: str, path: Path) -> None:
    browser.find_element("css selector", f"#{prefix}-upload input[type=file]").send_keys(str(path))


def test_an_upload_is_coded_and_a_bad_one_gets_one_clear_line(
    browser: Chrome, served: Served, tmp_path: Path, speechlike: Sound
) -> None:
    browser.get(served.url)
    open_tab(browser, "code")
    sound = speechlike(1.0, 22_050)
    audio.write(tmp_path / "my voice.wav", sound)
    upload(browser, "code", tmp_path / "my voice.wav")
    wait(
        browser,
        "document.querySelector('#code-upload #waveform, #code-upload .waveform-container, #code-upload audio')",
    )
    run(browser, "code")
    reference = rows(browser, "code")["reference"]
    assert np.array_equal(decoded(browser, reference["url"], 22_050), sound.samples)

    browser.get(served.url)
    open_tab(browser, "code")
    (tmp_path / "notes.wav").write_text("these are words and no sound; " * 9)
    upload(browser, "code", tmp_path / "notes.wav")
    wait(browser, "!document.querySelector('#code-upload input[type=file]')", 30)
    run(browser, "code", "failed")
    (line,) = browser.find_elements("css selector", "#code-result .ldm-error")
    assert line.text.startswith("notes.wav is not audio")
    assert "\n" not in line.text
    assert str(served.folder) not in line.text

    browser.get(served.url)
    open_tab(browser, "code")
    audio.write(tmp_path / "large.wav", speechlike(1.0, 384_000))
    upload(browser, "code", tmp_path / "large.wav")
    refused = 'exceed the maximum allowed size of 1.0 Mb: "large.wav"'
    wait(browser, f"document.querySelector('.toast-body')?.textContent.includes({refused!r})", 30)


def test_what_is_recorded_is_coded(other: Chrome, served: Served) -> None:
    other.get(served.url)
    open_tab(other, "code")
    click(other, "#code-upload button[aria-label='Record audio']")
    click(other, "#code-upload button.record")
    time.sleep(2.5)
    click(other, "#code-upload button.stop-button")
    wait(other, "!document.querySelector('#code-upload button.record')?.offsetParent", 30)
    run(other, "code")
    lines = rows(other, "code")
    (recorded,) = [run.info.clips[0].path for run in runs_of(served, lines, "opus@24kbps")]
    sound = audio.read(recorded)
    assert 1.5 < sound.duration < 6
    assert np.abs(sound.samples).max() > 0.01, "the beeps of Chromium's own microphone"
    assert np.array_equal(decoded(other, lines["reference"]["url"], sound.rate), sound.samples)


def test_two_visitors_at_once_wait_for_each_other(browser: Chrome, other: Chrome, served: Served) -> None:
    two = (browser, other)
    log = served.folder / "chime.log"
    log.unlink(missing_ok=True)
    for number, each in enumerate(two):
        each.get(served.url)
        open_tab(each, "generate")
        fill(each, "#generate-prompt textarea", f"visitor number {number}")
        fill(each, "#generate-steps input, #generate-steps textarea", "40")
    for each in two:
        click(each, "#generate-run")
    for number, each in enumerate(two):
        wait(each, state("generate", "done", "failed"))
        assert list(same_as_runs(each, "generate", served)) == ["chime:steps=40"]
        assert f"visitor number {number}" in each.find_element("css selector", "#generate-result code").text
    spans = sorted(tuple(map(float, line.split())) for line in log.read_text().splitlines())
    assert len(spans) == 2
    assert spans[0][1] <= spans[1][0], "one model runs at a time"


def test_on_a_phone_everything_is_within_its_width(browser: Chrome, served: Served, tmp_path: Path) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        for name in ("generate", "enhance", "code"):
            browser.get(served.url)
            open_tab(browser, name)
            run(browser, name)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, name
            for part in ("run", "cancel", "add"):
                box = browser.find_element("css selector", f"#{name}-{part}").rect
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 390
            click(browser, f"#{name}-result .ldm-toggle")
            wait(browser, "[...ldmbenchPlayer.groups.values()].some(it => it.playing)")
            assert browser.save_screenshot(str(tmp_path / f"phone-{name}.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_result_becomes_a_listening_pack(browser: Chrome, served: Served) -> None:
    browser.get(served.url)
    open_tab(browser, "code")
    run(browser, "code")
    click(browser, "#code-add")
    wait(browser, "document.querySelector('#pack-list li') && document.querySelector('#pack-make')?.offsetParent", 30)
    click(browser, "#pack-make")
    wait(browser, "document.querySelector('#pack-made .ldm')", 60)
    folder = browser.execute_script("return document.querySelector('#pack-made .ldm').dataset.pack || ''")
    assert folder, browser.find_element("css selector", "#pack-made").text
    pack = load_pack(served.folder / folder)
    assert set(load_key(served.folder / folder, pack).systems) == {
        "opus@6kbps",
        "opus@24kbps",
        "mp3@8kbps",
        "resample@8khz",
    }


def test_nothing_was_asked_of_another_machine(browser: Chrome) -> None:
    """Of all that the tests above did in this browser."""
    log: list[dict[str, Any]] = browser.get_log("performance")  # type: ignore[no-untyped-call]
    events = [json.loads(entry["message"])["message"] for entry in log]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    hosts = {urlparse(url).hostname for url in urls if urlparse(url).scheme in ("http", "https", "ws", "wss")}
    assert len(urls) > 10
    assert hosts == {"127.0.0.1"}
