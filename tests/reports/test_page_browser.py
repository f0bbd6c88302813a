"""The page of runs in a real browser: keys, pointers, colours and sizes of screens, and what sounds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ldmbench.reports import page, spectrogram
from ldmbench.runs.results import Run
from tests.present import present
from tests.reports.conftest import TITLE, embedded

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver as Chrome


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
