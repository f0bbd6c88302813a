"""From the ratings of a served pack to its analysis: every method, with the key that lies beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.listening.export import Exported
from ldmbench.listening.outcome import Outcome, read_outcome
from ldmbench.listening.pack import Method, load_key, load_pack, ratings_file
from ldmbench.listening.pairs import UNPAIRED
from ldmbench.listening.store import Answer, Store

#: How good listeners find them.
TRUTH = {"reference": 100.0, "coarse": 70.0, "late": 50.0, "dull": 30.0, "anchor70": 60.0, "anchor35": 15.0}


def say(method: Method, score: float) -> float:
    """A truth of 0 to 100 on the scale of a method, to the step of its sliders."""
    if method in ("acr", "dcr"):
        return float(np.clip(round(1 + score / 25), 1, 5))
    return score if method == "ab" else float(np.clip(round(score), 0, 100))


def rate(pack_folder: Path, listeners: int = 6) -> None:
    """Fill the pack's ratings with listeners who agree but for some noise."""
    pack = load_pack(pack_folder)
    key = load_key(pack_folder, pack)
    blocks = {block.id: block.pages for block in pack.blocks}
    pages = {page.id: page for page in pack.pages}
    store = Store(ratings_file(pack_folder), pack)
    random = np.random.default_rng(0)
    for who in range(listeners):
        session = store.begin(f"listener {who}")
        for position, name in enumerate(blocks[session.block], 1):
            truth = {k: TRUTH[told.system] for k, told in key.pages[name].stimuli.items()}
            heard = {k: value + 4 * random.standard_normal() * (value < 100) for k, value in truth.items()}
            if pack.method == "ab":
                heard = {k: float(value == max(heard.values())) for k, value in heard.items()}
            answers = [
                Answer(sound.key, criterion.name, say(pack.method, heard[sound.key]), place, 5000, True)
                for place, sound in enumerate(pages[name].stimuli, 1)
                for criterion in pack.criteria
            ]
            store.save(session, name, position, 60_000 + who, answers)
        store.finish(session, "")
    store.close()


def analysed(folder: Path, out: Path, *words: str) -> tuple[Outcome, str]:
    done = CliRunner().invoke(cli, ["mushra", "analyse", str(folder), "-o", str(out), *words])
    assert done.exit_code == 0, done.output
    return read_outcome(out), done.output


def means(outcome: Outcome) -> dict[str, float | None]:
    return {item.name: item.mean.value for item in outcome.results[0].analysis.whole.summaries}


@pytest.mark.parametrize("method", ["mushra", "mushra-1s", "acr", "dcr", "ab"])
def test_the_order_comes_out(method: Method, make: Callable[..., Exported], tmp_path: Path) -> None:
    pack = make(tmp_path / "pack", method)
    rate(pack.folder)
    outcome, text = analysed(pack.folder, tmp_path / "out")
    (result,) = outcome.results
    found = {item.name: item.mean.value or 0 for item in result.analysis.whole.summaries if item.role == "system"}
    assert sorted(found, key=found.__getitem__) == ["dull", "late", "coarse"]
    assert len(result.analysis.whole.pairs) == 3
    assert outcome.title == pack.pack.title
    assert set(outcome.clips.values()) >= set(outcome.items)
    if method == "mushra":
        roles = {item.name: item.role for item in result.analysis.whole.summaries}
        assert (roles["anchor35"], roles["anchor70"], roles["reference"]) == ("low anchor", "mid anchor", "reference")
        assert "rule: A: hidden reference" in text
    else:
        assert (result.analysis.low, result.analysis.high) == {"mushra-1s": (0, 100), "ab": (0, 1)}.get(method, (1, 5))


def test_listeners_who_heard_different_systems_are_compared_by_item() -> None:
    from ldmbench.listening.analysis import analyse
    from ldmbench.listening.votes import Ratings, Vote

    rows = [
        Vote(f"{system}{who}", f"{system}{who}", f"i{page}", system, score + who + 2 * page)
        for system, score in (("a", 60.0), ("b", 40.0))
        for who in range(3)
        for page in range(5)
    ]
    (pair,) = analyse(Ratings(tuple(rows))).whole.pairs
    assert pair.difference.note == UNPAIRED
    assert pair.difference.value == pytest.approx(20)


@pytest.mark.slow
def test_a_sheet_is_read_back_as_it_was_handed_out(make: Callable[..., Exported], tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pack = make(tmp_path / "pack", "sheet", duplicates=1)
    key = load_key(pack.folder, pack.pack)
    truth = {name: told.system for page in key.pages.values() for name, told in page.stimuli.items()}
    returned = []
    for who, sheet in enumerate(sorted((pack.folder / "sheets").glob("*.xlsx")) * 3):
        book = openpyxl.load_workbook(sheet)
        for row in list(book.worksheets[0].rows)[1:]:
            for cell in row[2:]:
                cell.value = int(TRUTH[truth[row[0].value.removesuffix(".wav")]]) - who
        (tmp_path / f"listener{who}").mkdir()
        book.save(tmp_path / f"listener{who}" / sheet.name)
        returned.append(str(tmp_path / f"listener{who}" / sheet.name))
    done = CliRunner().invoke(cli, ["mushra", "analyse", *returned, "--pack", str(pack.folder), "--json"])
    assert done.exit_code == 0, done.output
    results = json.loads(done.output)["results"]
    assert {result["analysis"]["scale"] for result in results} == {criterion.name for criterion in pack.pack.criteria}
    first = results[0]["analysis"]
    assert first["reliability"]["pairs"] >= 3, "the page that came twice"
    assert first["whole"]["listeners"] == len(returned)


def test_a_table_without_systems_needs_its_pack(
    mushra_pack: Any, make: Callable[..., Exported], tmp_path: Path
) -> None:
    pack = make(tmp_path / "pack")
    rate(pack.folder, 3)
    table = tmp_path / "ratings.csv"
    assert CliRunner().invoke(cli, ["mushra", "results", str(pack.folder), "-o", str(table)]).exit_code == 0
    outcome, _ = analysed(table, tmp_path / "out", "--pack", str(pack.folder))
    whole, _ = analysed(pack.folder, tmp_path / "whole")
    assert means(outcome) == means(whole)
    assert CliRunner().invoke(cli, ["mushra", "results", str(pack.folder), "-o", str(table), "--unseal"]).exit_code == 0
    named, _ = analysed(table, tmp_path / "named")
    assert means(named) == means(whole)
    done = CliRunner().invoke(cli, ["mushra", "analyse", str(table), "--pack", str(mushra_pack.folder)])
    assert done.exit_code == 0, "a table that names its systems needs no key"


def test_several_packs_are_several_tests(mushra_pack: Any, make: Callable[..., Exported], tmp_path: Path) -> None:
    from ldmbench.commands.listening import pack_of

    pack = make(tmp_path / "pack")
    with pytest.raises(BenchError, match="several packs"):
        pack_of((pack.folder,), mushra_pack.folder)
