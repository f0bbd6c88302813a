"""ECAPA-TDNN: the speaker embedding of speechbrain/spkrec-ecapa-voxceleb, from its file on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Filters, Signal
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import frames, mel_edges
from ldmbench.extractors import exact, make_fingerprint
from ldmbench.extractors.loader import CheckpointExtractor
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_tensors, seeded

RATE = 16_000
_WINDOW, _HOP, _BANDS = 400, 160, 80

#: Seconds below which the widest convolution (4 frames to either side) has nothing to reflect.
SHORTEST = 0.05

#: Power below this is taken for it, and decibels below the maximum less 80 for that.
_LEAST, _RANGE_DB = 1e-10, 80.0

#: Parts into which a block splits its channels; least deviation squared.
_PARTS, _EPSILON = 8, 1e-12

#: Frames transformed together.
_BLOCK = 2048

#: Raised when the front end changes.
_VERSION = 1

_REVISION = "0f99f2d0ebe89ac095bcc5903c4dd8f72b367286"
_FILE = "embedding_model.ckpt"

CHECKPOINT = Checkpoint(
    title="ECAPA-TDNN of SpeechBrain",
    name="ecapa-voxceleb",
    folder="ecapa-voxceleb",
    urls={_FILE: f"https://huggingface.co/speechbrain/spkrec-ecapa-voxceleb/resolve/{_REVISION}/{_FILE}"},
    files={_FILE: "0575cb64845e6b9a10db9bcb74d5ac32b326b8dc90352671d345e2ee3d0126a2"},
    size=83_316_686,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}


class Ecapa(CheckpointExtractor):
    """``all``: an embedding ``[192]`` of the whole sound.

    Args:
        device: Where it runs.
        weights: What tells its weights from others.
        path: Their file; None for random ones.

    Source: Desplanques et al., ECAPA-TDNN, arXiv:2005.07143; speechbrain 1.1.2, ``lobes/models/ECAPA_TDNN.py`` and
    ``lobes/features.py``; hyperparams.yaml of speechbrain/spkrec-ecapa-voxceleb 0f99f2d.
    """

    checkpoint = CHECKPOINT
    rate = RATE

    def __init__(self, device: str, weights: str, path: Path | None) -> None:
        self.device = device
        self._path = path
        self.fingerprint = make_fingerprint(network="ecapa-voxceleb", version=_VERSION, weights=weights)
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        network = seeded(make_network)
        if self._path is not None:
            fit(network, read_tensors(self._path), self._path, CHECKPOINT.title)
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Features:
        """Decibels in mel bands ``[frames, 80]`` of the mono mix at 16 kHz, each band without its mean."""
        bands = log_mel(sound.mono().at(RATE).samples[0])
        return np.asarray(bands - bands.mean(axis=0, dtype=np.float64), np.float32)

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """The embeddings ``[sounds, 192]``."""
        import torch

        with exact():
            heard = embedded(self._network, torch.from_numpy(batch).to(self.device).transpose(1, 2))
        return {"all": np.asarray(heard.cpu().numpy(), np.float32)}


@lru_cache(maxsize=1)
def filters() -> Filters:
    """SpeechBrain's triangles ``[201, 80]``: as wide above their centre as below it, on the HTK scale, of unit peak."""
    edges = mel_edges(_BANDS, 0.0, RATE / 2, "htk")
    bins = np.linspace(0, RATE / 2, _WINDOW // 2 + 1)
    width = np.diff(edges)[:-1]
    return np.maximum(0, 1 - np.abs(bins[:, None] - edges[1:-1]) / width).astype(np.float32)


def log_mel(signal: Signal) -> Features:
    """Decibels ``[frames, 80]`` of power, at most 80 below the maximum."""
    import scipy.fft

    window = (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)
    view = frames(signal, _WINDOW, _HOP, "constant")
    bands = []
    for start in range(0, len(view), _BLOCK):
        bins = scipy.fft.rfft(view[start : start + _BLOCK] * window, axis=1)
        bands.append((bins.real**2 + bins.imag**2) @ filters())
    decibels = 10 * np.log10(np.maximum(np.concatenate(bands), np.float32(_LEAST)))
    return np.asarray(np.maximum(decibels, decibels.max() - _RANGE_DB), np.float32)


def make_network(channels: int = 1024, attention: int = 128, squeezed: int = 128, width: int = 192) -> Any:
    """The layers, by the names of the official file.

    ====================================  ==========================================================
    ``blocks.0``                          a convolution of 5 frames
    ``blocks.1`` ... ``blocks.3``         ``tdnn1``, ``res2net_block`` of 3 frames 2, 3, 4 apart,
                                          ``tdnn2``, ``se_block``
    ``mfa``                               what joins the three
    ``asp``, ``asp_bn``                   mean and deviation, weighed by attention
    ``fc``                                the embedding
    ``X.conv.conv``, ``X.norm.norm``      a convolution, and its batch normalisation
    ====================================  ==========================================================
    """
    from torch import nn

    blocks = nn.ModuleList([_tdnn(_BANDS, channels, 5)])
    for apart in (2, 3, 4):
        parts = [_tdnn(channels // _PARTS, channels // _PARTS, 3, apart) for _ in range(_PARTS - 1)]
        squeeze = {"conv1": _convolution(channels, squeezed), "conv2": _convolution(squeezed, channels)}
        block = {
            "tdnn1": _tdnn(channels, channels),
            "res2net_block": nn.ModuleDict({"blocks": nn.ModuleList(parts)}),
            "tdnn2": _tdnn(channels, channels),
            "se_block": nn.ModuleDict(squeeze),
        }
        blocks.append(nn.ModuleDict(block))
    joined = 3 * channels
    pool = {"tdnn": _tdnn(3 * joined, attention), "conv": _convolution(attention, joined)}
    return nn.ModuleDict(
        {
            "blocks": blocks,
            "mfa": _tdnn(joined, joined),
            "asp": nn.ModuleDict(pool),
            "asp_bn": nn.ModuleDict({"norm": nn.BatchNorm1d(2 * joined)}),
            "fc": _convolution(2 * joined, width),
        }
    )


def _convolution(inputs: int, outputs: int, size: int = 1, apart: int = 1) -> Any:
    from torch import nn

    layer = nn.Conv1d(inputs, outputs, size, dilation=apart, padding="same", padding_mode="reflect")
    return nn.ModuleDict({"conv": layer})


def _tdnn(inputs: int, outputs: int, size: int = 1, apart: int = 1) -> Any:
    from torch import nn

    norm = nn.ModuleDict({"norm": nn.BatchNorm1d(outputs)})
    return nn.ModuleDict({"conv": _convolution(inputs, outputs, size, apart), "norm": norm})


def embedded(network: Any, bands: Any) -> Any:
    """Embeddings ``[sounds, width]`` of decibels ``[sounds, bands, frames]``."""
    import torch

    heard = _heard(network["blocks"][0], bands)
    levels = []
    for block in list(network["blocks"])[1:]:
        heard = heard + _block(block, heard)
        levels.append(heard)
    pooled = _pooled(network["asp"], _heard(network["mfa"], torch.cat(levels, dim=1)))
    return network["fc"]["conv"](network["asp_bn"]["norm"](pooled)[:, :, None])[:, :, 0]


def _heard(tdnn: Any, signal: Any) -> Any:
    return tdnn["norm"]["norm"](tdnn["conv"]["conv"](signal).relu())


def _block(block: Any, signal: Any) -> Any:
    """What a block adds to its input: a convolution in which each part of the channels also hears the one before."""
    import torch

    first, *others = torch.chunk(_heard(block["tdnn1"], signal), _PARTS, dim=1)
    parts = [first]
    for tdnn, part in zip(block["res2net_block"]["blocks"], others, strict=True):
        parts.append(_heard(tdnn, part if len(parts) == 1 else part + parts[-1]))
    heard = _heard(block["tdnn2"], torch.cat(parts, dim=1))
    squeeze = block["se_block"]
    gate = squeeze["conv1"]["conv"](heard.mean(dim=2, keepdim=True)).relu()
    return squeeze["conv2"]["conv"](gate).sigmoid() * heard


def _pooled(pool: Any, signal: Any) -> Any:
    """Mean and deviation ``[sounds, 2 * channels]`` of frames ``[sounds, channels, frames]``, weighed by attention."""
    import torch

    tdnn = pool["tdnn"]
    layer = tdnn["conv"]["conv"]
    even = torch.full_like(signal[:1, :1], 1 / signal.shape[2])
    # The statistics of the whole are the same in every frame: they need not be repeated to be convolved.
    weight, whole = layer.weight.split([signal.shape[1], 2 * signal.shape[1]], dim=1)
    attention = torch.nn.functional.conv1d(signal, weight, layer.bias)
    attention = attention + (_statistics(signal, even) @ whole[:, :, 0].T)[:, :, None]
    attention = pool["conv"]["conv"](tdnn["norm"]["norm"](attention.relu()).tanh())
    return _statistics(signal, attention.softmax(dim=2))


def _statistics(signal: Any, weights: Any) -> Any:
    import torch

    mean = (weights * signal).sum(dim=2)
    variance = (weights * (signal - mean[:, :, None]) ** 2).sum(dim=2)
    return torch.cat([mean, variance.clamp(min=_EPSILON).sqrt()], dim=1)
