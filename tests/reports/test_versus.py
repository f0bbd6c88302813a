"""The page of two runs: the worst clips first, BASE beside NEW, and the links that lead to them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import junitparser
import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.compare.clips import worst_first
from ldmbench.compare.gate import compare
from ldmbench.compare.records import Rules
from ldmbench.reports.compare.links import anchor
from ldmbench.reports.compare.page import write_page
from ldmbench.runs.results import Run
from ldmbench.runs.writer import RunWriter
from tests.compare.conftest import make_run
from tests.compare.test_gate import WER, scores
from tests.compare.test_sets import outputs, set_run
from tests.present import present

EVIL = '<script>alert(1)</script> "quoted"'


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def sounding(run: Run, folder: Path, factor: float) -> Path:
    """A run folder whose clips have references and outputs that can be heard."""
    path = folder / "runs" / run.info.suite / run.info.system / run.info.id
    clips = []
    random = np.random.default_rng(0)
    for clip in run.info.clips:
        sound = Audio.of(0.1 * random.standard_normal((1, 800)), 8000)
        file = folder / "clips" / f"{clip.id.replace('/', '-')}.wav"
        audio_io.write(file, sound)
        clips.append((replace(clip, path=str(file)), sound))
    with RunWriter(path, replace(run.info, clips=tuple(clip for clip, _ in clips))) as writer:
        for clip, sound in clips:
            row = run.outputs[clip.id]
            made = Audio(sound.samples * np.float32(factor), sound.rate)
            writer.add_output(row, made if row.status == "ok" else None)
        writer.add_scores(run.scores.values())
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Eight clips: 3 lost most, 5 failed, language de got worse."""
    values = scores(8, -0.1, 1)
    values[3] -= 0.4
    tags = ["en", "de"] * 4
    base = make_run({"stoi": scores(8), "mel_dac": scores(8)}, languages=tags)
    new = make_run({"stoi": values, "mel_dac": scores(8, 0, 2)}, id="r1", failed={5: f"boom {EVIL}"}, languages=tags)
    return sounding(base, tmp_path, 1.0), sounding(new, tmp_path, 0.5)


def ids(html: str) -> list[str]:
    return re.findall(r'<article class="card pair" id="([^"]+)"', html)


def test_compare_writes_a_page_and_links_to_it(pair: tuple[Path, Path], tmp_path: Path) -> None:
    done = invoke(
        "compare", *pair, "--page", tmp_path / "page", "--page-url", "https://ci.example/7/", "--clip-budget", 0.5,
        "--junit", tmp_path / "gate.xml", "--markdown", tmp_path / "gate.md", "--json",
    )  # fmt: skip
    assert done.exit_code == 1
    html = (tmp_path / "page" / "index.html").read_text()
    places = ids(html)
    assert places[:2] == [anchor("codec@a", "talk/00005"), anchor("codec@a", "talk/00003")]
    assert len(places) == 8
    address = "https://ci.example/7/index.html"
    content = json.loads(done.stdout)
    assert content["page"] == address
    worst = next(cell for cell in content["cells"] if cell["verdict"] == "worse")["worst"]
    assert [item["page"].partition("#")[2] in places for item in worst] == [True] * 5
    assert f"]({address}#{places[1]}): " in (tmp_path / "gate.md").read_text()
    (case, *_) = [case for suite in junitparser.JUnitXml.fromfile(str(tmp_path / "gate.xml")) for case in suite]
    assert f"{address}#{places[1]}" in case.result[0].text
    for _, file in re.findall(r'(data-audio|data-image|src)="(clips/[^"]+)"', html):
        assert (tmp_path / "page" / unquote(file)).is_file()
    assert html.count('data-side="new" data-title="NEW" data-audio') == 7
    assert "<script>alert" not in html
    assert "boom &lt;script&gt;" in html
    assert str(tmp_path) not in html


def test_report_of_two_runs_sets_them_side_by_side(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert (
        invoke("report", *pair, "--to", "html", "-o", tmp_path / "page", "--clips", 2, "--allow-failures").exit_code
        == 0
    )
    html = (tmp_path / "page" / "index.html").read_text()
    assert "Did it get worse?" in html
    # Two, and those that cells name as their worst.
    assert anchor("codec@a", "talk/00003") in ids(html)
    assert f'<span id="count">{len(ids(html))}</span> of 8 clips' in html
    assert invoke("report", pair[0], "--to", "html", "-o", tmp_path / "page").exit_code == 0
    assert "Did it get worse?" not in (tmp_path / "page" / "index.html").read_text()


def test_a_baseline_without_sound_says_so(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert invoke("baseline", "save", pair[0], "-o", tmp_path / "base.parquet").exit_code == 0
    invoke("compare", tmp_path / "base.parquet", pair[1], "--page", tmp_path / "page")
    html = (tmp_path / "page" / "index.html").read_text()
    assert "BASE: the baseline holds no sound: save it with --audio" in html
    assert html.count('data-side="reference" data-title="Reference" data-audio') == 8  # NEW has the references.


def test_clips_of_what_got_worse_come_first() -> None:
    """mel_dac lost most on clip 0 by chance; stoi, which got worse, on clip 7; of the others nothing counts."""
    base = make_run({"stoi": scores(40), "mel_dac": scores(40)})
    stoi, mel = scores(40, -0.05, 1), scores(40, 0, 2)
    stoi[7] -= 0.3
    mel[0] += 5
    new = make_run({"stoi": stoi, "mel_dac": mel}, id="r1")
    order = worst_first("codec@a", base, new, compare([base], [new], Rules()).cells)
    assert len(order) == 40
    assert order[0].clip.id == "talk/00007"
    (change,) = [item for item in order[0].changes if item.facts.name == "stoi"]
    assert change.difference == pytest.approx(stoi[7] - scores(40)[7])
    assert change.size < -3
    sizes = [next(c.size for c in item.changes if c.facts.name == "stoi") for item in order]
    assert sizes == sorted(sizes)


def test_clips_of_a_group_that_got_worse_come_first() -> None:
    languages = ["en", "de", "fr", "es"] * 20
    base = make_run({"stoi": scores(80)}, languages=languages)
    values = [
        v - 0.06 * (tag == "de") + 0.02 * (tag != "de") for v, tag in zip(scores(80, 0, 3), languages, strict=True)
    ]
    values[2] -= 0.9  # A single French clip.
    new = make_run({"stoi": values}, id="r1", languages=languages)
    comparison = compare([base], [new], Rules())
    assert {cell.part for cell in comparison.cells if cell.verdict == "worse"} == {"language=de"}
    order = worst_first("codec@a", base, new, comparison.cells)
    assert {item.clip.language for item in order[:20]} == {"de"}
    assert order[20].clip.id == "talk/00002"


def test_ratios_and_sets_have_their_differences(tmp_path: Path) -> None:
    reference, good = outputs(1, clips=30)
    _, bad = outputs(2, clips=30, noise=2.0)
    base, new = set_run("fd_panns", reference, good), set_run("fd_panns", reference, bad, id="r1")
    comparison = compare([base], [new], Rules())
    order = worst_first("codec@a", base, new, comparison.cells)
    terms = [present(item.changes[0].difference) for item in order]
    assert terms == sorted(terms, reverse=True)
    assert np.mean(terms) == pytest.approx(present(comparison.cells[0].difference), rel=0.2)
    assert order[0].changes[0].base is None
    runs = [make_run({WER: [[100.0 * k, 4.0]] * 6}, id=f"r{k}") for k in range(2)]
    (first, *_) = worst_first("codec@a", runs[0], runs[1], compare([runs[0]], [runs[1]], Rules()).cells)
    assert (first.changes[0].base, first.changes[0].new, first.changes[0].difference) == (0.0, 25.0, 25.0)
    links = write_page(comparison, [base], [new], tmp_path / "page")
    assert links.of("codec@a", order[0].clip.id).startswith(f"{tmp_path}/page/index.html#clip-")
    assert links.of("codec@a", "talk/99999") == ""


def test_several_systems_have_places_of_their_own(tmp_path: Path) -> None:
    base = [make_run({"stoi": scores(8)}, system=name) for name in ("a", "b")]
    new = [make_run({"stoi": scores(8, -0.3, 1)}, id="r1", system=name) for name in ("a", "b")]
    write_page(compare(base, new, Rules()), base, new, tmp_path / "page", most=3)
    html = (tmp_path / "page" / "index.html").read_text()
    assert len(set(ids(html))) == len(ids(html)) >= 6
    assert "<td>a</td>" in html


@pytest.mark.slow
def test_sides_switch_at_the_same_moment_in_a_browser(
    pair: tuple[Path, Path], tmp_path: Path, browsers: Callable[..., Any]
) -> None:
    invoke("compare", *pair, "--page", tmp_path / "page")
    browser = browsers()
    place = anchor("codec@a", "talk/00003")
    browser.get(f"{(tmp_path / 'page' / 'index.html').as_uri()}#{place}")
    run = browser.execute_script
    run("window.clip = document.getElementById(arguments[0])", place)
    assert run("return clip.querySelector('audio').getAttribute('src')").endswith("02_codec%40a.flac")
    run("clip.querySelector('[data-side=base]').click()")
    assert run("return clip.querySelector('audio').getAttribute('src')").endswith("01_codec%40a.flac")
    assert run("return clip.querySelector('[aria-pressed=true]').textContent") == "BASE"
    run("clip.dispatchEvent(new KeyboardEvent('keydown', {key: 'r', bubbles: true}))")
    assert run("return clip.querySelector('img').alt") == "Spectrogram: Reference"
    shown = "return [...document.querySelectorAll('.pair')].map((pair) => pair.id)"
    before = run(shown)
    run("const s = document.getElementById('order'); s.value = 'mel_dac'; s.dispatchEvent(new Event('change'))")
    assert sorted(run(shown)) == sorted(before) != run(shown)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
