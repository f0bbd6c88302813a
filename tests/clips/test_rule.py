"""Lists made by rule: which files become clips, and what is said where they are not the ones that were meant."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import datasets_root, load_dataset_card
from ldmbench.clips.load import load_dataset
from ldmbench.clips.rule import Rule, list_digest, select
from ldmbench.errors import BenchError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve utterances of 1 to 12 s of two speakers, with transcripts, and things that are no clips."""
    for index in range(12):
        place = tmp_path / "test" / f"s{index % 2}" / "book" / f"s{index % 2}_{index:02}.wav"
        audio.write(place, Audio.of(np.full(1000 * (index + 1), 0.1), 1000))
        place.with_suffix(".normalized.txt").write_text(f"sentence {index}\n")
    (tmp_path / "test" / "s0" / "book" / "._s0_00.wav").write_bytes(b"macOS")
    (tmp_path / "test" / "s0" / "book.wav").mkdir()
    (tmp_path / "other.wav").write_bytes(b"no clip")
    return tmp_path


RULE = Rule(files=("test/*/*/*.wav",), text=".normalized.txt", language="en", group=1)


def test_files_that_fit_are_the_clips(folder: Path) -> None:
    found = select(RULE, "mini", folder)
    paths = [row["path"] for row in found.rows]
    assert paths == sorted(f"test/s{n % 2}/book/s{n % 2}_{n:02}.wav" for n in range(12))
    assert found.rows[0] == {
        "id": "test/s0/book/s0_00", "path": "test/s0/book/s0_00.wav", "start": "", "end": "",
        "text": "sentence 0", "language": "en", "group": "s0",
    }  # fmt: skip
    assert len(found.identity) == len(set(found.identity)) == 12
    (note,) = found.notes
    assert note.startswith("mini: 12 clips chosen by rule from 12 files")
    assert list_digest(paths)[:12] in note


def test_what_fits_and_is_no_file_is_named(folder: Path) -> None:
    book = folder / "test" / "s0" / "book"
    (book / "gone.wav").symlink_to("nowhere.wav")
    (book / "round.wav").symlink_to("round.wav")
    os.mkfifo(book / "pipe.wav")
    (book / "noise.wav").write_bytes(b"no sound")
    selection = select(RULE.model_copy(update={"seconds": (0.0, 100.0)}), "mini", folder)
    assert len(selection.rows) == 12
    notes = "\n".join(selection.notes)
    assert "left out, links to what is not there: test/s0/book/gone.wav" in notes
    assert "left out, links that lead nowhere" in notes
    assert "left out, devices and pipes: test/s0/book/pipe.wav" in notes
    assert "left out, cannot be read: test/s0/book/noise.wav (the first: " in notes


def test_folders_that_cannot_be_opened_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("s0"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", closed)
    assert "mini: not looked into, cannot be opened: test/s0" in select(RULE, "mini", folder).notes


def test_a_transcript_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "test" / "s0" / "book" / "s0_00.normalized.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match=r"the transcript .*\.txt cannot be read: .*fix: save it as UTF-8"):
        select(RULE, "mini", folder)


def test_a_pinned_release_is_recognised(folder: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("test/*/*/s*.wav"))
    pinned = hashlib.sha256("".join(name + "\n" for name in names).encode()).hexdigest()
    rule = RULE.model_copy(update={"count": 12})
    assert select(rule, "mini", folder, pinned).notes == ()
    (folder / names[3]).unlink()
    with pytest.raises(BenchError, match=r"not those of the official release: 11 in .* the release has 12; list"):
        select(rule, "mini", folder, pinned)
    audio.write(folder / "test/s0/book/another.wav", Audio.of([0.1] * 10, 1000))
    with pytest.raises(BenchError, match=r"12 in .*; list \w{12}, the card says"):
        select(rule, "mini", folder, pinned)


def test_durations_and_a_number_choose_among_the_files(folder: Path) -> None:
    rule = RULE.model_copy(update={"seconds": (3.0, 10.0), "take": 4})
    chosen = [row["path"] for row in select(rule, "mini", folder).rows]
    allowed = [f"test/s{n % 2}/book/s{n % 2}_{n:02}.wav" for n in range(2, 9)]
    assert chosen == sorted(sorted(allowed, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:4])
    assert [row["path"] for row in select(rule, "other", folder).rows] == chosen
    # A file more elsewhere takes at most one place.
    audio.write(folder / "test/s1/book/new.wav", Audio.of(np.full(5000, 0.1), 1000))
    assert len(set(chosen) - {row["path"] for row in select(rule, "mini", folder).rows}) <= 1


def test_what_is_amiss_is_noted(folder: Path) -> None:
    (folder / "test/s0/book/s0_04.wav").write_bytes(b"RIFF")
    (folder / "test/s1/book/s1_05.normalized.txt").unlink()
    found = select(RULE.model_copy(update={"seconds": (3.0, 10.0), "take": 40}), "mini", folder)
    assert found.notes[0].startswith("mini: left out, cannot be read: test/s0/book/s0_04.wav (the first: ")
    assert found.notes[1] == "mini: 6 clips where its rule takes 40"
    assert found.notes[2] == "mini: no transcript (.normalized.txt) beside test/s1/book/s1_05.wav"


def test_nothing_there_says_what_was_looked_for(folder: Path) -> None:
    with pytest.raises(BenchError, match=r"files of mini are not here: no folder .*nowhere \(fix: ask\)"):
        select(RULE, "mini", folder / "nowhere", fix="ask")
    with pytest.raises(BenchError, match=r"are not here: \*\.flac in "):
        select(Rule(files=("*.flac",)), "mini", folder)
    with pytest.raises(BenchError, match="no file of mini fits its rule: looked at 12"):
        select(RULE.model_copy(update={"seconds": (60.0, 70.0)}), "mini", folder)


@pytest.mark.parametrize("files", [(), ("/etc/*",), ("../*.wav",)])
def test_patterns_stay_in_the_folder(files: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="below the folder"):
        Rule(files=files)


def test_a_dataset_by_rule_changes_its_digest_with_its_files(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("cards")
    (root / "mini").mkdir()
    card = (
        'name = "mini"\ntitle = "Mini"\ncontent = "speech"\nlicence = "none"\n[source]\nkind = "folder"\nenv = "MINI"\n'
        '[conditions.gap]\nkind = "gap"\nend_s = 1.0\n'
        '[splits.test.rule]\nfiles = ["test/*/*/*.wav"]\nstart = 0.25\nend = 0.75\ngroup = 1\n'
    )
    (root / "mini" / "card.toml").write_text(card)
    monkeypatch.setenv("LDMBENCH_DATASETS", str(root))
    monkeypatch.setenv("MINI", str(folder))
    dataset = load_dataset("mini@gap")
    clip = dataset.clips[3]
    assert (clip.id, clip.dataset, clip.group) == ("mini@gap/test/s0/book/s0_06", "mini@gap", "s0")
    assert clip.audio.length == 500
    assert not clip.input.samples.any()
    assert "by rule" in dataset.notes[0]
    assert load_dataset("mini@gap").digest == dataset.digest != load_dataset("mini").digest
    audio.write(folder / "test/s0/book/s0_06.wav", Audio.of([0.1] * 9999, 1000))
    assert load_dataset("mini@gap").digest != dataset.digest
    for change, message in (
        ('[splits.test]\nsha256 = "0"\n', "needs either a list or a rule"),
        ('[splits.test]\nlist = "test.csv"\n', "a list needs its sha256"),
    ):
        (root / "mini" / "card.toml").write_text(card[: card.index("[splits")] + change)
        with pytest.raises(BenchError, match=message):
            load_dataset_card("mini")


def test_the_shipped_rules_choose_from_the_official_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file in its official place each: the patterns meet it, and the digests then miss the rest."""
    official = {
        "vctk-test": ("VCTK", "wav48_silence_trimmed/s5/s5_001_mic1.flac"),
        "esc50-fold5": ("ESC50", "audio/5-9032-A-0.wav"),
        "musdb18-test": ("MUSDB18", "test/AM Contra - Heart Peripheral/mixture.wav"),
        "libritts-test": ("LIBRITTS", "test-clean/1089/134686/1089_134686_000002_000001.wav"),
    }
    for name, (variable, path) in official.items():
        audio.write((tmp_path / path).with_suffix(".wav"), Audio.of(np.full(9000, 0.1), 1000))
        (tmp_path / path).with_suffix(".wav").rename(tmp_path / path)
        monkeypatch.setenv(f"LDMBENCH_{variable}", str(tmp_path))
        with pytest.raises(BenchError, match=rf"files of {name} are not those.*: 1 in .*the release has"):
            load_dataset(name)
    monkeypatch.setenv("LDMBENCH_AUDIOSET", str(tmp_path))
    assert len(load_dataset("audioset-eval").clips) == 4
    assert {path.parent.name for path in datasets_root().glob("*/card.toml")} >= official.keys()
