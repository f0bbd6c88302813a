"""AudioMAE's encoder and its front end: Kaldi filterbank, 16 x 16 patches, a vision transformer without masking."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RATE = 16_000
FRAMES = 1024
BANDS = 128
WIDTH = 768
PATCH = 16
#: Patches in time and in frequency of one window of 10.24 s.
GRID = (FRAMES // PATCH, BANDS // PATCH)

#: Mean and standard deviation of the filterbank over AudioSet.
MEAN, DEVIATION = -4.2677393, 4.5689974

#: The output is the mean over the blocks from here on.
_FIRST_USED = 9


def filterbank(waveform: Tensor, frames: int) -> Tensor:
    """Normalised log filterbank ``[frames, 128]`` of a mono signal ``[time]`` at 16 kHz, zero-padded or cut.

    The signal's mean is removed before. Padding comes before the normalisation, so padded frames are not zero.

    Source: facebookresearch/AudioMAE, ``dataset.py``; Kaldi's ``compute-fbank-feats`` as in torchaudio.
    """
    import torchaudio.compliance.kaldi as kaldi

    bank = kaldi.fbank(
        waveform[None], htk_compat=True, sample_frequency=RATE, use_energy=False, window_type="hanning",
        num_mel_bins=BANDS, dither=0.0, frame_shift=10,
    )  # fmt: skip
    bank = nn.functional.pad(bank[:frames], (0, 0, 0, max(0, frames - len(bank))))
    return (bank - MEAN) / (DEVIATION * 2)


def positions() -> Tensor:
    """The fixed position table ``[1, 513, 768]``; row 0 belongs to the class token.

    The table is laid out for 8 x 64 patches while patches are counted as 64 x 8: so it was trained.

    Source: facebookresearch/AudioMAE, ``util/pos_embed.py``.
    """
    count = GRID[0] * GRID[1]
    patch = torch.arange(count, dtype=torch.float64)
    rates = 10_000.0 ** -(torch.arange(WIDTH // 4, dtype=torch.float64) / (WIDTH // 4))
    columns = []
    for position in (patch % GRID[0], patch // GRID[0]):
        angle = position[:, None] * rates
        columns += [angle.sin(), angle.cos()]
    table = torch.zeros(1, count + 1, WIDTH)
    table[0, 1:] = torch.cat(columns, dim=1)
    return table


class AudioMAE(nn.Module):
    """ViT-B/16 with the official names of its weights: ``[n, 1024, 128]`` -> ``[n, 512, 768]``.

    Patch ``p`` is number ``p // 8`` in time and ``p % 8`` in frequency.

    Source: Huang et al. 2022 (arXiv:2207.06405); ``forward_encoder_no_mask`` of its ``models_mae.py``.
    """

    def __init__(self, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed: Tensor
        self.register_buffer("pos_embed", positions())
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, WIDTH, PATCH, PATCH)})
        self.blocks = nn.ModuleList(_Block(heads) for _ in range(depth))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def patches(self, bank: Tensor) -> Tensor:
        """Projected patches without positions ``[n, 512, 768]``."""
        projected: Tensor = self.patch_embed["proj"](bank[:, None])
        return projected.flatten(2).transpose(1, 2)

    def forward(self, bank: Tensor) -> Tensor:
        """Contextual features of windows of the filterbank."""
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(bank), -1, -1)
        hidden = torch.cat([first, self.patches(bank) + self.pos_embed[:, 1:]], dim=1)
        used = []
        for index, block in enumerate(self.blocks):
            hidden = block(hidden)
            if index >= _FIRST_USED:
                used.append(self.norm(hidden[:, 1:]))
        return torch.stack(used).mean(dim=0)


class _Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.attn = _Attention(heads)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, 4 * WIDTH), "fc2": nn.Linear(4 * WIDTH, WIDTH)})

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.norm1(hidden))
        narrow: Tensor = self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm2(hidden))))
        return hidden + narrow


class _Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        count, length, _ = hidden.shape
        split = self.qkv(hidden).view(count, length, 3, self.heads, WIDTH // self.heads).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(split[0], split[1], split[2])
        projected: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, WIDTH))
        return projected
