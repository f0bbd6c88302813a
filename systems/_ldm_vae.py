"""AudioLDM's original mel autoencoder and vocoder as the stock modules of diffusers and transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from systems import _ldm_configs as configs
from systems._ldm_parts import fitted, read_tensors

#: Names in the original checkpoint -> names in ``AutoencoderKL``; blocks of the decoder are counted backwards.
_RENAMED = (
    (r"\.mid\.block_(\d+)\.", lambda found: f".mid_block.resnets.{int(found[1]) - 1}."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.norm_out\.", ".conv_norm_out."),
)


def read_vae(path: Path, config: Mapping[str, Any], stft: Mapping[str, Any]) -> tuple[Any, Any]:
    """``AutoencoderKL`` and ``SpeechT5HifiGan`` with the weights of the original ``AutoencoderKL`` in ``path``.

    Args:
        path: A state dictionary with ``encoder.*``, ``decoder.*``, ``quant_conv.*``, ``post_quant_conv.*`` and
            ``vocoder.*``.
        config: ``vae_config.json``: ``ddconfig`` and ``scale_factor``.
        stft: ``stft_config.json``: rate and mel bands.

    Raises:
        BenchError: If the configuration lacks something, or any key is missing, superfluous or of another shape.
    """
    import torch
    from diffusers import AutoencoderKL
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    state = read_tensors(path)
    vocoder_state = {key.removeprefix("vocoder."): state[key] for key in state if key.startswith("vocoder.")}
    try:
        shape = config["ddconfig"]
        levels = len(shape["ch_mult"])
        shapes = {
            "in_channels": shape["in_channels"],
            "out_channels": shape["out_ch"],
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
            "block_out_channels": tuple(shape["ch"] * factor for factor in shape["ch_mult"]),
            "latent_channels": shape["z_channels"],
            "layers_per_block": shape["num_res_blocks"],
            "scaling_factor": float(config["scale_factor"]),
        }
        waves = SpeechT5HifiGanConfig(**_vocoder_config(vocoder_state, stft))
    except KeyError as error:
        raise BenchError(f"{path.parent} is not a folder of Tango", f"no entry {error}", "fetch it again") from None
    rest = {_vae_name(key, levels): _flat(key, state[key]) for key in state if not key.startswith("vocoder.")}
    vae = fitted(lambda: AutoencoderKL(**shapes), rest, path)
    renamed = {re.sub(r"^ups\.", "upsampler.", key): value for key, value in vocoder_state.items()}
    # Normalisation that this vocoder does not use; the original has no such buffers.
    unused = {"mean": torch.zeros(waves.model_in_dim), "scale": torch.ones(waves.model_in_dim)}
    vocoder = fitted(lambda: SpeechT5HifiGan(waves), {**renamed, **unused}, path)
    return vae, vocoder


def _vae_name(key: str, levels: int) -> str:
    """The stock name of an original key; ``decoder.up.2`` of three levels is ``decoder.up_blocks.0``."""
    key = re.sub(r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets.", key)
    key = re.sub(r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0.", key)
    if found := re.match(r"decoder\.up\.(\d+)\.", key):
        place = f"decoder.up_blocks.{levels - 1 - int(found[1])}."
        rest = key[found.end() :]
        key = place + re.sub(r"^upsample\.", "upsamplers.0.", re.sub(r"^block\.", "resnets.", rest))
    for pattern, name in _RENAMED:
        key = re.sub(pattern, name, key)
    return key


def _flat(key: str, value: Any) -> Any:
    """Attention matrices are 1 x 1 convolutions in the original and linear layers in the stock module."""
    return value[:, :, 0, 0] if ".attn_1." in key and value.ndim == 4 else value


def _vocoder_config(state: Mapping[str, Any], stft: Mapping[str, Any]) -> dict[str, Any]:
    """HiFi-GAN's configuration: widths and kernels from the shapes, rates and dilations as they always are."""
    upsamplers = len(configs.VOCODER["upsample_rates"])
    kernels = len(configs.VOCODER["resblock_kernel_sizes"])
    return {
        **configs.VOCODER,
        "sampling_rate": int(stft["sampling_rate"]),
        "model_in_dim": int(stft["n_mel_channels"]),
        "upsample_initial_channel": state["conv_pre.weight"].shape[0],
        "upsample_kernel_sizes": [state[f"ups.{index}.weight"].shape[2] for index in range(upsamplers)],
        "resblock_kernel_sizes": [state[f"resblocks.{index}.convs1.0.weight"].shape[2] for index in range(kernels)],
    }
