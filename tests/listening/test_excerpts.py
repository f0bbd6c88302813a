"""Excerpts: what the rule takes and leaves, and lists by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.listening.excerpts import choose, read_excerpts
from ldmbench.listening.items import Item, Source

RATE = 16_000


def noise(seconds: float, level: float, seed: int) -> np.ndarray[Any, Any]:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Item]:
    """``clip(name, samples, spread, group, dataset)``: two systems whose noise differs by ``spread`` dB."""
    root = tmp_path_factory.mktemp("clips")

    def make(name: str, samples: Any, spread: float = 6.0, group: str = "", dataset: str = "d") -> Item:
        audio.write(root / f"{name}.wav", Audio.of(samples, RATE))
        outputs = {}
        for index, (system, more) in enumerate((("a", 0.0), ("b", spread))):
            added = noise(len(samples) / RATE, 0.02 * 10 ** (more / 20), index + 1)
            audio.write(root / system / f"{name}.wav", Audio.of(samples + added, RATE))
            outputs[system] = Source(root / system / f"{name}.wav")
        return Item(Clip(f"{dataset}/{name}", dataset, path=root / f"{name}.wav", group=group or None), outputs)

    return make


def test_silence_and_what_is_too_short_are_left_out(clip: Callable[..., Item]) -> None:
    mostly = np.concatenate([noise(0.3, 0.1, 0), np.zeros(3 * RATE)])
    items = [
        clip("loud", noise(2, 0.1, 1)),
        clip("zero", np.zeros(RATE)),
        clip("mostly", mostly),
        clip("brief", noise(0.3, 0.1, 2)),
    ]
    chosen, notes = choose(items, 9, 12.0, seed=1)
    assert [excerpt.item.clip.id for excerpt in chosen] == ["d/loud"]
    assert notes == ["left out, mostly silent or under 0.5 s: d/zero, d/mostly, d/brief"]
    with pytest.raises(BenchError, match="no clip has enough sound"):
        choose(items[1:], 9, 12.0, seed=1)


def test_the_window_is_where_the_sound_is_and_ends_in_a_pause(clip: Callable[..., Item]) -> None:
    samples = np.concatenate(
        [np.zeros(4 * RATE), noise(2.9, 0.1, 1), np.zeros(RATE // 5), noise(3, 0.1, 2), np.zeros(RATE)]
    )
    (chosen,), _ = choose([clip("long", samples)], 1, 3.0, seed=1)
    assert chosen.end - chosen.start == pytest.approx(3.0)
    cut = samples[round(chosen.start * RATE) : round(chosen.end * RATE)]
    assert np.mean(np.abs(cut) > 1e-3) > 0.9
    edges = [samples[round(second * RATE) - 100 : round(second * RATE) + 100] for second in (chosen.start, chosen.end)]
    assert min(float(np.abs(edge).max()) for edge in edges) < 0.5 * np.abs(samples).max()


def test_groups_have_equal_shares_and_the_least_telling_are_left_out(clip: Callable[..., Item]) -> None:
    items = [
        clip(f"{group}{index}", noise(1.2, 0.1, index), spread=1.5 * index, group=group)
        for group in ("x", "y", "z")
        for index in range(8)
    ]
    for seed in range(5):
        chosen, _ = choose(items, 9, 12.0, seed)
        assert Counter(excerpt.item.group for excerpt in chosen) == {"x": 3, "y": 3, "z": 3}
        spreads = [excerpt.spread or 0 for excerpt in chosen]
        ranks = [int(excerpt.why.split()[1]) for excerpt in chosen]
        assert min(ranks) >= 3, "the lowest quarter of eight is left out"
        assert max(ranks) >= 7
        assert all(spread > 0 for spread in spreads)
        assert all("rank" in excerpt.why and "how far the systems lie apart" in excerpt.why for excerpt in chosen)
    orders = {tuple(e.item.clip.id for e in choose(items, 9, 12.0, seed)[0]) for seed in range(5)}
    assert len(orders) == 5
    assert choose(items, 9, 12.0, 3) == choose(items, 9, 12.0, 3)


def test_many_small_groups_are_taken_by_dataset(clip: Callable[..., Item]) -> None:
    items = [
        clip(f"{data}-{index}", noise(1.2, 0.1, index), group=f"{data}{index}", dataset=data)
        for data in ("p", "q")
        for index in range(4)
    ]
    chosen, _ = choose(items, 4, 12.0, 1)
    assert Counter(excerpt.item.clip.dataset for excerpt in chosen) == {"p": 2, "q": 2}


def test_the_rule_does_not_see_which_system_is_better(clip: Callable[..., Item]) -> None:
    items = [clip(f"s{index}", noise(1.2, 0.1, index), spread=2.0 * index) for index in range(8)]
    turned = [Item(i.clip, {"a": i.outputs["b"], "b": i.outputs["a"]}) for i in items]
    first, second = (choose(each, 4, 12.0, 7)[0] for each in (items, turned))
    assert [e.item.clip.id for e in first] == [e.item.clip.id for e in second]
    assert {e.closest for e in first} == {"a"}
    assert {e.closest for e in second} == {"b"}


def test_lists_by_hand(tmp_path: Path, clip: Callable[..., Item]) -> None:
    items = [clip("hand", noise(5, 0.1, 1)), clip("other", noise(2, 0.1, 2))]
    table = tmp_path / "e.csv"
    table.write_text("clip,start,end\nd/hand,1.5,4\nd/other,,\nd/hand,,\n")
    chosen = read_excerpts(table, items, 4.0)
    assert [(e.item.clip.id, e.start, e.end) for e in chosen] == [
        ("d/hand", 1.5, 4.0),
        ("d/other", 0, 2),
        ("d/hand", 0, 4),
    ]
    for row, message in (
        ("d/none,0,1", "unknown clip"), ("d/hand,0,6", "no excerpt of at most 4 s"),
        ("d/hand,4.5,5.5", "within the clip"),
        ("d/hand,-1,2", "within the clip"), ("d/hand,x,2", "not seconds"), ("d/hand,nan,2", "within the clip"),
    ):  # fmt: skip
        table.write_text(f"clip,start,end\n{row}\n")
        with pytest.raises(BenchError, match=message):
            read_excerpts(table, items, 4.0)
    for text, message in (("name\nd/hand\n", "wrong columns"), ("clip\n", "names no excerpt")):
        table.write_text(text)
        with pytest.raises(BenchError, match=message):
            read_excerpts(table, items, 4.0)


def test_of_many_clips_some_are_drawn(clip: Callable[..., Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ldmbench.listening.excerpts._MOST", 4)
    items = [clip(f"m{index}", noise(0.6, 0.1, index), group="xy"[index % 2]) for index in range(10)]
    chosen, notes = choose(items, 2, 12.0, 1)
    assert len(chosen) == 2
    assert notes == ["excerpts come from 4 of 10 clips, which were drawn"]
    assert {tuple(sorted(e.item.clip.id for e in choose(items, 2, 12.0, seed)[0])) for seed in range(6)} != {
        tuple(sorted(e.item.clip.id for e in chosen))
    }


def test_systems_without_a_reference_are_drawn(tmp_path: Path) -> None:
    items = []
    for index in range(6):
        audio.write(tmp_path / f"{index}.wav", Audio.of(noise(1, 0.1, index), RATE))
        items.append(Item(Clip(f"t/{index}", "t", text="words"), {"a": Source(tmp_path / f"{index}.wav")}))
    chosen, _ = choose(items, 3, 12.0, 1)
    assert len({e.item.clip.id for e in chosen}) == 3
    assert all(e.spread is None and e.why.endswith("drawn") for e in chosen)
