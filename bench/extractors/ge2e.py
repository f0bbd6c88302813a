"""GE2E: the speaker embedding that Resemblyzer ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Signal
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import magnitudes, mel_filters
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.host.device import check_device
from ldmbench.weights.find import choose
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_tensors, seeded

RATE = 16_000
HOP, WINDOW, BANDS = 160, 400, 40

#: Frames of a part, and between two parts: 1.6 s, 1.3 times a second.
PART, STEP = 160, 77

#: Share of a last part that must hold sound.
COVERAGE = 0.75

WIDTH, LAYERS = 256, 3

#: Keys of the training loss, which the network does not need.
_OF_THE_LOSS = ("similarity_weight", "similarity_bias")

#: Raised when the front end changes.
_VERSION = 1


class Ge2e(NetworkExtractor):
    """``all``: the mean embedding of overlapping parts of 1.6 s, ``[256]``, not negative, of unit length.

    Silence is not cut out and the level is left as it is: Resemblyzer's ``embed_utterance`` without ``preprocess_wav``,
    whose voice detector would hear other parts of a decoded clip than of the original.

    Args:
        device: Where it runs.
        weights: What tells its weights from others.
        path: Their file; None for random ones.

    Source: Wan et al., Generalized End-to-End Loss for Speaker Verification, arXiv:1710.10467; Resemblyzer 0.1.4,
    ``voice_encoder.py``.
    """

    rate = RATE

    def __init__(self, device: str, weights: str, path: Path | None) -> None:
        self.device = device
        self._path = path
        self.fingerprint = make_fingerprint(network="ge2e", version=_VERSION, weights=weights)
        self.network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        from torch import nn

        network = seeded(
            lambda: nn.ModuleDict(
                {"lstm": nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True), "linear": nn.Linear(WIDTH, WIDTH)}
            )
        )
        if self._path is not None:
            fit(network, read_tensors(self._path, "model_state"), self._path, "GE2E", _OF_THE_LOSS)
        self.network = network.to(self.device).eval()

    def prepare(self, sound: Audio) -> Features:
        """The parts that are heard, ``[parts, 160, 40]``."""
        signal = sound.mono().at(RATE).samples[0]
        starts = parts(len(signal))
        padded = np.pad(signal, (0, max(0, (starts[-1] + PART) * HOP - len(signal))))
        bands = mel_spectrogram(padded)
        return np.stack([bands[start : start + PART] for start in starts])

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """The embeddings ``[sounds, 256]``, each from a batch of its own parts."""
        return {"all": np.stack([self._embedding(heard) for heard in batch])}

    def _embedding(self, heard: Features) -> Features:
        import torch

        with exact():
            _, (hidden, _) = self.network["lstm"](torch.from_numpy(heard).to(self.device))
            raw: Any = self.network["linear"](hidden[-1]).relu()
            each = (raw / raw.norm(dim=1, keepdim=True)).cpu().numpy()
        mean = each.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)


def mel_spectrogram(signal: Signal) -> Features:
    """Power in 40 mel bands ``[frames, 40]``, without a logarithm, as librosa computes it."""
    return magnitudes(signal, WINDOW, HOP, "constant") ** 2 @ mel_filters(RATE, WINDOW, BANDS).T


def parts(samples: int) -> list[int]:
    """First frames of the parts of a sound; a last one that holds too little of it is left out."""
    frames = -(-(samples + 1) // HOP)
    starts = list(range(0, max(1, frames - PART + STEP + 1), STEP))
    held = (samples - starts[-1] * HOP) / (PART * HOP)
    return starts[:-1] if held < COVERAGE and len(starts) > 1 else starts


def load_ge2e(
    checkpoint: Checkpoint,
    device: str = "cpu",
    weights: Path | None = None,
    untrained: bool = False,
    official: bool = True,
) -> Ge2e:
    """The extractor; its weights are read when they are first needed.

    Args:
        checkpoint: Where its file comes from.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Seeded random weights instead.
        official: Insist on the official file.

    Raises:
        BenchError: If the device is absent.
        CheckpointError: If the checkpoint is missing or not the official one.
    """
    check_device(device)
    return Ge2e(device, *choose(checkpoint, weights, untrained, official))
