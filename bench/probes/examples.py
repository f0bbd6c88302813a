"""Labelled embeddings, and how they are divided into what is learned from, what is chosen by and what is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Real
from ldmbench.errors import BenchError
from ldmbench.names import some

#: Positions of examples: int64 ``[count]``.
Index = NDArray[np.int64]

#: Splits of a dataset that is divided once.
ONCE = ("train", "valid", "test")


@dataclass(frozen=True)
class Fold:
    """One division: positions of the examples that are learned from, chosen by, and reported."""

    train: Index
    valid: Index
    test: Index


@dataclass(frozen=True)
class Examples:
    """Embeddings with their labels.

    Attributes:
        ids: A name for each, which decides their order where a protocol sorts.
        features: ``[examples, dim]``.
        labels: Of each.
        splits: ``train``, ``valid`` and ``test``, or names of folds.
        primary_score: By which HEAR judges the task, as it names it: what stops training and chooses.
    """

    ids: tuple[str, ...]
    features: Features
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    primary_score: str = "top1_acc"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels in the order of their index: of numbers by their values, of others by their letters."""
        labels = set(self.labels)
        return tuple(sorted(labels, key=int) if all(map(str.isdecimal, labels)) else sorted(labels))

    @cached_property
    def targets(self) -> Index:
        """Index of each example's label in ``classes``."""
        position = {label: index for index, label in enumerate(self.classes)}
        return np.array([position[label] for label in self.labels], np.int64)

    def folds(self) -> list[Fold]:
        """The divisions: one, or one for each fold, whose next fold is chosen by and whose others are learned from.

        Source: hear-eval-kit, ``task_predictions.py``: test is fold i, validation fold i + 1.

        Raises:
            BenchError: If splits or labels do not allow it.
        """
        if problem := why_not(self.labels, self.splits):
            raise BenchError("there is nothing to probe", problem, "correct the labels and splits of the clips")
        splits = np.array(self.splits)
        names = sorted(set(self.splits))
        if names == sorted(ONCE):
            return [Fold(*(np.flatnonzero(splits == name) for name in ONCE))]
        folds = []
        for number, test in enumerate(names):
            valid = names[(number + 1) % len(names)]
            folds.append(
                Fold(
                    np.flatnonzero((splits != test) & (splits != valid)),
                    np.flatnonzero(splits == valid),
                    np.flatnonzero(splits == test),
                )
            )
        return folds


@dataclass(frozen=True)
class Predictions:
    """What a probe says of the examples that it did not learn from.

    Attributes:
        scores: ``[examples, classes]`` probabilities; NaN where an example is in no test split.
        fold: Number of the fold in whose test split each example is, -1 for none.
        settings: What was chosen, and how well it did where it was chosen: for the record.
    """

    scores: Real
    fold: Index
    settings: tuple[dict[str, object], ...] = ()

    @property
    def tested(self) -> Index:
        """Positions of the examples in test splits."""
        return np.flatnonzero(self.fold >= 0)


def why_not(labels: Sequence[str], splits: Sequence[str]) -> str:
    """Why labels in these splits cannot be probed, or empty."""
    if not all(labels) or not all(splits):
        return f"{sum(not (a and b) for a, b in zip(labels, splits, strict=True))} clips have no label or no split"
    classes, names = Counter(labels), sorted(set(splits))
    if len(classes) < 2:
        return f"all {len(labels)} clips have the label {next(iter(classes), '')!r}"
    if set(names) & set(ONCE):
        if set(names) != set(ONCE):
            return f"the splits are {some(names)}: either train, valid and test, or folds"
        learned = {label for label, split in zip(labels, splits, strict=True) if split == "train"}
        lacking = sorted(set(labels) - learned)
        return f"no clip to learn {some(lacking)} from" if lacking else ""
    if len(names) < 3:
        return f"the folds are {some(names)}: at least three are needed, to learn from, choose by and report"
    return ""
