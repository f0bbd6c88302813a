"""Convolutions on a CPU with two to five times fewer multiplications, block by block, in float32.

A block of outputs of one channel is ``after @ ((kernel @ taps) * (before @ inputs))`` with three constant matrices
(``Bilinear``) and fewer products in the middle than outputs times taps. With many channels each product is a matrix
product over channels, of all blocks at once. The numbers are those of the plain sum up to float32 rounding: 2e-6 of the
largest value at 256 channels, where oneDNN's own convolution is off by as much.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers.models.speecht5.modeling_speecht5 import HifiGanResidualBlock

from ldmbench.systems.latent.residual_pieces import ResidualPieces

Matrix = NDArray[np.float64]

#: Outputs of a block where a kernel has three taps: 8 products instead of 18. More would need more points.
_OUTPUTS = 6
#: Where Toom and Cook evaluate, beside infinity: as near to 1 as eight points can be, for small rounding.
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)

#: What is computed at once: so many bytes of products, which caches hold, but not fewer rows of a matrix than these,
#: or the weights would be read too often.
_BYTES = 4 * 2**20
_ROWS = 1024

#: What ``_scratch`` keeps.
_kept = threading.local()


class Bilinear(NamedTuple):
    """Matrices for a block of outputs of a kernel: ``y[i] = sum(kernel[t] * x[i + t])``.

    Attributes:
        after: ``[outputs, products]``.
        kernel: ``[products, taps]``.
        before: ``[products, outputs + taps - 1]``.
    """

    after: Matrix
    kernel: Matrix
    before: Matrix


def toom_cook(outputs: int, taps: int) -> Bilinear:
    """One product per input: polynomials are multiplied by their values at as many points; here transposed.

    Source: Winograd 1980, Arithmetic Complexity of Computations; Lavin and Gray 2016 (arXiv:1509.09308).

    Raises:
        ValueError: If ``outputs + taps`` is above 9: rounding grows with the number of points.
    """
    inputs = outputs + taps - 1
    if inputs > len(_POINTS) + 1:
        raise ValueError(f"{inputs} inputs, at most {len(_POINTS) + 1}")

    def values(count: int) -> Matrix:
        """Of a polynomial with ``count`` coefficients, at the points and, as its last coefficient, at infinity."""
        finite = np.vander(_POINTS[: inputs - 1], count, increasing=True)
        return np.vstack([finite, np.eye(count)[-1]])

    before = np.linalg.inv(values(inputs)).T
    scale = np.abs(before).max(axis=1, keepdims=True)
    return Bilinear(values(outputs).T, values(taps) * scale, before / scale)


def fourier(outputs: int, taps: int) -> Bilinear:
    """Three products per frequency of the real Fourier transform over ``outputs + taps - 1`` inputs, an even number.

    The outputs are those of a cyclic correlation that no wrapped input reaches (overlap-save). A complex product takes
    three real ones (Gauss); the lowest and the highest frequency are real.

    Source: Stockham 1966, High-Speed Convolution and Correlation.

    Raises:
        ValueError: If the number of inputs is odd.
    """
    inputs = outputs + taps - 1
    if inputs % 2:
        raise ValueError(f"{inputs} inputs, must be even")
    after, kernel, before = [], [], []
    for frequency in range(inputs // 2 + 1):
        angle = 2 * np.pi * frequency * np.arange(inputs) / inputs
        cos, sin = np.cos(angle), np.sin(angle)
        if frequency in (0, inputs // 2):
            before.append(cos)
            kernel.append(cos[:taps])
            after.append(cos[:outputs] / inputs)
            continue
        # (a - ib)(p + iq) with m1 = ap, m2 = bq, m3 = (a + b)(q - p): real m1 + m2, imaginary m1 - m2 + m3.
        before += [cos, sin, cos + sin]
        kernel += [cos[:taps], sin[:taps], (sin - cos)[:taps]]
        after += [part[:outputs] * 2 / inputs for part in (cos - sin, cos + sin, -sin)]
    return Bilinear(np.stack(after, axis=1), np.stack(kernel), np.stack(before))


def bilinear(taps: int) -> Bilinear:
    """The matrices for a kernel: by Toom and Cook where it has 3 taps, else by Fourier over twice its taps or more."""
    if taps == 3:
        return toom_cook(_OUTPUTS, taps)
    return fourier(2 ** math.ceil(math.log2(2 * taps)) - taps + 1, taps)


class BlockConvolution(nn.Module):
    """``nn.Conv1d``, or ``nn.Conv2d`` by blocks along its first axis, of stride 1 and as many outputs as inputs.

    Works on tensors in which the channels of one place lie together (others are copied), and returns such. Of the
    plain kernels, only what the products need is kept.
    """

    kernels: torch.Tensor
    after: torch.Tensor
    before: torch.Tensor

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.bias = plain.bias
        self.taps = plain.kernel_size[0]
        #: Taps along the second axis, 1 where there is none.
        self.across = 1 if plain.weight.ndim == 3 else plain.kernel_size[1]
        self.dilation = plain.dilation[0]
        after, kernel, before = (torch.from_numpy(np.ascontiguousarray(matrix)) for matrix in bilinear(self.taps))
        self.outputs, self.products = after.shape
        kernels = plain.weight.detach().double().reshape(*plain.weight.shape[:2], self.taps, self.across)
        # [across * products, in, out]; four axes would be put out of order by `to(memory_format=channels_last)`.
        products = torch.einsum("pt,oita->apio", kernel, kernels).flatten(0, 1)
        for name, value in {"kernels": products, "after": after, "before": before}.items():
            self.register_buffer(name, value.float().contiguous(), persistent=False)

    def forward(self, given: Any) -> Any:
        """``[n, in, time]`` or ``[n, in, time, bands]`` -> the same with ``out`` channels."""
        # Item by item: what one becomes does not depend on how many there are.
        single = given.ndim == 3
        items = given.movedim(1, -1).contiguous()
        made = [self._convolved(item[:, None] if single else item) for item in items]
        together = made[0][None] if len(made) == 1 else torch.stack(made)
        return (together[:, :, 0] if single else together).movedim(-1, 1)

    def _convolved(self, given: Any) -> Any:
        """``[time, bands, in]`` -> ``[time, bands, out]``."""
        time, bands, wide = given.shape
        out = self.kernels.shape[-1]
        side = self.across // 2
        # A row of a block is one time, or with dilation as many as are passed over, and all of its bands.
        row = self.dilation * bands
        columns = row + 2 * side
        length = self.outputs * self.dilation
        blocks = math.ceil(time / length)
        most = max(_ROWS, _BYTES // (4 * self.products * max(wide, out)))
        few = max(1, min(blocks, most // columns))

        made = given.new_empty(blocks * length, bands, out)
        inputs = _scratch("inputs", self.before.shape[1], few + 1, columns, wide)
        inputs[:, :, :side] = inputs[:, :, side + row :] = 0
        values = _scratch("values", self.products, few * columns + 2 * side, wide)
        sums = _scratch("sums", self.products, few * columns, out)
        ends = _scratch("ends", self.outputs, few * columns, out)
        for first in range(0, blocks, few):
            count = min(few, blocks - first)
            rows, start = count * columns, first * length
            # The same place of all blocks lies together; the inputs beyond a block are the next block's first.
            for part, near in _parts(given, start - self.taps // 2 * self.dilation, length, count + 1):
                place = inputs[: self.outputs, part, side : side + row]
                place.copy_(near.view(-1, self.outputs, row, wide).transpose(0, 1))
            inputs[self.outputs :, :count] = inputs[: self.taps - 1, 1 : count + 1]
            flat = inputs.view(len(inputs), -1)[:, : rows * wide]
            torch.mm(self.before, flat, out=values[:, :rows].view(self.products, -1))
            # Of every row's last columns, nothing is right: their neighbours are another row's.
            nearest, *further = self.kernels.chunk(self.across)
            torch.bmm(values[:, :rows], nearest, out=sums[:, :rows])
            for tap, kernel in enumerate(further, 1):
                sums[:, :rows].baddbmm_(values[:, tap : tap + rows], kernel)
            end = ends[:, :rows]
            torch.mm(self.after, sums[:, :rows].view(self.products, -1), out=end.view(self.outputs, -1))
            end = end.view(self.outputs, count, columns, out)[:, :, :row].transpose(0, 1)
            place = made[start : start + count * length].view(count, self.outputs, row, out)
            if self.bias is None:
                place.copy_(end)
            else:
                torch.add(end, self.bias.detach(), out=place)
        return made[:time]


class TransposedConvolution(nn.Module):
    """``nn.ConvTranspose1d`` as one matrix product, for tensors in which the channels of one time lie together."""

    kernels: torch.Tensor

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.bias = plain.bias
        (self.stride,), (self.padding,), (self.taps,) = plain.stride, plain.padding, plain.kernel_size
        # [in, taps * out]; never a view, which would keep the plain kernels.
        kernels = plain.weight.detach().permute(0, 2, 1).clone(memory_format=torch.contiguous_format)
        self.register_buffer("kernels", kernels.flatten(1), persistent=False)

    def forward(self, given: Any) -> Any:
        """``[n, in, time]`` -> ``[n, out, (time - 1) * stride - 2 * padding + taps]``."""
        count, _, time = given.shape
        out = self.kernels.shape[1] // self.taps
        length = (time - 1) * self.stride - 2 * self.padding + self.taps
        products = (given.movedim(1, -1) @ self.kernels).view(count, time, self.taps, out)
        turns = math.ceil(self.taps / self.stride)
        made = given.new_zeros(count, time + turns, self.stride, out)
        for turn in range(turns):
            part = products[:, :, turn * self.stride : (turn + 1) * self.stride]
            made[:, turn : turn + time, : part.shape[2]] += part
        heard = made.view(count, -1, out)[:, self.padding : self.padding + length]
        if self.bias is not None:
            heard += self.bias.detach()
        return heard.movedim(-1, 1)


def by_blocks(*models: Any) -> None:
    """Replace the layers in ``models`` that are faster by blocks, or in pieces; nothing can be learned or loaded then.

    Only where they are on a CPU, convolutions in float32. Their kernels take 2.7 to 4.3 times the memory.
    """
    for model in models:
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if (kind := _faster(child)) is not None:
                    setattr(parent, name, kind(child))


def _faster(module: Any) -> Any:
    """The class that replaces ``module``, or None."""
    if type(module) is HifiGanResidualBlock:
        return ResidualPieces if module.convs1[0].weight.device.type == "cpu" else None
    weight = getattr(module, "weight", None)
    if weight is None or weight.device.type != "cpu" or weight.dtype != torch.float32:
        return None
    if getattr(module, "groups", 1) != 1 or getattr(module, "padding_mode", "zeros") != "zeros":
        return None
    if type(module) is nn.ConvTranspose1d:
        plain = (module.dilation, module.output_padding) == ((1,), (0,))
        return TransposedConvolution if plain else None
    # To one channel, a matrix product is a sum of rows.
    if type(module) not in (nn.Conv1d, nn.Conv2d) or set(module.stride) != {1} or module.out_channels == 1:
        return None
    taps, dilation = module.kernel_size, module.dilation
    same = tuple(step * (count - 1) // 2 for step, count in zip(dilation, taps, strict=True))
    odd = all(count % 2 for count in taps) and taps[0] >= 3
    across = len(taps) == 1 or (taps[0] == 3 and dilation == (1, 1))
    return BlockConvolution if odd and across and module.padding == same else None


def _scratch(use: str, *shape: int) -> Any:
    """Memory for ``use`` until it is asked for again, of any content: new memory has to be mapped page by page."""
    kept = _kept.__dict__.get(use)
    if kept is None or len(kept) < math.prod(shape):
        # Not of the kind that can be written to in inference mode alone.
        with torch.inference_mode(mode=False):
            kept = _kept.__dict__[use] = torch.empty(math.prod(shape))
    return kept[: math.prod(shape)].view(shape)


def _parts(given: Any, start: int, length: int, count: int) -> Iterator[tuple[slice, Any]]:
    """``count`` blocks of ``length`` rows of ``given`` from row ``start`` on, zeros outside: which blocks, their rows.

    Only blocks that reach beyond either end are copied.
    """
    first = min(count, math.ceil(max(0, -start) / length))
    last = min(count, max(first, (len(given) - start) // length))
    for part in (slice(0, first), slice(first, last), slice(last, count)):
        if part.start < part.stop:
            yield part, _rows(given, start + part.start * length, (part.stop - part.start) * length)


def _rows(given: Any, start: int, count: int) -> Any:
    """``count`` rows of ``given`` from ``start`` on, zeros outside."""
    stop = start + count
    if start >= 0 and stop <= len(given):
        return given[start:stop]
    inside = given[max(0, start) : max(0, stop)]
    before = max(0, -start)
    empty = given.new_zeros(count, *given.shape[1:])
    empty[before : before + len(inside)] = inside
    return empty
