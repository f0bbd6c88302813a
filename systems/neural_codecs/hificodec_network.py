"""The network of HiFi-Codec, its weight normalisation worked out; names of parameters are the official ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Kernels of the residual blocks, with dilations 1, 3 and 5 each.
KERNELS, DILATIONS = (3, 7, 11), (1, 3, 5)

#: Width of the latent, and of the encoder's first layer.
WIDTH, NARROW = 512, 32

_SLOPE = 0.1


class ResidualBlock(nn.Module):
    """Three pairs of convolutions, the first of each dilated."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()

        def convolution(dilation: int) -> nn.Conv1d:
            padding = dilation * (kernel - 1) // 2
            return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=padding)

        self.convs1 = nn.ModuleList(map(convolution, DILATIONS))
        self.convs2 = nn.ModuleList(convolution(1) for _ in DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the pairs add to it."""
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(functional.leaky_relu(first(functional.leaky_relu(x, _SLOPE)), _SLOPE))
        return x


class Encoder(nn.Module):
    """From sound ``[n, 1, time]`` to latent ``[n, 512, frames]``."""

    def __init__(self, rates: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(1, NARROW, 7, padding=3)
        self.ups, self.resblocks, self.normalize = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        wide = NARROW
        for rate, kernel in zip(reversed(rates), reversed(kernels), strict=True):
            self.ups.append(nn.Conv1d(wide, 2 * wide, kernel, rate, padding=(kernel - rate) // 2))
            wide *= 2
            for size in reversed(KERNELS):
                self.resblocks.append(ResidualBlock(wide, size))
                self.normalize.append(nn.GroupNorm(wide // 16, wide, eps=1e-6))
        self.conv_post = nn.Conv1d(wide, wide, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The latent; each normalisation is of the sum so far, not of its own block."""
        x = self.conv_pre(x)
        blocks = list(zip(self.resblocks, self.normalize, strict=True))
        for index, down in enumerate(self.ups):
            x = down(functional.leaky_relu(x, _SLOPE))
            total = torch.zeros_like(x)
            for block, norm in blocks[index * len(KERNELS) : (index + 1) * len(KERNELS)]:
                total = norm(total + block(x))
            x = total / len(KERNELS)
        # With the slope that is torch's default, unlike all others.
        latent: Tensor = self.conv_post(functional.leaky_relu(x))
        return latent


class Generator(nn.Module):
    """From latent ``[n, 512, frames]`` to sound ``[n, 1, time]``."""

    def __init__(self, rates: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(WIDTH, WIDTH, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        wide = WIDTH
        for rate, kernel in zip(rates, kernels, strict=True):
            self.ups.append(nn.ConvTranspose1d(wide, wide // 2, kernel, rate, padding=(kernel - rate) // 2))
            wide //= 2
            self.resblocks.extend(ResidualBlock(wide, size) for size in KERNELS)
        self.conv_post = nn.Conv1d(wide, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """The sound, within [-1, 1]."""
        x = self.conv_pre(x)
        for index, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, _SLOPE))
            blocks = self.resblocks[index * len(KERNELS) : (index + 1) * len(KERNELS)]
            x = torch.stack([block(x) for block in blocks]).sum(dim=0) / len(KERNELS)
        return torch.tanh(self.conv_post(functional.leaky_relu(x, _SLOPE)))


class Book(nn.Module):
    """The codebook of one group in one stage."""

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, width)


class Quantizer(nn.Module):
    """Two residual stages, in each of which every group of channels has a codebook of its own."""

    def __init__(self, codes: int = 1024, groups: int = 2) -> None:
        super().__init__()
        self.groups = groups
        self.quantizer_modules = nn.ModuleList(Book(codes, WIDTH // groups) for _ in range(groups))
        self.quantizer_modules2 = nn.ModuleList(Book(codes, WIDTH // groups) for _ in range(groups))

    @property
    def books(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        """The codebooks of both stages."""
        return self.quantizer_modules, self.quantizer_modules2

    def encode(self, latent: Tensor) -> Tensor:
        """Tokens ``[n, stages * groups, frames]``."""
        codes = []
        for books in self.books:
            codes.append(self.nearest(books, latent))
            latent = latent - self.words(books, codes[-1])
        return torch.cat(codes, dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """The latent ``[n, 512, frames]`` of tokens."""
        first, second = self.stages(tokens)
        return first + second

    def stages(self, tokens: Tensor) -> list[Tensor]:
        """What each stage adds to the latent."""
        parts = tokens.chunk(len(self.books), dim=1)
        return [self.words(books, part) for books, part in zip(self.books, parts, strict=True)]

    def nearest(self, books: Iterable[nn.Module], latent: Tensor) -> Tensor:
        """Tokens ``[n, groups, frames]`` of one stage: the nearest by Euclid, group by group."""
        count, _, frames = latent.shape
        rows = []
        for book, part in zip(books, latent.chunk(self.groups, dim=1), strict=True):
            assert isinstance(book, Book)
            points, words = part.transpose(1, 2).reshape(-1, part.shape[1]), book.embedding.weight
            distances = points.pow(2).sum(1, keepdim=True) + words.pow(2).sum(1) - 2 * points @ words.T
            rows.append(distances.argmin(1).reshape(count, frames))
        return torch.stack(rows, dim=1)

    def words(self, books: Iterable[nn.Module], tokens: Tensor) -> Tensor:
        """Codewords ``[n, 512, frames]`` of one stage, the groups side by side."""
        parts = []
        for book, row in zip(books, tokens.unbind(1), strict=True):
            assert isinstance(book, Book)
            parts.append(book.embedding(row).transpose(1, 2))
        return torch.cat(parts, dim=1)


class HifiCodecNetwork(nn.Module):
    """All three parts of a checkpoint."""

    def __init__(self, rates: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        self.encoder = Encoder(rates, kernels)
        self.quantizer = Quantizer()
        self.generator = Generator(rates, kernels)
