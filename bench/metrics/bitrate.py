"""Bitrate told completely: claimed, packed, side information, and what entropy coding would leave of the tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench import stats
from ldmbench.audio.arrays import Ratio, Real
from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, Stored, Value, register
from ldmbench.metrics.cost import CostMetric, seconds
from ldmbench.names import Name, Setting
from ldmbench.stats import Estimate
from ldmbench.system.protocol import Output

#: What Krichevsky and Trofimov's estimator counts of each code before any was seen.
KT = 0.5


def packed(clip: Clip, output: Output) -> Ratio:
    """Bits of the coded clip over its duration in milliseconds: kbit/s as the ratio of sums over clips.

    Raises:
        Unscored: If the system does not report bits.
    """
    if output.bits is None:
        raise Unscored("the system reports no bits")
    return _per_ms(output.bits, clip, output)


def nominal(clip: Clip, output: Output) -> Ratio:
    """The bitrate that the system claims, over the same clips as the measured one.

    Raises:
        Unscored: If it claims none.
    """
    if output.nominal_kbps is None:
        raise Unscored("the system claims no bitrate")
    return _per_ms(output.nominal_kbps * 1000 * seconds(clip, output), clip, output)


def side(clip: Clip, output: Output) -> Ratio:
    """Bits that are no tokens: scales and the like. They are part of what is packed.

    Raises:
        Unscored: If the system does not report tokens beside its bits, so that nothing tells them apart.
    """
    if output.bits is None or not output.codebooks:
        raise Unscored("the system does not tell its tokens from other bits")
    return _per_ms(output.side_bits, clip, output)


def adaptive(clip: Clip, output: Output) -> Ratio:
    """Bits of the tokens under an adaptive code that starts at nothing in every clip and layer, and of the side.

    A code s of a codebook of K that came n_s times among the i tokens before it costs
    -log2((n_s + 1/2) / (i + K/2)) bits, which a decoder can follow. Short clips cost more than they would if the
    counts went on from clip to clip: an upper end, as ``kbps@empirical`` is a lower one.

    Raises:
        Unscored: If the system reports no tokens with their codebooks.

    Source: Krichevsky and Trofimov, The performance of universal encoding, IEEE Trans. Inf. Theory 27 (1981).
    """
    bits = sum(_adaptive_bits(codes, size) for codes, size in _layers(output))
    return _per_ms(bits + output.side_bits, clip, output)


def _adaptive_bits(codes: NDArray[np.int64], size: int) -> float:
    """Bits of one layer: of n_s equal tokens, one after the other, the counts are 0, 1, .. n_s - 1 in any order."""
    from scipy.special import gammaln

    counts = np.unique(codes, return_counts=True)[1]
    seen = (gammaln(counts + KT) - gammaln(KT)).sum()
    total = gammaln(len(codes) + size * KT) - gammaln(size * KT)
    return float(total - seen) / float(np.log(2))


def _per_ms(bits: float, clip: Clip, output: Output) -> Ratio:
    return np.array([bits, 1000.0 * seconds(clip, output)], np.float64)


def _layers(output: Output) -> list[tuple[NDArray[np.int64], int]]:
    """Codes of each layer and the size of its codebook.

    Raises:
        Unscored: If they were not reported, or not kept by the version that made the output.
    """
    if not output.codebooks:
        raise Unscored("the system reports no tokens with their codebooks")
    if output.tokens is None:
        raise Unscored("the tokens of this output were not kept")
    return [(row[row >= 0], size) for row, size in zip(output.tokens, output.codebooks, strict=True)]


@dataclass
class EmpiricalRate(BaseMetric):
    """Zeroth-order entropy of each layer's tokens over all clips of a dataset, and the side bits.

    It is what an ideal code with fixed probabilities needs that both sides know: the counts of the very clips. The
    fewer tokens there are beside the size of a codebook, the more it understates.
    """

    facts: MetricFacts

    def measure(self, clip: Clip, output: Output) -> Real:
        """``[ms, side bits, layers]``, then of each layer how many codes it used, which, and how often each."""
        parts: list[Any] = [[1000.0 * seconds(clip, output), output.side_bits]]
        layers = _layers(output)
        parts.append([len(layers)])
        for codes, _ in layers:
            used, counts = np.unique(codes, return_counts=True)
            parts += [[len(used)], used, counts]
        return np.concatenate([np.asarray(part, np.float64) for part in parts])

    def aggregate(self, values: Sequence[Stored]) -> Estimate:
        """Bits of every clip under the codes of all of them, over all milliseconds."""
        clips = [_counts(np.asarray(value, np.float64)) for value in values]
        pooled: dict[tuple[int, int], float] = {}
        totals: dict[int, float] = {}
        for _, counts in clips:
            for key, count in counts.items():
                pooled[key] = pooled.get(key, 0.0) + count
                totals[key[0]] = totals.get(key[0], 0.0) + count
        pairs = []
        for (milliseconds, side_bits), counts in clips:
            bits = sum(count * np.log2(totals[key[0]] / pooled[key]) for key, count in counts.items())
            pairs.append([bits + side_bits, milliseconds])
        return stats.ratio(pairs, 0.0)


def _counts(vector: Real) -> tuple[tuple[float, float], dict[tuple[int, int], float]]:
    """What ``EmpiricalRate.measure`` wrote: milliseconds and side bits, and how often (layer, code) came."""
    milliseconds, side_bits, layers = vector[:3]
    counts: dict[tuple[int, int], float] = {}
    start = 3
    for layer in range(int(layers)):
        used = int(vector[start])
        codes, times = vector[start + 1 : start + 1 + 2 * used].reshape(2, used)
        counts.update(zip(((layer, int(code)) for code in codes), times.tolist(), strict=True))
        start += 1 + 2 * used
    return (float(milliseconds), float(side_bits)), counts


#: What each variant computes, its heading, and its definition.
_RATIOS: Mapping[str, tuple[Callable[[Clip, Output], Value], str, str]] = {
    "": (
        packed, "kbps",
        "sum of bits over sum of reference seconds, bits as packed for transmission and counted by the adapter, side "
        "information included",
    ),
    "nominal": (nominal, "kbps claimed", "the bitrate that the system's card or authors claim"),
    "side": (side, "kbps side", "bits that are no tokens (scales, ...) over reference seconds; part of kbps"),
    "adaptive": (
        adaptive, "kbps adaptive",
        "tokens under an adaptive code with the counts of Krichevsky and Trofimov, for each clip and layer anew, and "
        "the side bits",
    ),
}  # fmt: skip


def _build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
    common: dict[str, Any] = {"unit": "kbit/s", "better": "neither", "low": 0.0, "digits": 2}
    if asked.variant == "empirical":
        source = (
            "zeroth-order entropy of each layer's tokens, counted over all clips of a dataset, and the side bits; "
            "understates where there are few tokens for the size of a codebook"
        )
        return EmpiricalRate(
            MetricFacts(str(asked), "kbps empirical", needs=("tokens",), kind="set", source=source, **common)
        )
    function, title, source = _RATIOS[asked.variant]
    needs = ("tokens",) if asked.variant == "adaptive" else ("bits",)
    return CostMetric(MetricFacts(str(asked), title, needs=needs, kind="ratio", source=source, **common), function)


register("kbps", _build, variants={name: {} for name in ("nominal", "side", "empirical", "adaptive")})
