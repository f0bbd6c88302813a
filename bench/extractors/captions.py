"""Captions through a text branch: those of equally many tokens together, each kept under the digest of its words."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ldmbench.errors import BenchError
from ldmbench.extractors import cache

#: Turns a caption into token numbers.
Tokenizer = Callable[[str], list[int]]

#: Captions that go through a network together.
_TOGETHER = 32


def embed_captions(
    captions: Sequence[str],
    mark: str,
    tokenize: Tokenizer,
    embed: Callable[[Sequence[Sequence[int]]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Embeddings ``[captions, dim]``; a caption that was read before is not computed again.

    Only captions of equally many tokens share a batch, so that none is padded.

    Args:
        captions: The captions, which may repeat.
        mark: Fingerprint of all that changes an embedding.
        tokenize: Turns a caption into tokens.
        embed: Embeddings of captions ``[captions][tokens]`` of equally many tokens.

    Raises:
        BenchError: If an embedding is not finite.
    """
    embeddings: dict[str, NDArray[np.float32]] = {}
    fresh: dict[int, dict[str, list[int]]] = defaultdict(dict)
    for caption in dict.fromkeys(captions):
        cached = cache.get(mark, _key(caption))
        if cached is not None:
            embeddings[caption] = cached["embedding"]
        else:
            tokens = tokenize(caption)
            fresh[len(tokens)][caption] = tokens
    for group in fresh.values():
        names = list(group)
        for start in range(0, len(names), _TOGETHER):
            part = names[start : start + _TOGETHER]
            rows = embed([group[name] for name in part])
            if not np.isfinite(rows).all():
                raise BenchError("the text branch gave an embedding that is not finite", fix="check its checkpoint")
            for caption, row in zip(part, rows, strict=True):
                embeddings[caption] = row
                cache.put(mark, _key(caption), {"embedding": row})
    return np.stack([embeddings[caption] for caption in captions])


def _key(caption: str) -> str:
    return hashlib.sha256(caption.encode()).hexdigest()
