"""The loader of extractors that read one checkpoint: the same arguments, the same checks, the last ones kept."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ldmbench.extractors import NetworkExtractor
from ldmbench.host.device import check_device
from ldmbench.weights.find import choose
from ldmbench.weights.record import Checkpoint


class CheckpointExtractor(NetworkExtractor):
    """Base of extractors whose weights are one checkpoint of one file.

    A subclass is made of a device, what tells its weights from others, their file (None for random ones) and its own
    settings.
    """

    checkpoint: ClassVar[Checkpoint]

    @abstractmethod
    def __init__(self, device: str, weights: str, path: Path | None, *own: Any) -> None: ...


E = TypeVar("E", bound=CheckpointExtractor)


@lru_cache(maxsize=8)
def load_extractor(
    kind: type[E],
    *own: Any,
    device: str = "cpu",
    weights: Path | None = None,
    untrained: bool = False,
    official: bool = True,
) -> E:
    """An extractor; its weights are read when they are first needed, and the last eight are kept.

    Args:
        kind: Its class.
        *own: Its own settings.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Seeded random weights instead.
        official: Insist on the official file.

    Raises:
        BenchError: If the device is absent.
        CheckpointError: If the checkpoint is missing or not the official one.
    """
    check_device(device)
    return kind(device, *choose(kind.checkpoint, weights, untrained, official), *own)
