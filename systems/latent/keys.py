"""Official names of latent-diffusion weights -> names in diffusers and transformers: U-Net, autoencoder, HiFi-GAN."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmbench.errors import BenchError
from ldmbench.weights.tensors import check_keys, fitted

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2UNet2DConditionModel
    from torch import Tensor
    from transformers import SpeechT5HifiGan

#: A pattern, and what stands for it: a template or a function of the match.
Renaming = tuple[str, str | Callable[[re.Match[str]], str]]

#: Inside a residual block of ``UNetModel`` -> inside ``ResnetBlock2D``.
RESIDUAL: tuple[Renaming, ...] = (
    (r"\.in_layers\.0\.", ".norm1."),
    (r"\.in_layers\.2\.", ".conv1."),
    (r"\.emb_layers\.1\.", ".time_emb_proj."),
    (r"\.out_layers\.0\.", ".norm2."),
    (r"\.out_layers\.3\.", ".conv2."),
    (r"\.skip_connection\.", ".conv_shortcut."),
)

#: Everywhere in ``AutoencoderKL`` of the original -> in the stock class.
AUTOENCODER: tuple[Renaming, ...] = (
    (r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets."),
    (r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
    (r"^(decoder\.up_blocks\.\d+)\.block\.", r"\1.resnets."),
    (r"^(decoder\.up_blocks\.\d+)\.upsample\.", r"\1.upsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.norm_out\.", ".conv_norm_out."),
)

#: HiFi-GAN -> ``SpeechT5HifiGan``; every other name is the same.
VOCODER: tuple[Renaming, ...] = ((r"^ups\.", "upsampler."),)


def unet_name(key: str, layers: int, attentions: int = 2) -> str:
    """Name in ``AudioLDM2UNet2DConditionModel`` of ``key`` in ``UNetModel``, and in ``UNet2DConditionModel`` with FiLM.

    | original | stock |
    |---|---|
    | ``time_embed.0``, ``time_embed.2`` | ``time_embedding.linear_1``, ``time_embedding.linear_2`` |
    | ``film_emb`` | ``class_embedding`` |
    | ``input_blocks.0.0`` | ``conv_in`` |
    | ``input_blocks.N.0``, N = 1 + level * (layers + 1) + layer | ``down_blocks.LEVEL.resnets.LAYER`` |
    | ``input_blocks.N.0.op`` | ``down_blocks.LEVEL.downsamplers.0.conv`` |
    | ``input_blocks.N.J``, J = 1.. | ``down_blocks.LEVEL.attentions.(LAYER * attentions + J - 1)`` |
    | ``middle_block.0``, ``.1`` .., last | ``mid_block.resnets.0``, ``mid_block.attentions.0`` .., ``.resnets.1`` |
    | ``output_blocks.N.0``, N = level * (layers + 1) + layer | ``up_blocks.LEVEL.resnets.LAYER`` |
    | ``output_blocks.N.J`` | ``up_blocks.LEVEL.attentions.(LAYER * attentions + J - 1)`` |
    | ``output_blocks.N.J.conv`` | ``up_blocks.LEVEL.upsamplers.0.conv`` |
    | ``out.0``, ``out.2`` | ``conv_norm_out``, ``conv_out`` |

    Args:
        key: Without the prefix ``model.diffusion_model.``.
        layers: Residual blocks per level of the way down (``num_res_blocks``).
        attentions: Transformers after each residual block: 2 with ``extra_sa_layer`` and one condition.
    """

    def down(match: re.Match[str]) -> str:
        level, layer = divmod(int(match[1]) - 1, layers + 1)
        part = int(match[2])
        inside = f"attentions.{layer * attentions + part - 1}" if part else f"resnets.{layer}"
        return f"down_blocks.{level}.{inside}."

    def up(match: re.Match[str]) -> str:
        level, layer = divmod(int(match[1]), layers + 1)
        part = int(match[2])
        inside = f"attentions.{layer * attentions + part - 1}" if part else f"resnets.{layer}"
        return f"up_blocks.{level}.{inside}."

    def middle(match: re.Match[str]) -> str:
        part = int(match[1])
        inside = {0: "resnets.0", attentions + 1: "resnets.1"}.get(part, f"attentions.{part - 1}")
        return f"mid_block.{inside}."

    table: tuple[Renaming, ...] = (
        (r"^time_embed\.0\.", "time_embedding.linear_1."),
        (r"^time_embed\.2\.", "time_embedding.linear_2."),
        (r"^film_emb\.", "class_embedding."),
        (r"^input_blocks\.0\.0\.", "conv_in."),
        (
            r"^input_blocks\.(\d+)\.0\.op\.",
            lambda match: f"down_blocks.{(int(match[1]) - 1) // (layers + 1)}.downsamplers.0.conv.",
        ),
        (
            r"^output_blocks\.(\d+)\.\d+\.conv\.",
            lambda match: f"up_blocks.{int(match[1]) // (layers + 1)}.upsamplers.0.conv.",
        ),
        (r"^input_blocks\.(\d+)\.(\d+)\.", down),
        (r"^middle_block\.(\d+)\.", middle),
        (r"^output_blocks\.(\d+)\.(\d+)\.", up),
        (r"^out\.0\.", "conv_norm_out."),
        (r"^out\.2\.", "conv_out."),
    )
    return renamed(renamed(key, table), RESIDUAL)


def vae_name(key: str, levels: int) -> str:
    """Name in diffusers' ``AutoencoderKL`` of ``key`` in the original; its decoder counts its levels backwards."""
    backwards: Renaming = (r"^decoder\.up\.(\d+)\.", lambda match: f"decoder.up_blocks.{levels - 1 - int(match[1])}.")
    return renamed(key, (backwards, *AUTOENCODER))


def flat(key: str, value: Tensor) -> Tensor:
    """Attention matrices are 1 x 1 convolutions in the original autoencoder and linear layers in the stock one."""
    return value[:, :, 0, 0] if ".attn_1." in key and value.ndim == 4 else value


def renamed(key: str, table: Sequence[Renaming]) -> str:
    """``key`` after all substitutions, in order."""
    for pattern, name in table:
        key = re.sub(pattern, name, key)
    return key


def parts(
    state: Mapping[str, Tensor], prefixes: Sequence[str], wanted: Sequence[str], unused: Sequence[str], path: Path
) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """A checkpoint taken apart: the keys below each prefix (without it), and those of the names ``wanted``.

    Args:
        state: The checkpoint.
        prefixes: Beginnings, a module each, such as ``model.diffusion_model.``; the first that fits counts.
        wanted: Single tensors that must be there.
        unused: Patterns of keys that are known and not read.
        path: The file, for the message.

    Raises:
        BenchError: If a wanted key is missing, or one belongs to none of these.
    """
    modules: list[dict[str, Tensor]] = [{} for _ in prefixes]
    strange = []
    for key, value in state.items():
        owners = [index for index, prefix in enumerate(prefixes) if key.startswith(prefix)]
        # Unused first: a part of a module (an encoder that is not needed) may be left out.
        if any(re.search(pattern, key) for pattern in unused):
            continue
        if owners:
            modules[owners[0]][key.removeprefix(prefixes[owners[0]])] = value
        elif key not in wanted:
            strange.append(key)
    lacking = [key for key in wanted if key not in state]
    lacking += [f"{prefix}*" for prefix, module in zip(prefixes, modules, strict=True) if not module]
    check_keys(path, lacking, sorted(strange), [])
    return modules, {key: state[key] for key in wanted}


def unet_config(
    in_channels: int, out_channels: int, channels: Sequence[int], heads: Sequence[int], cross: Sequence[int | None]
) -> dict[str, Any]:
    """Configuration of ``AudioLDM2UNet2DConditionModel`` for the original's U-Net with attention below the top level.

    Args:
        in_channels: Of the latent, with whatever is concatenated to it.
        out_channels: Of the latent.
        channels: Per level, from the top.
        heads: Number of heads per level. (Stock modules call this ``attention_head_dim``.)
        cross: Width of what each transformer after a residual block attends to; None is self-attention.
    """
    below = len(channels) - 1
    return {
        "in_channels": in_channels,
        "out_channels": out_channels,
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * below,
        "up_block_types": ("CrossAttnUpBlock2D",) * below + ("UpBlock2D",),
        "block_out_channels": tuple(channels),
        "layers_per_block": 2,
        "cross_attention_dim": [list(cross)] * len(channels),
        "attention_head_dim": list(heads),
        "transformer_layers_per_block": 1,
    }


def load_unet(state: Mapping[str, Tensor], config: Mapping[str, Any], path: Path) -> AudioLDM2UNet2DConditionModel:
    """The stock U-Net of ``config`` (see ``unet_config``) with the original's weights, which are not copied.

    Raises:
        BenchError: If any key is missing, superfluous or of another shape.
    """
    from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2UNet2DConditionModel

    layers, attentions = int(config["layers_per_block"]), len(config["cross_attention_dim"][0])
    stock = _stock(state, lambda key: unet_name(key, layers, attentions), path)
    unet: AudioLDM2UNet2DConditionModel = fitted(lambda: AudioLDM2UNet2DConditionModel(**config), stock, path)
    return unet


def load_vae(state: Mapping[str, Tensor], config: Mapping[str, Any], path: Path) -> AutoencoderKL:
    """Diffusers' ``AutoencoderKL`` of ``config`` with the original's weights, which are not copied.

    Raises:
        BenchError: If any key is missing, superfluous or of another shape.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    levels = len(config["block_out_channels"])
    linear = {key: flat(key, value) for key, value in state.items()}
    stock = _stock(linear, lambda key: vae_name(key, levels), path)
    vae: AutoencoderKL = fitted(lambda: AutoencoderKL(**config), stock, path)
    return vae


def load_vocoder(state: Mapping[str, Tensor], config: Mapping[str, Any], path: Path) -> SpeechT5HifiGan:
    """Transformers' ``SpeechT5HifiGan`` of ``config`` with the original's weights, which are not copied.

    Raises:
        BenchError: If any key is missing, superfluous or of another shape.
    """
    import torch
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    wide = int(config["model_in_dim"])
    # Normalisation that this vocoder does not use; the original has no such buffers.
    unused = {"mean": torch.zeros(wide), "scale": torch.ones(wide)}
    stock = _stock(state, lambda key: renamed(key, VOCODER), path)
    return fitted(lambda: SpeechT5HifiGan(SpeechT5HifiGanConfig(**config)), {**stock, **unused}, path)


def _stock(state: Mapping[str, Tensor], name: Callable[[str], str], path: Path) -> dict[str, Tensor]:
    """``state`` under the stock module's names; no two keys may become one, or the second would replace the first."""
    stock = {name(key): value for key, value in state.items()}
    if len(stock) != len(state):
        raise BenchError(f"the weights in {path} do not fit", "two keys have one meaning", "use the official file")
    return stock
