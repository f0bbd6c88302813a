"""The two autoencoders of LaDiffCodec: an EnCodec-type codec with residual codebooks, and a continuous one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import EncodecConfig

RATE = 16_000
#: Width of both latents.
WIDTH = 128
#: Strides of the discrete codec's encoder: 50 frames per second.
STRIDES = (2, 4, 5, 8)
#: Samples of one of its frames.
HOP = 320
#: Entries of a codebook: 10 bits.
ENTRIES = 1024
#: Channels of the first convolution; doubled at every stride.
FILTERS = 32


def seanet_config(strides: Sequence[int], causal: bool) -> EncodecConfig:
    """EnCodec's configuration at 16 kHz, mono, for ``strides`` in the order of the encoder."""
    from transformers import EncodecConfig

    return EncodecConfig(
        sampling_rate=RATE, audio_channels=1, hidden_size=WIDTH, num_filters=FILTERS, num_residual_layers=1,
        upsampling_ratios=list(reversed(strides)), norm_type="weight_norm", kernel_size=7, last_kernel_size=7,
        residual_kernel_size=3, dilation_growth_rate=2, use_causal_conv=causal, pad_mode="reflect", compress=2,
        num_lstm_layers=2, trim_right_ratio=1.0, codebook_size=ENTRIES, use_conv_shortcut=True,
    )  # fmt: skip


class Autoencoder(nn.Module):
    """SEANet's encoder and decoder: stock modules, their weight normalisation folded into the weights.

    Source: Defossez et al. 2022 (arXiv:2210.13438), section 3.1.
    """

    def __init__(self, strides: Sequence[int], causal: bool) -> None:
        super().__init__()
        from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations
        from transformers.models.encodec.modeling_encodec import EncodecDecoder, EncodecEncoder

        config = seanet_config(strides, causal)
        self.encoder = EncodecEncoder(config)
        self.decoder = EncodecDecoder(config)
        for module in list(self.modules()):
            if is_parametrized(module, "weight"):
                remove_parametrizations(module, "weight")

    def encode(self, waves: Tensor) -> Tensor:
        """Latents ``[n, 128, frames]`` of waveforms ``[n, time]``."""
        latents: Tensor = self.encoder(waves[:, None])
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Waveforms ``[n, frames * hop]``."""
        waves: Tensor = self.decoder(latents)
        return waves[:, 0]


class DiscreteCodec(Autoencoder):
    """The codec whose codes are transmitted: 50 frames per second, ``books`` residual codebooks of 10 bits."""

    def __init__(self, books: int, causal: bool) -> None:
        super().__init__(STRIDES, causal)
        self.codebooks = nn.Parameter(torch.zeros(books, ENTRIES, WIDTH))

    def quantise(self, latents: Tensor) -> Tensor:
        """Codes ``[n, books, frames]`` of latents ``[n, 128, frames]``: each book codes what is left by those before.

        Of two entries equally near the lower one is taken.
        """
        left = latents.transpose(1, 2)
        codes = []
        for book in self.codebooks:
            distances = left.square().sum(-1, keepdim=True) - 2 * left @ book.T + book.square().sum(-1)
            codes.append(torch.argmin(distances, dim=-1))
            left = left - book[codes[-1]]
        return torch.stack(codes, dim=1)

    def sums(self, codes: Tensor) -> Tensor:
        """Sums of codewords ``[n, 128, frames]`` over the books of ``codes`` ``[n, books, frames]``."""
        words = sum(book[layer] for book, layer in zip(self.codebooks, codes.unbind(1), strict=False))
        assert isinstance(words, Tensor)
        return words.transpose(1, 2)


def stock_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors of encoder and decoder under the names of ``Autoencoder``.

    ``weight_g`` and ``weight_v`` become ``g * v / |v|``, norms over all axes but the first.

    | original | here |
    |---|---|
    | ``encoder.model.N.conv.conv.weight_v`` | ``encoder.layers.N.conv.weight`` |
    | ``encoder.model.N.block.1.conv.conv.bias`` | ``encoder.layers.N.block.1.conv.bias`` |
    | ``decoder.model.N.convtr.convtr.bias`` | ``decoder.layers.N.conv.bias`` |
    | ``encoder.model.N.lstm.*`` | ``encoder.layers.N.lstm.*`` |
    """
    stock = {}
    for key, value in state.items():
        name = re.sub(r"\.(conv\.conv|convtr\.convtr)\.", ".conv.", key.replace(".model.", ".layers.", 1))
        if name.endswith(".weight_v") and (gain := state.get(key[:-1] + "g")) is not None:
            axes = tuple(range(1, value.ndim))
            stock[name[:-2]] = value * (gain / torch.linalg.vector_norm(value, dim=axes, keepdim=True))
        elif not (name.endswith(".weight_g") and key[:-1] + "v" in state):
            stock[name] = value
    return stock
