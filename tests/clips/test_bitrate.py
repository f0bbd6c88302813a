"""Bitrates that somebody states: one for a folder, or a row for each file; anything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldmbench.clips.bitrate import Stated, stated_bitrates
from ldmbench.errors import BenchError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    files = {"refs/a": tmp_path / "a.wav", "refs/sub/b": tmp_path / "sub" / "b.wav"}
    for path in files.values():
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return files


def test_one_bitrate_for_all(files: dict[str, Path], tmp_path: Path) -> None:
    assert stated_bitrates(tmp_path, files) == {}
    rates = stated_bitrates(tmp_path, files, 1.4)
    assert {clip: rate.bits(10.0) for clip, rate in rates.items()} == {"refs/a": 14_000, "refs/sub/b": 14_000}


@pytest.mark.parametrize(("column", "bits"), [("bits", 1500), ("kbps", 3_000_000)])
def test_a_row_for_each_file(files: dict[str, Path], tmp_path: Path, column: str, bits: int) -> None:
    (tmp_path / "bitrate.csv").write_text(f"path,{column}\na.wav,1500\nsub/b.wav,2.5\n")
    rates = stated_bitrates(tmp_path, files)
    assert rates["refs/a"] == Stated(1500.0, column == "kbps")
    assert rates["refs/a"].bits(2.0) == bits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,rate\na.wav,1\n", r"wrong columns.*path, rate"),
        ("path,kbps,bits\na.wav,1,1\n", "wrong columns"),
        ("path,kbps\na.wav,1\n", r"states no bitrate of sub/b.wav"),
        ("path,kbps\na.wav,1\nsub/b.wav,0\n", r"line 3: kbps is no number above 0.*'0'"),
        ("path,bits\na.wav,nan\nsub/b.wav,1\n", r"line 2: bits is no number above 0"),
        ("path,bits\na.wav,many\nsub/b.wav,1\n", r"line 2: bits is no number above 0.*'many'"),
    ],
)
def test_what_is_no_bitrate_is_refused(files: dict[str, Path], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bitrate.csv").write_text(text)
    with pytest.raises(BenchError, match=message):
        stated_bitrates(tmp_path, files)


def test_two_statements_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "bitrate.csv").write_text("path,kbps\na.wav,1\nsub/b.wav,1\n")
    with pytest.raises(BenchError, match="two bitrates"):
        stated_bitrates(tmp_path, files, 2.0)
