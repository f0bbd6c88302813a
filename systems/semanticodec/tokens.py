"""SemantiCodec's coder: windows, AudioMAE features, k-means and LSTM quantisers, and the decoder's condition."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ldmbench.systems.semanticodec import audiomae as audiomae

#: Samples of a window: 10.24 s.
WINDOW = 163_840
#: Duration of an AudioMAE patch in seconds.
PATCH_S = 0.16
#: Entries of the acoustic codebook: 13 bits.
ACOUSTIC = 8192
#: Sinusoidal positions behind the condition.
POSITIONS = 192
#: Fill of features that belong to no sound.
EMPTY = -1.0
#: Layers of the LSTM by the patches a token stacks.
LSTM_LAYERS = {1: 4, 2: 3, 4: 2}

_OVERLAP = 0.0625
#: Samples of the next window that the last frames of a window see: a frame is 25 ms long and comes every 10 ms.
_INTO_NEXT = 240
#: Rows of a codebook compared at once.
_ROWS = 1024


@dataclass(frozen=True)
class Geometry:
    """Sizes at ``stack`` = 1, 2 or 4 patches a token (100, 50 or 25 tokens per second in both layers together)."""

    stack: int

    @property
    def width(self) -> int:
        """Width of a feature and of both codebooks."""
        return audiomae.WIDTH * self.stack

    @property
    def length(self) -> int:
        """Tokens a layer in one window."""
        return 512 // self.stack

    @property
    def context(self) -> int:
        """Width of the decoder's condition."""
        return 2 * self.width + POSITIONS

    @property
    def overlap(self) -> int:
        """Tokens that neighbouring windows share in decoding."""
        return int(self.length * _OVERLAP)

    def tokens(self, samples: int) -> int:
        """Tokens a layer for a sound at 16 kHz.

        In floating point as the reference does it: 1 s gives 57 tokens at ``stack`` 1, not 56, and a sound that
        fills its last patch gets one patch more.
        """
        seconds = samples / audiomae.RATE
        seconds = seconds + (PATCH_S - seconds % PATCH_S)
        return math.ceil(8 * seconds / PATCH_S / self.stack)

    def spans(self, count: int) -> list[tuple[int, int]]:
        """First and last (exclusive) token of each window that ``count`` tokens are decoded in."""
        step = self.length - self.overlap
        starts = [0]
        while starts[-1] + self.length < count:
            starts.append(starts[-1] + step)
        return [(start, min(start + self.length, count)) for start in starts]


def windows(samples: int) -> int:
    """Coding windows of a sound; one that fills its windows exactly gets one of silence more."""
    return samples // WINDOW + 1


def each_bank(waveform: Tensor) -> Iterator[Tensor]:
    """Filterbanks ``[1024, 128]`` of the windows of a mono sound ``[time]``, one after the other.

    They are those of the whole padded sound: its mean is removed, and frames reach into the next window.
    """
    padded = torch.zeros(windows(len(waveform)) * WINDOW)
    padded.numpy()[: len(waveform)] = waveform
    padded -= padded.mean()
    for start in range(0, len(padded), WINDOW):
        yield audiomae.filterbank(padded[start : start + WINDOW + _INTO_NEXT], audiomae.FRAMES)


def banks(waveform: Tensor) -> Tensor:
    """All filterbanks ``[windows, 1024, 128]`` of a mono sound ``[time]``."""
    return torch.stack(list(each_bank(waveform)))


def active_frames(bank: Tensor) -> int:
    """Frames of a window ``[1024, 128]`` up to the last that is not constant.

    A single one counts as none: the reference fails on it and carries on with 0.
    """
    # In float64, where the mean of equal float32 values is exactly that value.
    active = torch.nonzero(bank.double().std(dim=-1) > 1e-7)[:, 0]
    return int(active[-1]) + 1 if len(active) > 1 or len(active) == len(bank) else 0


def stacked(features: Tensor, stack: int) -> Tensor:
    """Patches ``[n, 512, 768]`` as tokens ``[n, 512 / stack, 768 * stack]``: 1 x 1, 1 x 2 or 2 x 2 (time x band)."""
    down, across = {1: (1, 1), 2: (1, 2), 4: (2, 2)}[stack]
    count, (long, high) = len(features), audiomae.GRID
    grid = features.view(count, long // down, down, high // across, across, audiomae.WIDTH)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(count, 512 // stack, audiomae.WIDTH * stack)


def nearest(features: Tensor, codebook: Tensor, norms: Tensor) -> Tensor:
    """Index of the row of ``codebook`` ``[v, d]`` nearest to each of ``features`` ``[n, d]``, the lowest of equals."""
    indices = [torch.argmin(norms - 2 * (block @ codebook.T), dim=1) for block in torch.split(features, _ROWS)]
    return torch.cat(indices)


def position_table(length: int) -> Tensor:
    """Sinusoidal positions ``[length, 192]``: sines in even columns, cosines in odd ones."""
    rates = torch.exp(torch.arange(0, POSITIONS, 2) * -(math.log(10_000.0) / POSITIONS))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class Coder(nn.Module):
    """Filterbanks of windows to tokens, and tokens to the decoder's condition.

    Source: Liu et al. 2024 (arXiv:2405.00233), section III; haoheliu/SemantiCodec-inference, ``encoder.py``.
    """

    def __init__(self, stack: int, vocab: int) -> None:
        super().__init__()
        self.geometry = Geometry(stack)
        width = self.geometry.width
        self.audiomae = audiomae.AudioMAE()
        self.lstm = nn.LSTM(2 * width, 2 * width, LSTM_LAYERS[stack], batch_first=True, bidirectional=True)
        self.project = nn.Linear(4 * width, width, bias=False)
        self.semantic = nn.Parameter(torch.zeros(vocab, width))
        self.acoustic = nn.Parameter(torch.zeros(ACOUSTIC, width))

    def forward(self, bank: Tensor, counts: list[int]) -> tuple[list[Tensor], list[Tensor]]:
        """Tokens ``[counts[i], 2]`` (semantic, acoustic) and features ``[counts[i], width]`` of each window.

        Args:
            bank: Filterbanks of windows ``[n, 1024, 128]``.
            counts: How many tokens of each window are wanted.
        """
        features = self.features(bank)
        cuts = [self.cut(window) for window in bank]
        rows = [max(count, cut) for count, cut in zip(counts, cuts, strict=True)]
        flat = torch.cat([window[:count] for window, count in zip(features, rows, strict=True)])
        semantic = torch.split(nearest(flat, self.semantic, self.semantic.square().sum(dim=1)), rows)
        hidden = self.project(
            self.residual(features, [index[:cut] for index, cut in zip(semantic, cuts, strict=True)], max(counts))
        )
        wanted = torch.cat([window[:count] for window, count in zip(hidden, counts, strict=True)])
        acoustic = torch.split(nearest(wanted, self.acoustic, self.acoustic.square().sum(dim=1)), counts)
        tokens = [
            torch.stack([first[:count], second], dim=1)
            for first, second, count in zip(semantic, acoustic, counts, strict=True)
        ]
        return tokens, [window[:count] for window, count in zip(features, counts, strict=True)]

    def features(self, bank: Tensor) -> Tensor:
        """Unquantised AudioMAE features ``[n, 512 / stack, 768 * stack]``."""
        return stacked(self.audiomae(bank), self.geometry.stack)

    def cut(self, bank: Tensor) -> int:
        """Tokens of a window ``[1024, 128]`` before the padding."""
        return math.ceil(self.geometry.length * (active_frames(bank) / audiomae.FRAMES))

    def residual(self, features: Tensor, semantic: list[Tensor], count: int) -> Tensor:
        """The LSTM's first ``count`` outputs ``[n, count, 4 * width]``, from features and their centroids."""
        inputs = torch.full((*features.shape[:2], 2 * self.geometry.width), EMPTY).to(features)
        for row, feature, index in zip(inputs, features, semantic, strict=True):
            row[: len(index)] = torch.cat([feature[: len(index)], self.semantic[index]], dim=1)
        outputs: Tensor = self.lstm(inputs)[0]
        return outputs[:, :count]

    def codewords(self, tokens: Tensor) -> Tensor:
        """Acoustic codewords and semantic centroids ``[n, 2 * width]`` of tokens ``[n, 2]``."""
        return torch.cat([self.acoustic[tokens[:, 1]], self.semantic[tokens[:, 0]]], dim=1)

    def condition(self, tokens: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Conditional and unconditional context ``[n, 512 / stack, context]`` of windows of tokens ``[t, 2]``."""
        shape = self.geometry
        positions = position_table(shape.length).to(self.acoustic)
        context = torch.full((len(tokens), shape.length, shape.context), EMPTY).to(positions)
        context[:, :, 2 * shape.width :] = positions
        for row, window in zip(context, tokens, strict=True):
            row[: len(window), : 2 * shape.width] = self.codewords(window)
        without = torch.zeros_like(context)
        without[:, :, 2 * shape.width :] = positions
        return context, without
