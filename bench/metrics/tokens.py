"""Measures of tokens that need no weights: use of codebooks, entropy, predictability, labels, and steadiness."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ldmbench import stats
from ldmbench.audio.arrays import Real
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import (
    BaseMetric,
    Metric,
    MetricFacts,
    Stored,
    Value,
    load_metric,
    register,
    settings_title,
)
from ldmbench.names import Name, Setting
from ldmbench.probes import codes as measures
from ldmbench.probes.codes import Codes, Estimator
from ldmbench.probes.steadiness import CHANGES, key
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output

#: From the clips' codes of one layer, the codebook's size, the clips' labels and the settings to an estimate.
Measure = Callable[[Sequence[Codes], int, Sequence[int], Mapping[str, Setting]], Estimate]

_POOLED = "pooled over clips"


@dataclass
class TokenMetric(BaseMetric):
    """A measure of the codes of all clips together, of one layer, or the mean over layers.

    Attributes:
        facts: The metric's facts.
        function: Measures one layer.
        settings: ``layer`` counts from 1, 0 is the mean over all; and the function's own.
    """

    facts: MetricFacts
    function: Measure
    settings: Mapping[str, Setting]

    def measure(self, clip: Clip, output: Output) -> Real:
        """``[layers, label]``, sizes of the codebooks, then of each layer the number of its codes and the codes.

        Raises:
            Unscored: If the system reports no tokens with their codebooks, or has no such layer.
        """
        if not output.codebooks or output.tokens is None:
            raise Unscored("the system reports no tokens with their codebooks")
        layer = cast(int, self.settings["layer"])
        if layer > len(output.codebooks):
            raise Unscored(f"it has {len(output.codebooks)} layers")
        rows = [row[row >= 0] for row in output.tokens]
        parts: list[Any] = [[len(rows), _number(clip.label)], output.codebooks]
        for row in rows:
            parts += [[len(row)], row]
        return np.concatenate([np.asarray(part, np.float64) for part in parts])

    def aggregate(self, values: Sequence[Stored]) -> Estimate:
        """The estimate of the layer, or the mean of all layers' estimates."""
        if not values:
            return Estimate(None)
        layer = cast(int, self.settings["layer"])
        try:
            found = self._measured(values, [layer - 1] if layer else None)
        except Unscored as reason:
            return Estimate(None, n=len(values), note=str(reason))
        if len(found) == 1:
            return found[0]
        numbers = [estimate.value for estimate in found if estimate.value is not None]
        return Estimate(float(np.mean(numbers)) if numbers else None, n=len(values), note="a mean over layers")

    def by_layer(self, values: Sequence[Stored]) -> list[Estimate]:
        """The estimate of each layer; without a value where it cannot be had of any."""
        try:
            return self._measured(values, None) if values else []
        except Unscored as reason:
            return [Estimate(None, n=len(values), note=str(reason))]

    def _measured(self, values: Sequence[Stored], layers: Sequence[int] | None) -> list[Estimate]:
        """Estimates of some layers, all where None."""
        clips = [_unpacked(np.asarray(value, np.float64)) for value in values]
        sizes = clips[0][1]
        labels = [label for label, _, _ in clips]
        return [
            self.function([rows[index] for _, _, rows in clips], sizes[index], labels, self.settings)
            for index in (range(len(sizes)) if layers is None else layers)
        ]

    def differences(self, base: Sequence[Real], new: Sequence[Real]) -> Real:
        """Refused: counts are pooled over clips.

        Raises:
            Unscored: Always.
        """
        raise Unscored("counts are pooled over clips, and no clip adds to the difference by itself")


def _number(label: str) -> int:
    """A number for a label, 0 for none, that a double holds exactly."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:6], "little") + 1 if label else 0


def _unpacked(vector: Real) -> tuple[int, list[int], list[Codes]]:
    """Label, sizes and codes of each layer, as ``TokenMetric.measure`` packed them."""
    layers, label = int(vector[0]), int(vector[1])
    sizes = [int(size) for size in vector[2 : 2 + layers]]
    rows, start = [], 2 + layers
    for _ in range(layers):
        count = int(vector[start])
        rows.append(vector[start + 1 : start + 1 + count].astype(np.int64))
        start += 1 + count
    return label, sizes, rows


def _counts(clips: Sequence[Codes]) -> Real:
    counts = np.unique(np.concatenate(clips), return_counts=True)[1]
    if not len(counts):
        raise Unscored("there are no tokens")
    return counts.astype(np.float64)


def _utilisation(clips: Sequence[Codes], size: int, labels: Sequence[int], settings: Mapping[str, Setting]) -> Estimate:
    value = measures.utilisation(_counts(clips), size, cast(int, settings["tokens"]))
    return Estimate(100 * value, n=len(clips), note=_POOLED)


def _entropy(clips: Sequence[Codes], size: int, labels: Sequence[int], settings: Mapping[str, Setting]) -> Estimate:
    value = measures.entropy(_counts(clips), cast(Estimator, settings["estimator"]))
    return Estimate(value, n=len(clips), note=_POOLED)


def _perplexity(clips: Sequence[Codes], size: int, labels: Sequence[int], settings: Mapping[str, Setting]) -> Estimate:
    return Estimate(2 ** measures.entropy(_counts(clips)), n=len(clips), note=_POOLED)


def _share(clips: Sequence[Codes], size: int, labels: Sequence[int], settings: Mapping[str, Setting]) -> Estimate:
    return Estimate(100 * measures.entropy(_counts(clips)) / float(np.log2(size)), n=len(clips), note=_POOLED)


def _ngram(clips: Sequence[Codes], size: int, labels: Sequence[int], settings: Mapping[str, Setting]) -> Estimate:
    return stats.ratio(measures.held_out_bits(clips, size, cast(int, settings["order"])), 0.0)


def _labels(clips: Sequence[Codes], size: int, labels: Sequence[int], settings: Mapping[str, Setting]) -> Estimate:
    return Estimate(100 * measures.label_information(clips, labels), n=len(clips), note=_POOLED)


@dataclass
class SteadyMetric(BaseMetric):
    """How alike the codes of a changed clip are to its own; computed where the system is at hand.

    Attributes:
        facts: The metric's facts.
        kind: What is done to the clip, of ``CHANGES``.
        field: ``equal`` or ``edits``.
        settings: ``strength`` of the change; ``layer`` counts from 1, 0 is the mean over all.
    """

    facts: MetricFacts
    kind: str
    field: str
    settings: Mapping[str, Setting]

    @property
    def change(self) -> tuple[str, float]:
        """What must be done to every clip before this can be measured."""
        return self.kind, float(cast(float, self.settings["strength"]))

    def measure(self, clip: Clip, output: Output) -> Value:
        """Percent of equal codes, or edits for each code, of one clip.

        Raises:
            Unscored: If the system has no tokens, or was not asked to code the changed clip.
        """
        found = output.details.get("steadiness", {}).get(key(*self.change))
        if found is None or isinstance(found, str):
            raise Unscored(found or "only a codec with tokens, in a suite of task embed, codes changed clips")
        layer = cast(int, self.settings["layer"])
        numbers = found[self.field]
        if layer > len(numbers):
            raise Unscored(f"it has {len(numbers)} layers")
        return self._scale * (numbers[layer - 1] if layer else float(np.mean(numbers)))

    def by_layer(self, details: Sequence[Mapping[str, Any]]) -> list[Estimate]:
        """The mean over clips of each layer, from what was recorded of their outputs."""
        layers = [one["steadiness"][key(*self.change)][self.field] for one in details]
        columns = self._scale * np.array(layers, np.float64).T
        return [stats.mean(column, self.facts.low, self.facts.high) for column in columns]

    @property
    def _scale(self) -> float:
        return 100.0 if self.field == "equal" else 1.0


def changes_of(names: Sequence[str]) -> list[tuple[str, float]]:
    """What some of these metrics want to be done to every clip."""
    return sorted({metric.change for metric in map(load_metric, names) if isinstance(metric, SteadyMetric)})


def _register(name: str, title: str, function: Measure, own: Mapping[str, Setting] | None = None, **facts: Any) -> None:
    variants = facts.pop("variants", None)

    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        _check(asked, settings)
        heading = f"{title} {asked.variant}".strip() + settings_title(asked)
        declared = {"better": "neither", "low": 0.0, **facts}
        known = facts.get("interval", "none: of counts that are pooled over clips")
        return TokenMetric(
            MetricFacts(str(asked), heading, needs=("tokens",), kind="set", **{**declared, "interval": known}),
            function,
            settings,
        )

    register(name, build, variants=variants, defaults={"layer": 0, **(own or {})})


def _check(asked: Name, settings: Mapping[str, Setting]) -> None:
    if cast(int, settings["layer"]) < 0:
        raise BenchError(f"{asked}: layers count from 1", f"layer={settings['layer']}", "0 is the mean over all")
    if settings.get("estimator", "plugin") not in ("plugin", "miller-madow", "chao-shen"):
        raise BenchError(f"{asked}: no such estimator", f"{settings['estimator']}", "plugin, miller-madow or chao-shen")


_CODECBENCH = "AudioCodecBench, arXiv:2509.02349"

_register(
    "codebook_utilisation", "Codebook used", _utilisation, {"tokens": 0}, unit="%", high=100.0, digits=1,
    source="share of codes that came at all; tokens=N rarefies to so many tokens (Hurlbert 1971); mean over layers",
)  # fmt: skip
_register(
    "codebook_perplexity", "Perplexity", _perplexity, digits=0, source="2 to the plug-in entropy of each layer's tokens"
)
_register(
    "token_entropy", "Entropy", _entropy, {"estimator": "plugin"}, unit="bit", digits=2,
    source="entropy of each layer's tokens, counts pooled over clips: plug-in, Miller-Madow (1955), Chao-Shen (2003)",
)  # fmt: skip
_register(
    "token_entropy_share", "Entropy of nominal", _share, unit="%", high=100.0, digits=1,
    source="plug-in entropy of each layer's tokens over the logarithm of its codebook's size",
)  # fmt: skip
_register(
    "token_ngram", "Held-out bits", _ngram, {"order": 1}, unit="bit", digits=2, interval="",
    variants={f"{order}gram": {"order": order} for order in range(1, measures.LONGEST + 1)},
    source="bits a token under an n-gram model of the other half of the clips: Witten and Bell 1991, interpolated",
)  # fmt: skip
_register(
    "token_labels", "Label information", _labels, unit="%", low=None, high=100.0, digits=1,
    source="mutual information of a token and its clip's label over the label's entropy, adjusted for chance by "
    "shuffles (PNMI of HuBERT, arXiv:2106.07447; Vinh et al. 2010)",
)  # fmt: skip


def _register_steady(name: str, title: str, field: str, **facts: Any) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        settings = dict(settings)
        kind = str(settings.pop("kind"))
        if asked.variant and "strength" not in asked.settings:
            settings["strength"] = CHANGES[kind]
        if cast(int, settings["layer"]) < 0 or float(cast(float, settings["strength"])) < 0:
            raise BenchError(f"{asked} has a setting below 0", fix="layers count from 1, 0 is the mean over all")
        heading = f"{title} {asked.variant}".strip() + settings_title(asked)
        declared = MetricFacts(str(asked), heading, needs=("tokens", "bits"), low=0.0, **facts)
        return SteadyMetric(declared, kind, field, settings)

    variants: dict[str, dict[str, Setting]]
    variants = {kind: {"kind": kind, "strength": strength} for kind, strength in CHANGES.items()}
    register(name, build, variants=variants, defaults={"layer": 0, "kind": "offset", "strength": CHANGES["offset"]})


_register_steady(
    "token_identity", "Same codes", "equal", unit="%", high=100.0, digits=1,
    source=f"share of equal codes after a change: offset by 2 ms and reencode once ({_CODECBENCH}), context (slice "
    "consistency of DRI, arXiv:2409.19283), white noise at 30 dB; mean over layers and clips",
)  # fmt: skip
_register_steady(
    "token_edits", "Code edits", "edits", better="lower", digits=3,
    source="unit edit distance over the clean length after a change, repeats removed (Gat et al., arXiv:2209.15483)",
)  # fmt: skip
