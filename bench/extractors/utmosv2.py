"""UTMOSv2: naturalness of speech from wav2vec 2.0 and EfficientNetV2 together, its random crops drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Signal
from ldmbench.audio.sound import Audio
from ldmbench.extractors import efficientnet, exact, make_fingerprint, wav2vec2
from ldmbench.extractors.loader import CheckpointExtractor
from ldmbench.extractors.utmosv2_input import (
    PATCH,
    PATCHES,
    RATE,
    SPEECH,
    WINDOWS,
    crops,
    draws,
    normalised,
    spectrograms,
)
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_tensors, seeded

#: Pixels of an image either way.
_SIZE = 512

#: Hidden states of wav2vec 2.0 and their width; domains of its training data, and the one that is asked for.
_STATES, _WIDTH, _DOMAINS, _DOMAIN = 13, 768, 10, 1
_HEADS = 8

#: Raised when the front end changes.
_VERSION = 1

_REVISION = "506474f2b33dc77c234d668cc419be1861899cad"
_FILE = "fold0_s42_best_model.pth"

CHECKPOINT = Checkpoint(
    title="UTMOSv2",
    name="utmosv2",
    folder="utmosv2",
    urls={_FILE: f"https://huggingface.co/sarulab-speech/UTMOSv2/resolve/{_REVISION}/{_FILE}"},
    files={_FILE: "c8149d988e4bbf3f347e6966b5d769de347a5f8c59ffca1dc4bd4bf5b8585e57"},
    size=818_531_314,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}


class Utmosv2(CheckpointExtractor):
    """``mos``: the mean over passes of one number.

    Args:
        device: Where it runs.
        weights: What tells its weights from others.
        path: Their file; None for random ones.
        passes: How often it listens, each time elsewhere.
        seed: What the crops are drawn from.

    Source: Baba et al., arXiv:2409.09305; sarulab-speech/UTMOSv2 cc2700d, configuration ``fusion_stage3``, ``predict``.
    """

    checkpoint = CHECKPOINT
    rate = RATE
    #: A sound's images of one window take about 100 MB on the way.
    batch = 4

    def __init__(self, device: str, weights: str, path: Path | None, passes: int, seed: int) -> None:
        self.device = device
        self._path = path
        self._draws = draws(passes, seed)
        self.fingerprint = make_fingerprint(
            network="utmosv2", version=_VERSION, weights=weights, passes=passes, seed=seed
        )
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        network = seeded(make_network)
        if self._path is not None:
            fit(network, read_tensors(self._path), self._path, CHECKPOINT.title)
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Features:
        """All crops of each pass from the mono mix at 16 kHz, ``[passes, samples]``: one size for every sound."""
        signal: Signal = sound.mono().at(RATE).samples[0]
        return np.stack([np.concatenate(crops(signal, draw)) for draw in self._draws])

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """A number ``[sounds]``."""
        import torch

        values = np.zeros(len(batch))
        for index, draw in enumerate(self._draws):
            speech = np.stack([normalised(signal) for signal in batch[:, index, :SPEECH]])
            patches = batch[:, index, SPEECH:].reshape(len(batch), PATCHES, 1 + len(WINDOWS), PATCH)
            images = np.stack([spectrograms(own, draw) for own in patches])
            with exact():
                inputs = (torch.from_numpy(part).to(self.device) for part in (speech, images))
                values += judged(self._network, *inputs).cpu().numpy() / len(self._draws)
        return {"mos": np.asarray(values, np.float32)}


def make_network() -> Any:
    """The layers, by the names of the official file.

    ====================  ===================================================================
    ``ssl.encoder``       wav2vec 2.0 base, by transformers' names
    ``ssl.weights``       of its hidden states in their sum
    ``spec_long``         ``backbones``, one for each window, and their ``weights`` in a sum
    ``X.attn``            what weighs frames, or bands
    ``fc``                the number, of both and of the domain of the training data
    ====================  ===================================================================
    """
    import torch
    from torch import nn

    pooled = 2 * efficientnet.FEATURES
    attention: dict[str, Any] = {"num_heads": _HEADS, "batch_first": True}
    backbones = [efficientnet.make_efficientnet() for _ in WINDOWS]
    encoder = nn.ModuleDict({"model": wav2vec2.make_wav2vec2()})
    ssl = nn.ModuleDict({"encoder": encoder, "attn": nn.ModuleList([nn.MultiheadAttention(_WIDTH, **attention)])})
    spec_long = nn.ModuleDict(
        {"backbones": nn.ModuleList(backbones), "attn": nn.MultiheadAttention(pooled, **attention)}
    )
    for part, count in ((ssl, _STATES), (spec_long, len(WINDOWS))):
        part.register_parameter("weights", nn.Parameter(torch.randn(count).softmax(dim=0)))
    fc = nn.Linear(2 * _WIDTH + 2 * pooled + 3 * _DOMAINS, 1)
    return nn.ModuleDict({"ssl": ssl, "spec_long": spec_long, "fc": fc})


def judged(network: Any, speech: Any, images: Any) -> Any:
    """A number ``[sounds]`` of what is heard ``[sounds, 48000]`` and of images ``[sounds, 2, 4, 512, 701]``."""
    import torch

    said = _of_speech(network["ssl"], speech)
    seen = _of_images(network["spec_long"], images)
    none = said.new_zeros(len(said), _DOMAINS)
    domain = none.clone()
    domain[:, _DOMAIN] = 1
    return network["fc"](torch.cat([said, none, seen, none, domain], dim=1))[:, 0]


def _of_speech(ssl: Any, speech: Any) -> Any:
    """``[sounds, 1536]`` of the weighted sum of all hidden states."""
    states = ssl["encoder"]["model"](speech, output_hidden_states=True).hidden_states
    frames = sum(state * weight for state, weight in zip(states, ssl.weights, strict=True))
    return _attended(ssl["attn"][0], frames)


def _of_images(spec_long: Any, images: Any) -> Any:
    """``[sounds, 5120]`` of the weighted sum of four networks' features, over both spectrograms one after the other."""
    import torch
    from torch.nn.functional import interpolate

    sounds = len(images)
    total: Any = 0
    for index, (backbone, weight) in enumerate(zip(spec_long["backbones"], spec_long.weights, strict=True)):
        image = images[:, :, index].flatten(0, 1)[:, None]
        image = interpolate(image, size=(_SIZE, _SIZE), mode="bilinear", antialias=True)
        total = total + efficientnet.features(backbone, image.expand(-1, efficientnet.IMAGE, -1, -1)) * weight
    # [sounds * 2, features, bands, time] -> both spectrograms' time in a row, of which mean and maximum are taken.
    joined = torch.cat(list(total.unflatten(0, (sounds, PATCHES)).unbind(1)), dim=3)
    pooled = torch.cat([joined.mean(dim=3), joined.amax(dim=3)], dim=1)
    return _attended(spec_long["attn"], pooled.transpose(1, 2))


def _attended(attention: Any, rows: Any) -> Any:
    """Mean of what rows ``[sounds, rows, width]`` say to each other, and the maximum of what they are."""
    import torch

    said, _ = attention(rows, rows, rows, need_weights=False)
    return torch.cat([said.mean(dim=1), rows.amax(dim=1)], dim=1)
