"""Protocols of the MLP probes: hear-eval-kit's, to the letter, and one without its faults."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from itertools import product

import numpy as np

from ldmbench.probes.examples import ONCE, Examples, Fold, Index, Predictions
from ldmbench.probes.mlp import Member, Trained, train
from ldmbench.probes.scores import SCORES
from ldmbench.probes.stack import Point

#: Points of the grid that hear-eval-kit tries (``--grid-points 8``), of the sixteen that there are.
POINTS = 8

_RATES = (3.2e-3, 1e-3, 3.2e-4, 1e-4)


def grid(points: int = POINTS) -> list[Point]:
    """The first points of the grid, in the order in which ``seed_everything(42)`` makes hear-eval-kit try them.

    Example:
        >>> grid(2)
        [Point(layers=1, rate=0.0001, normal=True), Point(layers=2, rate=0.001, normal=False)]
    """
    # In the order of scikit-learn's ParameterGrid: the names of the settings are sorted, the last varies fastest.
    every = [Point(layers, rate, normal) for layers, normal, rate in product((1, 2), (False, True), _RATES)]
    random.Random(42).shuffle(every)
    return every[:points]


def hear_probe(examples: Examples, judge: str, device: str = "cpu", points: int = POINTS, seed: int = 0) -> Predictions:
    """hear-eval-kit's protocol: nothing is standardised or shuffled, and the grid is searched on the first fold only.

    The validation fold of the first division, by which the point is chosen, is the test fold of the second. What stops
    a network and chooses is the score ``judge``, of ``SCORES``.

    Source: hear-eval-kit 2021.1.3, ``task_predictions.py`` (``dataloader_from_split_name`` shuffles only where it is
    given a string, and is given lists; ``data_splits_from_folds`` sorts them; Lightning holds scores in single
    precision) and ``task_embeddings.py`` (``memmap_embeddings`` fixes the order).
    """
    folds = examples.folds()
    order = _memmap_order(examples)
    tried = grid(points)
    first = [_member(point, folds[0], order, (seed, 0, number)) for number, point in enumerate(tried)]
    searched = train(examples.features, examples.targets, first, SCORES[judge], device)
    chosen = _best(searched)
    rest = [_member(tried[chosen], fold, order, (seed, number, chosen)) for number, fold in enumerate(folds[1:], 1)]
    trained = [searched[chosen], *train(examples.features, examples.targets, rest, SCORES[judge], device)]
    return _predictions(examples, folds, trained, [tried[chosen]] * len(folds), judge)


def mlp_probe(examples: Examples, judge: str, device: str = "cpu", points: int = POINTS, seed: int = 0) -> Predictions:
    """The same networks without the faults of the protocol.

    Features are standardised by the training split of each division, every epoch is shuffled, and each fold's point is
    chosen on that fold's own validation split by the score ``judge``: nothing that is reported was looked at before.
    """
    folds = examples.folds()
    order = _memmap_order(examples)
    tried = grid(points)
    trained, chosen = [], []
    for number, fold in enumerate(folds):
        known = examples.features[fold.train]
        mean, deviation = known.mean(axis=0), known.std(axis=0)
        features = (examples.features - mean) / np.where(deviation > 0, deviation, np.float32(1))
        members = [
            _member(point, fold, order, (seed, number, index), shuffle=number) for index, point in enumerate(tried)
        ]
        results = train(features.astype(np.float32), examples.targets, members, SCORES[judge], device)
        best = _best(results)
        trained.append(results[best])
        chosen.append(tried[best])
    return _predictions(examples, folds, trained, chosen, judge)


def _best(trained: Sequence[Trained]) -> int:
    """Which network did best where it is chosen; the first of equals, as Python's stable sort gives it."""
    return max(range(len(trained)), key=lambda number: np.float32(trained[number].valid))


def _memmap_order(examples: Examples) -> Index:
    """Rank of each example where hear-eval-kit has put all embeddings of a split into one file, and joined these.

    The files of each split in turn, by their names, are shuffled by one generator that was seeded with 0: of the one
    that is learned from first, or of folds by their names. In whichever order the clips come, it is the same.

    Source: hear-preprocess 610d864, ``runner.py`` (order of the splits) and ``pipeline.py`` (``SubcorpusMetadata``
    groups by file name, which sorts).
    """
    generator = random.Random(0)
    names = sorted(set(examples.splits))
    drawn: list[int] = []
    for split in ONCE if names == sorted(ONCE) else names:
        own = [position for position, name in enumerate(examples.splits) if name == split]
        own.sort(key=lambda position: f"{examples.ids[position]}.wav")
        generator.shuffle(own)
        drawn += own
    rank = np.empty(len(examples.ids), np.int64)
    rank[drawn] = np.arange(len(rank))
    return rank


def _member(point: Point, fold: Fold, order: Index, words: Sequence[int], shuffle: int | None = None) -> Member:
    """A network on a division, whose seed is made of ``words``."""
    seed = int.from_bytes(hashlib.sha256(repr(tuple(words)).encode()).digest()[:7], "little")
    return Member(point, seed, fold.train[np.argsort(order[fold.train])], fold.valid, fold.test, shuffle)


def _predictions(
    examples: Examples, folds: Sequence[Fold], trained: Sequence[Trained], points: Sequence[Point], judge: str
) -> Predictions:
    scores = np.full((len(examples.ids), len(examples.classes)), np.nan)
    number = np.full(len(examples.ids), -1)
    settings: list[dict[str, object]] = []
    for index, (fold, result, point) in enumerate(zip(folds, trained, points, strict=True)):
        scores[fold.test], number[fold.test] = result.scores, index
        record = {"layers": point.layers, "rate": point.rate, "init": "normal" if point.normal else "uniform"}
        settings.append({**record, "chosen_by": judge, "valid": result.valid, "epoch": result.epoch})
    return Predictions(scores, number, tuple(settings))
