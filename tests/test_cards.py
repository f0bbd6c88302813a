"""Cards name every fault with its place, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldmbench.cards import Card, load_card
from ldmbench.errors import BenchError


class Part(Card):
    size: int = 0


class Whole(Card):
    name: str
    rate: int = 16_000
    part: Part = Part()
    parts: dict[str, Part] = {}


def write(folder: Path, text: str) -> Path:
    path = folder / "card.toml"
    path.write_text(text)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BenchError) as caught:
        load_card(path, Whole)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_reads(tmp_path: Path) -> None:
    card = load_card(write(tmp_path, 'name = "a"\n[parts.b]\nsize = 3\n'), Whole)
    assert (card.name, card.rate, card.parts["b"].size) == ("a", 16_000, 3)


def test_extra_fields_come_from_the_caller(tmp_path: Path) -> None:
    assert load_card(write(tmp_path, "rate = 1"), Whole, name="given").name == "given"


def test_unknown_key_is_named_with_the_known_ones(tmp_path: Path) -> None:
    text = refused(write(tmp_path, 'name = "a"\nrates = 3'))
    assert "unknown key 'rates', known are name, rate, part, parts" in text


def test_unknown_nested_key_is_named_with_its_place(tmp_path: Path) -> None:
    assert "unknown key 'parts.b.sise'" in refused(write(tmp_path, 'name = "a"\n[parts.b]\nsise = 3\n'))


def test_wrong_type_and_missing_field_are_both_named(tmp_path: Path) -> None:
    text = refused(write(tmp_path, 'rate = "fast"'))
    assert "rate: " in text
    assert "integer" in text
    assert "name: Field required" in text


def test_bad_toml(tmp_path: Path) -> None:
    assert "is not valid TOML" in refused(write(tmp_path, "name = "))
    path = tmp_path / "card.toml"
    path.write_bytes(b'name = "\xff"')
    assert "is not valid TOML" in refused(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.toml")
    assert "cannot be read: Is a directory" in refused(tmp_path)


def test_frozen(tmp_path: Path) -> None:
    card = load_card(write(tmp_path, 'name = "a"'), Whole)
    with pytest.raises(ValueError, match="frozen"):
        card.rate = 3  # type: ignore[misc]


def test_digest_is_of_the_content_not_of_the_file(tmp_path: Path) -> None:
    one = load_card(write(tmp_path, 'name = "a"\nrate = 8000\n'), Whole).digest()
    assert one == load_card(write(tmp_path, '# a comment\nrate=8000\n\nname="a"\n'), Whole).digest()
    assert one != load_card(write(tmp_path, 'name = "a"\nrate = 8001\n'), Whole).digest()
