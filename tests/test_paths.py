"""Cards, suites and metrics of one's own are named by their paths, wherever a name is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench import suite as suites
from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips import card as cards

CODEC = """
import numpy as np
from ldmbench import Audio, Codec, Stream

class Coarse(Codec):
    def encode(self, audio):
        steps = 2 ** (int(self.spec.settings["bits"]) - 1)
        return Stream(np.round(audio.samples * steps), bits=int(self.spec.settings["bits"]) * audio.samples.size)

    def decode(self, stream):
        return Audio.of(stream.payload / 2 ** (int(self.spec.settings["bits"]) - 1), self.rate)
"""
CARD = """
name = "coarse"
title = "Coarse steps"
tasks = ["codec"]
module = "coarse_steps:Coarse"
rate = 16000
licence = "MIT"
default = "8bit"

[settings]
bits = 8

[variants.8bit]
[variants.4bit]
bits = 4
"""
SUITE = """
name = "of-a-paper"
title = "Table 2"
task = "codec"
datasets = ["data/card.toml"]
systems = ["cards/coarse.toml@4bit", "reference", "cards/coarse.toml@8bit"]
metrics = ["kbps", "snr"]
curves = ["snr"]
"""
DATASET = """
name = "hisses"
title = "Noises"
content = "general"
licence = "mine"

[source]
kind = "folder"
env = "HISSES"

[splits.test.rule]
files = ["*.wav"]
"""


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A paper's repository with a suite, a card and its module, a dataset, and runs of the suite."""
    folder = tmp_path_factory.mktemp("a paper @ home")
    texts = {"cards/coarse_steps.py": CODEC, "cards/coarse.toml": CARD, "mine.toml": SUITE, "data/card.toml": DATASET}
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    generator = np.random.default_rng(1)
    for name in ("a", "b"):
        audio.write(folder / "sounds" / f"{name}.wav", Audio.of(0.1 * generator.standard_normal((1, 8_000)), 16_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HISSES", str(folder / "sounds"))
        patch.setattr(suites, "_named_by_path", {})
        patch.setattr(cards, "_named_by_path", {})
        patch.chdir(folder)
        done = invoke("run", "./mine.toml", "--jobs", "1")
        assert done.exit_code == 0, done.output
        assert "a page: ldmbench report ./mine.toml --to html" in done.stderr
        yield folder


def table(result: Result) -> list[str]:
    """The systems of a table, in order."""
    assert result.exit_code == 0, result.output
    return [row["system"] for row in json.loads(result.stdout)["rows"]]


def test_a_suite_is_reported_by_its_path_in_its_own_order(repository: Path) -> None:
    for target in ("./mine.toml", "mine.toml", str(repository / "mine.toml"), "of-a-paper"):
        assert table(invoke("report", target, "--to", "json")) == ["coarse@4bit", "reference", "coarse@8bit"]


def test_a_page_has_the_title_of_a_suite_that_is_named_by_its_path(repository: Path, tmp_path: Path) -> None:
    done = invoke("report", "./mine.toml", "--to", "html", "--output", tmp_path / "page")
    assert done.exit_code == 0, done.output
    assert "<title>Table 2" in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.parametrize(
    ("named", "systems"),
    [
        (["./cards/coarse.toml@8bit", "reference"], ["coarse@8bit", "reference"]),
        (["cards/coarse.toml"], ["coarse@4bit", "coarse@8bit"]),
        (["coarse@4bit"], ["coarse@4bit"]),
    ],
)
def test_a_report_takes_the_paths_that_run_takes(repository: Path, named: list[str], systems: list[str]) -> None:
    words = [word for name in named for word in ("-s", name)]
    assert table(invoke("report", "./mine.toml", "--to", "json", *words)) == systems


def test_every_command_takes_the_path_of_a_suite(repository: Path, tmp_path: Path) -> None:
    for words in (
        ("check", "./mine.toml"),
        ("show", "./mine.toml"),
        ("export", "./mine.toml", "--output", tmp_path / "scores"),
        ("score", "./mine.toml", "-m", "si_sdr"),
        ("baseline", "save", "./mine.toml", "--output", tmp_path / "base.parquet"),
        ("compare", tmp_path / "base.parquet", "./mine.toml", "-s", "./cards/coarse.toml@4bit", "-m", "snr"),
    ):
        done = invoke(*words)
        assert done.exit_code == 0, f"{words}: {done.output}"


def test_show_tells_what_a_card_is_of(repository: Path) -> None:
    for path, line in (
        ("./cards/coarse.toml@4bit", "title: Coarse steps"),
        ("./mine.toml", "title: Table 2"),
        ("./data/card.toml", "title: Noises"),
    ):
        assert line in invoke("show", path).stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("run", "./cards/coarse.toml"), "no suite: it is the card of a system (fix: ldmbench run SUITE -s cards/co"),
        (("run", "quickstart", "-s", "./mine.toml"), "no system: it is the card of a suite (fix: ldmbench run mine."),
        (("show", "./nothing.toml"), "nothing.toml does not exist"),
        (("report", "of-a-papre"), "no runs of 'of-a-papre': looked in runs (fix: did you mean of-a-paper?)"),
        (("report", "of-a-paper", "-s", "coarse@4bits"), "no runs of coarse@4bits (fix: did you mean coarse@4bit or"),
        (("report", "quickstart"), "looked in runs (fix: ldmbench run quickstart)"),
        (("report", "quickstart+my wavs"), "(fix: ldmbench run quickstart --audio 'my wavs')"),
        (("report", "codecs", "--out", "my runs"), "(fix: ldmbench run codecs --out 'my runs')"),
        (("report", "./mine.toml", "--out", "my runs"), "(fix: ldmbench run ./mine.toml --out 'my runs')"),
    ],
)
def test_a_suggestion_is_what_would_work(repository: Path, words: tuple[str, ...], line: str) -> None:
    done = invoke(*words)
    assert done.exit_code == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
