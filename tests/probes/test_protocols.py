"""What the protocols hand to the trainer and take from it: divisions, orders, points, and by which score."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

from ldmbench.audio.arrays import Features
from ldmbench.probes import protocols
from ldmbench.probes.examples import Examples, Index, Predictions
from ldmbench.probes.mlp import Member, Trained
from ldmbench.probes.protocols import grid, hear_probe, mlp_probe
from ldmbench.probes.scores import SCORES, Score
from tests.probes.plain_torch import in_files, synthetic

FOLDS = 4


@dataclass
class Asked:
    """One call of the trainer."""

    features: Features
    members: list[Member]
    score: Score
    told: list[Trained]


@dataclass
class Trainer:
    """Stands in for the trainer: networks reach what ``reaches`` says, and the Nth of all says N of every clip."""

    reaches: Callable[[int, Member], float]
    calls: list[Asked] = field(default_factory=list)
    count: int = 0

    def __call__(
        self, features: Features, targets: Index, members: Sequence[Member], score: Score, device: str = "cpu"
    ) -> list[Trained]:
        told = []
        for member in members:
            self.count += 1
            told.append(Trained(self.reaches(len(self.calls), member), 3, np.full((len(member.test), 5), self.count)))
        self.calls.append(Asked(features, list(members), score, told))
        return told


@pytest.fixture
def found() -> Examples:
    """Five classes in four folds of different features, which begin with the last one."""
    made = synthetic(80, 5, 6, FOLDS, 1.0)
    features = made.features + np.arange(80, dtype=np.float32)[:, None] // 20 * np.float32(3)
    splits = tuple(f"fold{FOLDS - 1 - int(name[-2:]):02d}" for name in made.splits)
    return replace(made, features=features, splits=splits)


def tried(monkeypatch: pytest.MonkeyPatch, reaches: Callable[[int, Member], float]) -> Trainer:
    trainer = Trainer(reaches)
    monkeypatch.setattr(protocols, "train", trainer)
    return trainer


def told_of(answer: Predictions, examples: Examples) -> list[float]:
    """What each fold's clips are told: one number for all clips of a fold."""
    numbers = []
    for fold in range(FOLDS):
        own = np.array(examples.splits) == f"fold{fold:02d}"
        assert (answer.fold[own] == fold).all()
        (number,) = set(answer.scores[own].flatten().tolist())
        numbers.append(number)
    return numbers


def test_hear_chooses_on_the_first_division_and_learns_the_others_by_that_point(
    found: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = grid(5)
    trainer = tried(
        monkeypatch, lambda call, member: 0.2 if call else (0.1, 0.6, 0.3, 0.6, 0.5)[points.index(member.point)]
    )
    answer = hear_probe(found, "mAP", points=5)
    folds = found.folds()
    first, second = trainer.calls
    assert [member.point for member in first.members] == points
    for member in first.members:
        assert (member.test.tolist(), member.valid.tolist()) == (folds[0].test.tolist(), folds[0].valid.tolist())
    # The first of equals.
    assert [member.point for member in second.members] == [points[1]] * (FOLDS - 1)
    for member, fold in zip(second.members, folds[1:], strict=True):
        assert (member.test.tolist(), member.valid.tolist()) == (fold.test.tolist(), fold.valid.tolist())
    for call in trainer.calls:
        assert call.score is SCORES["mAP"]
        np.testing.assert_array_equal(call.features, found.features)
        assert all(member.shuffle is None for member in call.members)
    assert told_of(answer, found) == [2, 6, 7, 8]
    assert [item["valid"] for item in answer.settings] == [0.6, 0.2, 0.2, 0.2]
    assert {item["chosen_by"] for item in answer.settings} == {"mAP"}


def test_hear_learns_in_the_order_of_hear_eval_kits_files(found: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are filled, and joined, in the order of their folds' names, whichever fold's clips come first."""
    trainer = tried(monkeypatch, lambda call, member: 0.0)
    hear_probe(found, "top1_acc", points=1)
    rows = in_files(found)
    assert found.splits[0] == "fold03"
    names = sorted(rows)
    for number, member in enumerate(trainer.calls[0].members + trainer.calls[1].members):
        left = [name for name in names if name not in (names[number], names[(number + 1) % FOLDS])]
        assert member.train.tolist() == [row for name in left for row in rows[name]]


@pytest.mark.parametrize("once", [False, True])
def test_the_order_of_clips_is_no_matter(once: bool, found: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """hear-preprocess sorts what is in a split by the names of files, and draws train, valid and test in this order."""
    ids = ["d/a", "d/a-1", "d/a.b", *(f"d/{number}" for number in range(len(found.ids) - 3))]
    names = {f"fold{number:02d}": name for number, name in enumerate(("test", "train", "valid", "train"))}
    splits = tuple(names[split] for split in found.splits) if once else found.splits
    found = replace(found, ids=tuple(ids), splits=splits)
    rng = np.random.default_rng(3)
    learned = set()
    for _ in range(3):
        order = rng.permutation(len(ids)).tolist()
        clips, labels, parts = (
            tuple(item[index] for index in order) for item in (found.ids, found.labels, found.splits)
        )
        mixed = Examples(clips, found.features[order], labels, parts)
        trainer = tried(monkeypatch, lambda call, member: 0.0)
        hear_probe(mixed, "top1_acc", points=1)
        members = [member for call in trainer.calls for member in call.members]
        learned.add(tuple(tuple(mixed.ids[index] for index in member.train) for member in members))
        rows = in_files(mixed)
        first = rows["train"] if once else rows["fold02"] + rows["fold03"]
        assert members[0].train.tolist() == first
    assert len(learned) == 1


def test_scores_that_are_equal_in_single_precision_are_equal(found: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lightning logs them: the first of equals is chosen."""
    points = grid(3)
    reached = (0.5, 0.7, 0.7 + 1e-9)
    for protocol in (hear_probe, mlp_probe):
        tried(monkeypatch, lambda call, member: reached[points.index(member.point)])
        answer = protocol(found, "mAP", points=3)
        assert {item["rate"] for item in answer.settings} == {points[1].rate}
        assert {item["layers"] for item in answer.settings} == {points[1].layers}


def test_the_corrected_protocol_chooses_each_folds_point_and_standardises_by_what_it_learns_from(
    found: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = grid(3)
    best = (2, 0, 1, 2)
    trainer = tried(monkeypatch, lambda call, member: 0.9 if points.index(member.point) == best[call] else 0.4)
    answer = mlp_probe(found, "aucroc", points=3)
    assert len(trainer.calls) == FOLDS
    for number, (call, fold) in enumerate(zip(trainer.calls, found.folds(), strict=True)):
        assert [member.point for member in call.members] == points
        assert call.score is SCORES["aucroc"]
        for member in call.members:
            assert sorted(member.train.tolist()) == fold.train.tolist()
            assert (member.test.tolist(), member.valid.tolist()) == (fold.test.tolist(), fold.valid.tolist())
            # Every epoch is shuffled, alike for all points.
            assert member.shuffle == number
        learned = call.features[fold.train]
        np.testing.assert_allclose(learned.mean(axis=0), 0.0, atol=1e-5)
        np.testing.assert_allclose(learned.std(axis=0), 1.0, atol=1e-5)
    assert told_of(answer, found) == [3 * number + point + 1 for number, point in enumerate(best)]
    assert [item["valid"] for item in answer.settings] == [0.9] * FOLDS
    assert [item["rate"] for item in answer.settings] == [points[point].rate for point in best]


@pytest.mark.parametrize("protocol", [hear_probe, mlp_probe])
def test_every_network_has_a_seed_of_its_own_that_the_seed_changes(
    protocol: Callable[..., Predictions], found: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tried(monkeypatch, lambda call, member: 0.0)
    seeds = []
    for seed in (0, 1):
        protocol(found, "top1_acc", points=4, seed=seed)
        seeds += [member.seed for call in trainer.calls for member in call.members]
        trainer.calls.clear()
    assert len(set(seeds)) == len(seeds)
