"""Codecs by their authors' packages, in environments of their own, beside the native ones on the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.clips.clip import Clip
from ldmbench.system.environment import make_environment
from ldmbench.system.registry import load_system, load_system_card, resolve
from tests.golden.make_neural_codecs import SMALL_DAC, draw, sound
from tests.systems.neural_codecs.conftest import as_audio
from tests.systems.neural_codecs.test_dac import official

torch = pytest.importorskip("torch")

CARDS = ("descript-audio-codec", "snac-24khz", "snac-32khz", "snac-44khz", "speechtokenizer")


@pytest.mark.parametrize("name", CARDS)
def test_a_card_names_its_environment_and_what_it_says_it_runs(name: str) -> None:
    card = load_system_card(name)
    assert card.environment is not None
    package = str(card.settings["package"])
    assert any(requirement.startswith(f"{package}==") for requirement in card.environment.packages)
    assert all(Path(word).is_file() for word in card.command_line if word.endswith(".py"))
    for variant in card.variants or {"": {}}:
        names = [name for entry in card.weights_of(variant).values() for name in entry.names]
        assert str(card.settings.get("file", names[0])) in names


@pytest.mark.slow
def test_the_package_and_the_native_adapter_agree(
    codec: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """descript-audio-codec, whose requirements conflict with the bench's, run as a program on the same file."""
    torch.save({"state_dict": draw(official()), "metadata": {"kwargs": SMALL_DAC}}, tmp_path / "weights_16khz.pth")
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    card = load_system_card("descript-audio-codec")
    assert card.environment is not None
    folder = make_environment(card.name, card.environment, card.folder)
    versions = json.loads((folder / "ready.json").read_text())["installed"]
    assert any(line.startswith("protobuf==3.") for line in versions), "nothing conflicts with the bench's any more"

    clips = [
        Clip(f"x/{index}", "x", loaded=as_audio(sound(16_000, length, seed=index), 16_000), seed=index)
        for index, length in enumerate((321, 8_000, 20_001))
    ]
    # Sums in another number of parts differ in their last digits, which this net of random weights makes larger.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    native = codec("dac@16khz-3kbps", tmp_path)
    package = load_system(resolve("descript-audio-codec@3kbps", weights=tmp_path))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        outputs = list(zip(native.process(clips), package.process(clips), strict=True))
    finally:
        torch.set_num_threads(threads)
    for own, theirs in outputs:
        assert theirs.audio is not None
        np.testing.assert_array_equal(own.tokens, theirs.tokens)
        np.testing.assert_allclose(own.audio.samples, theirs.audio.samples, rtol=0, atol=1e-5)
        assert (own.bits, own.codebooks, own.nominal_kbps) == (theirs.bits, theirs.codebooks, theirs.nominal_kbps)
