"""Files pair by name; what does not pair is named and never substituted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Dataset
from ldmbench.clips.pairs import load_references, outputs_digest, pair
from ldmbench.errors import BenchError
from ldmbench.system.folder import folder_spec

Sound = Callable[..., Audio]


def pair_folders(
    generated: Path, reference: Path, content: Content = "general", table: Path | None = None
) -> tuple[Dataset, dict[str, Path]]:
    """The references, with what was noted about either folder, and the outputs."""
    references = load_references(reference, content, table)
    pairs = pair(generated, references)
    return replace(references, notes=(*references.notes, *pairs.notes)), dict(pairs.files)


@pytest.fixture
def make(tmp_path: Path, tone: Sound) -> Callable[..., Path]:
    def folder(name: str, *files: str, hz: float = 440.0) -> Path:
        for file in files:
            audio.write(tmp_path / name / file, tone(0.1, hz=hz))
        return tmp_path / name

    return folder


def test_pairs_by_path_but_for_the_ending(make: Callable[..., Path]) -> None:
    reference = make("ref", "a.wav", "deep/b.wav", "only.wav")
    generated = make("gen", "a.wav", "deep/b.wav", "b.wav")
    (generated / "a.wav").rename(generated / "a.flac")
    dataset, pairs = pair_folders(generated, reference, "speech")
    assert [clip.id for clip in dataset.clips] == ["ref/a", "ref/deep/b", "ref/only"]
    assert dataset.content == "speech"
    assert pairs == {"ref/a": generated / "a.flac", "ref/deep/b": generated / "deep" / "b.wav"}
    assert [clip.path for clip in dataset.clips] == [reference / name for name in ("a.wav", "deep/b.wav", "only.wav")]
    assert dataset.notes == (
        "gen: 1 without a reference, left out: b",
        "gen: no file for 1 of 3 references, failed: only",
    )


def test_all_paired_has_no_notes(make: Callable[..., Path]) -> None:
    assert pair_folders(make("gen", "a.wav"), make("ref", "a.wav"))[0].notes == ()


def test_nothing_pairs(make: Callable[..., Path]) -> None:
    with pytest.raises(BenchError, match=r"has the name of one of .*2 and 1 files, as x and a.*name each generated"):
        pair_folders(make("gen", "x.wav", "y.wav"), make("ref", "a.wav"))


def test_one_name_with_two_endings_is_not_guessed(make: Callable[..., Path]) -> None:
    reference = make("ref", "a.wav", "a.flac", "b.wav")
    dataset, pairs = pair_folders(make("gen", "a.wav", "b.wav"), reference)
    assert list(pairs) == ["ref/b"]
    assert any("failed: a.flac, a.wav" in note for note in dataset.notes)
    both = pair_folders(make("gen", "a.flac"), reference)[1]
    assert {name: path.name for name, path in both.items()} == {
        "ref/a.flac": "a.flac", "ref/a.wav": "a.wav", "ref/b": "b.wav",
    }  # fmt: skip


def test_the_same_letters_composed_otherwise_pair(make: Callable[..., Path]) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Größe") for form in ("NFC", "NFD"))
    reference, generated = make("ref", f"{composed}.wav", "a.wav"), make("gen", f"{decomposed}.wav", "a.wav")
    dataset, pairs = pair_folders(generated, reference)
    assert {name: path.stem for name, path in pairs.items()} == {"ref/a": "a", f"ref/{composed}": decomposed}
    assert dataset.notes == ()


def test_two_names_of_the_same_letters_pair_exactly(make: Callable[..., Path]) -> None:
    names = [unicodedata.normalize(form, "Größe.wav") for form in ("NFC", "NFD")]
    _, pairs = pair_folders(make("gen", *names), make("ref", *names))
    assert {name.partition("/")[2]: path.stem for name, path in pairs.items()} == {n[:-4]: n[:-4] for n in names}


def test_texts_come_with_the_reference(make: Callable[..., Path], tmp_path: Path) -> None:
    reference = make("ref", "a.wav")
    (tmp_path / "texts.csv").write_text("path,text,group\na.wav,hello,f\n")
    dataset, _ = pair_folders(make("gen", "a.wav"), reference, "speech", tmp_path / "texts.csv")
    assert (dataset.clips[0].text, dataset.clips[0].group) == ("hello", "f")


def test_either_digest_follows_its_own_side(make: Callable[..., Path]) -> None:
    generated, reference = make("gen", "a.wav"), make("ref", "a.wav", "b.wav")

    def digests() -> tuple[str, str]:
        dataset, pairs = pair_folders(generated, reference)
        return dataset.digest, outputs_digest(pairs)

    before = digests()
    assert digests() == before
    make("gen", "a.wav", hz=500)
    changed = digests()
    assert changed[0] == before[0], "the references are the same, whatever is scored against them"
    assert changed[1] != before[1]
    make("gen", "b.wav")
    assert digests()[1] not in (before[1], changed[1]), "an output more"
    make("ref", "a.wav", hz=600)
    assert digests()[0] != before[0]


def test_a_missing_folder(make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is not a folder"):
        pair_folders(tmp_path / "none", make("ref", "a.wav"))


@pytest.mark.parametrize("label", ["gen", "a@6kbps", "x:y=2", "my outputs"])
def test_a_folder_stands_for_a_system_by_a_name_that_is_no_grammar(label: str) -> None:
    spec = folder_spec(label, "codec", "0123")
    assert (spec.label, spec.card.tasks, spec.settings) == (label, ("codec",), {"digest": "0123"})
    assert (spec.name.variant, spec.name.settings) == ("", {})
