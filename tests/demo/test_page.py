"""The page without a browser: what its forms refuse, a trial from an upload to its run, and what it leaves behind."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.runs.results import open_run
from tests.conftest import Sound
from tests.demo.conftest import Served, chime, started, stopped
from tests.demo.page import Page, sounds

pytestmark = pytest.mark.slow

#: Uploads are kept for five seconds in place of an hour.
HASTY = "from ldmbench.demo import app; app._LOOK_S, app._UPLOAD_S = 1, 5"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    chime(folder)
    server = started(
        folder, "opus@6kbps", "resample@8khz", "./chime.toml", "--port", "0", "--most-seconds", "5", before=HASTY
    )
    yield server
    stopped(server)


@pytest.fixture(scope="module")
def page(hasty: Served) -> Page:
    return Page(hasty.url)


def test_an_upload_is_coded_and_removed_when_its_time_is_over(
    hasty: Served, page: Page, tmp_path: Path, speechlike: Sound
) -> None:
    sound = speechlike(1.0, 16_000)
    audio.write(tmp_path / "voice.wav", sound)
    kept = Path(page.upload(tmp_path / "voice.wav"))
    assert kept.read_bytes() == (tmp_path / "voice.wav").read_bytes()
    assert hasty.temporary in kept.parents
    upload = {"path": str(kept), "orig_name": "voice.wav", "meta": {"_type": "gradio.FileData"}}
    shown = page.press("code-run", code_upload=upload, code_content="speech")
    assert "done: 2 of 2 made" in shown
    (run,) = map(open_run, hasty.runs.glob("demo-code+*/opus*/*"))
    (clip,) = run.info.clips
    urls = sounds(shown)
    assert list(urls) == ["reference", "opus@6kbps", "resample@8khz"]
    assert page.get(urls["opus@6kbps"]) == Path(str(run.audio_path(clip.id))).read_bytes()
    (tmp_path / "heard.wav").write_bytes(page.get(urls["reference"]))
    assert np.array_equal(audio.read(tmp_path / "heard.wav").samples, sound.samples)
    end = time.monotonic() + 20
    while kept.exists():
        assert time.monotonic() < end, "it is kept for five seconds"
        time.sleep(0.1)
    again = page.press("code-run", code_upload=upload)
    assert "voice.wav is no longer here: uploads are kept for an hour (fix: upload it again)" in again


@pytest.mark.parametrize(
    ("button", "fields", "line"),
    [
        ("generate-run", {"generate_negative": "hiss, hum"}, "a negative prompt holds no commas: 'hiss, hum' (fix: "),
        ("generate-run", {"generate_steps": "many"}, "steps must be a number above 0: 'many' (fix: "),
        ("generate-run", {"generate_cfg": "-1"}, "cfg must be a number above 0: '-1' (fix: "),
        ("generate-run", {"generate_seconds": "6"}, "the sound would be too long: 6 s of 5"),
        ("generate-run", {"generate_prompt": "  "}, "a prompt is empty (fix: "),
        ("enhance-run", {"enhance_condition": "lowpass:order=6"}, "'lowpass:order=6' is not an input condition: "),
        ("code-run", {"code_systems": []}, "no system is chosen (fix: "),
    ],
)
def test_what_a_form_refuses_is_one_line(
    hasty: Served, page: Page, button: str, fields: dict[str, str], line: str
) -> None:
    before = list(hasty.runs.rglob("run.json"))
    shown = page.press(button, **fields)
    (error,) = re.findall(r'<p class="ldm-error" role="alert">(.*?)</p>', shown, re.DOTALL)
    assert html.unescape(error).startswith(line)
    assert "\n" not in error
    assert 'data-state="failed"' in shown
    assert list(hasty.runs.rglob("run.json")) == before


def test_a_negative_prompt_reaches_the_system_word_by_word(hasty: Served, page: Page) -> None:
    shown = page.press("generate-run", generate_negative="low  quality", generate_steps="2")
    assert "done: 1 of 1 made" in shown
    (run,) = map(open_run, hasty.runs.glob("demo-generate+*/*/*"))
    assert dict(run.info.name.settings) == {"negative": "low_quality", "steps": 2}


def test_a_port_that_is_taken_is_one_line(hasty: Served, tmp_path: Path) -> None:
    port = hasty.url.strip("/").rpartition(":")[2]
    with pytest.raises(AssertionError) as error:
        started(tmp_path, "opus@6kbps", "--port", port)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"error: cannot serve at 127.0.0.1:{port}: ")
    assert line.endswith("(fix: choose --port)")
