"""The page in a real browser: from an empty form to a sound that is the run's, bit for bit."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.runs.results import open_run
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


@pytest.fixture(scope="module")
def browser(browsers: Callable[..., Chrome]) -> Chrome:
    made = browsers("window-size=1280,1000")
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


def same_as_runs(browser: Chrome, prefix: str, served: Served) -> dict[str, Audio]:
    """Hold every sound of a result against the run's file; system -> its sound."""
    sounds = {}
    for label, row in rows(browser, prefix).items():
        if not row["run"]:
            continue
        (path,) = served.runs.glob(f"demo-*/*/{row['run']}")
        run = open_run(path)
        assert run.info.system == label
        (clip,) = run.info.clips
        expected = audio.read(str(run.audio_path(clip.id)))
        assert np.array_equal(decoded(browser, row["url"], expected.rate), expected.samples), label
        sounds[label] = expected
    return sounds


def test_code_from_an_empty_form_to_sound(browser: Chrome, served: Served) -> None:
    browser.get(served.url)
    click(browser, "#code-run")
    wait(browser, state("code", "done", "failed"))
    sounds = same_as_runs(browser, "code", served)
    assert list(sounds) == ["opus@6kbps", "opus@24kbps", "mp3@8kbps"]
    assert len(browser.find_elements("css selector", "#code-result .ldm-curve svg")) == 1
    assert len(browser.find_elements("css selector", "#code-result .ldm-picture img")) == 4
    click(browser, "#code-result tr[data-label='opus@24kbps'] .ldm-pick")
    wait(browser, "[...ldmbenchPlayer.groups.values()].some(it => it.playing && ldmbenchPlayer.now(it) > 0.2)")
    click(browser, "#code-result tr[data-label='mp3@8kbps'] .ldm-pick")
    here = "[...ldmbenchPlayer.groups.values()].find(it => it.playing)"
    wait(browser, f"{here} && {here}.url.includes('mp3') && {here}.nodes.size >= 2 && ldmbenchPlayer.now({here}) > 0.2")


def test_nothing_was_asked_of_another_machine(browser: Chrome) -> None:
    log: list[dict[str, Any]] = browser.get_log("performance")  # type: ignore[no-untyped-call]
    events = [json.loads(entry["message"])["message"] for entry in log]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    hosts = {urlparse(url).hostname for url in urls if urlparse(url).scheme in ("http", "https", "ws", "wss")}
    assert len(urls) > 10
    assert hosts == {"127.0.0.1"}
