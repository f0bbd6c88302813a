"""Presets: every protocol says what it asks, and fits the method it is for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.listening.export import Exported
from ldmbench.listening.presets import DEFAULTS, FOLDER, NOBODY, list_presets, load_preset


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_is_whole(name: str) -> None:
    preset = load_preset(name)
    assert (preset.name, bool(preset.source), bool(preset.training)) == (name, True, True)
    words = preset.words("Ada, Example Lab", 1, 1)
    texts = " ".join((*words.consent, *words.instructions, *words.training, *words.thanks))
    assert not re.search(r"[{}]|1 minutes|1 pages|e-mail address to|\bTODO\b", texts)
    assert "Ada, Example Lab" in texts
    assert NOBODY in " ".join(preset.words("", 20, 10).consent)
    for criterion in preset.criteria:
        steps = (criterion.high - criterion.low) / criterion.step
        assert steps == int(steps)
        if "acr" in preset.methods or "dcr" in preset.methods:
            assert len(criterion.labels) == steps + 1, "a word for each score"


def test_every_method_has_its_preset() -> None:
    assert all(method in load_preset(name).methods for method, name in DEFAULTS.items())


def test_protocols_of_papers_have_their_numbers() -> None:
    semanticodec, ladiffcodec = load_preset("semanticodec"), load_preset("ladiffcodec-3s")
    assert semanticodec.anchors == (3500.0,), "one low-pass anchor"
    assert "no resemblance" in " ".join(semanticodec.instructions)
    assert (ladiffcodec.seconds, ladiffcodec.items) == (3.0, 10)
    assert [criterion.name for criterion in load_preset("audioldm").criteria] == ["ovl", "rel"]
    assert [criterion.name for criterion in load_preset("src-gaudio").criteria] == ["ogl", "rel", "aq"]
    assert all(c.low == 1 and c.high == 100 for c in load_preset("src-gaudio").criteria)


def test_a_preset_of_ones_own(tmp_path: Path, make: Callable[..., Exported]) -> None:
    text = (FOLDER / "bs1534.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text.replace('name = "bs1534"', 'name = "mine"'), encoding="utf-8")
    pack = make(tmp_path / "p", preset=str(tmp_path / "mine.toml"), items=1, training=False)
    assert pack.pack.words.preset == "mine"
    (tmp_path / "bad.toml").write_text("low = 3\n" + text, encoding="utf-8")
    with pytest.raises(BenchError, match="not a valid card"):
        load_preset(str(tmp_path / "bad.toml"))
