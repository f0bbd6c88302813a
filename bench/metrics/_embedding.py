"""Metrics on embeddings: sounds go through an extractor together, clips' rows are kept, sets of rows are compared."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ldmbench.audio.arrays import Real, Rows
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors import Embedding, NetworkExtractor, cache, make_fingerprint
from ldmbench.metrics import _statistics as statistics
from ldmbench.metrics._base import MetricFacts, ModelMetric, Stored, Value
from ldmbench.metrics._pair import mix
from ldmbench.names import Setting
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output
from ldmbench.weights.find import find_all
from ldmbench.weights.record import Checkpoint, CheckpointError

#: Part of the key of remembered estimates; raised when intervals change and values do not.
_INTERVALS = 2

#: Sounds whose features are asked for, and what came of it.
Side = tuple[int, str]


class Load(Protocol):
    """How an extractor is loaded."""

    def __call__(self, *, device: str, weights: Path | None, untrained: bool, official: bool) -> NetworkExtractor:
        """The extractor, its weights not yet read.

        Raises:
            CheckpointError: If a checkpoint is missing, or not the official one where that is insisted on.
        """
        ...


@dataclass(frozen=True)
class Source:
    """Where embeddings come from: an extractor, one of its layers, and how the extractor is loaded.

    Attributes:
        load: Gives the extractor.
        checkpoints: Official files it needs.
        layer: The layer that is used.
        untrained: Use seeded random weights.
        official: Insist on the official files.
    """

    load: Load
    checkpoints: tuple[Checkpoint, ...]
    layer: str
    untrained: bool
    official: bool

    @classmethod
    def by(
        cls, settings: Mapping[str, Setting], load: Load, layer: str, checkpoints: tuple[Checkpoint, ...] = ()
    ) -> Source:
        """One whose weights are as the settings ``untrained`` and ``official`` of a metric say."""
        return cls(load, checkpoints, layer, bool(settings["untrained"]), bool(settings.get("official", True)))


class EmbeddingMetric(ModelMetric):
    """Base: embeds references and outputs together, and hands each clip's pair on.

    ``measure_batch`` hears every sound once for all metrics with the same extractor; see ``ldmbench.extractors``.
    """

    #: Import names of what the extractor needs.
    packages: tuple[str, ...] = ("torch", "torchaudio")

    def __init__(self, facts: MetricFacts, source: Source) -> None:
        self.facts = facts
        self.source = source

    def problem(self) -> str:
        """Why this metric cannot be computed here, or empty; reads no checkpoint."""
        if text := self.absent_packages():
            return text
        if not self.source.untrained:
            try:
                find_all(self.source.checkpoints, self._weights)
            except BenchError as error:
                return str(error)
        return ""

    def absent_packages(self) -> str:
        """Which of ``packages`` are not installed, or empty."""
        import importlib.util

        if absent := [name for name in self.packages if importlib.util.find_spec(name) is None]:
            extras = ",".join(self.facts.extras)
            return f"{' and '.join(absent)} not installed (fix: pip install 'ldmbench[{extras}]')"
        return ""

    def extractor(self) -> NetworkExtractor:
        """The extractor, where the metric is configured to run.

        Raises:
            CheckpointError: If it cannot be loaded.
        """
        source = self.source
        return source.load(
            device=self._device, weights=self._weights, untrained=source.untrained, official=source.official
        )

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        """Each clip's value, or why there is none.

        Raises:
            CheckpointError: If the extractor cannot be loaded.
        """
        extractor = self.extractor()
        both = "audio" in self.facts.needs
        sounds: dict[Side, Audio] = {}
        values: dict[int, Value | Exception] = {}
        for position, (clip, output) in enumerate(zip(clips, outputs, strict=True)):
            try:
                if output.audio is None:
                    raise BenchError(f"{clip.id} has no output audio", fix="use a metric that does not need audio")
                mix(output.audio, "the output")
                pair = {(position, "reference"): clip.audio} if both else {}
                for sound in pair.values():
                    mix(sound, "the reference")
                sounds |= {**pair, (position, "output"): output.audio}
            except (BenchError, Unscored) as error:
                values[position] = error
        heard = _embed(extractor, sounds)
        for position in range(len(clips)):
            if position not in values:
                values[position] = self._value(heard, position, both)
        return [values[position] for position in range(len(clips))]

    def _value(self, heard: Mapping[Side, Embedding | Exception], position: int, both: bool) -> Value | Exception:
        rows = []
        for side in ("reference", "output") if both else ("output",):
            features = heard[position, side]
            if isinstance(features, Exception):
                return features
            rows.append(np.atleast_2d(features[self.source.layer]).astype(np.float64))
        if not any(len(side) for side in rows):
            return Unscored("neither sound is as long as one frame of the extractor")
        try:
            return self.compare(*rows)
        except Unscored as reason:
            return reason

    @abstractmethod
    def compare(self, *rows: Rows) -> Value:
        """A clip's value from its rows ``[frames, dim]`` of reference and output (or of the output alone)."""


class SetMetric(EmbeddingMetric):
    """A distance between two sets of rows; a clip's value is its rows, packed into a vector.

    Args:
        facts: The metric's facts.
        source: Where the embeddings come from.
        estimate: Estimate from the clips' rows: one list of ``[frames, dim]`` for each side.
        differences: What each clip adds to the difference between two sets of outputs (``_swaps``), from the clips'
            rows of the reference (where the metric has one), the first and the second output; or why there is no
            such thing.
        against: Name of the statistics that stand for the references, which are then not heard.
    """

    def __init__(
        self,
        facts: MetricFacts,
        source: Source,
        estimate: Callable[..., Estimate],
        differences: Callable[..., Real] | str = "it does not say what a clip adds to the difference of two sets",
        against: str = "",
    ) -> None:
        super().__init__(facts, source)
        self.estimate = estimate
        self._differences = differences
        self.against = against

    def problem(self) -> str:
        """Why this metric cannot be computed here, or empty; reads no checkpoint."""
        text = super().problem()
        if text or not self.against:
            return text
        try:
            self._refuse_others()
        except BenchError as error:
            return str(error)
        return ""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        """Each clip's rows, or why there are none.

        Raises:
            CheckpointError: If the extractor cannot be loaded.
            BenchError: If the statistics of the references are not here, or another extractor made them.
        """
        if self.against:
            self._refuse_others()
        return super().measure_batch(clips, outputs)

    def embedding_id(self) -> str:
        """What tells this metric's embeddings from all others: the extractor's fingerprint, and the layer.

        Raises:
            CheckpointError: If the extractor's files are not here.
        """
        return f"{self.extractor().fingerprint}/{self.source.layer}"

    def _refuse_others(self) -> None:
        """Raise ``BenchError`` where the statistics are not here, or of embeddings that are not this metric's."""
        made = statistics.load(self.against)
        if made.extractor and made.extractor != (own := self.embedding_id()):
            raise BenchError(
                f"{self.facts.name}: the statistics are of other embeddings",
                f"they are for {made.metric} ({made.extractor[:12]}), and these are {own[:12]}",
                "make them with this metric, its settings and weights: ldmbench statistics save",
            )

    def compare(self, *rows: Rows) -> Value:
        """The rows as one vector.

        Raises:
            BenchError: If the statistics of the references are of another width.
        """
        if self.against and rows[0].shape[1] != (width := len(statistics.load(self.against).mean)):
            raise BenchError(
                f"{self.facts.name}: the statistics are of other embeddings",
                f"they have {width} dimensions, and these {rows[0].shape[1]}",
                "take those of this metric's extractor",
            )
        return pack(*rows)

    def differences(self, base: Sequence[Rows], new: Sequence[Rows]) -> Real:
        """What each clip adds to the second set's value minus the first's; the mean is that difference to first order.

        Args:
            base: Packed values of the clips in one run.
            new: Of the same clips in another.

        Raises:
            Unscored: If there is no such thing, or the references of both runs were not embedded alike.
        """
        if isinstance(self._differences, str):
            raise Unscored(self._differences)
        first, second = ([list(side) for side in zip(*map(unpack, values), strict=True)] for values in (base, new))
        for one, other in zip(first[:-1], second[:-1], strict=True):
            _same_reference(one, other)
        return self._differences(*first, second[-1])

    def aggregate(self, values: Sequence[Stored]) -> Estimate:
        """The distance, remembered in the cache home by the digest of its clips' rows."""
        if not values:
            return Estimate(None)
        arrays = [np.ascontiguousarray(value, np.float64) for value in values]
        key = hashlib.sha256()
        for array in arrays:
            key.update(np.int64(array.size).tobytes() + array.tobytes())
        mark = make_fingerprint(metric=self.facts.name, version=self.facts.version, intervals=_INTERVALS)
        cached = cache.get(mark, key.hexdigest())
        if cached is None:
            sides = zip(*(unpack(array) for array in arrays), strict=True)
            estimate = self.estimate(*(list(side) for side in sides))
            numbers = [np.nan if item is None else item for item in (estimate.value, estimate.low, estimate.high)]
            cached = {"estimate": np.array(numbers, np.float64), "note": np.array(estimate.note)}
            cache.put(mark, key.hexdigest(), cached)
        value, low, high = (None if np.isnan(item) else float(item) for item in cached["estimate"])
        return Estimate(value, low, high, len(values), note=str(cached["note"]))


def pack(*sides: Rows) -> Rows:
    """Rows ``[frames, dim]`` of one or more sides as one vector: sides, dim, frames of each side, then the rows."""
    counts = [len(side) for side in sides]
    return np.concatenate([[len(sides), sides[0].shape[1], *counts], *(side.ravel() for side in sides)])


def unpack(vector: Rows) -> list[Rows]:
    """What ``pack`` packed."""
    sides, width = int(vector[0]), int(vector[1])
    counts = vector[2 : 2 + sides].astype(np.int64)
    rows = vector[2 + sides :].reshape(-1, width)
    return [np.asarray(part) for part in np.split(rows, np.cumsum(counts)[:-1])]


def _same_reference(first: Sequence[Rows], second: Sequence[Rows]) -> None:
    """Raise ``Unscored`` where one run embedded the references otherwise than the other.

    Other hardware moves embeddings by rounding, far below a hundredth of their size; other weights do not.
    """
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        if one.shape != other.shape or np.abs(one - other).max(initial=0) > 0.01 * np.abs(one).max(initial=0):
            raise Unscored(f"the extractor's weights: the embeddings of reference {index + 1} differ between the runs")


def _embed(extractor: NetworkExtractor, sounds: Mapping[Side, Audio]) -> dict[Side, Embedding | Exception]:
    """Features of each sound; where a batch fails (out of memory, say), its sounds are tried one by one."""
    if not sounds:
        return {}
    try:
        return dict(zip(sounds, extractor.embed(list(sounds.values())), strict=True))
    except CheckpointError:
        raise
    except (BenchError, RuntimeError) as error:
        if len(sounds) == 1:
            if isinstance(error, RuntimeError):
                error = BenchError("the extractor failed", str(error), exit_code=1)
            return dict.fromkeys(sounds, error)
    results: dict[Side, Embedding | Exception] = {}
    for side, sound in sounds.items():
        results |= _embed(extractor, {side: sound})
    return results
