"""Tokens of a run are kept, so that a metric that is asked for later finds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ldmbench
from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.runs.results import open_run
from ldmbench.runs.store import read_tokens
from tests.present import present

CODEC = """
import numpy as np
from ldmbench import Audio, Codec, Stream

class Toy(Codec):
    def encode(self, audio):
        frames = audio.samples[0, : audio.length // 100 * 100].reshape(-1, 100).mean(axis=1)
        tokens = np.stack([frames > 0, np.where(np.arange(len(frames)) % 2, -1, 300)]).astype(np.int64)
        return Stream(tokens, 10 * tokens.size, tokens, codebooks=SIZES, side_bits=40, nominal_kbps=2.5)

    def decode(self, stream):
        return Audio.of(np.repeat(stream.payload[0].astype(float), 100), self.rate)
"""

CARD = 'name = "toy"\ntitle = "Toy"\ntasks = ["codec"]\nmodule = "{}:Toy"\nrate = 16000\nlicence = "none"\n'

SUITE = 'name = "rates"\ntitle = "Rates"\ntask = "codec"\ndatasets = ["builtin-speech"]\nmetrics = ["kbps"]\n'


def run(folder: Path, module: str, sizes: str, metrics: tuple[str, ...] = ()) -> list[ldmbench.Run]:
    (folder / f"{module}.py").write_text(CODEC.replace("SIZES", sizes))
    (folder / f"{module}.toml").write_text(CARD.format(module))
    (folder / "rates.toml").write_text(SUITE)
    return ldmbench.evaluate(
        str(folder / "rates.toml"), [str(folder / f"{module}.toml")], metrics=metrics, audio=folder / "clips",
        out=folder / "runs", quiet=True,
    )  # fmt: skip


@pytest.fixture
def clips(tmp_path: Path, tone: Callable[..., Audio]) -> Path:
    for index in range(3):
        audio.write(tmp_path / "clips" / f"{index}.wav", tone(0.1 * (index + 1), hz=30.0))
    return tmp_path


@pytest.mark.usefixtures("in_this_process")
def test_a_metric_of_tokens_is_added_to_a_run_that_is_there(clips: Path) -> None:
    (first,) = run(clips, "toy_there", "(2, 1024)")
    row = next(iter(first.outputs.values()))
    assert (row.tokens, row.codebooks, row.side_bits, row.nominal_kbps) == (24, [2, 1024], 40, 2.5)
    kept = np.load(first.path / row.token_file)
    assert kept.dtype == np.int16
    assert kept[1].tolist() == [300, -1] * 8
    np.testing.assert_array_equal(read_tokens(first.path / row.token_file), kept)
    names = ("kbps@nominal", "kbps@side", "kbps@empirical", "kbps@adaptive", "tokens_per_second")
    (second,) = run(clips, "toy_there", "(2, 1024)", names)
    assert second.info.id == first.info.id
    values = {name: present(present(second.estimate(name)).value) for name in names}
    # 0.6 s: 96 frames with signs, half of them with a token of the second layer, which is always the same.
    assert values["kbps@nominal"] == pytest.approx(2.5)
    assert values["kbps@side"] == pytest.approx(120 / 600)
    assert values["tokens_per_second"] == pytest.approx(144 / 0.6)
    signs = np.concatenate([read_tokens(first.path / item.token_file)[0] for item in first.outputs.values()])
    share = signs.mean()
    entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    assert values["kbps@empirical"] == pytest.approx((96 * entropy + 120) / 600)
    assert values["kbps@empirical"] < values["kbps@adaptive"]
    stored = open_run(second.path).scores[row.clip, "kbps@empirical"].value
    assert stored == row.token_file.replace("tokens/", "vectors/kbps@empirical/")


@pytest.mark.usefixtures("in_this_process")
def test_tokens_outside_their_codebooks_fail_their_clip(clips: Path) -> None:
    (outside,) = run(clips, "toy_outside", "(2, 256)")
    assert all("tokens lie outside their codebooks" in message for _, _, message in outside.failures)
    assert len(outside.failures) == 3
    (fewer,) = run(clips, "toy_fewer", "(2,)")
    assert "2 layers of tokens and 1 codebooks" in fewer.failures[0][2]


def test_tokens_that_are_gone_are_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"a\.npy cannot be read"):
        read_tokens(tmp_path / "a.npy")
