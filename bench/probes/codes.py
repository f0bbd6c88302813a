"""What codes are worth: how many are used, how evenly, how predictable they are, and what they tell of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real
from ldmbench.errors import Unscored

#: Codes of one layer of one clip: int64 ``[time]``.
Codes = NDArray[np.int64]

#: How an entropy is estimated from counts.
Estimator = Literal["plugin", "miller-madow", "chao-shen"]

#: Largest order of the n-gram model.
LONGEST = 4


def utilisation(counts: Real, size: int, tokens: int = 0) -> float:
    """Share of a codebook that is used; of ``tokens`` tokens drawn from these, if that is not 0.

    Args:
        counts: How often each code came that came at all.
        size: Codes of the codebook.
        tokens: To how many tokens the count is rarefied, so that sets of unlike size compare.

    Source: the rarefaction of Hurlbert, The nonconcept of species diversity, Ecology 52 (1971), without replacement.

    Raises:
        Unscored: If there are fewer tokens than that.
    """
    from scipy.special import gammaln

    total = counts.sum()
    if not tokens:
        return float(len(counts) / size)
    if tokens > total:
        raise Unscored(f"{int(total)} tokens, fewer than the {tokens} asked for")
    # C(N - n, m) / C(N, m): the chance that none of m tokens is the code.
    left = total - counts
    with np.errstate(invalid="ignore"):
        absent = gammaln(left + 1) - gammaln(left - tokens + 1) - gammaln(total + 1) + gammaln(total - tokens + 1)
    return float(np.where(left >= tokens, 1 - np.exp(absent), 1.0).sum() / size)


def entropy(counts: Real, estimator: Estimator = "plugin") -> float:
    """Bits of a token by the counts of all.

    Source: ``plugin`` -sum p log2 p, too low by about (used - 1) / (2 N ln 2); ``miller-madow`` adds that (Miller, Note
    on the bias of information estimates, 1955); ``chao-shen`` weighs by coverage (Chao and Shen, Environmental and
    Ecological Statistics 10, 2003).
    """
    total = counts.sum()
    if estimator == "chao-shen":
        singletons = float((counts == 1).sum())
        # All of them singletons: nothing is known of the coverage but that it is small.
        coverage = 1 - min(singletons, total - 1) / total
        p = coverage * counts / total
        return float(-(p * np.log2(p) / -np.expm1(total * np.log1p(-p))).sum())
    p = counts / total
    bits = float(-(p * np.log2(p)).sum())
    return bits + (len(counts) - 1) / (2 * float(total) * np.log(2)) if estimator == "miller-madow" else bits


def held_out_bits(clips: Sequence[Codes], size: int, order: int) -> list[tuple[float, int]]:
    """Bits and tokens of each clip under an n-gram model of the other half of the clips, every second one.

    Source: Witten and Bell, The zero-frequency problem, IEEE Trans. Inf. Theory 37 (1991), interpolated as in Chen and
    Goodman, An empirical study of smoothing techniques (1998), equation 17; below the unigram the codes are uniform.

    Raises:
        Unscored: If there is only one clip to learn from and to predict.
    """
    if len(clips) < 2:
        raise Unscored("one clip cannot be predicted from another")
    if order < 1 or order > LONGEST or order * np.log2(size) >= 63:
        raise Unscored(f"an {order}-gram of {size} codes is not computed")
    halves = [list(range(start, len(clips), 2)) for start in (0, 1)]
    bits: dict[int, tuple[float, int]] = {}
    for own, other in (halves, halves[::-1]):
        probabilities = _predicted([clips[n] for n in own], [clips[n] for n in other], size, order)
        for number, part in zip(own, probabilities, strict=True):
            bits[number] = float(-np.log2(part).sum()), len(part)
    return [bits[number] for number in range(len(clips))]


def _predicted(asked: Sequence[Codes], known: Sequence[Codes], size: int, order: int) -> list[Real]:
    """Probability of each token of the clips that are asked, from counts of those that are known."""
    found = [np.full(len(clip), 1.0 / size) for clip in asked]
    for length in range(1, order + 1):
        learned = np.concatenate([_grams(clip, size, length) for clip in known])
        grams, times = np.unique(learned, return_counts=True)
        contexts, first, kinds = np.unique(grams // size, return_index=True, return_counts=True)
        totals = np.add.reduceat(times, first) if len(first) else times
        for clip, lower in zip(asked, found, strict=True):
            own = _grams(clip, size, length)
            if not len(own) or not len(grams):
                continue
            tail = lower[length - 1 :]
            together = _looked_up(grams, times, own)
            seen = _looked_up(contexts, totals, own // size)
            different = _looked_up(contexts, kinds, own // size)
            mixed = (together + different * tail) / np.maximum(seen + different, 1)
            tail[:] = np.where(seen > 0, mixed, tail)
    return found


def _grams(clip: Codes, size: int, length: int) -> Codes:
    """Numbers of the n-grams that end at each token which has a context as long."""
    if len(clip) < length:
        return np.empty(0, np.int64)
    number = np.zeros(len(clip) - length + 1, np.int64)
    for start in range(length):
        number = number * size + clip[start : len(clip) - length + 1 + start]
    return number


def _looked_up(keys: Codes, values: Codes, asked: Codes) -> Real:
    """Value of each key that is asked, 0 where there is none."""
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0).astype(np.float64)


def label_information(clips: Sequence[Codes], labels: Sequence[int], seed: int = 0, shuffles: int = 20) -> float:
    """Bits that a token tells of its clip's label, as a share of the label's entropy; 0 for what chance tells.

    Source: phone-normalised mutual information of HuBERT (Hsu et al., arXiv:2106.07447, section III-B), with a label
    of the clip in place of a phone, and adjusted for chance as by Vinh et al. (JMLR 11, 2010, equation 12), the
    expectation being the mean over shuffles of labels among clips: the plug-in is too high.

    Raises:
        Unscored: If all labels are equal.
    """
    names = np.array(labels)
    if len(np.unique(names)) < 2:
        raise Unscored("the clips have fewer than two labels")
    lengths = [len(clip) for clip in clips]
    codes = np.unique(np.concatenate(clips), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    found = _shared(codes, np.repeat(names, lengths))
    chance = float(np.mean([_shared(codes, np.repeat(rng.permutation(names), lengths)) for _ in range(shuffles)]))
    weights = np.bincount(np.unique(np.repeat(names, lengths), return_inverse=True)[1])
    return (found - chance) / (entropy(weights.astype(np.float64)) - chance)


def _shared(codes: Codes, labels: Codes) -> float:
    """Plug-in mutual information in bits."""
    numbers = np.unique(labels, return_inverse=True)[1]
    kinds = int(numbers.max()) + 1
    parts = (codes * kinds + numbers, codes, numbers)
    both, of_codes, of_labels = (entropy(np.unique(part, return_counts=True)[1].astype(np.float64)) for part in parts)
    return of_codes + of_labels - both


def agreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> list[float]:
    """Share of equal codes of each layer, of two ``[layers, time]`` from their beginning to the end of the shorter."""
    length = min(first.shape[1], second.shape[1])
    if not length:
        raise Unscored("there is no token to compare")
    equal = first[:, :length] == second[:, :length]
    return [float(share) for share in equal.mean(axis=1)]


def unit_edit_distance(clean: NDArray[np.int64], other: NDArray[np.int64]) -> list[float]:
    """Edit distance of each layer over the length of the clean one, repeats removed from both; may exceed 1.

    Source: Gat et al., Augmentation Invariant Discrete Representation for Generative Spoken Language Modeling,
    arXiv:2209.15483, equation 1.
    """
    from rapidfuzz.distance import Levenshtein

    distances = []
    for one, two in zip(clean, other, strict=True):
        short, changed = (row[np.append(True, row[1:] != row[:-1])].tolist() for row in (one, two))
        distances.append(Levenshtein.distance(short, changed) / len(short))
    return distances
