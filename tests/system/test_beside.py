"""A card named by its path finds its module beside it, and never another one of that name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.system import beside
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, load_system_card, resolve

CARD = 'name = "halved"\ntitle = "Half as loud"\ntasks = ["codec"]\nlicence = "CC0"\nmodule = "{module}:Halved"\n'
ADAPTER = """
from {helper} import FACTOR
from ldmbench import Audio, Output


class Halved:
    def __init__(self, spec):
        self.card = spec.card

    def process(self, clips):
        for clip in clips:
            yield Output(Audio(FACTOR * clip.audio.samples, clip.audio.rate))
"""


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(beside, "_finder", beside._Beside())
    yield
    for name in set(sys.modules) - before:
        if name.startswith("halved"):
            del sys.modules[name]


def card(folder: Path, module: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "halved.toml").write_text(CARD.format(module=module))
    return folder / "halved.toml"


def first_output(path: Path) -> Output:
    from ldmbench.audio.sound import Audio
    from ldmbench.clips.clip import Clip

    clip = Clip("set/one", "set", "general", loaded=Audio.of([0.5, -0.5], 16_000))
    (output,) = load_system(resolve(str(path))).process([clip])
    return output


def test_a_module_and_what_it_imports(tmp_path: Path) -> None:
    path = card(tmp_path, "halved")
    (tmp_path / "halved.py").write_text(ADAPTER.format(helper="halved_parts"))
    (tmp_path / "halved_parts.py").write_text("FACTOR = 0.5")
    output = first_output(path)
    assert output.audio is not None
    assert output.audio.samples.tolist() == [[0.25, -0.25]]


def test_a_package(tmp_path: Path) -> None:
    path = card(tmp_path, "halved.adapters.one")
    (tmp_path / "halved" / "adapters").mkdir(parents=True)
    for name in ("halved", "halved/adapters"):
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "halved" / "parts.py").write_text("FACTOR = 0.25")
    (tmp_path / "halved" / "adapters" / "one.py").write_text(ADAPTER.format(helper="halved.parts"))
    output = first_output(path)
    assert output.audio is not None
    assert output.audio.samples.tolist() == [[0.125, -0.125]]


def test_sys_path_stays_and_a_mere_folder_is_no_package(tmp_path: Path) -> None:
    """``datasets/`` beside a card would make transformers believe that Hugging Face's library is installed."""
    before = list(sys.path)
    (tmp_path / "halved_datasets").mkdir()
    load_system_card(str(card(tmp_path, "halved")))
    assert sys.path == before
    assert importlib.util.find_spec("halved_datasets") is None


def test_two_modules_of_one_name_are_refused(tmp_path: Path) -> None:
    first, second = card(tmp_path / "a", "halved"), card(tmp_path / "b", "halved")
    for path in (first, second):
        path.with_suffix(".py").write_text(ADAPTER.format(helper="halved_parts"))
    load_system_card(str(first))
    load_system_card(str(first))
    with pytest.raises(BenchError, match=r"another halved comes first: .*a.halved\.py \(fix: rename it\)"):
        load_system_card(str(second))


def test_an_installed_module_is_not_taken_for_the_one_beside(tmp_path: Path) -> None:
    path = card(tmp_path, "numpy")
    (tmp_path / "numpy.py").touch()
    with pytest.raises(BenchError, match="another numpy comes first"):
        load_system_card(str(path))


def test_a_card_may_name_what_is_installed(tmp_path: Path) -> None:
    assert load_system_card(str(card(tmp_path, "ldmbench.systems.anchors.reference"))).title == "Half as loud"


def test_no_module_anywhere(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"No module named 'halved' \(fix: put the module beside the card"):
        load_system(resolve(str(card(tmp_path, "halved"))))


def test_a_module_without_the_class(tmp_path: Path) -> None:
    path = card(tmp_path, "halved")
    (tmp_path / "halved.py").touch()
    with pytest.raises(BenchError, match=r"halved has no 'Halved' \(fix: correct the card\)"):
        load_system(resolve(str(path)))
