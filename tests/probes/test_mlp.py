"""The stacked probes: networks of stock torch modules, trained as hear-eval-kit does it, and what they must tell."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

import torch

from ldmbench.errors import BenchError
from ldmbench.probes import mlp, protocols, stack
from ldmbench.probes.mlp import Member, train
from ldmbench.probes.protocols import grid, hear_probe, mlp_probe
from ldmbench.probes.scores import top1
from ldmbench.probes.stack import Point, Stack
from tests.probes.plain_torch import CONFIGURATIONS, network, probe, synthetic

#: Of hear-eval-kit 2021.1.3, ``task_predictions.py``: ``PARAM_GRID`` and the arguments of its trainer.
HEAR = {"batch": 1024, "epochs": 500, "every": 3, "patience": 20, "dropout": 0.1, "hidden": 1024}
OURS = {
    "batch": mlp.BATCH, "epochs": mlp.EPOCHS, "every": mlp.EVERY, "patience": mlp.PATIENCE, "dropout": stack.DROPOUT,
    "hidden": stack.WIDTH,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(mlp, "EPOCHS", 30)


def test_the_grid_is_that_of_hear_eval_kit_in_its_order() -> None:
    tried = [(point.layers, "normal" if point.normal else "uniform", point.rate) for point in grid()]
    assert tuple(tried) == CONFIGURATIONS
    assert len(set(grid(16))) == 16


def test_sizes_are_those_of_hear_eval_kit() -> None:
    assert OURS == HEAR


@pytest.mark.parametrize("layers", [1, 2])
def test_a_stack_learns_what_stock_modules_learn(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout: after ten steps outputs differ by rounding, also of the networks that are left over."""
    monkeypatch.setattr(stack, "DROPOUT", 0.0)
    points = [Point(layers, 1e-3, True), Point(layers, 3.2e-4, False), Point(layers, 1e-4, True)]
    stacked = Stack(points, [1, 2, 3], (16, 5), "cpu")
    linear = [4 * layer for layer in range(layers + 1)]
    norms = [4 * layer + 1 for layer in range(layers)]
    stock = []
    for number, point in enumerate(points):
        net = network(16, 5, layers, "normal", dropout=0.0)
        ours = [item[number] for item in stacked.parameters]
        with torch.no_grad():
            for parameter, own in zip([p for at in (*linear, *norms) for p in net[at].parameters()], ours, strict=True):
                parameter.copy_(own)
        stock.append((net, torch.optim.Adam(net.parameters(), lr=point.rate)))
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(200, 16, generator=generator), torch.randint(0, 5, (200,), generator=generator)
    left = [0, 1, 2]
    for step in range(10):
        if step == 6:
            left = [0, 2]
            stacked.keep(left)
        # What all see alike, or each its own batch of the same.
        shared = step % 2 == 0
        stacked.learn(x if shared else x.expand(len(left), -1, -1), y if shared else y.expand(len(left), -1))
        for number in left:
            net, optimiser = stock[number]
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        learning = stacked.logits(x, learning=True)
        for place, number in enumerate(left):
            net = stock[number][0]
            # Batch norm takes biases out again: their gradients are rounding, which Adam blows up, and nobody hears it.
            torch.testing.assert_close(learning[place], net(x), rtol=2e-3, atol=2e-3)
            state = [item[place] for item in stacked.state()]
            stored: list[torch.Tensor] = [parameter for at in (*linear, *norms) for parameter in net[at].parameters()]
            stored += [buffer for at in norms for buffer in list(net[at].buffers())[:2]]
            for mine, theirs in zip(stored, state, strict=True):
                mine.copy_(theirs)
            torch.testing.assert_close(stacked.logits(x)[place], net.eval()(x), rtol=1e-4, atol=1e-4)


def test_networks_start_as_xavier_says_and_drop_a_tenth() -> None:
    stacked = Stack([Point(2, 1e-3, True), Point(2, 1e-3, False)], [1, 2], (300, 7), "cpu")
    first, _, second, _, last, bias, scale, shift = stacked.parameters[:8]
    for weight, gain in ((first, 1.0), (second, 2**0.5), (last, 2**0.5)):
        for number in (0, 1):
            expected = gain * (2 / sum(weight.shape[1:])) ** 0.5
            assert float(weight[number].std()) == pytest.approx(expected, rel=0.05)
        assert float(weight[1].abs().max()) <= gain * (6 / sum(weight.shape[1:])) ** 0.5
    assert float(bias.abs().max()) <= 1024**-0.5
    assert torch.equal(scale, torch.ones_like(scale))
    assert not shift.any()
    mask = stacked._mask(500)
    assert sorted(set(mask.flatten().tolist())) == pytest.approx([0.0, 1 / 0.9])
    assert float((mask == 0).double().mean()) == pytest.approx(0.1, abs=2e-3)
    # Each network drops by its own seed.
    one = Stack([Point(2, 1e-3, False)], [2], (300, 7), "cpu")
    assert torch.equal(one._mask(500), mask[:, 1024:])


def test_what_a_network_learns_does_not_depend_on_those_beside_it() -> None:
    found = synthetic(120, 4, 8, 4, 1.0)
    fold = found.folds()[0]
    members = [Member(point, seed, fold.train, fold.valid, fold.test) for seed, point in enumerate(grid(4))]
    together = train(found.features, found.targets, members, top1)
    for member, beside in zip(members[:2], together, strict=False):
        (alone,) = train(found.features, found.targets, [member], top1)
        assert (alone.valid, alone.epoch) == (beside.valid, beside.epoch)
        np.testing.assert_allclose(alone.scores, beside.scores, atol=1e-3)


def test_training_stops_and_keeps_the_first_of_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp, "EPOCHS", 500)
    found = synthetic(60, 3, 4, 4, 3.0)
    fold = found.folds()[0]
    member = Member(Point(1, 1e-3, True), 1, fold.train, fold.valid, fold.test)
    # What differs in double precision only is no better.
    answers = iter([0.2, 0.5, 0.5 + 1e-9, 0.4, *[0.5] * 40])
    asked: list[float] = []

    def score(scores: object, targets: object) -> float:
        asked.append(next(answers))
        return asked[-1]

    (trained,) = train(found.features, found.targets, [member], score)
    # Two looks until the best, then twenty without a better one.
    assert (trained.valid, trained.epoch, len(asked)) == (0.5, 6, 22)
    monkeypatch.setattr(mlp, "BATCH", len(fold.train) - 1)
    with pytest.raises(BenchError, match="leave one alone in its batch"):
        train(found.features, found.targets, [member], score)


def test_a_network_is_asked_in_its_best_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Best at the second look of four: it says what it says where it stops there."""
    found = synthetic(60, 3, 4, 4, 1.0)
    fold = found.folds()[0]
    members = [Member(Point(2, 1e-3, True), seed, fold.train, fold.valid, fold.test) for seed in (1, 2)]
    told = []
    # Two networks at each look.
    answers = [0.1, 0.3, 0.7, 0.5, 0.2, 0.5, 0.0, 0.4]
    for epochs in (12, 6, 3):
        monkeypatch.setattr(mlp, "EPOCHS", epochs)
        looks = iter(answers)
        told.append(train(found.features, found.targets, members, lambda *_, looks=looks: next(looks)))
        assert list(looks) == answers[2 * epochs // 3 :]
    for number in (0, 1):
        assert [item[number].epoch for item in told] == [6, 6, 3]
        np.testing.assert_array_equal(told[0][number].scores, told[1][number].scores)
        assert np.abs(told[0][number].scores - told[2][number].scores).max() > 0.01


def test_an_epoch_is_all_that_is_learned_from_in_batches() -> None:
    order = np.random.default_rng(0).permutation(2500)
    kept, first, second = (Member(Point(1, 1e-3, True), 0, order, order, order, seed) for seed in (None, 1, 2))
    batches = list(mlp._batches([kept, kept], 1))
    assert [len(batch) for batch in batches] == [1024, 1024, 452]
    assert np.concatenate(batches).tolist() == order.tolist()
    shuffled = [np.concatenate(list(mlp._batches([first, first], epoch))) for epoch in (1, 2, 1)]
    assert [sorted(rows.tolist()) for rows in shuffled] == [list(range(2500))] * 3
    # Another order in each epoch, and the same one whenever the epoch is gone through.
    assert (shuffled[0] != shuffled[1]).mean() > 0.99
    assert np.array_equal(shuffled[0], shuffled[2])
    each = np.concatenate(list(mlp._batches([first, second], 1)), axis=1)
    assert each.shape == (2, 2500)
    assert np.array_equal(each[0], shuffled[0])
    assert (each[1] != each[0]).mean() > 0.99


@pytest.mark.parametrize("protocol", [hear_probe, mlp_probe])
def test_separable_classes_are_told_and_shuffled_ones_guessed(protocol: object) -> None:
    assert callable(protocol)
    found = synthetic(120, 3, 8, 4, 30.0)
    told = protocol(found, "top1_acc", points=2)
    assert top1(told.scores, found.targets) == 1.0
    labels = tuple(np.random.default_rng(3).permutation(found.labels))
    guessed = protocol(type(found)(found.ids, found.features, labels, found.splits), "top1_acc", points=1)
    targets = np.array([sorted(set(labels)).index(label) for label in labels])
    assert top1(guessed.scores, targets) == pytest.approx(1 / 3, abs=3 * (2 / 9 / 120) ** 0.5)


def test_the_reported_fold_decides_nothing_in_the_corrected_protocol() -> None:
    """Other features in a test fold: its network, and with it every other prediction of that division, stays."""
    found = synthetic(60, 3, 6, 3, 1.0)
    moved = found.features.copy()
    own = np.array(found.splits) == "fold00"
    moved[own] = np.random.default_rng(1).standard_normal(moved[own].shape)
    first = mlp_probe(found, "top1_acc", points=2)
    second = mlp_probe(type(found)(found.ids, moved, found.labels, found.splits), "top1_acc", points=2)
    assert first.settings[0] == second.settings[0]


@pytest.mark.slow
@pytest.mark.parametrize("point", [2, 1], ids=["one layer", "two layers"])
def test_accuracies_are_those_of_plain_torch_over_seeds(point: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seeds of each on the same embeddings and folds: the means differ by less than their standard errors allow."""
    monkeypatch.setattr(mlp, "EPOCHS", 21)
    tried = [grid()[point]]
    monkeypatch.setattr(protocols, "grid", lambda points: tried)
    own = CONFIGURATIONS[point : point + 1]
    assert (tried[0].layers, tried[0].rate) == (own[0][0], own[0][2])
    found = synthetic(210, 7, 16, 3, 0.55)
    ours, plain = [], []
    for seed in range(10):
        told = hear_probe(found, "top1_acc", seed=seed)
        ours.append(np.mean([top1(told.scores[told.fold == f], found.targets[told.fold == f]) for f in range(3)]))
        plain.append(np.mean(probe(found, seed, epochs=21, configurations=own)))
    error = np.sqrt((np.var(ours, ddof=1) + np.var(plain, ddof=1)) / 10)
    assert 0.3 < np.mean(plain) < 0.95
    assert abs(np.mean(ours) - np.mean(plain)) < 3 * error + 0.005
    assert np.std(ours, ddof=1) < 3 * np.std(plain, ddof=1) + 0.005
