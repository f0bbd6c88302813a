"""Which clips probes learn from, choose by and report, and which labels and splits they refuse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.errors import BenchError
from ldmbench.probes.examples import Examples, why_not


def examples(labels: Sequence[str], splits: Sequence[str]) -> Examples:
    ids = tuple(f"d/{number}" for number in range(len(labels)))
    return Examples(ids, np.zeros((len(labels), 1), np.float32), tuple(labels), tuple(splits))


@given(st.integers(3, 7), st.integers(1, 5))
def test_every_clip_is_reported_once_and_is_in_one_part_of_each_division(folds: int, each: int) -> None:
    splits = [f"fold{fold:02d}" for fold in range(folds)] * each
    labels = ["a", "b"] * (len(splits) // 2) + ["a"] * (len(splits) % 2)
    divisions = examples(labels, splits).folds()
    assert len(divisions) == folds
    everything = list(range(len(splits)))
    assert sorted(np.concatenate([fold.test for fold in divisions]).tolist()) == everything
    for number, fold in enumerate(divisions):
        assert sorted(np.concatenate([fold.train, fold.valid, fold.test]).tolist()) == everything
        assert {splits[position] for position in fold.test} == {f"fold{number:02d}"}
        assert {splits[position] for position in fold.valid} == {f"fold{(number + 1) % folds:02d}"}


def test_a_dataset_that_is_divided_once_has_one_division() -> None:
    (fold,) = examples(["a", "b", "a", "b"], ["train", "train", "test", "valid"]).folds()
    assert [part.tolist() for part in (fold.train, fold.valid, fold.test)] == [[0, 1], [3], [2]]


def test_labels_are_counted_in_their_order() -> None:
    found = examples(["b", "a", "c", "a"], ["train", "train", "train", "test"])
    assert found.classes == ("a", "b", "c")
    assert found.targets.tolist() == [1, 0, 2, 0]
    assert examples(["100", "21", "99"], ["f0", "f1", "f2"]).classes == ("21", "99", "100")


@pytest.mark.parametrize(
    ("labels", "splits", "reason"),
    [
        (["a", "", "b"], ["f0", "f1", "f2"], "1 clips have no label or no split"),
        (["a", "b", "b"], ["f0", "", "f2"], "1 clips have no label or no split"),
        (["a", "a", "a"], ["f0", "f1", "f2"], "all 3 clips have the label 'a'"),
        (["a", "b", "b"], ["f0", "f1", "f1"], "the folds are f0, f1: at least three"),
        (["a", "b", "b"], ["train", "test", "test"], "the splits are test, train: either"),
        (["a", "b", "a", "c"], ["train", "train", "valid", "test"], "no clip to learn c from"),
    ],
)
def test_what_cannot_be_probed_is_refused(labels: list[str], splits: list[str], reason: str) -> None:
    assert why_not(labels, splits).startswith(reason)
    with pytest.raises(BenchError, match="there is nothing to probe"):
        examples(labels, splits).folds()
