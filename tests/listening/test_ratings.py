"""The table of ratings: what is written is read back, and the key joins what it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.listening.pack import Key, KeyPage, KeyStimulus
from ldmbench.listening.ratings import COLUMNS, Rating, is_ratings, joined, read_ratings, to_csv, write_ratings

RATING = Rating(
    "tbcd23", "mushra", "Jürgen & \"co\" + 'x', 1", "sbcd23", "b01", "pbcd23", "", "", "", "", 0, "kbcd23", "quality",
    66.5, 12345, 1, 3, 4200, True, "2026-01-02T03:04:05Z", False,
)  # fmt: skip
KEY = Key(
    schema=1,
    pack="tbcd23",
    seed=1,
    systems=("opus@6kbps",),
    pages={
        "pbcd23": KeyPage(
            item="d/clip", group="g", dataset="d", start=0.0, end=2.5, repeat=1,
            stimuli={"kbcd23": KeyStimulus(system="opus@6kbps", role="system")},
        )
    },
)  # fmt: skip


@pytest.mark.parametrize("listener", [RATING.listener, "=1+1", "-x", "'=x", "007", "12e4", "nan"])
def test_what_is_written_is_read(tmp_path: Path, listener: str) -> None:
    rows = [replace(RATING, listener=listener), replace(RATING, score=0.0, touched=False, complete=True)]
    write_ratings(tmp_path / "r.csv", rows)
    assert read_ratings(tmp_path / "r.csv") == rows


def test_the_header_is_the_columns() -> None:
    header = to_csv([]).splitlines()[0]
    assert header == ",".join(COLUMNS)
    assert is_ratings(header.split(","))
    assert not is_ratings(["session_uuid", "rating_score"])


@pytest.mark.parametrize(("column", "cell"), [("score", "nan"), ("score", "x"), ("touched", "yes"), ("repeat", "")])
def test_a_cell_of_another_kind_is_named(tmp_path: Path, column: str, cell: str) -> None:
    header, row = to_csv([replace(RATING, listener="a")]).splitlines()
    cells = row.split(",")
    cells[COLUMNS.index(column)] = cell
    (tmp_path / "r.csv").write_text(f"{header}\n{','.join(cells)}\n")
    with pytest.raises(BenchError, match=f"line 2: {column}"):
        read_ratings(tmp_path / "r.csv")


def test_the_key_joins_and_training_is_left_out() -> None:
    (row,) = joined([RATING, replace(RATING, page="training")], KEY)
    assert (row.item, row.group, row.system, row.role, row.repeat) == ("d/clip", "g", "opus@6kbps", "system", 1)
    with pytest.raises(BenchError, match="knows no stimulus"):
        joined([replace(RATING, stimulus="other1")], KEY)
