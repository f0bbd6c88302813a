"""Where checkpoints are looked for, what a message names, and that another file is told from the official one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.names import Name
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.weights.find import find_all, find_file, find_folder, verify
from ldmbench.weights.record import Checkpoint, CheckpointError

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OFFICIAL = Checkpoint(
    title="a network",
    name="net",
    folder="net",
    urls={"net.pth": "https://example.org/net.pth"},
    files={"net.pth": SHA256},
    size=7_000_000,
)
WORDS = Checkpoint(title="its words", folder="words", files={"b.txt": "", "a.txt": ""}, urls={"b.txt": "https://b"})


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_is_found_in_the_weights_home_a_folder_its_subfolder_or_by_name(home: Path) -> None:
    usual, deep, flat = (put(home / folder / "net.pth") for folder in ("weights/net", "a/net", "b"))
    assert find_file(OFFICIAL) == usual
    assert find_file(OFFICIAL, home / "a") == deep
    assert find_file(OFFICIAL, home / "b") == flat
    other = put(home / "c" / "mine.pth")
    assert find_file(OFFICIAL, other) == other


def test_a_folder_counts_only_with_all_files_in_it(home: Path) -> None:
    put(home / "a" / "words" / "a.txt")
    with pytest.raises(CheckpointError, match=r"are not in \S+a/words: missing b\.txt \(fix: put https://b there"):
        find_folder([WORDS], home / "a")
    put(home / "a" / "a.txt")
    put(home / "a" / "b.txt")
    assert find_folder([WORDS], home / "a") == home / "a"
    put(home / "a" / "words" / "b.txt")
    assert find_folder([WORDS], home / "a") == home / "a" / "words"


def test_a_file_stands_for_the_first_checkpoint_and_the_others_lie_beside_it(home: Path) -> None:
    mine = put(home / "c" / "mine.pth")
    with pytest.raises(CheckpointError, match=r"weights of its words are not in .*missing a\.txt, b\.txt"):
        find_all((OFFICIAL, WORDS), mine)
    for name in WORDS.names:
        put(home / "c" / name)
    assert find_all((OFFICIAL, WORDS), mine) == [mine, home / "c"]


def test_what_is_missing_is_named_with_folder_size_and_command(home: Path) -> None:
    what = rf"^weights of a network are not in {home}/weights/net: missing net\.pth \(7 MB\) "
    with pytest.raises(CheckpointError, match=what + r"\(fix: ldmbench fetch net, or name their folder with --weights"):
        find_file(OFFICIAL)
    put(home / "weights" / "net" / "net.pth")
    with pytest.raises(CheckpointError, match=rf"are not in {home}/elsewhere: .*fetch net, or correct --weights"):
        find_file(OFFICIAL, home / "elsewhere")


def test_another_file_is_refused_by_digest_unless_allowed(home: Path) -> None:
    right, wrong = put(home / "right.pth"), put(home / "wrong.pth", b"other weights")
    assert verify(OFFICIAL, right) == SHA256
    with pytest.raises(CheckpointError, match=r"wrong\.pth is not the official .* of a network: .*official=false"):
        verify(OFFICIAL, wrong)
    assert verify(OFFICIAL, wrong, official=False) == hashlib.sha256(b"other weights").hexdigest()


def test_the_beginning_of_a_digest_is_enough_where_no_more_is_published(home: Path) -> None:
    short = OFFICIAL.model_copy(update={"files": {"net.pth": SHA256[:8]}})
    assert verify(short, put(home / "right.pth")) == SHA256
    with pytest.raises(CheckpointError, match="not the official"):
        verify(short, put(home / "wrong.pth", b"x"))


def test_a_folder_is_told_by_all_its_files_in_the_order_of_the_record(home: Path) -> None:
    put(home / "a.txt", b"a")
    put(home / "b.txt", b"b")
    assert verify(WORDS, home) == hashlib.sha256(b"b").hexdigest() + hashlib.sha256(b"a").hexdigest()


def card(**weights: Checkpoint) -> SystemCard:
    return SystemCard(
        name="toy", title="Toy", tasks=("codec",), licence="MIT", weights=weights, variants={"v": {}, "w": {}}
    )


def spec(toy: SystemCard, variant: str = "", weights: Path | None = None) -> SystemSpec:
    return SystemSpec(toy, Name("toy", variant), {}, weights=weights)


def test_weights_of_a_system_are_those_of_the_variant_and_those_of_all(home: Path) -> None:
    toy = card(v=Checkpoint(folder="toys/v", files={"v.bin": ""}), common=Checkpoint(files={"c.bin": ""}))
    put(home / "weights/toys/v/v.bin")
    with pytest.raises(BenchError, match=r"weights of toy@v .*: missing c\.bin \(fix: ldmbench fetch toy@v,"):
        spec(toy, "v").weights_folder()
    put(home / "weights/toys/v/c.bin")
    assert spec(toy, "v").weights_folder() == home / "weights/toys/v"
    put(home / "weights/toy/c.bin")
    assert spec(toy, "w").weights_folder() == home / "weights/toy"


def test_weights_of_a_system_in_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    toy = card(main=Checkpoint(files={"a.bin": "", "b.bin": ""}))
    put(tmp_path / "a.bin")
    with pytest.raises(BenchError, match=r"missing b\.bin .*or correct --weights"):
        spec(toy, weights=tmp_path).weights_folder()
    put(tmp_path / "b.bin")
    assert spec(toy, weights=tmp_path).weights_folder() == tmp_path


def test_weights_that_nobody_could_list_are_a_folder(home: Path) -> None:
    toy = card(v=Checkpoint(repo="lab/toy"))
    with pytest.raises(BenchError, match=r"weights/toy: missing everything \(fix: ldmbench fetch toy@v"):
        spec(toy, "v").weights_folder()
    (home / "weights/toy").mkdir(parents=True)
    assert spec(toy, "v").weights_folder() == home / "weights/toy"
    with pytest.raises(BenchError, match="toy@w has no weights: its card lists none"):
        spec(toy, "w").weights_folder()
