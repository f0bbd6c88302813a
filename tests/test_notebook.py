"""Runs in Python: what a notebook shows of them, as text, frame and sound; and the worked notebook, executed."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ldmbench
from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.notebook import Html, Results
from tests.present import present

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "examples" / "notebook.ipynb"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two systems on two clips of noise, one of them with a text that looks like markup."""
    folder = tmp_path_factory.mktemp("notebook")
    for name in ("a", "b<i>"):
        signal = 0.1 * np.random.default_rng(len(name)).standard_normal(8000)
        audio.write(folder / "clips" / f"{name}.wav", Audio.of(signal, 8000))
    suite = folder / "tiny.toml"
    suite.write_text(
        'name = "tiny"\ntitle = "Tiny"\ntask = "codec"\ndatasets = []\nsystems = ["reference", "lowpass@3.5khz"]\n'
        'metrics = ["snr", "kbps"]\n'
    )
    systems = ["reference", "lowpass@3.5khz", "noise"]
    return ldmbench.evaluate(str(suite), systems, audio=folder / "clips", out=folder / "runs", quiet=True)


class _Tags(HTMLParser):
    """Whether every tag is closed in order, and which there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_evaluate_returns_a_list_that_shows_itself(results: Results) -> None:
    assert isinstance(results, list)
    assert [run.info.system for run in results] == ["reference", "lowpass@3.5khz", "noise"]
    html = results._repr_html_()
    tags = _Tags(html).seen
    assert tags.count("table") == 1
    assert "script" not in tags
    value = present(present(results[1].estimate("snr")).value)
    assert f"{value:.2f}" in html
    assert repr(results) == results.table().rstrip()
    assert "\x1b" not in repr(results)
    assert (repr(Results()), Results()._repr_html_()) == ("no runs", "<p>no runs</p>")


def test_a_table_takes_the_options_of_its_file(results: Results) -> None:
    text = results.table(to="md", systems=["noise"], metrics=["snr"], names={"noise": "Hiss"})
    assert "Hiss" in text
    assert "lowpass" not in text
    assert text.startswith("### ")
    assert r"\begin{tabular}" in results.table(to="latex")
    for options, words in (
        ({"metric": ["snr"]}, "no table has this metric"),
        ({"out": "x"}, "belong to a table's file"),
        ({"systems": ["nothing"]}, "there are no runs of"),
    ):
        with pytest.raises(BenchError, match=words):
            results.table(**options)
    with pytest.raises(BenchError, match="there are no runs"):
        Results().table()


def test_frames_hold_the_numbers(results: Results) -> None:
    cells = results.dataframe(metrics=["snr"])
    row = cells[cells["system"] == "noise"].iloc[0]
    estimate = present(results[2].estimate("snr"))
    assert (row["value"], row["n"], row["metric"]) == (estimate.value, 2, "snr")
    clips = results.dataframe(clips=True, systems=["noise"])
    assert len(clips) == 4
    own = clips[clips["metric"] == "snr"]["value"].mean()
    assert own == pytest.approx(estimate.value)


def test_sounds_are_in_the_fragment(results: Results, tmp_path: Path) -> None:
    shown = results.listen("b<i>")
    assert isinstance(shown, Html)
    assert shown._repr_html_() == str(shown)
    assert "<i>" not in shown
    assert _Tags(shown).seen.count("audio") == 3
    assert not re.search(r'src="(?!data:)', shown)
    sounds = re.findall(r'src="data:audio/flac;base64,([^"]+)"', shown)
    (tmp_path / "x.flac").write_bytes(base64.b64decode(sounds[1]))
    output = audio.read(present(results[1].audio_path(results[1].info.clips[1].id)))
    assert np.abs(audio.read(tmp_path / "x.flac").samples - output.samples).max() <= 2**-15
    assert results.listen("b<i>", systems=["noise"]).count("<audio") == 2, "the reference is always there"
    assert results.listen().count("Reference") >= 1
    with pytest.raises(BenchError, match="clip of these runs"):
        results.listen("c")


def test_stored_runs_are_opened_the_same_way(results: Results) -> None:
    again = ldmbench.open_results(results[0].info.suite, out=results[0].path.parent.parent.parent)
    assert [run.info.id for run in again] == [run.info.id for run in results]
    one = ldmbench.open_results(results[2].path)
    assert [run.info.system for run in one] == ["noise"]


@pytest.mark.slow
def test_the_worked_notebook_runs(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not committed"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        "".join(output.get("text", "") or output.get("data", {}).get("text/html", "") or
                output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        for cell in notebook.cells if cell.cell_type == "code"
    ]  # fmt: skip
    assert len(shown) == 6
    assert "<table>" in shown[0]
    assert "opus@12kbps" in shown[0]
    assert r"\begin{tabular}" in shown[1]
    assert "Speech" in shown[1]
    assert "visqol_audio" in shown[2]
    assert re.search(r"mean +0\.\d+", shown[3])
    assert shown[4].count("<audio") == 5
    assert "opus@6kbps" in shown[5]
    assert "mp3" not in shown[5]
