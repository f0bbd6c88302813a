"""The conditional 1-D U-Net that predicts the noise in the continuous latent, and its upsampler of the condition."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ldmbench.systems.ladiffcodec.seanet import WIDTH

#: Factors of the base width by level; between levels time is halved.
LEVELS = (1, 2, 2, 4, 4)
#: Latent frames that the deepest level sees as one.
SHRINK = 2 ** (len(LEVELS) - 1)

_HEADS, _HEAD = 4, 32
_GROUPS = 8
_EPSILON = 1e-5


class UNet(nn.Module):
    """Noise in latents ``[n, 128, frames]`` at time steps ``[n]`` under upsampled conditions of the same shape.

    Two residual blocks and linear attention a level, full attention in the middle; ``frames`` is a multiple of
    ``SHRINK``. Convolutions hold standardised weights (see ``stock_names``).

    Source: Yang et al. 2024 (arXiv:2311.08330), section 3.1; Ho et al. 2020 (arXiv:2006.11239), appendix B.
    """

    def __init__(self, base: int, ratios: Sequence[int]) -> None:
        """``base`` is the width of the first level, ``ratios`` those of the transposed convolutions."""
        super().__init__()
        self.base, self.ratios = base, tuple(ratios)
        widths = [base, *(base * level for level in LEVELS)]
        pairs = list(itertools.pairwise(widths))
        self.upsampler = nn.ModuleList(nn.ConvTranspose1d(WIDTH, WIDTH, 2 * ratio, ratio) for ratio in ratios)
        self.time = nn.Sequential(nn.Linear(base, 4 * base), nn.GELU(), nn.Linear(4 * base, 4 * base))
        self.first = nn.Conv1d(2 * WIDTH, base, 7, padding=3)
        halving = [nn.Conv1d(wide, out, 4, 2, padding=1) for wide, out in pairs[:-1]]
        same = nn.Conv1d(*pairs[-1], 3, padding=1)
        self.downs = nn.ModuleList(
            _Level(wide, wide, base, resample) for (wide, _), resample in zip(pairs, [*halving, same], strict=True)
        )
        self.middle_one = _Residual(widths[-1], widths[-1], base)
        self.middle_attention = _Attention(widths[-1])
        self.middle_two = _Residual(widths[-1], widths[-1], base)
        self.ups = nn.ModuleList(
            _Level(out + wide, out, base, nn.Conv1d(out, wide, 3, padding=1)) for wide, out in reversed(pairs)
        )
        self.last = _Residual(2 * base, base, base)
        self.out = nn.Conv1d(base, WIDTH, 1)

    def upsampled(self, condition: Tensor) -> Tensor:
        """Conditions ``[n, 128, codec frames]`` at the frame rate of the latent, not yet scaled."""
        for layer, ratio in zip(self.upsampler, self.ratios, strict=True):
            raised = layer(condition)
            # The kernel is two strides long: one stride is cut off, of an odd one more on the left.
            condition = raised[..., ratio - ratio // 2 : raised.shape[-1] - ratio // 2]
        return condition

    def forward(self, latents: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """The predicted noise."""
        hidden = self.first(torch.cat([condition, latents], dim=1))
        time = self.time(_sinusoids(times, self.base).to(hidden.dtype))
        start, kept = hidden, []
        for level in _levels(self.downs):
            hidden = level.one(hidden, time)
            kept.append(hidden)
            hidden = level.attention(level.two(hidden, time))
            kept.append(hidden)
            hidden = level.resample(hidden)
        hidden = self.middle_two(self.middle_attention(self.middle_one(hidden, time)), time)
        for index, level in enumerate(_levels(self.ups)):
            hidden = level.one(torch.cat([hidden, kept.pop()], dim=1), time)
            hidden = level.attention(level.two(torch.cat([hidden, kept.pop()], dim=1), time))
            if index < len(self.ups) - 1:
                hidden = functional.interpolate(hidden, scale_factor=2.0, mode="nearest")
            hidden = level.resample(hidden)
        noise: Tensor = self.out(torch.tanh(self.last(torch.cat([hidden, start], dim=1), time)))
        return noise


def stock_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors of the U-Net under the names used here, weights of residual blocks standardised.

    Source: Qiao et al. 2019 (arXiv:1903.10520), eq. 4 to 6.
    """
    table = (
        (r"^upsampling_layers\.(\d+)\.convtr\.convtr\.", r"upsampler.\1."),
        (r"^time_mlp\.([13])\.", lambda match: f"time.{int(match[1]) - 1}."),
        (r"^init_conv\.", "first."),
        (r"^final_res_block\.", "last."),
        (r"^final_conv\.", "out."),
        (r"^mid_block1\.", "middle_one."),
        (r"^mid_block2\.", "middle_two."),
        (r"^mid_attn\.fn\.", "middle_attention."),
        (r"^(downs|ups)\.(\d+)\.0\.", r"\1.\2.one."),
        (r"^(downs|ups)\.(\d+)\.1\.", r"\1.\2.two."),
        (r"^(downs|ups)\.(\d+)\.2\.fn\.", r"\1.\2.attention."),
        (r"^(downs|ups)\.(\d+)\.3\.(1\.)?", r"\1.\2.resample."),
        (r"\.fn\.to_(qkv|out)\.", r".\1."),
        (r"\.out\.0\.", ".out."),
        (r"\.out\.1\.g$", ".out_norm.gain"),
        (r"\.norm\.g$", ".norm.gain"),
        (r"\.mlp\.1\.", ".time."),
        (r"\.res_conv\.", ".shortcut."),
    )
    stock = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in table:
            name = re.sub(pattern, replacement, name)
        stock[name] = standardised(value) if re.search(r"\.block[12]\.proj\.weight$", name) else value
    return stock


def standardised(weight: Tensor) -> Tensor:
    """Weights ``[out, in, kernel]`` with mean 0 and variance 1 for each output."""
    centred = weight - weight.mean(dim=(1, 2), keepdim=True)
    return centred * (weight.var(dim=(1, 2), correction=0, keepdim=True) + _EPSILON).rsqrt()


class _Level(nn.Module):
    """Two residual blocks that see ``wide`` channels, linear attention, and what leads to the next level."""

    def __init__(self, wide: int, out: int, base: int, resample: nn.Module) -> None:
        super().__init__()
        self.one = _Residual(wide, out, base)
        self.two = _Residual(wide, out, base)
        self.attention = _LinearAttention(out)
        self.resample = resample


def _levels(modules: nn.ModuleList) -> Iterator[_Level]:
    yield from (module for module in modules if isinstance(module, _Level))


class _Residual(nn.Module):
    """Two convolutions with group normalisation; the time step scales and shifts the first one's output."""

    def __init__(self, wide: int, out: int, base: int) -> None:
        super().__init__()
        self.time = nn.Linear(4 * base, 2 * out)
        self.block1 = _Block(wide, out)
        self.block2 = _Block(out, out)
        self.shortcut = nn.Conv1d(wide, out, 1) if wide != out else nn.Identity()

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.time(functional.silu(time))[..., None].chunk(2, dim=1)
        inner = self.block1(hidden) * (scale + 1) + shift
        inner = self.block2(functional.silu(inner))
        result: Tensor = functional.silu(inner) + self.shortcut(hidden)
        return result


class _Block(nn.Module):
    """A convolution and group normalisation."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Conv1d(wide, out, 3, padding=1)
        self.norm = nn.GroupNorm(_GROUPS, out)

    def forward(self, hidden: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.proj(hidden))
        return normed


class _Norm(nn.Module):
    """Layer normalisation over channels of ``[n, channels, time]``, without an offset."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, wide, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        variance, mean = torch.var_mean(hidden, dim=1, correction=0, keepdim=True)
        return (hidden - mean) * (variance + _EPSILON).rsqrt() * self.gain


class _LinearAttention(nn.Module):
    """Attention whose cost is linear in time, normalised before and after, around which the input is added."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.norm = _Norm(wide)
        self.qkv = nn.Conv1d(wide, 3 * _HEADS * _HEAD, 1, bias=False)
        self.out = nn.Conv1d(_HEADS * _HEAD, wide, 1)
        self.out_norm = _Norm(wide)

    def forward(self, hidden: Tensor) -> Tensor:
        queries, keys, values = _heads(self.qkv(self.norm(hidden)))
        queries = queries.softmax(dim=2) * _HEAD**-0.5
        context = keys.softmax(dim=3) @ values.transpose(2, 3)
        mixed = (context.transpose(2, 3) @ queries).flatten(1, 2)
        result: Tensor = self.out_norm(self.out(mixed)) + hidden
        return result


class _Attention(nn.Module):
    """Attention of every frame to every frame."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.norm = _Norm(wide)
        self.qkv = nn.Conv1d(wide, 3 * _HEADS * _HEAD, 1, bias=False)
        self.out = nn.Conv1d(_HEADS * _HEAD, wide, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        queries, keys, values = (part.transpose(2, 3) for part in _heads(self.qkv(self.norm(hidden))))
        mixed = functional.scaled_dot_product_attention(queries, keys, values).transpose(2, 3)
        result: Tensor = self.out(mixed.flatten(1, 2)) + hidden
        return result


def _heads(projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values ``[n, heads, d, time]``."""
    split = projected.reshape(len(projected), 3, _HEADS, _HEAD, -1)
    return split[:, 0], split[:, 1], split[:, 2]


def _sinusoids(times: Tensor, width: int) -> Tensor:
    """Sines, then cosines of the time steps ``[n]``: ``[n, width]``."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=times.device) * -(math.log(10_000.0) / (half - 1)))
    angles = times[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
