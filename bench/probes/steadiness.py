"""Whether a codec's codes stay when its clip is shifted, cut out, disturbed, or was coded before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.sound import Audio
from ldmbench.errors import Unscored
from ldmbench.probes.codes import agreement, unit_edit_distance
from ldmbench.system.codec import Codec

#: What can be done to a clip -> its default: milliseconds of silence in front, nothing, dB of signal to noise, rounds.
CHANGES: Mapping[str, float] = {"offset": 2.0, "context": 0.0, "noise": 30.0, "reencode": 1.0}

#: A slice begins at a multiple of so many tokens: patches of one time belong together.
_TOGETHER = 8


def steadiness(codec: Codec, clip: Audio, changes: Sequence[tuple[str, float]], seed: int) -> dict[str, Any]:
    """Of each change, by ``key``: shares of equal codes, and unit edit distances, of each layer.

    Args:
        codec: Codes the clip, and decodes it for ``reencode``.
        clip: The sound.
        changes: Kinds with their strengths.
        seed: Of the noise.

    Source: ``offset`` and ``reencode`` AudioCodecBench (arXiv:2509.02349): zeros are put in front and the end is cut,
    nothing is aligned again; ``context`` the slice consistency of DRI (arXiv:2409.19283): the codes of a slice alone
    against the same codes within the clip, here of the middle half.
    """
    source = codec.adapt(clip)[0]
    tokens = codec.encode(source).tokens
    if tokens is None:
        return {key(*change): "the codec reports no tokens" for change in changes}
    results: dict[str, Any] = {}
    for kind, strength in changes:
        try:
            before, after = _changed(codec, source, np.asarray(tokens), kind, strength, seed)
            results[key(kind, strength)] = {
                "equal": agreement(before, after),
                "edits": unit_edit_distance(before, after),
            }
        except Unscored as reason:
            results[key(kind, strength)] = str(reason)
    return results


def key(kind: str, strength: float) -> str:
    """Under which a change's results are kept."""
    return f"{kind} {strength:g}"


def _changed(
    codec: Codec, source: Audio, tokens: Tokens, kind: str, strength: float, seed: int
) -> tuple[Tokens, Tokens]:
    """Codes that should be equal: before the change and after it."""
    if kind == "offset":
        zeros = np.zeros((source.channels, int(source.rate * strength / 1000)), np.float32)
        moved = np.concatenate([zeros, source.samples], axis=1)[:, : source.length]
        return tokens, _codes(codec, Audio(np.ascontiguousarray(moved), source.rate))
    if kind == "noise":
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(source.samples.shape).astype(np.float32)
        level = np.sqrt(np.mean(source.samples.astype(np.float64) ** 2)) * 10 ** (-strength / 20)
        return tokens, _codes(codec, Audio(source.samples + np.float32(level) * noise, source.rate))
    if kind == "reencode":
        again, sound = tokens, source
        for _ in range(int(strength)):
            decoded = codec.decode(codec.encode(sound))
            sound = codec.adapt(decoded.fit(round(source.duration * decoded.rate)))[0]
            again = _codes(codec, sound)
        return tokens, again
    count = tokens.shape[1]
    first, last = (count // 4 // _TOGETHER) * _TOGETHER, (3 * count // 4 // _TOGETHER) * _TOGETHER
    if last - first < _TOGETHER:
        raise Unscored(f"{count} tokens are too few to cut a slice of them")
    start, end = (round(place * source.length / count) for place in (first, last))
    part = Audio(np.ascontiguousarray(source.samples[:, start:end]), source.rate)
    return tokens[:, first:last], _codes(codec, part)


def _codes(codec: Codec, sound: Audio) -> Tokens:
    tokens = codec.encode(sound).tokens
    if tokens is None:
        raise Unscored("the codec reports no tokens")
    return np.asarray(tokens)
