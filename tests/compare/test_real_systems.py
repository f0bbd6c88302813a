"""Real runs, from the command line: a regression is found, the same encoder run twice is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.load import load_source

LOSSY = '''
import av
import numpy as np
from av.codec import CodecContext
from ldmbench.systems.codecs._packets import aligned
from ldmbench.systems.codecs.opus import Opus

class Lossy(Opus):
    """Opus whose packets get lost on the way: the decoder never hears of them, and nothing fills the gap."""

    def decode(self, stream):
        coded = stream.payload
        lost = np.random.default_rng(len(coded.data)).random(len(coded.data)) < float(self.spec.settings["lost"])
        context = CodecContext.create("libopus", "r")
        context.sample_rate, context.layout = coded.rate, {1: "mono", 2: "stereo"}[coded.channels]
        context.options = self.decoder_options()
        blocks = []
        for packet, gone in zip(coded.data, lost, strict=True):
            if gone:
                blocks.append(np.zeros((coded.channels, coded.frame_size), np.float32))
            else:
                frames = [frame.to_ndarray() for frame in context.decode(av.Packet(packet))]
                blocks += [frame.reshape(-1, coded.channels).T for frame in frames]
        return aligned(np.concatenate(blocks, axis=1), coded, self.delay(coded), self.spec.label).at(coded.source_rate)
'''
CARD = """
name = "lossy"
title = "Opus with packets lost"
tasks = ["codec"]
module = "lossy_system:Lossy"
rate = 48000
channels = [1, 2]
licence = "BSD-3-Clause"
default = "whole"
[settings]
kbps = 24.0
application = "audio"
frame_ms = 20.0
vbr = "off"
lost = 0.0
[variants.whole]
[variants.tenth]
lost = 0.1
"""
SUITE = """
name = "gate"
title = "Gate"
task = "codec"
datasets = DATASETS
systems = []
metrics = METRICS
"""


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def verdicts(result: Result) -> dict[tuple[str, str], str]:
    cells = json.loads(result.stdout)["cells"]
    return {(cell["dataset"], cell["metric"]): cell["verdict"] for cell in cells if cell["part"] == "all"}


@pytest.mark.slow
def test_lost_packets_are_found_and_a_second_run_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """opus@24kbps against itself, run again elsewhere, and with 10 % of its packets lost."""
    (tmp_path / "lossy_system.py").write_text(LOSSY)
    (tmp_path / "lossy.toml").write_text(CARD)
    text = SUITE.replace("DATASETS", '["builtin-speech", "builtin-music"]')
    (tmp_path / "gate.toml").write_text(text.replace("METRICS", '["stft_dac", "mel_dac", "estoi", "kbps"]'))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = ("run", "gate.toml", "--quiet", "--jobs", 1)
    assert invoke(*run, "-s", "opus@24kbps").exit_code == 0
    assert invoke("baseline", "save", "gate", "-o", "baseline.parquet").exit_code == 0
    against = ("--against", "baseline.parquet", "--json")
    for name, again in (("opus@24kbps", ("--out", "again")), ("lossy.toml", ())):
        same = invoke(*run, "-s", name, *again, *against, "--undecided", "fail")
        assert same.exit_code == 0, same.output
        assert set(verdicts(same).values()) == {"same"}
    worse = invoke(*run, "-s", "lossy.toml@tenth", *against)
    assert worse.exit_code == 1
    assert set(verdicts(worse).values()) == {"worse"}
    assert len(verdicts(worse)) == 5


@pytest.mark.slow
def test_codebooks_from_half_of_the_clips_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kmeans-mel trained on every second training clip, on 2 s of each built-in clip at a time."""
    monkeypatch.chdir(tmp_path)
    Path("half").mkdir()
    for clip in load_source("builtin-training").clips[::2]:
        assert clip.path is not None
        (Path("half") / clip.path.name).symlink_to(clip.path)
    for name in ("builtin-speech", "builtin-music", "builtin-general"):
        for clip in load_source(name).clips:
            samples = clip.load().audio.at(16_000).samples
            for start in range(0, samples.shape[1] - 31_999, 32_000):
                part = samples[:1, start : start + 32_000]
                if np.abs(part).max() > 0.01:
                    audio_io.write(Path("pieces") / f"{clip.id}-{start}.wav", Audio(np.array(part), 16_000))
    text = SUITE.replace("DATASETS", "[]").replace("METRICS", '["mel_dac", "mel_audiotools"]')
    Path("gate.toml").write_text(text)
    run = ("run", "gate.toml", "--quiet", "--jobs", 1, "--audio", "pieces")
    assert invoke(*run, "-s", "kmeans-mel@0.60kbps:vocab=1024").exit_code == 0
    assert invoke("baseline", "save", "gate+pieces", "-o", "baseline.parquet").exit_code == 0
    against = ("--against", "baseline.parquet", "--json")
    again = invoke(*run, "-s", "kmeans-mel@0.60kbps:vocab=1024", "--out", "again", *against, "--undecided", "fail")
    assert again.exit_code == 0
    half = invoke(*run, "-s", "kmeans-mel@0.60kbps:vocab=1024,train=half", *against)
    assert half.exit_code == 1
    assert set(verdicts(half).values()) == {"worse"}
    assert json.loads(half.stdout)["cells"][0]["n"] > 60
