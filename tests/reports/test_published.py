from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.reports import published

HEADER = "row,system,kbps,dataset,metric,value,source\n"
GOOD = (
    HEADER
    + 'Opus 12,opus@12kbps,12,builtin-speech,visqol_audio,3.41,"Doe et al. 2024, table 2"\n'
    + "FancyCodec,,1.5,builtin-speech,visqol_audio,3.90,Doe 2024\n"
    + "FancyCodec,,,builtin-music,visqol_audio,3.10,Doe 2024\n"
)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], published.Published]:
    def read_text(text: str) -> published.Published:
        path = tmp_path / "quickstart.csv"
        path.write_text(text, encoding="utf-8")
        return published.read(path)

    return read_text


def test_reads_numbers_labels_and_quoted_sources(read: Callable[[str], published.Published]) -> None:
    found = read(GOOD)
    item = found.find("opus@12kbps", "builtin-speech", "visqol_audio")
    assert item is not None
    assert (item.value, item.kbps, item.row, item.source) == (3.41, 12.0, "Opus 12", "Doe et al. 2024, table 2")
    assert found.find("opus@12kbps", "builtin-music", "visqol_audio") is None
    assert found.find("opus@6kbps", "builtin-speech", "visqol_audio") is None


def test_rows_without_a_system_are_kept_apart(read: Callable[[str], published.Published]) -> None:
    rows = read(GOOD).extra_rows()
    assert list(rows) == ["FancyCodec"]
    assert rows["FancyCodec"]["builtin-music", "visqol_audio"].value == 3.10
    assert rows["FancyCodec"]["builtin-music", "visqol_audio"].kbps is None


def test_an_empty_system_matches_no_run(read: Callable[[str], published.Published]) -> None:
    assert read(GOOD).find("", "builtin-speech", "visqol_audio") is None


def test_a_byte_order_mark_is_no_part_of_the_header(read: Callable[[str], published.Published]) -> None:
    assert len(read("\ufeff" + GOOD).values) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row,system,kbps,dataset,metric,value,sauce\n", ["unknown column", "sauce", "source"]),
        ("row,system,dataset,metric,value,source\n", ["lacks columns", "kbps"]),
        ("row,row,system,kbps,dataset,metric,value,source\n", ["twice"]),
        ("", ["lacks columns"]),
        (HEADER + "a,,,d,m,3.4x,s\n", ["line 2", "value", "3.4x"]),
        (HEADER + "a,,,d,m,nan,s\n", ["line 2", "value", "nan"]),
        (HEADER + "a,,inf,d,m,1,s\n", ["line 2", "kbps", "inf"]),
        (HEADER + "a,,,d,m,1,\n", ["line 2", "source is empty"]),
        (HEADER + "a,,,,m,1,s\n", ["line 2", "dataset is empty"]),
        (HEADER + "a,,,d,m,1,s,surplus\n", ["line 2", "number of fields"]),
        (HEADER + "a,,,d,m,1\n", ["line 2", "number of fields"]),
        (HEADER + "a,,,d,m,1,s\nb,,,d,m,1,s\na,,,d,m,2,s\n", ["line 4", "repeats", "line 2"]),
        (HEADER + "a,x@1,,d,m,1,s\nb,x@1,,d,m,2,s\n", ["line 3", "repeats", "x@1"]),
    ],
)
def test_faults_are_one_line_that_names_the_place(
    read: Callable[[str], published.Published], text: str, words: list[str]
) -> None:
    with pytest.raises(BenchError) as caught:
        read(text)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_not_utf8_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(HEADER.encode() + "a,,,d,m,1,Müller\n".encode("latin-1"))
    with pytest.raises(BenchError, match="UTF-8"):
        published.read(path)


def test_load_finds_the_suite_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "quickstart.csv").write_text(GOOD, encoding="utf-8")
    found = published.load("quickstart", tmp_path)
    assert found is not None
    assert len(found.values) == 3
    assert published.load("quickstart+audio", tmp_path) is None


@pytest.mark.parametrize("path", sorted(published.FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_shipped_files_are_valid(path: Path) -> None:
    assert published.read(path).values
