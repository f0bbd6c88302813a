"""Extractors: networks that turn sounds into embeddings, shared by the metrics and cached by the sound's digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.extractors import cache
from ldmbench.host.memory import free_memory, is_out_of_memory

_log = logging.getLogger(__name__)

#: What an extractor says about one sound: layer -> float32 ``[dim]`` for the clip, or ``[frames, dim]``.
Embedding = Mapping[str, NDArray[np.float32]]


@runtime_checkable
class Extractor(Protocol):
    """A network with its front end.

    Attributes:
        fingerprint: Hash of everything that changes its numbers: weights, front end, settings.
        rate: Rate in Hz at which it listens.
    """

    fingerprint: str
    rate: int

    def embed(self, sounds: Sequence[Audio]) -> list[Embedding]:
        """The features of each sound, in order."""
        ...


class NetworkExtractor(ABC):
    """Base of extractors: caches by digest, prepares each sound, and runs equal shapes together.

    A subclass sets ``fingerprint`` and ``rate`` and gives ``load``, ``prepare`` and ``forward``. Its constructor
    reads no weights: where everything is cached they are never needed. Inputs are never padded to each other's
    length: only inputs of one shape share a batch, so that what a sound's neighbours are changes its features by
    float32 rounding at most (a relative 1e-5).
    """

    rate: int = 0
    fingerprint: str = ""
    #: Most inputs in one batch.
    batch: int = 16
    #: Most elements in one batch: long sounds go in smaller batches, down to one by one.
    largest: int = 1 << 23
    _loaded: bool = False

    def embed(self, sounds: Sequence[Audio]) -> list[Embedding]:
        """The features of each sound, in order; a sound that was heard before is not computed again.

        Raises:
            CheckpointError: If the weights cannot be loaded.
            BenchError: If a sound cannot be prepared (too short, say), naming the reason.
        """
        keys = [digest(sound) for sound in sounds]
        embeddings: dict[str, Embedding] = {}
        inputs: dict[str, NDArray[np.float32]] = {}
        for key, sound in zip(keys, sounds, strict=True):
            if key in embeddings or key in inputs:
                continue
            cached = cache.get(self.fingerprint, key)
            if cached is not None:
                embeddings[key] = cached
            else:
                inputs[key] = self.prepare(sound)
        if inputs:
            self.ready()
        while inputs:
            group = _groups(inputs, self.batch, self.largest)[0]
            outputs = self._fitting([inputs[key] for key in group])
            # A batch for which the memory is short becomes a smaller one.
            for key in (group := group[: len(next(iter(outputs.values())))]):
                del inputs[key]
            for position, key in enumerate(group):
                embeddings[key] = _checked({layer: array[position] for layer, array in outputs.items()})
                cache.put(self.fingerprint, key, embeddings[key])
        return [embeddings[key] for key in keys]

    def ready(self) -> None:
        """``load``, unless that was done.

        Raises:
            CheckpointError: If the weights cannot be loaded.
        """
        if not self._loaded:
            self.load()
            self._loaded = True

    def _fitting(self, inputs: Sequence[NDArray[np.float32]]) -> Mapping[str, NDArray[np.float32]]:
        """What ``forward`` makes of the inputs, or of the first half of them and so on, where the memory is short.

        No later batch is larger then.
        """
        while True:
            try:
                return self.forward(np.stack(inputs))
            except Exception as error:
                if len(inputs) == 1 or not is_out_of_memory(error):
                    raise
            self.batch = len(inputs) // 2
            _log.warning("%d inputs at once do not fit the memory, now %d", len(inputs), self.batch)
            free_memory()
            inputs = inputs[: self.batch]

    @abstractmethod
    def load(self) -> None:
        """Read the weights and build the network; called once, before the first ``forward``.

        Raises:
            CheckpointError: If a checkpoint is damaged, or not one of this network.
        """

    @abstractmethod
    def prepare(self, sound: Audio) -> NDArray[np.float32]:
        """What the network is fed for one sound: an array of any shape."""

    @abstractmethod
    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Layer -> ``[sounds, ...]`` for inputs of equal shape ``[sounds, ...]``."""


def digest(sound: Audio) -> str:
    """``Audio.digest()``, computed once per object."""
    return remember(sound, "digest", sound.digest)


def make_fingerprint(**parts: Any) -> str:
    """SHA-256 (hex) of named parts (JSON-able): digests of weights, version of the front end, settings."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Run a network without gradients, with deterministic convolutions and float32 throughout.

    On CUDA, torch would otherwise multiply in TensorFloat-32, which keeps three digits.
    """
    import torch

    flags = {"enabled": True, "benchmark": False, "deterministic": True, "allow_tf32": False}
    with torch.inference_mode(), torch.backends.cudnn.flags(**flags):
        yield


def _checked(features: dict[str, NDArray[np.float32]]) -> Embedding:
    for layer, array in features.items():
        if not np.isfinite(array).all():
            raise BenchError(f"the extractor gave {layer} that is not finite", fix="check its checkpoint", exit_code=1)
    return {layer: np.ascontiguousarray(array, np.float32) for layer, array in features.items()}


def _groups(inputs: Mapping[str, NDArray[np.float32]], batch: int, largest: int) -> list[list[str]]:
    """Keys of inputs of equal shape, at most ``batch`` of them and ``largest`` elements (but at least one)."""
    shapes: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for key, array in inputs.items():
        shapes[array.shape].append(key)
    groups = []
    for shape, keys in shapes.items():
        size = max(1, min(batch, largest // max(1, int(np.prod(shape)))))
        groups += [keys[start : start + size] for start in range(0, len(keys), size)]
    return groups
