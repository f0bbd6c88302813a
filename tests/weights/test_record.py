"""Records of official checkpoints: what a card may say, and that what ldmbench itself pins can be fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ldmbench.errors import BenchError
from ldmbench.runs.fetch import extractor_checkpoints
from ldmbench.system.registry import list_systems, load_system_card
from ldmbench.weights.record import Checkpoint

OUTSIDE = ["../a", "a/../../b", "/etc/passwd", "C:\\a", "..\\a", "\\a", "", "."]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_file_leaves_its_folder(name: str) -> None:
    for fields in ({"files": {name: ""}}, {"urls": {name: "https://example.org"}}):
        with pytest.raises(ValidationError, match="does not stay inside"):
            Checkpoint.model_validate(fields)


@pytest.mark.parametrize("folder", OUTSIDE[:-2])
def test_no_folder_leaves_the_weights_home(folder: str) -> None:
    with pytest.raises(ValidationError, match="does not stay inside"):
        Checkpoint(folder=folder)


def test_a_card_that_would_write_elsewhere_is_one_line(tmp_path: Path) -> None:
    card = tmp_path / "toy.toml"
    card.write_text(
        'name = "toy"\ntitle = "Toy"\ntasks = ["codec"]\nlicence = "MIT"\n[weights.main.files]\n"../a" = ""\n'
    )
    with pytest.raises(BenchError, match=r"weights\.main\.files.*'\.\./a' does not stay inside the weights folder"):
        load_system_card(str(card))


@pytest.mark.parametrize("digest", ["g" * 64, "0" * 65, "sha256:00"])
def test_a_digest_is_hexadecimal(digest: str) -> None:
    with pytest.raises(ValidationError, match=r"of a\.bin is not a SHA-256"):
        Checkpoint(files={"a.bin": digest})


def test_digests_are_compared_in_one_spelling_and_files_keep_their_order() -> None:
    checkpoint = Checkpoint(files={"b": "AB" * 32, "a": ""}, urls={"c": "https://example.org/c", "b": "x"})
    assert checkpoint.files["b"] == "ab" * 32
    assert checkpoint.names == ("b", "a", "c")
    assert Checkpoint(files={"net.pth": ""}).file == "net.pth"


def test_every_pinned_extractor_can_be_fetched_by_its_name() -> None:
    pinned = extractor_checkpoints()
    assert {"panns-16khz", "panns-32khz", "vggish", "roberta-base", "whisper-large-v3"} <= set(pinned)
    for name, checkpoints in pinned.items():
        assert checkpoints[0].name == name
        for checkpoint in checkpoints:
            assert checkpoint.title
            assert checkpoint.urls.keys() == checkpoint.files.keys() != set()
            assert all(url.startswith("https://") for url in checkpoint.urls.values())
            # What comes first is pinned only where nobody names a digest.
            assert {len(digest) for digest in checkpoint.files.values()} == {0 if checkpoint.pin_first else 64}
    names = [*pinned, *list_systems()]
    assert len(names) == len(set(names))


def test_weights_of_every_system_are_named_by_what_fetches_them() -> None:
    for name in list_systems():
        card = load_system_card(name)
        for variant in card.variants or {"": {}}:
            entries = card.weights_of(variant).values()
            assert len({entry.folder for entry in entries}) <= 1
            for entry in entries:
                assert entry.name == entry.title == (f"{name}@{variant}" if variant else name)
                assert entry.folder
