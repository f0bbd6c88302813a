"""Distill-MOS: quality of speech as a small network tells it that was taught by a large one (XLS-R)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Signal
from ldmbench.audio.sound import Audio
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.host.device import check_device
from ldmbench.weights.packaged import packaged
from ldmbench.weights.tensors import fit, read_tensors, seeded

RATE = 16_000

#: Samples of a window (7.68 s), and most of them between the beginnings of two.
WINDOW, HOP = 122_880, 16_000

#: Windows that go through the network together: each takes about 100 MB on the way. On a CPU one is enough, and what
#: it takes then is used again for the next: the system hands out new memory about as fast as a core fills it.
_BATCH, _ON_CPU = 8, 1

_FILE = "weights/distill_mos_v7.pt"
_SHA256 = "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40"

#: Raised when the front end changes.
_VERSION = 1


def weights_file() -> Path:
    """The file of weights in the package.

    Raises:
        CheckpointError: If it is not installed.
    """
    return packaged("distillmos", _FILE, _SHA256, "models,speech")


class DistillMos(NetworkExtractor):
    """``distillmos``: the mean over windows spread evenly, at most a second apart, each scaled to its own peak.

    The network is the package's own; windows and weights go past its code, which prints, and loads at every call.

    Source: Stahl and Gamper, Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality
    Assessment, arXiv:2502.05356; distillmos 0.9.1, ``sqa.py``.
    """

    rate = RATE

    def __init__(self, device: str, path: Path | None) -> None:
        self.device = device
        self._path = path
        self.fingerprint = make_fingerprint(
            network="distillmos", version=_VERSION, weights=_SHA256 if path else "seed 0"
        )
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        from distillmos import ConvTransformerSQAModel
        from torch.nn import LeakyReLU

        network = seeded(lambda: ConvTransformerSQAModel(load_weights=False, segmenting_in_forward=False))
        if self._path is not None:
            fit(network, read_tensors(self._path, "model"), self._path, "Distill-MOS")
        for layer in network.modules():
            if isinstance(layer, LeakyReLU):
                layer.inplace = True
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Signal:
        """The mono mix at 16 kHz, with zeros at its end where it fills no window."""
        signal = sound.mono().at(RATE).samples[0]
        return np.pad(signal, (0, max(0, WINDOW - len(signal))))

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """One value for each sound ``[sounds]``."""
        return {"distillmos": np.array([self._value(signal) for signal in batch], np.float32)}

    def _value(self, signal: Signal) -> float:
        import torch

        first = starts(len(signal))
        view = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)
        together = _ON_CPU if self.device == "cpu" else _BATCH
        values = []
        with exact():
            for start in range(0, len(first), together):
                windows = torch.from_numpy(np.ascontiguousarray(view[first[start : start + together]])).to(self.device)
                values.append(self._network(windows).cpu().numpy())
        return float(np.concatenate(values).mean())


def starts(samples: int) -> list[int]:
    """First samples of the windows of a sound of at least ``WINDOW`` samples."""
    beyond = samples - WINDOW
    return [int(share * beyond) for share in np.linspace(0, 1, int(np.ceil(beyond / HOP)) + 1)]


@lru_cache(maxsize=2)
def load_distillmos(device: str = "cpu", untrained: bool = False) -> DistillMos:
    """The extractor; its weights are read when they are first needed, and the last two are kept.

    Raises:
        BenchError: If the device is absent.
        CheckpointError: If the weights are not installed.
    """
    check_device(device)
    return DistillMos(device, None if untrained else weights_file())
