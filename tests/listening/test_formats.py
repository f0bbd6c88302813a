"""Ratings of every program are read: each trap that its real files set has a test that fails if we fall into it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldmbench.errors import BenchError
from ldmbench.listening.joined import Names, names_of_pack, read_names
from ldmbench.listening.pack import load_key, load_pack
from ldmbench.listening.ratings import Rating, write_ratings
from ldmbench.listening.read import HowToRead, read_ratings
from ldmbench.listening.votes import Ratings

HEADER = [
    "session_test_id",
    "age",
    "session_uuid",
    "trial_id",
    "rating_stimulus",
    "rating_score",
    "rating_time",
    "rating_comment",
]
SCORES = {"reference": 100, "codec_a": 71, "codec_b": 40, "anchor35": 12, "anchor70": 33}
Cells = list[Any]


def read(*paths: Path, **how: Any) -> Ratings:
    return read_ratings(list(paths), HowToRead(**how))


def rows_of(session: str, items: tuple[str, ...] = ("one", "two"), test: str = "test", time: int = 0) -> list[Cells]:
    """Rows as ``service/write.php`` writes them: a time a page, repeated on each of its rows."""
    time = time or {"x1": 40_000, "u1": 41_000, "u2": 42_000}.get(session, 45_000)
    return [
        [test, "33", session, item, name, score - place, time + place, ""]
        for place, item in enumerate(items)
        for name, score in SCORES.items()
    ]


def write(path: Path, rows: list[Cells], header: Cells | None = HEADER, delimiter: str = ",") -> Path:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerows(([header] if header else []) + rows)
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path


def scores(ratings: Ratings) -> dict[tuple[str, str, str], float]:
    return {(row.listener, row.item, row.system): row.score for row in ratings.rows}


@pytest.fixture
def webmushra(tmp_path: Path) -> Path:
    return write(tmp_path / "mushra.csv", rows_of("u1") + rows_of("u2"))


def test_webmushra(webmushra: Path) -> None:
    ratings = read(webmushra)
    assert len(ratings.rows) == 20
    assert ratings.conditions == ("reference", "codec_a", "codec_b", "anchor70", "anchor35")
    assert ratings.systems == ("codec_a", "codec_b")
    first = ratings.rows[0]
    assert (first.block, first.page, first.position, first.seconds) == ("test", 1, 1, 41.0)
    assert ratings.rows[6].page == 2, "order of rows is the order shown"
    assert not ratings.notes


def test_webmushra_with_a_blank_second_line_and_a_mark_at_its_start(webmushra: Path, tmp_path: Path) -> None:
    lines = webmushra.read_text(encoding="utf-8").splitlines()
    odd = tmp_path / "odd.csv"
    odd.write_text("\ufeff" + "\r\n".join([lines[0], "", *lines[1:]]), encoding="utf-8")
    assert scores(read(odd)) == scores(read(webmushra))


def test_webmushra_whose_questionnaire_was_changed(tmp_path: Path) -> None:
    """Rows of another width than the header: they are read from their end."""
    wide = [[row[0], "33", "yes", *row[2:]] for row in rows_of("u2")]
    ratings = read(write(tmp_path / "mushra.csv", rows_of("u1") + wide))
    assert ratings.listeners == ("u1", "u2")
    assert any("lines of 9 fields under a header of 8" in note for note in ratings.notes)


def test_webmushra_with_names_and_answers_that_break_readers(tmp_path: Path) -> None:
    names = ["d & c", "a+b", "50%", "d'Arc", "Käse", 'say "x", y', "line\nbreak"]
    rows = [
        ["t", 'good, "bad"\nand & so on', "u1", "Größe", name, 50 + index, 9000, ""] for index, name in enumerate(names)
    ]
    ratings = read(write(tmp_path / "mushra.csv", rows))
    assert [row.system for row in ratings.rows] == names
    assert ratings.items == ("Größe",)


def test_webmushra_with_names_that_look_like_numbers(tmp_path: Path) -> None:
    """``007``, ``12e4`` and ``nan`` are names."""
    rows = [["t", "", "u1", "007", name, 50, 9000, ""] for name in ("12e4", "nan", "true", "1_0")]
    assert [row.system for row in read(write(tmp_path / "m.csv", rows)).rows] == ["12e4", "nan", "true", "1_0"]


def test_webmushra_with_a_torn_row(tmp_path: Path) -> None:
    """Rows are appended without a lock: a torn one is named, and its session is not whole."""
    path = write(tmp_path / "mushra.csv", rows_of("u1") + rows_of("u2"))
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[-1] = lines[-1][:20]
    path.write_text("\n".join(lines), encoding="utf-8")
    ratings = read(path)
    assert len(ratings.rows) == 19
    assert any("1 broken" in note and "line 21" in note for note in ratings.notes)
    assert any("Not whole" in note and "u2 (two without anchor70)" in note for note in ratings.notes)
    assert read(path, complete_only=True).listeners == ("u1",)


@pytest.mark.parametrize("score", ["101", "-1", "nan", "inf", "", "5 0"])
def test_scores_that_are_none(tmp_path: Path, score: str) -> None:
    rows = rows_of("u1")
    rows[3][5] = score
    path = write(tmp_path / "mushra.csv", rows)
    if score in ("101", "-1"):
        with pytest.raises(BenchError, match="outside 0 to 100"):
            read(path)
    else:
        assert len(read(path).rows) == 9
        assert any("line 5" in note for note in read(path).notes)


def test_two_tests_whose_names_differ_by_case_share_a_file(tmp_path: Path) -> None:
    """webMUSHRA makes one folder of ``Test`` and ``test``: the block still tells them apart."""
    ratings = read(write(tmp_path / "mushra.csv", rows_of("u1", test="Test") + rows_of("u2", test="test")))
    assert {row.block for row in ratings.rows} == {"Test", "test"}


def pymushra_records(session: str) -> list[dict[str, Any]]:
    return [
        {
            "questionaire_uuid": session, "questionaire_age": 33, "responses_stimulus": row[4],
            "responses_score": row[5], "responses_time": row[6], "responses_comment": None, "wm_id": row[3],
            "wm_type": "mushra", "wm_testId": "test", "wm_config": "configs/test-b01.yaml", "wm_date": 1700000000000,
        }
        for row in rows_of("x1")
    ]  # fmt: skip


def test_pymushra_csv_with_its_columns_in_any_order(tmp_path: Path) -> None:
    records = pymushra_records("s1")
    columns = sorted(records[0], key=lambda name: name[::-1])
    path = write(tmp_path / "p.csv", [[record[name] for name in columns] for record in records], columns, ";")
    ratings = read(path)
    assert len(ratings.rows) == 10
    assert (ratings.rows[0].block, ratings.rows[0].seconds) == ("test-b01", 40.0)


def test_pymushra_json_and_its_database(tmp_path: Path) -> None:
    download = tmp_path / "p.json"
    download.write_text(json.dumps(pymushra_records("s1")), encoding="utf-8")
    trials = {
        str(number): {
            "type": "mushra", "id": item, "testId": "test", "config": "configs/test-b01.yaml", "date": "2026-01-01",
            "questionaire": {"age": 33, "uuid": "s1"},
            "responses": [
                {"stimulus": name, "score": score - number, "time": 40_000 + number} for name, score in SCORES.items()
            ],
        }
        for number, item in enumerate(("one", "two"))
    }  # fmt: skip
    database = tmp_path / "db.json"
    database.write_text(json.dumps({"_default": {}, "test": trials}), encoding="utf-8")
    assert scores(read(download)) == scores(read(database))
    assert read(database).rows[0].block == "test-b01"


def test_pymushra_turns_names_into_numbers_and_we_say_so(tmp_path: Path) -> None:
    records = pymushra_records("s1")
    for record in records:
        record["wm_id"] = 7 if record["wm_id"] == "one" else record["wm_id"]
        record["responses_stimulus"] = (
            120000.0 if record["responses_stimulus"] == "codec_a" else record["responses_stimulus"]
        )
    path = tmp_path / "p.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    assert any("120000.0, 7 may not be what the test called it" in note for note in read(path).notes)


def test_a_session_is_read_once_whatever_came_twice(webmushra: Path, tmp_path: Path) -> None:
    """The same file twice, a session that was sent again, and the same answers through pymushra under its number."""
    again = write(tmp_path / "again.csv", rows_of("u2"))
    path = tmp_path / "p.json"
    records = [{**record, "responses_time": record["responses_time"] + 1000} for record in pymushra_records("s9")]
    path.write_text(json.dumps(records), encoding="utf-8")
    ratings = read(webmushra, webmushra, again, path)
    assert ratings.listeners == ("u1", "u2"), "s9 says what u1 said, to the millisecond"
    assert len(ratings.rows) == 20
    assert any("u2 of again.csv is u2 of mushra.csv, s9 of p.json is u1" in note for note in ratings.notes)
    path.write_text(json.dumps(pymushra_records("s9")), encoding="utf-8")
    assert read(webmushra, path).listeners == ("u1", "u2", "s9"), "equal scores in another time are another listener"


def test_a_second_score_of_the_same_sound_is_named_and_the_first_counts(tmp_path: Path) -> None:
    changed = rows_of("u1", time=70_000)
    changed[1][5] = 5
    ratings = read(write(tmp_path / "mushra.csv", rows_of("u1") + changed))
    assert scores(ratings)["u1", "one", "codec_a"] == 71
    assert any("Rated again with another score" in note and "u1 (1 ratings)" in note for note in ratings.notes)


def test_a_session_with_fewer_pages_than_the_others_is_named(tmp_path: Path) -> None:
    rows = rows_of("u1") + rows_of("u2", time=2) + rows_of("u3", items=("one",))
    ratings = read(write(tmp_path / "mushra.csv", rows))
    assert any("u3 (1 of 2 pages)" in note for note in ratings.notes)
    assert read(tmp_path / "mushra.csv", complete_only=True).listeners == ("u1", "u2")


def test_beaqlejs(tmp_path: Path) -> None:
    """One file a session; nobody's name or address is read."""
    for time, session in ((61_000, "a_1"), (62_000, "b_2")):
        pages = [
            {"TestID": "id1", "Runtime": time, "rating": {"Reference": 100, "1": 20}, "filename": {"1": "sys/x.wav"}},
            {"UserName": "Ada", "UserEmail": "ada@example.org", "UserComment": "fine"},
        ]  # fmt: skip
        (tmp_path / f"{session}.txt").write_text(json.dumps(pages), encoding="utf-8")
    ratings = read(tmp_path)
    assert ratings.listeners == ("a_1", "b_2")
    assert ratings.named("reference") == "Reference"
    assert (ratings.rows[1].sound, ratings.rows[1].seconds) == ("sys/x.wav", 61.0)
    assert "Ada" not in repr(ratings)


def test_dacs_wide_table(tmp_path: Path) -> None:
    header = ["sample", "user", "reference", "dac", "encodec"]
    path = write(tmp_path / "results.csv", [["a.wav", "u1", 98, 70, 50], ["b.wav", "u1", 99, "", 40]], header)
    ratings = read(path)
    assert scores(ratings)["u1", "a.wav", "dac"] == 70
    assert len(ratings.rows) == 5
    assert any("line 3, dac" in note for note in ratings.notes)


def test_reseval_packs_three_digits_for_each_condition(tmp_path: Path) -> None:
    """In alphabetical order; a spreadsheet drops the zeros at the start."""
    header = ["Stem", "Participant", "OrderAsked", "Response"]
    path = write(tmp_path / "responses.csv", [["s1", "p1", 0, "067072095023"], ["s2", "p1", 1, "67072095023"]], header)
    with pytest.raises(BenchError, match="--conditions"):
        read(path)
    ratings = read(path, conditions=("d", "c", "b", "a"))
    assert [scores(ratings)["p1", item, name] for item in ("s1", "s2") for name in "abcd"] == [67, 72, 95, 23] * 2
    assert any("zeros at the start of 1 responses" in note for note in ratings.notes)
    with pytest.raises(BenchError, match="no ratings"):
        read(path, conditions=("a", "b"))


def test_one_rating_a_line_under_published_names(tmp_path: Path) -> None:
    """SiSEC08's and ODAQ's columns; ODAQ's method is part of the item and its group."""
    header = ["Testname", "Listener", "Trial", "Condition", "Ratingscore"]
    ratings = read(write(tmp_path / "s.csv", [["t", 3, 1, "orig", 100], ["t", 3, 1, "anchor", 0]], header))
    assert (ratings.named("reference"), ratings.named("low anchor")) == ("orig", "anchor")
    header = ["subject", "method", "condition", "process", "item", "score"]
    rows = [["s1", "DE", "LP35", "p", "clip", 20], ["s1", "DE", "Q1", "p", "clip", 40]]
    ratings = read(write(tmp_path / "o.csv", rows, header))
    assert ratings.items == ("DE_clip",)
    assert ratings.groups == {"DE_clip": "DE"}
    assert ratings.named("low anchor") == "LP35"


def test_what_analyse_writes_is_read_back(tmp_path: Path) -> None:
    """Names that a spreadsheet would compute, times and positions included."""
    rows = [["l", "-x", "i", "=a", 10, 2, 3, 4.5], ["l", "-x", "i", "'b", 20, 2, 1, 4.5]]
    header = ["listener", "session", "item", "system", "score", "page", "position", "seconds"]
    safe = [[f"'{cell}" if str(cell)[:1] in ("=", "-") else cell for cell in row] for row in rows]
    ratings = read(write(tmp_path / "r.csv", safe, header))
    assert [(row.session, row.system, row.position, row.seconds) for row in ratings.rows] == [
        ("-x", "=a", 3, 4.5),
        ("-x", "'b", 1, 4.5),
    ]


ODAQ = """<MUSHRA><info subjectName="s1" testName="t" testStatus="complete"/><trials>
<trial trialName="DE_clip" trialSeconds="50.5" referencePlays="3">
<testFile fileName="DE_clip/reference.wav" plays="2" score="100"/>
<testFile fileName="DE_clip/Q1.wav" plays="0" score="40"/></trial></trials>stray</MUSHRA>"""


def test_odaqs_xml(tmp_path: Path) -> None:
    (tmp_path / "s1.xml").write_text(ODAQ, encoding="utf-8")
    (tmp_path / "temp_s2.xml").write_text(ODAQ.replace("s1", "s2"), encoding="utf-8")
    (tmp_path / "s3.xml").write_text(ODAQ.replace("complete", "started"), encoding="utf-8")
    ratings = read(tmp_path)
    assert ratings.listeners == ("s1",)
    assert scores(ratings)["s1", "DE_clip", "Q1"] == 40
    assert [row.played for row in ratings.rows] == [True, False]
    assert any("s3.xml (is a test that was not finished)" in note for note in ratings.notes)
    (tmp_path / "s4.xml").write_text('<!DOCTYPE x [<!ENTITY a "b">]>' + ODAQ, encoding="utf-8")
    with pytest.raises(BenchError, match="entities"):
        read(tmp_path / "s4.xml")


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_rating_sheets(tmp_path: Path, kind: str) -> None:
    """AudioLDM's headings; an empty cell is counted, and two sheets of one name are two people's."""
    header = ["File name", "Text description", "Overall impression (1-100)", "Relation to the text description (1-100)"]
    rows: list[Cells] = [["x1.wav", "a dog, barking", 80, 70], ["x2.wav", "rain", 30, None]]
    paths = []
    for person in ("ada", "bob"):
        (tmp_path / person).mkdir()
        path = tmp_path / person / f"sheet.{kind}"
        if kind == "csv":
            write(path, rows, header)
        else:
            openpyxl = pytest.importorskip("openpyxl")
            book = openpyxl.Workbook()
            for row in [header, *rows]:
                book.active.append(row)
            book.save(path)
        paths.append(path)
        rows = [[*row[:2], 1 + row[2] // 2, row[3]] for row in rows]
    key = write(
        tmp_path / "key.csv", [["x1", "audioldm", "clip"], ["x2", "tango", "clip"]], ["stimulus", "system", "item"]
    )
    ratings = read(*paths, names=read_names(key))
    assert ratings.scales == ("ovl", "rel")
    assert ratings.listeners == ("ada/sheet", "bob/sheet")
    assert scores(ratings.of_scale("ovl"))["ada/sheet", "clip", "audioldm"] == 80
    assert any("1 cells are empty" in note for note in ratings.notes)
    with pytest.raises(BenchError, match="none of the stimuli"):
        read(paths[0], names=Names(stimuli={("", "other"): ("clip", "x", 0)}))


def test_a_key_names_stimuli_by_page(tmp_path: Path) -> None:
    rows = [["t", "", "u1", page, "k", score, 1, ""] for page, score in (("p1", 10), ("p2", 20))]
    key = write(
        tmp_path / "key.csv",
        [["k", "opus", "p1", "cat"], ["k", "mp3", "p2", "dog"]],
        ["stimulus", "system", "page", "item"],
    )
    ratings = read(write(tmp_path / "m.csv", rows), names=read_names(key))
    assert scores(ratings) == {("u1", "cat", "opus"): 10, ("u1", "dog", "mp3"): 20}


def test_tables_of_names_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "systems.csv"
    for text, words in (
        ("condition,role\na,anker\n", "unknown role"),
        ("condition,rule\na,x\n", "unknown column"),
        ("system\na\n", "lacks the column condition"),
        ("condition,system\n,x\n", "condition is empty"),
    ):
        path.write_text(text)
        with pytest.raises(BenchError, match=words):
            read_names(systems=path)


def test_what_is_no_file_of_ratings_is_refused(tmp_path: Path) -> None:
    for name, content in (("x.csv", "a,b\n1,2\n"), ("x.json", "{}"), ("x.txt", ""), ("y.json", "{"), ("x.xlsx", "no")):
        (tmp_path / name).write_text(content)
        with pytest.raises(BenchError) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "z.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="UTF-8"):
        read(tmp_path / "z.csv")
    with pytest.raises(BenchError, match="holds no ratings"):
        read(tmp_path)


def test_a_pack_is_joined_with_its_key(mushra_pack: Any, tmp_path: Path) -> None:
    """From webMUSHRA, which adds the reference, and from our own table; the training page is no result."""
    folder = mushra_pack.folder
    pack = load_pack(folder)
    key = load_key(folder, pack)
    rows: list[Cells] = []
    own = []
    for number, page in enumerate(pack.all_pages(), 1):
        truth = key.pages[page.id].stimuli if page.id in key.pages else {}
        for place, sound in enumerate(page.stimuli, 1):
            told = truth.get(sound.key)
            name = "reference" if told is not None and told.role == "reference" else sound.key
            rows.append([f"{pack.id}-b01", "yes", "u1", page.id, name, 10 * place, 30_000 + number, ""])
            own.append(
                Rating(
                    pack.id, "mushra", "l1", "s1", "b01", page.id, "", "", "", "", 0, sound.key, "quality",
                    10.0 * place, 30_000 + number, number, place, 4000, True, "2026-01-02T03:04:05Z", True,
                )
            )  # fmt: skip
    names = names_of_pack(folder)
    ratings = read(write(tmp_path / "mushra.csv", rows), names=names)
    items = {page.item for name, page in key.pages.items() if name != "training"}
    assert set(ratings.items) == items
    assert ratings.systems == tuple(name for name in ratings.conditions if name in ("coarse", "late", "dull"))
    assert {ratings.roles[name] for name in ("reference", "anchor35", "anchor70")} == {
        "reference",
        "low anchor",
        "mid anchor",
    }
    assert {item: ratings.clips[item] for item in items} == {item: item for item in items}
    write_ratings(tmp_path / "own.csv", own)
    joined = read(tmp_path / "own.csv", names=names)
    assert sorted((row.item, row.system, row.score) for row in joined.rows) == sorted(
        (row.item, row.system, row.score) for row in ratings.rows
    )
    unfinished = [replace(row, complete=False) for row in own]
    write_ratings(tmp_path / "own.csv", unfinished)
    assert any("not come to their end: l1" in note for note in read(tmp_path / "own.csv", names=names).notes)


def test_every_reader_says_what_it_is(make_all: Callable[[], list[Path]]) -> None:
    """No file is taken for one of another program."""
    from ldmbench.listening import read as door

    for path in make_all():
        text = path.read_text(encoding="utf-8")
        matching = [name for name, knows, _ in door._CSV if knows(text)]
        assert len(matching) <= 1, (path.name, matching)


@pytest.fixture
def make_all(tmp_path: Path) -> Callable[[], list[Path]]:
    def make() -> list[Path]:
        records = pymushra_records("s")
        return [
            write(tmp_path / "w.csv", rows_of("u")),
            write(tmp_path / "p.csv", [list(record.values()) for record in records], list(records[0]), ";"),
            write(tmp_path / "d.csv", [["a", "u", 1, 2]], ["sample", "user", "x", "y"]),
            write(tmp_path / "t.csv", [["a", "u", "x", 2]], ["listener", "item", "system", "score"]),
            write(
                tmp_path / "l.csv", [["a", "u", "[1]", "[2]"]], ["signal", "condition", "ratings", "participant_ids"]
            ),
            write(tmp_path / "s.csv", [["a.wav", "", 5]], ["File name", "Text description", "OVL"]),
        ]

    return make
