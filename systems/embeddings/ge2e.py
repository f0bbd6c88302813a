"""GE2E: the speaker embedding that Resemblyzer ships, as a representation with trained weights to probe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ldmbench.audio.arrays import Features, Signal
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import magnitudes, mel_filters
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.device import check_device
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output

RATE = 16_000
HOP, WINDOW, BANDS = 160, 400, 40

#: Frames of a part, and between two parts: 1.6 s, 1.3 times a second.
PART, STEP = 160, 77

#: Share of a last part that must hold sound.
COVERAGE = 0.75

WIDTH, LAYERS = 256, 3

#: Keys of the training loss, which the network does not need.
_OF_THE_LOSS = ("similarity_weight", "similarity_bias")


class Ge2e:
    """Mean embedding of overlapping parts of 1.6 s, of unit length.

    Silence is not cut out and the level is left as it is: Resemblyzer's ``embed_utterance`` without ``preprocess_wav``,
    whose voice detector would hear other parts of a decoded clip than of the original.

    Source: Wan et al., Generalized End-to-End Loss for Speaker Verification, arXiv:1710.10467; Resemblyzer 0.1.4,
    ``voice_encoder.py``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        from torch import nn

        from ldmbench.weights.tensors import fit, read_tensors, seeded

        self.card = spec.card
        self.device = check_device(spec.device)
        self.network = seeded(
            lambda: nn.ModuleDict(
                {"lstm": nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True), "linear": nn.Linear(WIDTH, WIDTH)}
            )
        )
        if not spec.untrained:
            path = spec.weights_folder() / "pretrained.pt"
            fit(self.network, read_tensors(path, "model_state"), path, "GE2E", _OF_THE_LOSS)
        self.network.to(self.device).eval()

    @property
    def parameters(self) -> int:
        """Learned values."""
        return sum(item.numel() for item in self.network.parameters())

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Refused: it makes no sound.

        Raises:
            BenchError: Always.
        """
        raise BenchError(f"{self.card.name} makes no sound", "it embeds", "probe it in a suite of task embed")

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, Features]]:
        """Yield ``all``: ``[256]``, not negative, of unit length."""
        for clip in clips:
            yield {"all": self.embedding(clip.audio)}

    def embedding(self, audio: Audio) -> Features:
        """The embedding ``[256]`` of a sound."""
        import torch

        signal = audio.mono().at(RATE).samples[0]
        starts = parts(len(signal))
        padded = np.pad(signal, (0, max(0, (starts[-1] + PART) * HOP - len(signal))))
        bands = mel_spectrogram(padded)
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack([bands[start : start + PART] for start in starts])).to(self.device)
            _, (hidden, _) = self.network["lstm"](batch)
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
