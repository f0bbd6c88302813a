"""Records as text: read many at once like one by one, and read again whenever a file is another one."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ldmbench.runs import rows
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.records import OutputRow, ScoreRow
from ldmbench.runs.rows import flat, rows_of

ROWS = [
    OutputRow(
        "d/a", "ok", audio="audio/d/a.wav", bits=100, codebooks=[4, 4], details={"x": [1, {"y": None}], "é": "ü"}
    ),
    OutputRow("d/b", "failed", "it broke: NaN"),
    OutputRow("d/c", "ok", seconds=0.25, nominal_kbps=6.0, notes=["a note"]),
]


def written(path: Path, lines: list[str], old: bool = True) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if old:
        os.utime(path, (1, 1))
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as written long ago."""
    monkeypatch.setattr(rows, "settled", lambda facts: True)


def test_many_rows_are_what_they_were(tmp_path: Path) -> None:
    many = [OutputRow(f"d/{index}", "ok", digest=f"{index:064}") for index in range(2500)]
    path = written(tmp_path / "a.jsonl", [json.dumps(flat(row)) for row in (*ROWS, *many)])
    assert rows_of(path, OutputRow) == [*ROWS, *many]
    assert [flat(row) for row in ROWS] == [asdict(row) for row in ROWS]


@pytest.mark.parametrize(
    ("lines", "error", "text"),
    [
        (['{"clip": "a", "metric": "m", "version": 1, "status": "ok", "value": NaN}'], BrokenRunError, "NaN"),
        (['{"clip": "a", "status":', '"ok"}'], BrokenRunError, "line 2 "),
        (['{"clip": "a", "metric": "m", "version": 1, "status": "odd"}'], ValueError, "m of a: status"),
        (['{"clip": "a", "metric": "m", "version": "x", "status": "ok"}'], ValueError, "version"),
        (['{"clip": "a", "metric": "m", "version": 1, "status": "ok", "more": 1}'], ValueError, "more"),
        (['{"clip": "a"}, {"clip": "b"}'], BrokenRunError, "line 2 "),
        (["1", "2"], ValueError, "ScoreRow"),
    ],
)
def test_what_is_wrong_is_told_as_of_one_row(
    tmp_path: Path, lines: list[str], error: type[Exception], text: str
) -> None:
    good = json.dumps(flat(ScoreRow("a", "m", 1, "ok", 0.5)))
    path = written(tmp_path / "scores.jsonl", [good, *lines, good])
    with pytest.raises(error, match=text):
        rows_of(path, ScoreRow)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(json.dumps(flat(ScoreRow("a", "m", 1, "ok", 0.5))) + '\n{"clip": "b"')
    assert [row.clip for row in rows_of(path, ScoreRow)] == ["a"]
    assert rows_of(tmp_path / "none", ScoreRow) == []


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: None) -> None:
    reads: list[Path] = []
    parse = rows._parsed

    def parsed(path: Path, kind: type[Any]) -> Any:
        reads.append(path)
        return parse(path, kind)

    monkeypatch.setattr(rows, "_parsed", parsed)
    path = written(tmp_path / "a.jsonl", [json.dumps(flat(ROWS[0]))])
    assert rows_of(path, OutputRow) == rows_of(path, OutputRow) == ROWS[:1]
    assert len(reads) == 1
    with path.open("a") as handle:
        handle.write(json.dumps(flat(ROWS[1])) + "\n")
    assert rows_of(path, OutputRow) == ROWS[:2]
    other = written(tmp_path / "b.jsonl", [json.dumps(flat(row)) for row in (ROWS[2], ROWS[1])])
    other.replace(path)
    assert rows_of(path, OutputRow) == [ROWS[2], ROWS[1]]
    assert len(reads) == 3


def test_a_file_that_was_written_just_now_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [json.dumps(flat(ROWS[0]))], old=False)
    rows_of(path, OutputRow)
    assert path not in rows._kept


def test_so_many_rows_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: None) -> None:
    monkeypatch.setattr(rows, "_MOST", 4)
    paths = [written(tmp_path / f"{name}.jsonl", [json.dumps(flat(row)) for row in ROWS]) for name in "abc"]
    for path in paths:
        rows_of(path, OutputRow)
    assert [path in rows._kept for path in paths] == [False, False, True]
