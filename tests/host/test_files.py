"""A file that is written appears whole or not at all, whoever else writes it, and nothing is left beside it."""

from __future__ import annotations

import os
import stat
import threading
from io import BufferedWriter
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.host.files import OTHER_CACHE, absent, replacing, sync


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as handle:
        handle.write(b"new")
        handle.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_the_folder_is_made(tmp_path: Path) -> None:
    with replacing(tmp_path / "deep" / "down" / "a", durable=True) as handle:
        handle.write(b"x")
    assert (tmp_path / "deep" / "down" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    expected = BenchError if isinstance(error, OSError) else type(error)

    def fail(handle: BufferedWriter) -> None:
        handle.write(b"half")
        raise error

    with pytest.raises(expected), replacing(path) as handle:
        fail(handle)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_says_which_file_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError) as caught, replacing(tmp_path / "file" / "a", OTHER_CACHE):
        pytest.fail("the block is never entered")
    assert str(caught.value).startswith(f"cannot write {tmp_path}/file/a: ")
    assert caught.value.fix == OTHER_CACHE
    assert caught.value.exit_code == 1


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(BenchError, match=r"cannot write .*a: "), replacing(tmp_path / "a") as handle:
        handle.write(b"x")
    assert names(tmp_path) == ["a"]


def test_the_longest_name_a_file_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with replacing(path) as handle:
        handle.write(b"x")
    assert names(tmp_path) == [path.name]


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "a"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_many_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    together = threading.Barrier(8)

    def write(letter: bytes) -> None:
        with replacing(path) as handle:
            together.wait()
            handle.write(letter * 100_000)

    threads = [threading.Thread(target=write, args=(bytes([65 + number]),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_bytes()
    assert len(content) == 100_000
    assert len(set(content)) == 1
    assert names(tmp_path) == ["a"]


def test_a_durable_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    sync, replace = os.fsync, Path.replace

    def syncing(number: int) -> None:
        facts = os.fstat(number)
        happened.append("folder" if stat.S_ISDIR(facts.st_mode) else f"{facts.st_size} bytes")
        sync(number)

    def renaming(self: Path, target: Path) -> Path:
        happened.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", renaming)
    with replacing(tmp_path / "a", durable=True) as handle:
        handle.write(b"12345")
    assert happened == ["5 bytes", "name", "folder"]


def test_absent_files_are_named_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "d").mkdir()
    assert absent(tmp_path, ["c", "b", "a", "d"]) == ["a", "c", "d"]


def test_files_and_their_names_are_put_on_the_disk_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    sync_one = os.fsync

    def syncing(number: int) -> None:
        happened.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")
        sync_one(number)

    monkeypatch.setattr(os, "fsync", syncing)
    paths = [tmp_path / folder / str(index) for folder in "ab" for index in range(20)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    sync(paths)
    assert happened == ["file"] * 40 + ["folder"] * 2
    sync([])
    assert len(happened) == 42
    with pytest.raises(BenchError, match=r"cannot write .*gone"):
        sync([*paths, tmp_path / "gone"])
