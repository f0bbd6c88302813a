"""Real runs, from the command line: a regression is found, the same encoder run twice is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ldmbench.cli import cli

LOSSY = '''
from ldmbench.audio.sound import Audio
from ldmbench.system.protocol import Output

class Lossy:
    """Opus' place in this test: every tenth packet of 20 ms is lost, and silent."""

    def __init__(self, spec):
        self.card, self.lost = spec.card, int(spec.settings["lost"])

    def process(self, clips):
        for clip in clips:
            samples = clip.audio.samples.copy()
            packet = clip.audio.rate // 50
            for start in range(0, samples.shape[1], 10 * packet):
                samples[:, start : start + self.lost * packet] = 0
            yield Output(Audio.of(samples, clip.audio.rate), 8 * samples.shape[1])
'''
CARD = """
name = "lossy"
title = "Packets lost"
tasks = ["codec"]
module = "lossy_system:Lossy"
licence = "none"
default = "whole"
[settings]
lost = 0
[variants.whole]
[variants.tenth]
lost = 1
"""


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """A codec, the same run again elsewhere, and with a tenth of its packets lost, on the built-in speech."""
    (tmp_path / "lossy_system.py").write_text(LOSSY)
    (tmp_path / "lossy.toml").write_text(CARD)
    (tmp_path / "gate.toml").write_text(
        'name = "gate"\ntitle = "Gate"\ntask = "codec"\ndatasets = ["builtin-speech"]\nsystems = []\n'
        'metrics = ["stft_dac", "mel_dac", "estoi", "kbps"]\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    paths = []
    for out, variant in (("a", "whole"), ("b", "whole"), ("c", "tenth")):
        system = f"{tmp_path / 'lossy.toml'}@{variant}"
        done = invoke(
            "run", tmp_path / "gate.toml", "-s", system, "--out", tmp_path / out, "--quiet", "--jobs", 1
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        (path,) = (tmp_path / out).glob("gate/*/*/run.json")
        paths.append(path.parent)
    return paths[0], paths[1], paths[2]


@pytest.mark.slow
def test_lost_packets_are_found_and_a_second_run_is_not(runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, again, lost = runs
    baseline = tmp_path / "baseline.parquet"
    assert invoke("baseline", "save", first, "-o", baseline).exit_code == 0
    same = invoke("compare", baseline, again, "--undecided", "fail", "--json")
    assert same.exit_code == 0
    assert {cell["verdict"] for cell in json.loads(same.stdout)["cells"]} == {"same"}
    worse = invoke("compare", baseline, lost, "--json")
    assert worse.exit_code == 1
    cells = {cell["metric"]: cell["verdict"] for cell in json.loads(worse.stdout)["cells"] if cell["part"] == "all"}
    assert cells == {"stft_dac": "worse", "mel_dac": "worse", "estoi": "worse"}
