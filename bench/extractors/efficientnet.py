"""EfficientNetV2-S without its classifier, padded as in TensorFlow, by timm's names: the eyes of UTMOSv2."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

#: Channels that it sees an image in, and those of its features, each 32 pixels wide.
IMAGE, FEATURES = 3, 1280

_STEM = 24

#: TensorFlow's constant in batch normalisation.
_EPS = 1e-3


class _Stage(NamedTuple):
    """Blocks of one kind: how many, the stride of the first, how much wider they are inside, their width."""

    kind: Literal["plain", "fused", "inverted"]
    blocks: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage("plain", 2, 1, 1, 24),
    _Stage("fused", 4, 2, 4, 48),
    _Stage("fused", 4, 2, 4, 64),
    _Stage("inverted", 6, 2, 4, 128),
    _Stage("inverted", 9, 1, 6, 160),
    _Stage("inverted", 15, 2, 6, 256),
)


def make_efficientnet() -> Any:
    """The layers, by the names of timm's ``tf_efficientnetv2_s`` with ``num_classes=0``.

    Source: Tan and Le, EfficientNetV2, arXiv:2104.00298, table 4; timm 1.0.31, ``models/efficientnet.py``.
    """
    from torch import nn

    blocks, width = nn.ModuleList(), _STEM
    for stage in _STAGES:
        group = nn.ModuleList()
        for index in range(stage.blocks):
            group.append(_make_block(stage, width, stage.stride if index == 0 else 1))
            width = stage.width
        blocks.append(group)
    return nn.ModuleDict(
        {
            "conv_stem": _convolution(IMAGE, _STEM, 3, 2),
            "bn1": _norm(_STEM),
            "blocks": blocks,
            "conv_head": _convolution(width, FEATURES, 1),
            "bn2": _norm(FEATURES),
        }
    )


def features(network: Any, images: Any) -> Any:
    """Features ``[images, 1280, height / 32, width / 32]`` of ``[images, 3, height, width]``, both multiples of 32."""
    from torch.nn.functional import silu

    heard = silu(network["bn1"](_convolved(network["conv_stem"], images)))
    for stage, group in zip(_STAGES, network["blocks"], strict=True):
        for block in group:
            made = _BLOCKS[stage.kind](block, heard)
            heard = made + heard if made.shape == heard.shape else made
    return silu(network["bn2"](network["conv_head"](heard)))


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> Any:
    """One without bias. With a stride, ``_convolved`` pads in its place."""
    from torch import nn

    padding = size // 2 if stride == 1 else 0
    return nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False)


def _norm(width: int) -> Any:
    from torch import nn

    return nn.BatchNorm2d(width, eps=_EPS)


def _make_block(stage: _Stage, inputs: int, stride: int) -> Any:
    from torch import nn

    inner, width = inputs * stage.expansion, stage.width
    if stage.kind == "plain":
        return nn.ModuleDict({"conv": _convolution(inputs, width, 3, stride), "bn1": _norm(width)})
    if stage.kind == "fused":
        layers = {"conv_exp": _convolution(inputs, inner, 3, stride), "bn1": _norm(inner)}
        return nn.ModuleDict({**layers, "conv_pwl": _convolution(inner, width, 1), "bn2": _norm(width)})
    squeezed = inputs // 4
    gate = {"conv_reduce": nn.Conv2d(inner, squeezed, 1), "conv_expand": nn.Conv2d(squeezed, inner, 1)}
    layers = {"conv_pw": _convolution(inputs, inner, 1), "bn1": _norm(inner)}
    layers |= {"conv_dw": _convolution(inner, inner, 3, stride, groups=inner), "bn2": _norm(inner)}
    layers |= {"se": nn.ModuleDict(gate), "conv_pwl": _convolution(inner, width, 1), "bn3": _norm(width)}
    return nn.ModuleDict(layers)


def _convolved(layer: Any, images: Any) -> Any:
    """As TensorFlow's ``same``: an even image that is halved gets its row and column of zeros at the far end only."""
    from torch.nn.functional import pad

    return layer(pad(images, (0, 1, 0, 1)) if layer.stride == (2, 2) else images)


def _plain(block: Any, images: Any) -> Any:
    from torch.nn.functional import silu

    return silu(block["bn1"](_convolved(block["conv"], images)))


def _fused(block: Any, images: Any) -> Any:
    from torch.nn.functional import silu

    wide = silu(block["bn1"](_convolved(block["conv_exp"], images)))
    return block["bn2"](block["conv_pwl"](wide))


def _inverted(block: Any, images: Any) -> Any:
    """Channels one by one between two mixtures, each weighed by what all of them say together."""
    from torch.nn.functional import silu

    wide = silu(block["bn1"](block["conv_pw"](images)))
    wide = silu(block["bn2"](_convolved(block["conv_dw"], wide)))
    squeezed = silu(block["se"]["conv_reduce"](wide.mean((2, 3), keepdim=True)))
    wide = wide * block["se"]["conv_expand"](squeezed).sigmoid()
    return block["bn3"](block["conv_pwl"](wide))


_BLOCKS = {"plain": _plain, "fused": _fused, "inverted": _inverted}
