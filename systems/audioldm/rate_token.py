"""The sampling rate as one more token behind the text: a sinusoid of the rate through a small network."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor


class RateToken(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers leaves these untyped
    """Rates ``[n]`` as tokens ``[n, 1, cross_attention_dim]``, the way time steps become vectors.

    Args:
        channels: Sines and cosines of a rate, as many as the U-Net's first level has channels.
        hidden: Width of the layer between.
        cross_attention_dim: Width of the text's tokens.
        unit: Hz that a rate is counted in: 1000 feeds 16, 24, 32 and 48 to the sinusoid.

    Source: Li et al. 2024 (arXiv:2410.06544), section II-A, which says "mapped into a one-dimensional embedding"
    of the rate and no more; this is a reading of it.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, channels: int = 320, hidden: int = 1280, cross_attention_dim: int = 1024, unit: float = 1000.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sinusoid = Timesteps(channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.embedding = TimestepEmbedding(channels, hidden, out_dim=cross_attention_dim)
        self.unit = unit

    def forward(self, rates: Tensor) -> Tensor:
        """The token of each rate in Hz."""
        weight = self.embedding.linear_1.weight
        token: Tensor = self.embedding(self.sinusoid(rates.to(torch.float32) / self.unit).to(weight.dtype))
        return token[:, None]
