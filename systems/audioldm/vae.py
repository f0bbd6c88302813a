"""AudioLDM's original mel autoencoder and vocoder as the stock modules of diffusers and transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmbench.errors import BenchError
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.keys import load_vae, load_vocoder
from ldmbench.weights.tensors import read_tensors

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from torch import Tensor
    from transformers import SpeechT5HifiGan


def read_vae(path: Path, config: Mapping[str, Any], stft: Mapping[str, Any]) -> tuple[AutoencoderKL, SpeechT5HifiGan]:
    """``AutoencoderKL`` and ``SpeechT5HifiGan`` with the weights of the original ``AutoencoderKL`` in ``path``.

    Args:
        path: A state dictionary with ``encoder.*``, ``decoder.*``, ``quant_conv.*``, ``post_quant_conv.*`` and
            ``vocoder.*``.
        config: ``vae_config.json``: ``ddconfig`` and ``scale_factor``.
        stft: ``stft_config.json``: rate and mel bands.

    Raises:
        BenchError: If the configuration lacks something, or any key is missing, superfluous or of another shape.
    """
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
        waves = vocoder_config(vocoder_state, int(stft["n_mel_channels"]), int(stft["sampling_rate"]))
    except KeyError as error:
        raise BenchError(f"{path.parent} is not a folder of Tango", f"no entry {error}", "fetch it again") from None
    rest = {key: value for key, value in state.items() if not key.startswith("vocoder.")}
    return load_vae(rest, shapes, path), load_vocoder(vocoder_state, waves, path)


def vocoder_config(state: Mapping[str, Tensor], mels: int, rate: int) -> dict[str, Any]:
    """HiFi-GAN's configuration: widths and kernels from the shapes, rates and dilations as they always are."""
    upsamplers = len(configs.VOCODER["upsample_rates"])
    kernels = len(configs.VOCODER["resblock_kernel_sizes"])
    return {
        **configs.VOCODER,
        "sampling_rate": rate,
        "model_in_dim": mels,
        "upsample_initial_channel": state["conv_pre.weight"].shape[0],
        "upsample_kernel_sizes": [state[f"ups.{index}.weight"].shape[2] for index in range(upsamplers)],
        "resblock_kernel_sizes": [state[f"resblocks.{index}.convs1.0.weight"].shape[2] for index in range(kernels)],
    }
