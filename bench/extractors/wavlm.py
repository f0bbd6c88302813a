"""WavLM with an x-vector head: the speaker embedding microsoft/wavlm-base-plus-sv, from its file on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Signal
from ldmbench.audio.sound import Audio
from ldmbench.extractors import exact, make_fingerprint
from ldmbench.extractors.loader import CheckpointExtractor
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_tensors, seeded

RATE = 16_000

#: Seconds of the 16 frames without which the head has no deviation, and above which attention outgrows the memory.
SHORTEST, LONGEST = 0.35, 60.0

#: Raised when the front end changes.
_VERSION = 1

_REVISION = "feb593a6c23c1cc3d9510425c29b0a14d2b07b1e"

#: Nobody publishes the digest: what came the first time is pinned.
CHECKPOINT = Checkpoint(
    title="WavLM base+ SV",
    name="wavlm-base-plus-sv",
    folder="wavlm-base-plus-sv",
    urls={
        "pytorch_model.bin": f"https://huggingface.co/microsoft/wavlm-base-plus-sv/resolve/{_REVISION}/pytorch_model.bin"
    },
    files={"pytorch_model.bin": ""},
    pin_first=True,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}

#: How torch 1 ended the names of a weight's length and direction -> how torch 2 does.
_ENDINGS = {
    ".conv.weight_g": ".conv.parametrizations.weight.original0",
    ".conv.weight_v": ".conv.parametrizations.weight.original1",
}

#: What the file holds of its training.
_OF_THE_LOSS = ("objective.weight",)


def renamed(key: str) -> str:
    """The name today of a tensor in the file."""
    for old, new in _ENDINGS.items():
        if key.endswith(old):
            return key.removesuffix(old) + new
    return key


class WavLmSpeaker(CheckpointExtractor):
    """``all``: an embedding ``[512]`` of the whole sound, whose level is left as it is.

    The network is transformers'; only sounds of one length share a batch, so that nothing is padded or masked.

    Args:
        device: Where it runs.
        weights: What tells its weights from others.
        path: Their file; None for random ones.

    Source: Chen et al., WavLM, arXiv:2110.13900; microsoft/wavlm-base-plus-sv feb593a, whose feature extractor does
    not normalise.
    """

    checkpoint = CHECKPOINT
    rate = RATE
    #: A minute: attention takes 430 MB for one such sound, and 70 MB for six of 10 s.
    largest = 1 << 20

    def __init__(self, device: str, weights: str, path: Path | None) -> None:
        self.device = device
        self._path = path
        self.fingerprint = make_fingerprint(network="wavlm-base-plus-sv", version=_VERSION, weights=weights)
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        network = seeded(make_network)
        if self._path is not None:
            state = {renamed(key): value for key, value in read_tensors(self._path).items()}
            fit(network, state, self._path, CHECKPOINT.title, _OF_THE_LOSS)
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Signal:
        """The mono mix at 16 kHz."""
        signal: Signal = sound.mono().at(RATE).samples[0]
        return signal

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """The embeddings ``[sounds, 512]``."""
        import torch

        with exact():
            heard = self._network(torch.from_numpy(batch).to(self.device)).embeddings
        return {"all": np.asarray(heard.cpu().numpy(), np.float32)}


def make_network(**sizes: Any) -> Any:
    """WavLM base+ with its head, without the loss; the numbers in its ``config.json`` are the defaults of transformers.

    Args:
        **sizes: Other settings of transformers' ``WavLMConfig``.
    """
    from torch import nn
    from transformers import WavLMConfig, WavLMForXVector

    settings: dict[str, Any] = {"use_weighted_layer_sum": True, **sizes}
    network: Any = WavLMForXVector(WavLMConfig(**settings))
    network.objective = nn.Identity()
    return network
