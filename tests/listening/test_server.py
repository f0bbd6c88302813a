"""The server of a test: what it stores, what it refuses, and what it never gives out."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ldmbench.errors import BenchError
from ldmbench.listening import headphones
from ldmbench.listening.conduct import Settings, Test, verify
from ldmbench.listening.export import Exported
from ldmbench.listening.pack import Pack, load_pack
from ldmbench.listening.ratings import joined
from ldmbench.listening.results import pseudonyms, read_results, write_sessions
from ldmbench.listening.server import FILES, PLAYER, create_app
from ldmbench.listening.store import ABANDONED, Store


@dataclass
class Desk:
    """A test being run, without a network."""

    folder: Path
    pack: Pack
    path: Path
    store: Store
    test: Test
    client: Any

    def ask(self, name: str, status: int = 200, **data: Any) -> Any:
        answer = self.client.post(f"/api/{name}", json=data)
        assert answer.status_code == status, answer.text
        return answer.json()

    def arrive(self, listener: str = "", **more: Any) -> Any:
        """A session that is about to rate its first page."""
        state = self.ask("begin", listener=listener, **more)
        steps: list[tuple[str, dict[str, Any]]] = [("consent", {}), ("volume", {"gain": 0.5}), ("training", {})]
        for step, facts in steps:
            if state["step"] == step:
                state = self.ask("step", token=state["token"], step=step, **facts)
        assert state["step"] in ("page", "headphones"), state["step"]
        return state

    def answers(self, state: Any, score: float = 50) -> list[dict[str, Any]]:
        played = state["page"]["must_hear_ms"]
        keys = [stimulus["key"] for stimulus in state["page"]["stimuli"]]
        if state["method"] == "ab":
            pairs = [(keys[0], 1), (keys[1], 0)]
            return [row(key, "preference", chosen, played) for key, chosen in pairs]
        return [row(key, criterion["name"], score, played) for key in keys for criterion in state["criteria"]]

    def rate(self, state: Any, score: float = 50, status: int = 200, **changes: Any) -> Any:
        data = {
            "token": state["token"],
            "page": state["page"]["id"],
            "time_ms": 20_000,
            "answers": self.answers(state, score),
        }
        return self.ask("page", status, **{**data, **changes})

    def results(self) -> Any:
        return read_results(self.pack, self.path)


def row(key: str, criterion: str, score: float, played: float) -> dict[str, Any]:
    return {"stimulus": key, "criterion": criterion, "score": score, "played_ms": played, "touched": True}


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    from starlette.testclient import TestClient

    stores = []

    def start(made: Exported, settings: Settings | None = None, path: Path | None = None) -> Desk:
        path = path or tmp_path / "ratings.sqlite"
        store = Store(path, made.pack)
        stores.append(store)
        test = Test(made.folder, made.pack, store, settings or Settings("off"))
        return Desk(made.folder, made.pack, path, store, test, TestClient(create_app(test)))

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk], mushra_pack: Exported) -> Desk:
    return open_desk(mushra_pack)


def test_a_session_from_consent_to_code(desk: Desk, mushra_pack: Exported, tmp_path: Path) -> None:
    state = desk.ask("begin", listener="Jürgen Müller")
    assert state["step"] == "consent"
    assert "Ada Müller" in state["words"]["consent"][0]
    state = desk.ask("step", token=state["token"], step="consent")
    assert state["step"] == "volume"
    state = desk.ask("step", token=state["token"], step="volume", gain=0.35)
    assert (state["step"], state["gain"], state["page"]["id"]) == ("training", 0.35, "training")
    state = desk.ask("step", token=state["token"], step="training")
    shown = []
    for score in (10, 90):
        assert state["step"] == "page"
        shown.append([stimulus["key"] for stimulus in state["page"]["stimuli"]])
        state = desk.rate(state, score)
        assert state["fresh"]
    assert (state["step"], state["code"]) == ("end", "")
    remark = 'good & bad + "quoted" = 100 % äöü 😀 <b>'
    state = desk.ask("finish", token=state["token"], remark=remark)
    assert state["step"] == "done"
    assert len(state["code"]) == 8
    found = desk.results()
    assert len(found.ratings) == 12
    rows = joined(found.ratings, mushra_pack.key)
    assert {r.listener for r in rows} == {"Jürgen Müller"}
    assert [r.stimulus for r in rows] == [key for page in shown for key in page]
    assert [(r.page_position, r.order_shown) for r in rows] == [(p, o) for p in (1, 2) for o in range(1, 7)]
    assert Counter(r.system for r in rows) == dict.fromkeys(
        ["coarse", "late", "dull", "reference", "anchor35", "anchor70"], 2
    )
    assert all(r.complete and r.touched and r.rating_time_ms == 20_000 for r in rows)
    write_sessions(tmp_path / "s.csv", found)
    text = (tmp_path / "s.csv").read_text(encoding="utf-8")
    assert 'good & bad + ""quoted"" = 100 % äöü 😀 <b>' in text
    assert state["code"] in text
    progress = found.progress()
    assert (progress["finished"], progress["going_on"], progress["listeners_per_page"]) == (1, 0, [1, 1])


def test_what_is_sent_twice_is_stored_once(desk: Desk) -> None:
    state = desk.arrive("ann")
    after = desk.rate(state, 10)
    again = desk.rate(state, 99)
    assert (after["fresh"], again["fresh"]) == (True, False)
    assert again["page"] == after["page"]
    assert [r.score for r in desk.results().ratings] == [10.0] * 6


def test_a_reload_goes_on_where_it_was_and_shows_the_same(desk: Desk) -> None:
    state = desk.arrive("ann")
    assert desk.ask("begin", token=state["token"])["page"] == state["page"]
    assert desk.ask("begin", listener="ann")["token"] == state["token"], "the link alone resumes as well"
    desk.rate(state)
    again = desk.ask("begin", listener="ann")
    assert (again["done"], again["step"]) == (1, "page")
    assert again["page"]["id"] != state["page"]["id"]


def test_another_listener_on_the_same_computer_is_another_session(desk: Desk) -> None:
    first = desk.ask("begin", listener="ann")
    second = desk.ask("begin", token=first["token"], listener="ben")
    assert second["token"] != first["token"]
    nobody = [desk.ask("begin")["token"] for _ in range(2)]
    assert len({first["token"], second["token"], *nobody}) == 4


@pytest.mark.parametrize("token", ["", "x" * 32, None, 7, ["a"], "' OR 1=1 --"])
def test_forged_sessions_are_refused(desk: Desk, token: Any) -> None:
    desk.arrive("ann")
    for name in ("step", "page", "finish", "headphones"):
        assert desk.ask(name, 403, token=token, step="consent") == {"error": "nobody has this session"}


def test_a_page_of_another_session_is_refused(
    open_desk: Callable[..., Desk], tmp_path: Path, make: Callable[..., Exported]
) -> None:
    desk = open_desk(make(tmp_path / "p", per_listener=1, items=3, training=False))
    first, second = desk.arrive("ann"), desk.arrive("ben")
    assert first["page"]["id"] != second["page"]["id"]
    other = {"page": second["page"]["id"], "answers": desk.answers(second)}
    assert "not the one to be rated" in desk.rate(first, status=409, **other)["error"]
    assert desk.results().ratings == ()


def test_pages_come_one_after_the_other(desk: Desk) -> None:
    state = desk.ask("begin", listener="ann")
    page = desk.test.shown(desk.store.session(state["token"]), desk.pack.pages[0])  # type: ignore[arg-type]
    desk.rate({**state, "page": page}, status=409)
    desk.ask("finish", 409, token=state["token"])
    state = desk.arrive("ann")
    block = desk.test.blocks[desk.store.session(state["token"]).block]  # type: ignore[union-attr]
    later = next(p for p in desk.pack.pages if p.id == block[1])
    desk.rate({**state, "page": {**state["page"], "id": later.id}}, status=409)


def change(rows: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [{**rows[0], **changes}, *rows[1:]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: change(rows, score=101), "between 0 and 100"),
        (lambda rows: change(rows, score=-1), "between 0 and 100"),
        (lambda rows: change(rows, score=50.5), "1 apart"),
        (lambda rows: change(rows, score=True), "a score is a number"),
        (lambda rows: change(rows, score="50"), "a score is a number"),
        (lambda rows: change(rows, score=None), "a score is a number"),
        (lambda rows: change(rows, played_ms=10), "has to be heard"),
        (lambda rows: change(rows, played_ms=-1), "milliseconds"),
        (lambda rows: change(rows, played_ms=1e12), "milliseconds"),
        (lambda rows: change(rows, touched=False), "has to be set"),
        (lambda rows: change(rows, touched="true"), "has to be set"),
        (lambda rows: change(rows, stimulus="kbcdfg"), "not the answers of this page"),
        (lambda rows: change(rows, stimulus=["kbcdfg"]), "not the answers of this page"),
        (lambda rows: change(rows, criterion="other"), "not the answers of this page"),
        (lambda rows: [rows[1], *rows[1:]], "not the answers of this page"),
        (lambda rows: rows[1:], "has 6 answers"),
        (lambda rows: [*rows, rows[0]], "has 6 answers"),
        (lambda rows: [1, *rows[1:]], "a JSON object"),
        (lambda rows: "all", "has 6 answers"),
    ],
)
def test_answers_that_do_not_fit_are_refused_whole(desk: Desk, spoil: Any, message: str) -> None:
    state = desk.arrive("ann")
    assert message in desk.rate(state, status=422, answers=spoil(desk.answers(state)))["error"]
    assert desk.results().ratings == ()
    assert desk.rate(state)["fresh"], "the same page can be sent again, mended"


@pytest.mark.parametrize("time", [-1, "1", None, True, 1e300])
def test_times_that_are_none_are_refused(desk: Desk, time: Any) -> None:
    state = desk.arrive("ann")
    assert "time_ms" in desk.rate(state, status=422, time_ms=time)["error"]


def test_not_a_number_is_refused(desk: Desk) -> None:
    state = desk.arrive("ann")
    data = {"token": state["token"], "page": state["page"]["id"], "time_ms": 1, "answers": desk.answers(state)}
    for word in ("NaN", "Infinity", "-Infinity"):
        text = json.dumps(data).replace('"score": 50', f'"score": {word}')
        answer = desk.client.post("/api/page", content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 422, word


@pytest.mark.parametrize(
    "name", ["Jürgen & Söhne", 'quo"ted', "d'Arc", "a+b%20c", "007", "12e4", "nan", "=1+1", "名前"]
)
def test_names_in_links_are_taken_as_they_are(desk: Desk, name: str) -> None:
    state = desk.arrive(name)
    desk.rate(state)
    assert {rating.listener for rating in desk.results().ratings} == {name}


@pytest.mark.parametrize(
    ("name", "message"), [("x" * 65, "at most 64"), ("a\nb", "one line"), ("a@b.org", "e-mail"), (7, "not a text")]
)
def test_names_that_are_none_are_refused(desk: Desk, name: Any, message: str) -> None:
    assert message in desk.ask("begin", 422, listener=name)["error"]


def test_bodies_that_are_none_are_refused(desk: Desk) -> None:
    post = desk.client.post
    as_json = {"content-type": "application/json"}
    assert post("/api/begin", content=b"{", headers=as_json).status_code == 422
    assert post("/api/begin", content=b"[" * 50_000, headers=as_json).status_code == 422
    assert post("/api/begin", content=b"[]", headers=as_json).status_code == 422
    assert post("/api/begin", content=b"\xff\xfe", headers=as_json).status_code == 422
    assert post("/api/begin", content=b'"' + b"x" * 70_000 + b'"', headers=as_json).status_code == 413
    assert post("/api/begin", data={"listener": "ann"}).status_code == 415, "no form of another site begins a session"
    state = desk.arrive("ann")
    for _ in desk.pack.pages:
        state = desk.rate(state)
    assert "at most 2000" in desk.ask("finish", 422, token=state["token"], remark="x" * 2001)["error"]
    lonely = json.dumps({"token": state["token"], "remark": "\ud800 x"})
    assert post("/api/finish", content=lonely, headers=as_json).json()["step"] == "done"
    for name in ("begin", "finish"):
        answer = post(f"/api/{name}", content=b'{"token": "\\ud800", "listener": "\\ud800"}', headers=as_json)
        assert answer.status_code in (403, 422), answer.text


def test_nothing_but_page_and_sounds_can_be_fetched(desk: Desk) -> None:
    desk.arrive("ann")
    for name in FILES:
        answer = desk.client.get(f"/{name}")
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    names = [
        *(
            "pack.json",
            "key.json",
            "README.md",
            "links.csv",
            "index.html",
            "ratings.sqlite",
            "results",
            "admin",
            "docs",
        ),
        *("api/begin", "api/results", "openapi.json", "web/configs", "trial/0.wav", "//etc/passwd", "%2fetc%2fpasswd"),
        *("sound/../../pack.json", "sound/%2e%2e/%2e%2e/pack.json", "..%2f..%2fpack.json", "%2e%2e/key.json"),
        *("sound/x/y/..%2f..%2f..%2f..%2fpack.json", "player.css%00.wav", "app.js%2f..", "....//....//pack.json"),
        *(f"sound/{desk.pack.id}/", f"sound/{desk.pack.id}/training/"),
    ]
    for name in names:
        assert desk.client.get(f"/{name}").status_code in (404, 405), name
    sound = desk.pack.pages[0].stimuli[0]
    url = f"/sound/{desk.pack.id}/{desk.pack.pages[0].id}/{sound.key}.wav"
    answer = desk.client.get(url)
    assert answer.content == (desk.folder / sound.file).read_bytes()
    assert "immutable" in answer.headers["cache-control"]
    assert desk.client.post(url).status_code == 405


def test_the_page_asks_nobody_else() -> None:
    for path in PLAYER.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in "".join(line.partition("//")[1] for line in text.splitlines() if "http" in line), path


def test_a_state_tells_nothing_of_systems(desk: Desk, mushra_pack: Exported) -> None:
    state = json.dumps(desk.arrive("ann"))
    for word in (*mushra_pack.key.systems, "anchor", "ant", "bee", "cat", "seed"):
        assert f'"{word}' not in state


def test_a_sound_that_changed_is_not_played(
    open_desk: Callable[..., Desk], tmp_path: Path, make: Callable[..., Exported]
) -> None:
    made = make(tmp_path / "p", training=False)
    desk = open_desk(made)
    sound = made.pack.pages[0].stimuli[0]
    path = made.folder / sound.file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)
    answer = desk.client.get(f"/sound/{made.pack.id}/{made.pack.pages[0].id}/{sound.key}.wav")
    assert (answer.status_code, "changed" in answer.text) == (500, True)
    with pytest.raises(BenchError, match=f"{sound.key}.*export it again"):
        verify(made.folder, made.pack)
    path.unlink()
    with pytest.raises(BenchError, match="not there"):
        verify(made.folder, load_pack(made.folder))


def test_blocks_stay_balanced_as_listeners_leave(
    open_desk: Callable[..., Desk], tmp_path: Path, make: Callable[..., Exported]
) -> None:
    desk = open_desk(make(tmp_path / "p", items=3, per_listener=1, training=False))
    assert len(desk.pack.blocks) == 3
    blocks = [desk.store.session(desk.ask("begin")["token"]).block for _ in range(4)]  # type: ignore[union-attr]
    assert Counter(blocks) == {"b01": 2, "b02": 1, "b03": 1}
    # Whoever left hours ago no longer counts; whoever finished always does.
    state = desk.arrive("ann")
    assert desk.store.session(state["token"]).block == "b02"  # type: ignore[union-attr]
    desk.rate(state)
    desk.ask("finish", token=state["token"])
    long_ago = (datetime.now(UTC) - 2 * ABANDONED).strftime("%Y-%m-%dT%H:%M:%SZ")
    with sqlite3.connect(desk.path) as connection:
        connection.execute("UPDATE sessions SET seen = ?", (long_ago,))
    blocks = [desk.store.session(desk.ask("begin")["token"]).block for _ in range(5)]  # type: ignore[union-attr]
    assert Counter(blocks) == {"b01": 2, "b02": 1, "b03": 2}
    progress = read_results(desk.pack, desk.path, datetime.now(UTC)).progress()
    assert (progress["finished"], progress["going_on"], progress["left"]) == (1, 5, 4)


def test_sides_of_a_preference_are_balanced(
    open_desk: Callable[..., Desk], tmp_path: Path, make: Callable[..., Exported]
) -> None:
    desk = open_desk(make(tmp_path / "p", "ab", items=2, training=False))
    state = desk.arrive("ann")
    turned = 0
    while state["step"] == "page":
        page = next(page for page in desk.pack.pages if page.id == state["page"]["id"])
        shown = [stimulus["key"] for stimulus in state["page"]["stimuli"]]
        turned += shown != [sound.key for sound in page.stimuli]
        state = desk.rate(state)
    assert turned == len(desk.pack.pages) // 2
    rows = desk.results().ratings
    assert Counter(rating.score for rating in rows) == {1.0: 6, 0.0: 6}


@pytest.mark.parametrize(
    ("scores", "fits"), [((1, 0), True), ((0.5, 0.5), True), ((1, 1), False), ((0, 0), False), ((0.5, 1), False)]
)
def test_one_of_two_is_chosen(
    open_desk: Callable[..., Desk],
    tmp_path: Path,
    make: Callable[..., Exported],
    scores: tuple[float, float],
    fits: bool,
) -> None:
    for ties in (True, False):
        desk = open_desk(
            make(tmp_path / f"p{ties}", "ab", items=1, ties=ties, training=False), path=tmp_path / f"{ties}.db"
        )
        state = desk.arrive("ann")
        rows = [{**r, "score": s} for r, s in zip(desk.answers(state), scores, strict=True)]
        desk.rate(state, status=200 if fits and (ties or 0.5 not in scores) else 422, answers=rows)


def test_ratings_of_another_pack_are_not_mixed(
    open_desk: Callable[..., Desk], tmp_path: Path, make: Callable[..., Exported], mushra_pack: Exported
) -> None:
    desk = open_desk(mushra_pack)
    other = make(tmp_path / "other", seed=77, training=False)
    with pytest.raises(BenchError, match="another pack"):
        Store(desk.path, other.pack)
    with pytest.raises(BenchError, match="another pack"):
        read_results(other.pack, desk.path)
    with pytest.raises(BenchError, match="there are no ratings"):
        read_results(other.pack, tmp_path / "none.sqlite")
    (tmp_path / "text.sqlite").write_text("no database at all, but a text that is long enough to be looked at" * 9)
    for work in (
        lambda: Store(tmp_path / "text.sqlite", other.pack),
        lambda: read_results(other.pack, tmp_path / "text.sqlite"),
    ):
        with pytest.raises(BenchError, match="ratings"):
            work()


def test_results_are_read_after_the_server_has_closed(desk: Desk) -> None:
    desk.rate(desk.arrive("ann"))
    desk.store.close()
    assert len(desk.results().ratings) == 6
    shutil.copy(desk.path, desk.path.with_name("copy.sqlite"))
    desk.path.with_name("copy.sqlite").chmod(0o400)
    assert len(read_results(desk.pack, desk.path.with_name("copy.sqlite")).ratings) == 6


def test_pseudonyms_hide_who_it_was(desk: Desk) -> None:
    for name in ("ann", "ben"):
        desk.rate(desk.arrive(name))
    assert sorted(pseudonyms(desk.results().ratings).values()) == ["l001", "l002"]


def test_prolific_gets_its_code_and_its_link(open_desk: Callable[..., Desk], mushra_pack: Exported) -> None:
    desk = open_desk(mushra_pack, Settings("off", code="CODE1"))
    state = desk.arrive("5f0c0c0c0c0c0c0c0c0c0c0c", study="st", submission="sub")
    for _ in desk.pack.pages:
        state = desk.rate(state)
    state = desk.ask("finish", token=state["token"])
    assert state["link"] == "https://app.prolific.com/submissions/complete?cc=CODE1"
    (session,) = desk.results().sessions
    assert (session["study"], session["submission"], session["code"]) == ("st", "sub", "CODE1")


def test_letting_the_network_in_says_what_it_means(
    mushra_pack: Exported, tmp_path: Path, serving: Callable[..., Any]
) -> None:
    served = serving(mushra_pack.folder, "--host", "0.0.0.0", "--ratings", str(tmp_path / "r.sqlite"))
    import httpx2

    assert httpx2.get(served.url, timeout=60).status_code == 200
    code, out = served.stop()
    assert code == 130
    assert "Everybody who reaches this machine on the network can open the page" in out


# ---- headphones


@pytest.mark.parametrize("kind", ["woods", "milne"])
def test_headphone_sounds_are_what_their_papers_describe(kind: Any, tmp_path: Path) -> None:
    trials = headphones.trials(kind, 44_100, 1)
    assert len(trials) == 6
    assert Counter(trial.answer for trial in trials) == {1: 2, 2: 2, 3: 2}
    for trial in trials:
        (tmp_path / "t.wav").write_bytes(trial.wav)
        samples, rate = soundfile.read(tmp_path / "t.wav")
        assert np.abs(samples).max() < 1
        step = 1.5 if kind == "woods" else 2.0
        parts = [samples[round(i * step * rate) : round(i * step * rate) + rate] for i in range(3)]
        middles = [part[rate // 5 : -rate // 5] for part in parts]
        levels = [20 * np.log10(np.sqrt(np.mean(m[:, 0] ** 2))) for m in middles]
        alike = [float(np.corrcoef(m.T)[0, 1]) for m in middles]
        if kind == "woods":
            assert int(np.argmin(levels)) + 1 == trial.answer
            assert sorted(levels) == pytest.approx([-23.8, -17.8, -17.8], abs=0.05)
            assert sorted(alike) == pytest.approx([-1, 1, 1])
        else:
            assert levels == pytest.approx([-12.5] * 3, abs=0.1)
            assert int(np.argmin(alike)) + 1 == trial.answer
            assert sorted(alike) == pytest.approx([0.993, 1, 1], abs=0.004)


@pytest.mark.parametrize(("kind", "required"), [("woods", False), ("woods", True), ("milne", True)])
def test_headphones_are_judged_on_the_server(
    open_desk: Callable[..., Desk], mushra_pack: Exported, kind: Any, required: bool
) -> None:
    desk = open_desk(mushra_pack, Settings(kind, required))

    def right(state: Any) -> list[int]:
        numbers = [int(url.removeprefix("trial/").removesuffix(".wav")) for url in state["trials"]]
        return [desk.test.trials[number].answer for number in numbers]

    good = desk.arrive("good")
    assert desk.client.get("/" + good["trials"][0]).status_code == 200
    assert "answer" not in json.dumps(good["trials"])
    wrong = [answer % 3 + 1 for answer in right(good)]
    first = desk.ask("headphones", token=good["token"], answers=wrong)
    assert (first["again"], first["passed"], first["step"]) == (True, False, "headphones")
    again = desk.ask("headphones", token=good["token"], answers=right(first))
    assert (again["passed"], again["step"]) == (True, "training")
    bad = desk.arrive("bad")
    for _ in range(2):
        bad = desk.ask("headphones", token=bad["token"], answers=[answer % 3 + 1 for answer in right(bad)])
    assert (bad["again"], bad["step"]) == (False, "out" if required else "training")
    assert desk.results().progress()["screening_failed"] == 1
    for answers in ([], [1] * 5, [0] * 6, "111111", [1, 1, 1, 1, 1, None], None):
        token = desk.arrive("other")["token"]
        desk.ask("headphones", 422, token=token, answers=answers)


# ---- many at once


@pytest.mark.slow
def test_fifty_listeners_at_once(tmp_path: Path, make: Callable[..., Exported], serving: Callable[..., Any]) -> None:
    """Each of 50 rates 6 pages and sends each twice; the server is killed meanwhile: nothing is lost or doubled."""
    import httpx2

    made = make(tmp_path / "p", "ab", training=False)
    served = serving(made.folder, "--headphones", "off")
    acknowledged: list[str] = []
    failures: list[str] = []

    def post(client: Any, name: str, data: Any) -> Any:
        for _ in range(200):
            try:
                answer = client.post(f"{served.url}api/{name}", json=data)
            except httpx2.HTTPError:
                threading.Event().wait(0.1)
                continue
            if answer.status_code != 200:
                failures.append(answer.text)
            return answer.json()
        raise AssertionError("the server never came back")

    def listen(number: int) -> None:
        with httpx2.Client(timeout=60) as client:
            state = post(client, "begin", {"listener": f"l{number}"})
            for step, facts in (("consent", {}), ("volume", {"gain": 1.0})):
                state = post(client, "step", {"token": state["token"], "step": step, **facts})
            while state["step"] == "page":
                keys, played = [s["key"] for s in state["page"]["stimuli"]], state["page"]["must_hear_ms"]
                answers = [row(keys[0], "preference", 1, played), row(keys[1], "preference", 0, played)]
                data = {"token": state["token"], "page": state["page"]["id"], "time_ms": 1, "answers": answers}
                post(client, "page", data)
                state = post(client, "page", data)
                acknowledged.append(data["page"])
            post(client, "finish", {"token": state["token"]})

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    while len(acknowledged) < 60:
        threading.Event().wait(0.02)
    port = served.port
    served.kill()
    served.start(port)
    for thread in threads:
        thread.join()
    assert not failures
    found = read_results(made.pack, made.folder.with_name("p.ratings.sqlite"))
    assert len(acknowledged) == 300
    assert len(found.ratings) == 600
    assert len({(r.listener, r.page, r.stimulus) for r in found.ratings}) == 600
    assert found.progress()["finished"] == 50
    assert found.progress()["listeners_per_page"] == [50, 50]
    assert set(Counter(session["block"] for session in found.sessions).values()) <= {8, 9}
