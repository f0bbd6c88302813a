"""NISQA v2: overall quality of speech and four dimensions of it, from one network without a reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Signal
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import hann, mel_filters
from ldmbench.extractors import exact, make_fingerprint
from ldmbench.extractors.loader import CheckpointExtractor
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_tensors, seeded

#: What the network says, in its order.
COLUMNS = ("mos", "noisiness", "discontinuity", "coloration", "loudness")

#: Seconds of a frame and between two; points of a transform, bands, their upper end in Hz.
_WINDOW_S, _HOP_S = 0.02, 0.01
_N_FFT, _BANDS, _HIGHEST_HZ = 4096, 48, 20_000.0

#: Magnitudes below this are taken for it, and decibels below the maximum less 80 for that.
_LEAST, _RANGE_DB = 1e-4, 80.0

#: Frames of a segment, frames between two, and most segments: what NISQA was trained with, and refuses beyond.
SEGMENT, STEP, MOST = 15, 4, 1300

#: Seconds between which a sound has a value: a segment, and the most of them.
SHORTEST, LONGEST = 0.15, (STEP * MOST + SEGMENT - 2) * _HOP_S

#: Frames transformed, and segments convolved, together.
_BLOCK = 256

#: Raised when the front end changes.
_VERSION = 2

CHECKPOINT = Checkpoint(
    title="NISQA v2 (CC BY-NC-SA 4.0: not for commercial use)",
    name="nisqa",
    folder="nisqa",
    urls={
        "nisqa.tar": "https://raw.githubusercontent.com/gabrielmittag/NISQA/"
        "fe84f0f252abec382b24367d5b22498a7ce34dbb/weights/nisqa.tar"
    },
    files={"nisqa.tar": "7ec4cf937514dd3f8860b21e66fabd8ca87a168572675ef8d979c4c4ad2e805c"},
    size=1_051_663,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}


class Nisqa(CheckpointExtractor):
    """One number in each of ``COLUMNS``, on the scale of listeners.

    The sound is heard at its own rate, as NISQA hears it; ``rate`` resamples it first (VERSA: 48,000 Hz).

    Args:
        device: Where it runs.
        weights: What tells its weights from others.
        path: Their file; None for random ones.
        rate: Rate in Hz at which it listens; 0 for the sound's own.

    Source: Mittag et al., NISQA, arXiv:2104.09494; gabrielmittag/NISQA fe84f0f, ``nisqa/NISQA_lib.py``.
    """

    checkpoint = CHECKPOINT

    def __init__(self, device: str, weights: str, path: Path | None, rate: int) -> None:
        self.device = device
        self._path = path
        self.rate = rate
        self.fingerprint = make_fingerprint(network="nisqa", version=_VERSION, weights=weights, rate=rate)
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        network = seeded(make_network)
        if self._path is not None:
            fit(network, read_tensors(self._path, "model_state_dict"), self._path, "NISQA")
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Features:
        """Segments ``[segments, 48, 15]`` of the spectrogram of the mono mix."""
        mono = sound.mono()
        if self.rate:
            mono = mono.at(self.rate)
        bands = log_mel(mono.samples[0], mono.rate)
        view = np.lib.stride_tricks.sliding_window_view(bands, SEGMENT, axis=0)[::STEP]
        return np.ascontiguousarray(view)

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """A number ``[sounds]`` in each column."""
        values = np.stack([self._values(segments) for segments in batch])
        return {column: values[:, index] for index, column in enumerate(COLUMNS)}

    def _values(self, segments: Features) -> NDArray[np.float32]:
        import torch

        network = self._network
        with exact():
            parts = torch.split(torch.from_numpy(segments)[:, None], _BLOCK)
            heard = torch.cat([convolved(network["cnn"]["model"], part.to(self.device)) for part in parts])[None]
            attention = network["time_dependency"]["model"]
            heard = attention["norm1"](attention["linear"](heard))
            for layer in attention["layers"]:
                heard = layer(heard)
            each = [pooled(pool["model"], heard) for pool in network["pool_layers"]]
        return np.asarray(torch.cat(each).cpu().numpy(), np.float32)


def log_mel(signal: Signal, rate: int) -> Features:
    """Decibels ``[frames, 48]`` as librosa computes them from magnitudes.

    Bands above half the rate are empty, and are at the floor.
    """
    import scipy.fft

    hop, length = int(rate * _HOP_S), int(rate * _WINDOW_S)
    window = np.zeros(_N_FFT)
    begin = (_N_FFT - length) // 2
    window[begin : begin + length] = hann(length)
    filters = mel_filters(rate, _N_FFT, _BANDS, 0.0, _HIGHEST_HZ)
    # Reflected more than once where the sound is shorter than what is added.
    padded = np.pad(signal, _N_FFT // 2, "reflect")
    view = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::hop]
    bands = []
    for start in range(0, len(view), _BLOCK):
        bins = scipy.fft.rfft(view[start : start + _BLOCK] * window, axis=1).astype(np.complex64)
        bands.append(np.abs(bins) @ filters.T)
    power = np.maximum(np.concatenate(bands) ** 2, np.float32(_LEAST**2))
    decibels = 10 * np.log10(power)
    return np.asarray(np.maximum(decibels, decibels.max() - _RANGE_DB), np.float32)


def make_network() -> Any:
    """The layers, by the names of the official file."""
    from torch import nn

    channels = (1, 16, 32, 64, 64, 64, 64)
    cnn = nn.ModuleDict()
    for index in range(1, 7):
        cnn[f"conv{index}"] = nn.Conv2d(
            channels[index - 1], channels[index], 3, padding=(1, 0) if index == 6 else (1, 1)
        )
        cnn[f"bn{index}"] = nn.BatchNorm2d(channels[index])
    layers = [nn.TransformerEncoderLayer(64, 1, 64, dropout=0.0, batch_first=True) for _ in range(2)]
    attention = nn.ModuleDict(
        {"norm1": nn.LayerNorm(64), "linear": nn.Linear(384, 64), "layers": nn.ModuleList(layers)}
    )
    pools = [
        nn.ModuleDict({"linear1": nn.Linear(64, 128), "linear2": nn.Linear(128, 1), "linear3": nn.Linear(64, 1)})
        for _ in COLUMNS
    ]
    return nn.ModuleDict(
        {
            "cnn": nn.ModuleDict({"model": cnn}),
            "time_dependency": nn.ModuleDict({"model": attention}),
            "pool_layers": nn.ModuleList([nn.ModuleDict({"model": pool}) for pool in pools]),
        }
    )


def convolved(cnn: Any, segments: Any) -> Any:
    """Features ``[segments, 384]`` of segments ``[segments, 1, 48, 15]``."""
    from torch.nn.functional import adaptive_max_pool2d

    heard = segments
    for index in range(1, 7):
        heard = cnn[f"bn{index}"](cnn[f"conv{index}"](heard)).relu()
        size = {1: (24, 7), 2: (12, 5), 4: (6, 3)}.get(index)
        if size:
            heard = adaptive_max_pool2d(heard, size)
    return heard.flatten(1)


def pooled(pool: Any, heard: Any) -> Any:
    """A number ``[1]`` of features ``[1, segments, 64]``, weighed by attention."""
    weights = pool["linear2"](pool["linear1"](heard).relu()).softmax(dim=1)
    return pool["linear3"]((weights * heard).sum(dim=1))[:, 0]
