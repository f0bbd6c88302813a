"""Configurations of the official AudioLDM, AudioLDM 2 and Tango components, for building them without a download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ldmbench.errors import BenchError

Config = dict[str, Any]

#: Source: huggingface/diffusers, scripts/convert_original_audioldm_to_diffusers.py, the scheduler it writes.
AUDIOLDM_SCHEDULER: Config = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "prediction_type": "epsilon",
}

#: Source: haoheliu/AudioLDM, audioldm/utils.py, ``first_stage_config``; the factor that cvssp/audioldm-s-full-v2
#: and cvssp/audioldm2 carry is set per system.
VAE: Config = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (128, 256, 512),
    "latent_channels": 8,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "sample_size": 1024,
}
AUDIOLDM_SCALING = 0.9392935633659363
TANGO_SCALING = 0.9227914214134216
AUDIOLDM2_SCALING = 0.4110932946205139

#: Source: haoheliu/AudioLDM, audioldm/hifigan/utilities.py, ``HIFIGAN_16K_64``.
VOCODER: Config = {
    "model_in_dim": 64,
    "sampling_rate": 16_000,
    "upsample_initial_channel": 1024,
    "upsample_rates": [5, 4, 2, 2, 2],
    "upsample_kernel_sizes": [16, 16, 8, 4, 4],
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "normalize_before": False,
}

#: Model channels of the AudioLDM sizes: 185, 416 and 739 M parameters in the U-Net.
AUDIOLDM_CHANNELS = {"s": 128, "m": 192, "l": 256}

#: CLAP's text half, RoBERTa base. transformers' default normalises with an epsilon of 1e-12.
CLAP_TEXT: Config = {"layer_norm_eps": 1e-5}

#: CLAP's audio half in AudioLDM 2, HTSAT-base. Source: haoheliu/AudioLDM2, ``clap/open_clip/model_configs``.
CLAP_AUDIO: Config = {
    "hidden_size": 1024,
    "patch_embeds_hidden_size": 128,
    "depths": [2, 2, 12, 2],
    "num_attention_heads": [4, 8, 16, 32],
}

#: Levels of the AudioLDM U-Nets, as factors of the model channels.
_LEVELS = (1, 2, 3, 5)

_UNET: Config = {
    "in_channels": 8,
    "out_channels": 8,
    "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
    "layers_per_block": 2,
}

#: FLAN-T5-large, encoder. Source: config.json of google/flan-t5-large.
FLAN_T5_LARGE: Config = {
    "vocab_size": 32_128,
    "d_model": 1024,
    "d_ff": 2816,
    "d_kv": 64,
    "num_layers": 24,
    "num_heads": 16,
    "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
}

#: Source: declare-lab/tango, tango2/configs/diffusion_model_config.json; 865.93 M parameters.
TANGO_UNET: Config = {
    "sample_size": [32, 2],
    "in_channels": 8,
    "out_channels": 8,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "layers_per_block": 2,
    "use_linear_projection": True,
    "upcast_attention": True,
}

#: The schedule of stabilityai/stable-diffusion-2-1. Its ``steps_offset`` of 1 is left out on purpose: the DDPM
#: scheduler that Tango was released with (diffusers 0.10 to 0.15) did not know that option.
TANGO_SCHEDULER: Config = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "prediction_type": "v_prediction",
}

#: SRC-gAudio: the channels and heads its paper gives, with blocks in the order of Stable Diffusion: 559.05 M
#: parameters. In the order the paper's text gives (attention in the last three encoder blocks) they would be 722.58 M;
#: the paper prints 561 M.
SRC_GAUDIO_UNET: Config = {
    "sample_size": [256, 16],
    "in_channels": 8,
    "out_channels": 8,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 640, 1280),
    "attention_head_dim": [5, 10, 10, 20],
    "cross_attention_dim": 1024,
    "layers_per_block": 2,
    "use_linear_projection": True,
}

#: Rate in Hz -> upsampling of a HiFi-GAN with hops of 10 ms. 16 kHz is AudioLDM's, 48 kHz has AudioSR's rates and
#: kernels; of the other two only the product is given.
SRC_GAUDIO_VOCODERS: dict[int, Config] = {
    16_000: VOCODER,
    24_000: {**VOCODER, "sampling_rate": 24_000, "upsample_rates": [5, 4, 3, 2, 2],
             "upsample_kernel_sizes": [10, 8, 6, 4, 4]},
    32_000: {**VOCODER, "sampling_rate": 32_000, "upsample_rates": [5, 4, 4, 2, 2],
             "upsample_kernel_sizes": [10, 8, 8, 4, 4]},
    48_000: {**VOCODER, "sampling_rate": 48_000, "upsample_rates": [6, 5, 4, 2, 2],
             "upsample_kernel_sizes": [12, 10, 8, 4, 4]},
}  # fmt: skip


def heads(channels: Sequence[int], each: int) -> list[int]:
    """Attention heads of every level, of ``each`` channels; diffusers calls them ``attention_head_dim``.

    Raises:
        BenchError: If the channels of a level cannot be shared out.
    """
    if uneven := [width for width in channels if width % each]:
        raise BenchError(
            f"no heads of {each} channels in a U-Net of {', '.join(map(str, channels))}",
            f"{each} does not divide {uneven[0]}",
            "use head_channels=32 as trained, or 0 for the heads of the configuration",
        )
    return [width // each for width in channels]


def audioldm_unet(size: str) -> Config:
    """The FiLM-conditioned U-Net of AudioLDM in size ``s``, ``m`` or ``l``, with diffusers' 8 heads.

    Source: huggingface/diffusers, scripts/convert_original_audioldm_to_diffusers.py.
    """
    channels = tuple(AUDIOLDM_CHANNELS[size] * level for level in _LEVELS)
    return {
        **_UNET,
        "sample_size": 128,
        "block_out_channels": channels,
        "cross_attention_dim": channels,
        "class_embed_type": "simple_projection",
        "projection_class_embeddings_input_dim": 512,
        "class_embeddings_concat": True,
    }


def audioldm2_unet(large: bool) -> Config:
    """The U-Net of AudioLDM 2: 346.9 M parameters, or 718.0 M (two transformer layers, one more self-attention).

    With diffusers' 8 heads.

    Source: haoheliu/AudioLDM2, audioldm2/utils.py, ``context_dim`` and ``transformer_depth``, behind a first
    self-attention (``extra_sa_layer``). The paper prints 346 M and 712 M.
    """
    streams = [None, 768, 1024, None] if large else [None, 768, 1024]
    return {
        **_UNET,
        "sample_size": 256,
        "block_out_channels": tuple(128 * level for level in _LEVELS),
        "cross_attention_dim": [streams] * len(_LEVELS),
        "transformer_layers_per_block": 2 if large else 1,
    }
