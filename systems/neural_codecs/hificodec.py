"""HiFi-Codec of AcademiCodec, native: two residual stages of two groups each, a HiFi-GAN behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmbench.system.card import SystemSpec
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.neural_codecs.network import NeuralCodec, drawn, excerpt, fill_codebook, folded, padded
from ldmbench.weights.record import CheckpointError
from ldmbench.weights.tensors import as_tensors, fitted, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from ldmbench.systems.neural_codecs.hificodec_network import HifiCodecNetwork

#: Codes of each of the four codebooks: two groups in each of two stages.
CODES, STAGES, GROUPS = 1024, 2, 2


@dataclass(frozen=True)
class Release:
    """A released model: its file, its rate, and strides and kernels on the way up."""

    file: str
    rate: int
    rates: tuple[int, ...] = (8, 5, 4, 2)
    kernels: tuple[int, ...] = (16, 11, 8, 4)

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return math.prod(self.rates)


RELEASES = {
    "16khz": Release("HiFi-Codec-16k-320d", 16_000),
    "24khz-240": Release("HiFi-Codec-24k-240d", 24_000, (8, 5, 3, 2), (16, 11, 7, 4)),
    "24khz-320": Release("HiFi-Codec-24k-320d", 24_000),
}


class HifiCodec(NeuralCodec):
    """The official weights in a network of our own: no library has it.

    The original drops what is left of the clip behind its last whole frame; here zeros fill that frame, and the sound
    is cut to the sample.

    Settings: ``model``, one of the three releases.

    Source: Yang et al. 2023 (arXiv:2305.02765); yangdongchao/AcademiCodec b6ac134, ``models/hificodec/``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        kind = str(spec.settings["model"])
        check_setting(spec, "model", kind in RELEASES, " or ".join(RELEASES))
        self.release = RELEASES[kind]
        super().__init__(spec)
        self.rate, self.hop = self.release.rate, self.release.hop
        self.sizes = (CODES,) * (STAGES * GROUPS)

    def network(self) -> HifiCodecNetwork:
        """Encoder, codebooks and generator."""
        if self.spec.untrained:
            return untrained(self.release)
        return read_model(self.spec.weights_folder() / self.release.file, self.release)

    def tokens(self, sound: Tensor) -> Tensor:
        """Tokens ``[4, frames]``: stage after stage, group after group."""
        codes: Tensor = self.model.quantizer.encode(self.model.encoder(padded(sound, self.hop)))[0]
        return codes

    def sound(self, tokens: Tensor) -> Tensor:
        """The sound of all frames, ``frames * hop`` samples."""
        wave: Tensor = self.model.generator(self.model.quantizer.decode(tokens[None]))[0, 0]
        return wave

    def words(self, tokens: Tensor) -> list[Tensor]:
        """What each of the two stages adds, ``[512, frames]``: both groups side by side."""
        return [words[0] for words in self.model.quantizer.stages(tokens[None])]


def read_model(path: Path, release: Release) -> HifiCodecNetwork:
    """The network with the weights of an official file.

    Raises:
        BenchError: If it is no such file, or does not fit.
    """
    from ldmbench.systems.neural_codecs.hificodec_network import HifiCodecNetwork

    content: dict[str, Any] = read_checkpoint(path)
    state: dict[str, Tensor] = {}
    for part in ("encoder", "quantizer", "generator"):
        if part not in content:
            raise CheckpointError(f"{path} is no file of HiFi-Codec", f"no {part!r} in it", "use the official file")
        own = folded(as_tensors(content[part], path))
        state |= {f"{part}.{key}": value for key, value in own.items()}
    return fitted(lambda: HifiCodecNetwork(release.rates, release.kernels), state, path, "HiFi-Codec")


def untrained(release: Release) -> HifiCodecNetwork:
    """The network in full size with seeded weights, its codebooks filled from what its encoder makes of a sound."""
    import torch

    from ldmbench.systems.neural_codecs.hificodec_network import HifiCodecNetwork

    model: Any = drawn(HifiCodecNetwork(release.rates, release.kernels))
    with torch.inference_mode():
        residual = model.encoder(padded(excerpt(release.rate, 0.5), release.hop))
        for stage, books in enumerate(model.quantizer.books):
            halves = residual.chunk(GROUPS, dim=1)
            for group, (book, half) in enumerate(zip(books, halves, strict=True)):
                fill_codebook(book.embedding.weight, half[0].T, stage * GROUPS + group)
            codes = model.quantizer.nearest(books, residual)
            residual = residual - model.quantizer.words(books, codes)
    network: HifiCodecNetwork = model
    return network
