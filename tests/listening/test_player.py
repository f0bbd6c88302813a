"""The page in real browsers: whole sessions by keyboard and by pointer, through reloads and a killed server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from ldmbench.listening.export import Exported
from ldmbench.listening.ratings import joined
from ldmbench.listening.results import read_results
from tests.listening.conftest import Served

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver as Chrome

SHIFT, LEFT, RIGHT, TAB, ENTER, SPACE = "\ue008", "\ue012", "\ue014", "\ue004", "\ue007", " "


def logged(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def wait(browser: Chrome, condition: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not browser.execute_script(f"return Boolean({condition})"):
        if time.monotonic() > end:
            text = browser.execute_script("return document.body.innerText")
            pytest.fail(f"{condition} did not come true:\n{text}\n{logged(browser, 'browser')}")
        time.sleep(0.03)


def step(browser: Chrome, name: str) -> None:
    """Wait for a step of the session, and for what it shows."""
    ready = "document.querySelector('main button') && !document.getElementById('main').innerText.includes('Loading')"
    wait(browser, f"document.body.dataset.step === '{name}' && {ready}")


def press(browser: Chrome, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    chain = ActionChains(browser, duration=0)
    for key in keys:
        if key.startswith(SHIFT):
            chain.key_down(SHIFT).send_keys(key[1:]).key_up(SHIFT)
        else:
            chain.send_keys(key)
    chain.perform()


def click(browser: Chrome, selector: str) -> None:
    wait(browser, f"document.querySelector({selector!r}) && !document.querySelector({selector!r}).disabled")
    browser.find_element("css selector", selector).click()


def by_pointer_to_training(browser: Chrome, url: str) -> None:
    """Consent and volume with the mouse; the sound is let in by its first click."""
    browser.get(url)
    step(browser, "consent")
    assert browser.find_element("css selector", ".primary").get_attribute("disabled"), "nobody begins without consent"
    click(browser, "#agree")
    click(browser, ".primary")
    step(browser, "volume")
    click(browser, ".play")
    click(browser, ".primary")


def page_id(browser: Chrome) -> str:
    return str(browser.execute_script("return ldmbench.page.page.id"))


def hear(browser: Chrome, key: str) -> None:
    """Wait until the chosen sound was heard for as long as is asked."""
    wait(browser, f"ldmbench.engine.heardMs({key!r}) >= ldmbench.page.page.must_hear_ms")


def names(browser: Chrome) -> list[str]:
    shown: list[str] = browser.execute_script("return ldmbench.page.keys")
    return shown


def rate_by_keyboard(browser: Chrome, scores: list[int]) -> dict[str, int]:
    """Hear everything and give the scores, with keys only; what was given to which key."""
    wait(browser, "ldmbench.page && document.querySelector('.rating')")
    press(browser, "0")
    hear(browser, "reference")
    for place, (key, score) in enumerate(zip(names(browser), scores, strict=True), 1):
        press(browser, str(place))
        hear(browser, key)
        steps = score - 50
        arrow = RIGHT if steps > 0 else LEFT
        press(
            browser,
            *[SHIFT + arrow] * (abs(steps) // 10),
            *[arrow] * (abs(steps) % 10),
            *([ENTER] if not steps else []),
        )
    return dict(zip(names(browser), scores, strict=True))


def rate_by_pointer(browser: Chrome, scores: list[int]) -> dict[str, int]:
    """The same with clicks and drags; what the sliders then show."""
    from selenium.webdriver.common.action_chains import ActionChains

    wait(browser, "ldmbench.page && document.querySelector('.rating')")
    click(browser, ".pick[data-key=reference]")
    hear(browser, "reference")
    for key, score in zip(names(browser), scores, strict=True):
        click(browser, f".pick[data-key={key}]")
        hear(browser, key)
        slider = browser.find_element("css selector", f".row[data-key={key}] .score")
        offset = round((score - 50) / 100 * (slider.size["width"] - 16))
        ActionChains(browser, duration=0).move_to_element(slider).click_and_hold().move_by_offset(
            offset, 0
        ).release().perform()
    texts = [browser.find_element("css selector", f".row[data-key={key}] output").text for key in names(browser)]
    return dict(zip(names(browser), map(int, texts), strict=True))


def save(browser: Chrome) -> None:
    before = page_id(browser)
    click(browser, ".next")
    wait(browser, f"!ldmbench.page || ldmbench.page.page.id !== '{before}'")


def stored(made: Exported) -> dict[tuple[str, str, str], float]:
    """(listener, page, stimulus) -> score; a doubled row fails."""
    rows = read_results(made.pack, made.folder.with_name(f"{made.folder.name}.ratings.sqlite")).ratings
    scores = {(row.listener, row.page, row.stimulus): row.score for row in rows}
    assert len(scores) == len(rows)
    return scores


@pytest.fixture(scope="module")
def browser(browsers: Callable[..., Chrome]) -> Chrome:
    return browsers()


def errors(browser: Chrome) -> list[str]:
    # A server that is killed on purpose refuses connections, and the recorder of these tests is an old interface.
    lines = [entry["message"] for entry in logged(browser, "browser")]
    return [line for line in lines if "ERR_CONNECTION" not in line and "ScriptProcessorNode" not in line]


def test_a_session_by_keyboard_with_a_reload_and_a_killed_server(
    tmp_path: Path, make: Callable[..., Exported], serving: Callable[..., Served], browser: Chrome
) -> None:
    """No flag lets sound in here: the listener's own first click or key does."""
    made = make(tmp_path / "p", items=3)
    served = serving(made.folder, "--headphones", "off")
    browser.get(f"{served.url}?listener=J%C3%BCrgen%20%26%20Co")
    step(browser, "consent")
    press(browser, TAB, SPACE, TAB, ENTER)
    step(browser, "volume")
    press(browser, TAB, ENTER)
    click(browser, ".primary")
    step(browser, "training")
    rate_by_keyboard(browser, [60] * 6)
    save(browser)
    given: dict[tuple[str, str, str], float] = {}
    me = "Jürgen & Co"

    step(browser, "page")
    assert browser.find_element("css selector", ".next").get_attribute("disabled")
    first = page_id(browser)
    order = names(browser)
    press(browser, "1")
    hear(browser, order[0])
    press(browser, RIGHT, RIGHT)
    browser.refresh()
    step(browser, "page")
    wait(browser, "ldmbench.page && document.querySelector('.rating')")
    assert (page_id(browser), names(browser)) == (first, order), "a reload shows the same page in the same order"
    output = browser.find_element("css selector", f".row[data-key={order[0]}] output")
    assert output.text == "52", "what was rated before the reload is still there"
    press(browser, "1", LEFT, LEFT)
    given |= {(me, first, key): score for key, score in rate_by_keyboard(browser, [50, 20, 35, 64, 81, 100]).items()}
    save(browser)
    assert stored(made) == given

    second = page_id(browser)
    given |= {(me, second, key): score for key, score in rate_by_keyboard(browser, [0, 9, 100, 77, 50, 51]).items()}
    port = served.port
    served.kill()
    click(browser, ".next")
    wait(browser, "!document.getElementById('trouble').hidden")
    served.start(port)
    wait(browser, f"ldmbench.page && ldmbench.page.page.id !== '{second}'")
    assert stored(made) == given, "what was sent while the server was dead is stored once"
    assert browser.execute_script("return document.getElementById('trouble').hidden")

    third = page_id(browser)
    given |= {(me, third, key): score for key, score in rate_by_keyboard(browser, [1, 2, 3, 4, 5, 6]).items()}
    click(browser, ".next")
    step(browser, "end")
    browser.find_element("id", "remark").send_keys("good & bad + ä")
    click(browser, ".primary")
    step_done = "document.body.dataset.step === 'done'"
    wait(browser, step_done)
    assert stored(made) == given
    rows = joined(read_results(made.pack, made.folder.with_name("p.ratings.sqlite")).ratings, made.key)
    assert Counter(row.system for row in rows) == dict.fromkeys(
        ["coarse", "late", "dull", "reference", "anchor35", "anchor70"], 3
    )
    assert all(row.complete and row.played_ms >= 40 for row in rows)
    code = browser.find_element("id", "code").text
    browser.refresh()
    wait(browser, step_done)
    assert browser.find_element("id", "code").text == code
    exit_code, out = served.stop()
    assert (exit_code, "what is finished is stored; the same command continues" in out) == (130, True), out
    assert not errors(browser)


#: Records what the page sends to the loudspeakers, block by block, while a function runs.
RECORD = """
const [seconds, done] = arguments, engine = ldmbench.engine, blocks = [];
const tap = engine.context.createScriptProcessor(1024, 2, 2);
tap.onaudioprocess = (event) => blocks.push([...event.inputBuffer.getChannelData(0)]);
engine.master.connect(tap).connect(engine.context.destination);
setTimeout(() => { engine.master.disconnect(tap); tap.disconnect(); done(blocks.flat()); }, 1000 * seconds);
"""


def test_what_sounds_is_what_the_file_holds(
    mushra_pack: Exported, tmp_path: Path, serving: Callable[..., Served], browser: Chrome
) -> None:
    """Decoded samples equal the files' bit by bit; what is heard is one file at a time, switched in its place."""
    served = serving(mushra_pack.folder, "--headphones", "off", "--ratings", str(tmp_path / "r.sqlite"))
    by_pointer_to_training(browser, f"{served.url}?listener=ear")
    step(browser, "training")
    rate = browser.execute_script("return ldmbench.engine.context.sampleRate")
    assert rate == 48000
    training = mushra_pack.pack.training
    assert training is not None
    assert training.reference is not None
    decoded = browser.execute_script(
        "return [...ldmbench.engine.buffers].map(([k, b]) => [k, b.numberOfChannels, [...b.getChannelData(0)], "
        "b.getChannelData(1).every((x, i) => x === b.getChannelData(0)[i])])"
    )
    files = {sound.key: mushra_pack.folder / sound.file for sound in training.stimuli}
    files["reference"] = mushra_pack.folder / training.reference.file
    assert {key for key, *_ in decoded} == set(files)
    sounds = {}
    for key, channels, left, same in decoded:
        expected, _ = soundfile.read(files[key], dtype="float32")
        assert (channels, same) == (2, True)
        sounds[key] = expected[:, 0]
        assert np.array_equal(np.array(left, np.float32), expected[:, 0]), key

    browser.execute_script("ldmbench.engine.setGain(1)")
    time.sleep(0.3)
    keys = names(browser)
    browser.execute_script(
        "const [first, second] = arguments;"
        "setTimeout(() => ldmbench.page.pick(first), 150); setTimeout(() => ldmbench.page.pick(second), 650)",
        *keys[:2],
    )
    heard = np.array(browser.execute_async_script(RECORD, 1.1), np.float64)
    first, second, length = sounds[keys[0]].astype(float), sounds[keys[1]].astype(float), len(sounds[keys[0]])
    # Where the file begins in what was recorded: the place at which its first tenth of a second correlates best.
    onset = int(np.argmax(np.abs(first) > 1e-3))
    start = int(np.argmax(np.correlate(heard, first[onset : onset + 4800]))) - onset
    place = (np.arange(len(heard)) - start) % length
    inside = np.arange(len(heard)) >= start + onset
    of_first = np.isclose(heard, first[place], rtol=0, atol=1e-7) & inside
    of_second = np.isclose(heard, second[place], rtol=0, atol=1e-7) & inside
    switched = int(np.argmax(~of_first & inside))
    # Half a second by the page's timers, which a busy machine keeps badly: both are heard for a while.
    assert 0.1 * 48000 < switched - start < 0.9 * 48000
    fade = int(np.argmax(of_second[switched:] & ~of_first[switched:]))
    settled = switched + round(0.008 * 48000)
    assert fade <= 0.008 * 48000
    assert of_second[settled:].all(), "after the cross-fade the second file sounds, at the same place and nothing else"
    mix = np.stack([first[place], second[place]])[:, switched:settled]
    between = (heard[switched:settled] >= mix.min(axis=0) - 1e-6) & (heard[switched:settled] <= mix.max(axis=0) + 1e-6)
    assert between.all(), "a cross-fade lies between the two sounds"


@pytest.mark.slow
def test_a_loop_is_kept_and_plays_only_its_part(
    mushra_pack: Exported, tmp_path: Path, serving: Callable[..., Served], browser: Chrome
) -> None:
    served = serving(mushra_pack.folder, "--headphones", "off", "--ratings", str(tmp_path / "r.sqlite"))
    by_pointer_to_training(browser, f"{served.url}?listener=loop")
    step(browser, "training")
    browser.execute_script("ldmbench.engine.setLoop(true, 0.4, 0.9); ldmbench.engine.play()")
    wait(browser, "ldmbench.engine.position() > 0.5")
    places = browser.execute_async_script(
        "const done = arguments[0], seen = []; const timer = setInterval(() => { seen.push(ldmbench.engine.position());"
        "if (seen.length === 60) { clearInterval(timer); done(seen); } }, 20)"
    )
    assert 0.39 <= min(places) < 0.5
    assert 0.8 < max(places) <= 0.91
    assert (np.diff(places) < 0).sum() in (2, 3), "1.2 s of a loop of 0.5 s"
    press(browser, "2")
    assert browser.execute_script("return [ldmbench.engine.from, ldmbench.engine.to]") == [0.4, 0.9]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mushra-1s", "acr", "dcr", "ab", "sheet"])
def test_a_session_of_every_method(
    tmp_path: Path, make: Callable[..., Exported], serving: Callable[..., Served], browser: Chrome, method: Any
) -> None:
    made = make(tmp_path / "p", method, items=1, per_listener=2, training=False)
    served = serving(made.folder, "--headphones", "off")
    by_pointer_to_training(browser, f"{served.url}?listener={method}")
    given = {}
    while True:
        wait(
            browser,
            "['page', 'end'].includes(document.body.dataset.step) && document.querySelector('.rating, #remark')",
        )
        if browser.execute_script("return document.body.dataset.step") == "end":
            break
        page, keys = page_id(browser), names(browser)
        for key in browser.execute_script("return ldmbench.page.sounds.map(([key]) => key)"):
            press(browser, browser.execute_script("return ldmbench.page.shortcut(arguments[0])", key))
            hear(browser, key)
            if method == "mushra-1s" and key != "reference":
                press(browser, RIGHT)
                given[page, key] = 51.0
        if method == "sheet":
            for slider in browser.find_elements("css selector", ".score"):
                slider.send_keys(LEFT)
            given[page, keys[0]] = 50.0
        elif method != "mushra-1s":
            press(browser, "2" if method == "ab" else "4")
            chosen = {"acr": {keys[0]: 4.0}, "dcr": {keys[0]: 4.0}, "ab": {keys[0]: 0.0, keys[-1]: 1.0}}[method]
            given |= {(page, key): score for key, score in chosen.items()}
        save(browser)
    rows = read_results(made.pack, made.folder.with_name("p.ratings.sqlite")).ratings
    assert {(row.page, row.stimulus): row.score for row in rows} == given
    assert len(rows) == len(given) * len(made.pack.criteria)
    assert not errors(browser)


@pytest.mark.slow
def test_headphones_are_tested_twice_at_most(
    mushra_pack: Exported, tmp_path: Path, serving: Callable[..., Served], browser: Chrome
) -> None:
    served = serving(
        mushra_pack.folder, "--headphones", "woods", "--require-headphones", "--ratings", str(tmp_path / "r.sqlite")
    )
    by_pointer_to_training(browser, f"{served.url}?listener=loudspeakers")
    for attempt in range(2):
        step(browser, "headphones")
        for trial in range(6):
            wait(browser, f"document.querySelector('main').innerText.includes('Sound {trial + 1} of 6')")
            click(browser, ".play")
            assert browser.find_element("css selector", ".choice").get_attribute("disabled"), "first to the end"
            # Nobody waits four seconds twelve times: the sound is wound on to its end.
            browser.execute_script("ldmbench.engine.seek(ldmbench.engine.length - 0.05)")
            click(browser, ".choice")
        if attempt == 0:
            wait(browser, "document.querySelector('main').innerText.includes('once more')")
            click(browser, ".primary")
    wait(browser, "document.body.dataset.step === 'out'")
    assert read_results(mushra_pack.pack, tmp_path / "r.sqlite").progress()["screening_failed"] == 1


@pytest.mark.parametrize(
    ("width", "height"),
    [(320, 640), *(pytest.param(*size, marks=pytest.mark.slow) for size in ((390, 844), (1400, 1000)))],
)
def test_no_width_scrolls_sideways_and_controls_have_names(
    mushra_pack: Exported, tmp_path: Path, serving: Callable[..., Served], browser: Chrome, width: int, height: int
) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        served = serving(mushra_pack.folder, "--headphones", "off", "--ratings", str(tmp_path / "r.sqlite"))
        by_pointer_to_training(browser, f"{served.url}?listener=wide{width}")
        step(browser, "training")
        wide = browser.execute_script(
            "return [...document.querySelectorAll('body *')]"
            ".filter(e => e.getBoundingClientRect().right > arguments[0]).map(e => e.outerHTML.slice(0, 80))",
            width,
        )
        assert wide == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        nameless = browser.execute_script(
            "return [...document.querySelectorAll('button, input')].filter(e => !(e.getAttribute('aria-label') || "
            "e.textContent.trim() || (e.labels && e.labels.length))).map(e => e.outerHTML)"
        )
        assert nameless == []
        small = browser.execute_script(
            "return [...document.querySelectorAll('.rating button')].filter(e => e.offsetHeight < 34)"
            ".map(e => e.outerHTML)"
        )
        assert small == [], "large enough for a finger"
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_asks_only_its_server(
    mushra_pack: Exported, tmp_path: Path, serving: Callable[..., Served], browser: Chrome
) -> None:
    import json

    logged(browser, "performance")
    served = serving(mushra_pack.folder, "--headphones", "off", "--ratings", str(tmp_path / "r.sqlite"))
    by_pointer_to_training(browser, f"{served.url}?listener=wire")
    step(browser, "training")
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(asked) > 8
    assert [url for url in asked if not url.startswith(served.url)] == []


@pytest.mark.slow
def test_five_listeners_at_once(
    tmp_path: Path, make: Callable[..., Exported], serving: Callable[..., Served], browsers: Callable[..., Chrome]
) -> None:
    """Five browsers with five profiles go through whole sessions at the same time, three by keys and two by pointer."""
    made = make(tmp_path / "p", items=2)
    served = serving(made.folder, "--headphones", "off")

    def listen(number: int, browser: Chrome) -> dict[tuple[str, str, str], float]:
        me = f"listener{number}"
        given: dict[tuple[str, str, str], float] = {}
        by_pointer_to_training(browser, f"{served.url}?listener={me}")
        rate = rate_by_keyboard if number < 3 else rate_by_pointer
        step(browser, "training")
        rate(browser, [55] * 6)
        save(browser)
        for page in range(2):
            step(browser, "page")
            scores = rate(browser, [10 * number + place + page for place in range(6)])
            given |= {(me, page_id(browser), key): score for key, score in scores.items()}
            click(browser, ".next")
            wait(
                browser, "document.body.dataset.step === 'end'" if page else f"ldmbench.page?.state.done === {page + 1}"
            )
        click(browser, ".primary")
        wait(browser, "document.body.dataset.step === 'done'")
        return given

    five = [browsers() for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        results = list(pool.map(listen, range(5), five))
    assert stored(made) == {key: score for given in results for key, score in given.items()}
    assert len(stored(made)) == 5 * 2 * 6
    progress = read_results(made.pack, made.folder.with_name("p.ratings.sqlite")).progress()
    assert (progress["finished"], sorted(progress["blocks"].values())) == (5, [2, 3])
