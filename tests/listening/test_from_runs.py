"""Packs of runs, and the README's section on listening tests, exactly as it is printed."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.listening.items import from_runs
from ldmbench.listening.pack import Key, load_key, load_pack
from ldmbench.listening.ratings import read_ratings
from ldmbench.runs.prepare import evaluate, open_runs
from tests.listening.conftest import Served

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SUITE = """name = "small"
title = "Small"
task = "codec"
datasets = ["builtin-general"]
systems = ["reference", "opus@6kbps", "mp3@32kbps", "lowpass@3.5khz"]
metrics = ["kbps"]
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, folders: Path) -> Path:
    """A run folder: two codecs, reference and an anchor, on the small clips."""
    root = tmp_path_factory.mktemp("runs")
    (root / "small.toml").write_text(SUITE)
    evaluate(str(root / "small.toml"), audio=folders / "references", out=root / "runs", quiet=True)
    return root / "runs"


def test_runs_become_items(runs: Path) -> None:
    found = open_runs(("small+references",), runs)
    material = from_runs(found)
    assert material.systems == ("mp3@32kbps", "opus@6kbps") or material.systems == ("opus@6kbps", "mp3@32kbps")
    assert [item.clip.id for item in material.items] == ["references/ant", "references/bee", "references/cat"]
    assert {item.group for item in material.items} == {"small", "large"}
    assert [note for note in material.notes if "lowpass" in note]
    assert {source.run for item in material.items for source in item.outputs.values()} == {
        run.info.id for run in found if run.info.role == "system"
    }
    named = from_runs(found, ("opus@6kbps", "lowpass@3.5khz"))
    assert "lowpass@3.5khz" in named.systems, "a system named on purpose is heard whatever it is"


def test_an_output_that_changed_since_is_refused(runs: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(runs, tmp_path / "runs")
    run = next(run for run in open_runs(("small+references",), tmp_path / "runs") if run.info.system == "mp3@32kbps")
    path = run.audio_path("references/ant")
    assert path is not None
    audio.write(path, Audio.of(np.ones(1000) / 2, 24_000))
    material = from_runs(open_runs(("small+references",), tmp_path / "runs"))
    with pytest.raises(BenchError, match="changed since its run"):
        material.items[0].outputs["mp3@32kbps"].read()


def test_clips_without_every_output_are_left_out(runs: Path) -> None:
    found = open_runs(("small+references",), runs)
    broken = next(run for run in found if run.info.system == "opus@6kbps")
    del broken.outputs["references/bee"]
    material = from_runs(found)
    assert [item.clip.id for item in material.items] == ["references/ant", "references/cat"]
    assert any("references/bee" in note for note in material.notes)
    with pytest.raises(BenchError, match="one run of each"):
        from_runs([run for run in found if run.info.role == "reference"])
    with pytest.raises(BenchError, match="one run of each"):
        from_runs([*found, *found])


def test_untrained_runs_are_marked(runs: Path) -> None:
    from dataclasses import replace

    found = open_runs(("small+references",), runs)
    found = [replace(run, info=replace(run.info, untrained=run.info.system == "opus@6kbps")) for run in found]
    assert from_runs(found).marks == ("UNTRAINED: opus@6kbps has random weights",)


def listen(url: str, listener: str, opinion: Callable[[str, str], float]) -> None:
    """A whole session through the page's own requests; ``opinion(page, key)`` is the score."""
    import httpx2

    with httpx2.Client(base_url=url, timeout=60) as client:

        def ask(name: str, **data: Any) -> Any:
            answer = client.post(f"/api/{name}", json=data)
            assert answer.status_code == 200, answer.text
            return answer.json()

        state = ask("begin", listener=listener)
        token = state["token"]
        for step in ("consent", "volume", "headphones", "training"):
            if state["step"] != step:
                continue
            if step == "headphones":
                state = ask("headphones", token=token, answers=[1] * 6)
                state = ask("headphones", token=token, answers=[1] * 6) if state["step"] == "headphones" else state
            else:
                state = ask("step", token=token, step=step, gain=0.5)
        while state["step"] == "page":
            page = state["page"]
            answers = [
                {"stimulus": s["key"], "criterion": "quality", "score": opinion(page["id"], s["key"]),
                 "played_ms": 20_000, "touched": True} for s in page["stimuli"]
            ]  # fmt: skip
            state = ask("page", token=token, page=page["id"], time_ms=60_000, answers=answers)
        assert ask("finish", token=token)["step"] == "done"


def opinions(key: Key, truth: dict[str, int], seed: int) -> Callable[[str, str], float]:
    """A listener who hears what systems are, with some noise."""
    generator = np.random.default_rng(seed)
    means = {"reference": 97, "anchor70": 50, "anchor35": 20, **truth}

    def opinion(page: str, name: str) -> float:
        system = key.pages[page].stimuli[name].system
        noise = 2 if system == "reference" else 6
        return float(np.clip(round(means[system] + noise * generator.standard_normal()), 0, 100))

    return opinion


@pytest.mark.slow
def test_the_section_of_the_readme_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the quickstart's runs to an analysed table; eight drawn listeners take part while the server runs."""
    section = README.partition("\n## Let people listen\n")[2].partition("\n## ")[0]
    commands = [shlex.split(line) for line in re.findall(r"^\$ ldmbench (.+)$", section, re.MULTILINE)]
    tasks = [words[1] if words[0] == "mushra" else words[0] for words in commands]
    assert tasks == ["plan", "export", "check", "serve", "results", "analyse", "validate", "report"]
    monkeypatch.chdir(tmp_path)
    systems = [word for words in commands for flag, word in pairwise(words) if flag == "-s"]
    # `make quickstart` runs all systems with all metrics; the test needs these, and no scores.
    _runs_without_scores(systems)
    served = Served(tmp_path / "my-test")
    try:
        for words in commands:
            if words[1] == "serve":
                served.start()
                key = load_key(tmp_path / "my-test", load_pack(tmp_path / "my-test"))
                truth = dict(zip(systems, (40, 75, 60, 25), strict=True))
                for listener in range(8):
                    listen(served.url, f"listener{listener}", opinions(key, truth, listener))
                continue
            done = subprocess.run([sys.executable, "-m", "ldmbench.cli", *words], capture_output=True, text=True)
            assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
            if words[1] == "results":
                assert "8 sessions finished" in done.stdout
            if words[1] == "analyse":
                assert all(system in done.stdout for system in systems)
    finally:
        served.close()
    rows = read_ratings(tmp_path / "ratings.csv")
    assert Counter(row.system for row in rows) == dict.fromkeys([*systems, "reference", "anchor35", "anchor70"], 72)
    assert (tmp_path / "my-results" / "analysis.json").is_file()
    with (tmp_path / "my-test.sealed" / "excerpts.csv").open(encoding="utf-8") as handle:
        uses = Counter(row["use"] for row in csv.DictReader(handle))
    assert uses == {"test": 8, "training and test": 1}


def _runs_without_scores(systems: list[str]) -> None:
    """Runs of the quickstart as ``make quickstart`` leaves them, without most of its metrics."""
    text = (ROOT / "reports" / "suites" / "quickstart.toml").read_text(encoding="utf-8")
    text = re.sub(r"metrics = \[.*?\]", 'metrics = ["kbps", "lsd"]', text, flags=re.DOTALL)
    Path("quickstart.toml").write_text(re.sub(r"curves = .*\nanchor = .*\n", "", text), encoding="utf-8")
    evaluate("quickstart.toml", ["reference", *systems], limit=3, quiet=True)


def test_results_of_the_command_line(tmp_path: Path, runs: Path) -> None:
    """Export, two listeners, results: sealed, unsealed, with pseudonyms, and while the test still runs."""
    runner = CliRunner()
    folder = tmp_path / "pack"
    words = [
        "mushra",
        "export",
        "small+references",
        "--runs",
        str(runs),
        "--out",
        str(folder),
        "--items",
        "2",
        "--json",
    ]
    made = json.loads(runner.invoke(cli, words).stdout)
    assert made["pages"] == 2
    served = Served(folder, ("--headphones", "woods"))
    try:
        served.start()
        for name in ("Jürgen", "=cmd()"):
            listen(served.url, name, lambda page, key: float(sum(map(ord, page + key)) % 101))
        out = tmp_path / "r.csv"
        done = runner.invoke(
            cli, ["mushra", "results", str(folder), "-o", str(out), "--sessions", str(tmp_path / "s.csv")]
        )
        assert done.exit_code == 0, done.output
        assert "2 sessions finished, 0 going on, 0 left" in done.output
        sealed = read_ratings(out)
        assert {row.system for row in sealed} == {""}
        assert {row.listener for row in sealed} == {"Jürgen", "=cmd()"}
        assert "opus" not in out.read_text(encoding="utf-8")
        assert "'=cmd()" in (tmp_path / "s.csv").read_text(encoding="utf-8")
        options = ["--unseal", "--pseudonyms", "--finished", "--json", "-o", str(out)]
        progress = json.loads(runner.invoke(cli, ["mushra", "results", str(folder), *options]).output)
        assert progress["finished"] == 2
        rows = read_ratings(out)
        assert {row.listener for row in rows} == {"l001", "l002"}
        assert {row.system for row in rows} == {"opus@6kbps", "mp3@32kbps", "reference", "anchor35", "anchor70"}
        assert {row.item for row in rows} <= {"references/ant", "references/bee", "references/cat"}
        assert all(row.score == sum(map(ord, row.page + row.stimulus)) % 101 for row in rows)
    finally:
        served.close()
    nothing = runner.invoke(cli, ["mushra", "results", str(tmp_path / "none")])
    assert (nothing.exit_code, "is not a pack" in nothing.output) == (2, True)


def test_a_port_in_use_and_a_changed_pack_are_one_line(tmp_path: Path, runs: Path) -> None:
    import socket

    runner = CliRunner()
    folder = tmp_path / "pack"
    words = ["mushra", "export", "small+references", "--runs", str(runs), "--out", str(folder), "--items", "1"]
    assert runner.invoke(cli, words).exit_code == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = runner.invoke(cli, ["mushra", "serve", str(folder), "--port", str(port)])
        assert (done.exit_code, "cannot listen on" in done.output) == (2, True), done.output
    next((folder / "web").rglob("*.wav")).unlink()
    done = runner.invoke(cli, ["mushra", "serve", str(folder), "--port", "0"])
    assert (done.exit_code, "not the pack that was exported" in done.output) == (2, True), done.output
