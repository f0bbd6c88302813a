"""From folders of wavs to a compiled table as docs/paper.md has it: its commands and its file, run as printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from tests.conftest import Sound
from tests.reports.test_latex_classes import CLASSES

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "paper.md").read_text(encoding="utf-8")
BLOCKS = {
    kind: re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("console", "toml")
}  # fmt: skip
COMMANDS = [
    shlex.split(line.removeprefix("$ ldmbench "))
    for block in BLOCKS["console"]
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("$ ")
]

#: Noise in the folders that stand for codecs, per unit of the voice.
CODECS = {"mine-1.4": 0.3, "mine-6": 0.03, "theirs-3": 0.15, "theirs-8": 0.02}

CLIPS = 8


def run(*words: str) -> Result:
    answer = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speechlike: Sound) -> Path:
    """References and four folders of decoded wavs, the current folder."""
    for index in range(CLIPS):
        voice = speechlike(1.6, seed=index)
        audio.write(tmp_path / "refs" / f"{index}.wav", voice)
        for name, level in CODECS.items():
            hiss = np.random.default_rng(index).standard_normal(voice.length) * np.abs(voice.samples)
            audio.write(tmp_path / name / f"{index}.wav", Audio.of(voice.samples + level * hiss, voice.rate))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_the_whole_way() -> None:
    assert [words[0] for words in COMMANDS] == ["score", "report"]
    assert sum(word == "--baseline" for word in COMMANDS[0]) == 2
    assert set(CODECS) <= set(COMMANDS[0])
    assert len(BLOCKS["toml"]) == 2


@pytest.mark.slow
def test_from_four_folders_and_two_baselines_to_a_compiled_table(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, groups = BLOCKS["toml"]
    (folders / "table.toml").write_text(spec)
    by_hand = spec.replace("bands = ", "# bands = ").replace("[names]", f"{groups}\n[names]")
    (folders / "by-hand.toml").write_text(by_hand.replace('"table.tex"', '"by-hand.tex"'))
    printed = run(*COMMANDS[0], "--quiet").stdout
    rows = {words[0]: words[1:] for line in printed.splitlines() if len(words := line.split()) == 5}
    assert rows.keys() == {*CODECS, "opus@6kbps", "opus@12kbps"}
    assert [rows[name][0] for name in CODECS] == ["1.40", "6.00", "3.00", "8.00"]
    assert 5 < float(rows["opus@6kbps"][0]) < 8, "the baselines' bitrates are measured"
    run(*COMMANDS[1])
    once = (folders / "table.tex").read_bytes()
    monkeypatch.chdir("/")
    run("report", "--spec", str(folders / "table.toml"))
    assert (folders / "table.tex").read_bytes() == once, "the same bytes from another folder"
    monkeypatch.chdir(folders)
    text = once.decode()
    wanted = tomllib.loads(spec)
    places = [text.index(wanted["names"].get(name, name)) for name in ("mine-1.4", "theirs-3", "mine-6", "theirs-8")]
    assert places == sorted(places), "by their bands"
    assert text.count(r"\emph{") == 3
    assert r"^{\dagger}" in text
    assert f"differs from {wanted['names']['mine-1.4']}:" in text, "notes have the printed names, too"
    assert f"{wanted['names']['refs']}: n = 8 clips" in text
    run("report", "--spec", "table.toml", "--width", "column", "--label", "tab:b", "--output", "column.tex")
    run("report", "--spec", "table.toml", "--intervals", "--label", "tab:c", "--output", "intervals.tex")
    run("report", "--spec", "by-hand.toml", "--label", "tab:d", "--width", "column", "--output", "by-hand.tex")
    assert "Low rates" in (folders / "by-hand.tex").read_text()
    run("report", "--spec", "table.toml", "--to", "json", "--output", "table.json")
    shown = json.loads((folders / "table.json").read_text())["rows"]
    bands = {row["group"]: [other for other in shown if other["group"] == row["group"]] for row in shown}
    sizes = {"up to 3 kbit/s": 2, "3 to 8 kbit/s": 3, "above 8 kbit/s": 1}
    assert {name: len(own) for name, own in bands.items()} == sizes
    for own in bands.values():
        assert sum(row["cells"][1]["rank"] == 1 for row in own) == (len(own) > 1), "a best of each band"
    compiled(folders)


def compiled(folder: Path) -> None:
    """All tables in every class, without an overfull box."""
    program, finder = shutil.which("pdflatex"), shutil.which("kpsewhich")
    if program is None or finder is None:
        pytest.skip("pdflatex is not installed")
    for name, (preamble, *_) in CLASSES.items():
        needed = ("IEEEtran.cls", "ptmr7t.tfm")
        own = subprocess.run([finder, *needed], capture_output=True, text=True).stdout.split()
        if name == "IEEEtran" and len(own) < len(needed):
            continue
        body = "".join(f"\\input{{{part}}}\n" for part in ("table", "column", "intervals", "by-hand"))
        (folder / "paper.tex").write_text(
            f"{preamble}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{body}\\end{{document}}\n"
        )
        command = [program, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:]
        wrong = [line for line in done.stdout.splitlines() if "Overfull \\hbox" in line or "too large" in line]
        assert not wrong, (name, wrong)
        (folder / "paper.pdf").rename(folder / f"{name.split()[0]}.pdf")
