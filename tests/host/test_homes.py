"""Digests of many files: those of one file each, remembered until something about the file changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.host import homes
from ldmbench.host.homes import file_digest, file_digests


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read; every file counts as written long ago."""
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(homes, "settled", lambda facts: True)
    names: list[str] = []
    sha256 = homes.sha256

    def reading(path: Path) -> str:
        names.append(path.name)
        return sha256(path)

    monkeypatch.setattr(homes, "sha256", reading)
    return names


def files(folder: Path) -> list[Path]:
    paths = [folder / below / f"{name}.wav" for below in ("x", "y") for name in "ab"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(path).encode())
    return paths


def test_each_is_that_of_the_file_and_is_remembered(tmp_path: Path, read: list[str]) -> None:
    paths = files(tmp_path)
    wanted = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert file_digests(paths) == file_digests(paths) == wanted
    assert len(read) == 4, "once each"
    assert [file_digest(path) for path in paths] == wanted
    link = tmp_path / "link.wav"
    link.symlink_to(paths[0])
    read.clear()
    assert file_digests([link, paths[3]]) == [wanted[0], wanted[3]]
    assert not read, "a link is known by what it leads to"


def test_a_change_is_seen_whatever_the_time_says(tmp_path: Path, read: list[str]) -> None:
    paths = files(tmp_path)
    before = file_digests(paths)
    facts = paths[1].stat()
    paths[1].write_bytes(b"#" * facts.st_size)
    os.utime(paths[1], ns=(facts.st_atime_ns, facts.st_mtime_ns))
    after = file_digests(paths)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True, True]
    assert len(read) == 5


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"a.wav": 1}', '{"a.wav": {"sha256": "0"}}'])
def test_a_damaged_note_costs_time_only(tmp_path: Path, read: list[str], content: str) -> None:
    paths = files(tmp_path)
    wanted = file_digests(paths)
    for note in (tmp_path / "cache" / "digests" / "folders").iterdir():
        note.write_text(content)
    read.clear()
    assert file_digests(paths) == wanted
    assert len(read) == 4


def test_what_is_no_file_is_an_error_of_its_own(tmp_path: Path, read: list[str]) -> None:
    paths = files(tmp_path)
    bad = [tmp_path / "x", tmp_path / "none.wav"]
    first, *errors = file_digests([paths[0], *bad])
    assert isinstance(first, str)
    for path, error in zip(bad, errors, strict=True):
        with pytest.raises(BenchError) as raised:
            file_digest(path)
        assert str(error) == str(raised.value)
