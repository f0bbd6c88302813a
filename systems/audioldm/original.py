"""The authors' own checkpoints, one file under their names each, as the stock modules; sizes come from the shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmbench.errors import BenchError
from ldmbench.extractors.clap_weights import UNUSED, Architecture, OfficialLayout, build
from ldmbench.systems.audioldm.vae import vocoder_config
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.keys import load_unet, load_vae, load_vocoder, parts, unet_config, unet_name
from ldmbench.weights.tensors import check_keys, fit, fitted, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor"]

#: Beginnings of names: U-Net, vocoder, autoencoder; then AudioLDM's CLAP; then AudioLDM 2's, GPT-2, FLAN-T5.
_SHARED = ("model.diffusion_model.", "first_stage_model.vocoder.", "first_stage_model.")
_FIRST = (*_SHARED, "cond_stage_model.model.")
_SECOND = (*_SHARED, "clap.model.", "cond_stage_models.0.model.", "cond_stage_models.1.model.")

#: Between the texts and GPT-2: the official name -> the name in ``AudioLDM2ProjectionModel``.
_PROJECTION = {
    f"cond_stage_models.0.input_sequence_embed_linear.{index}.{end}": f"projection{more}.{end}"
    for index, more in enumerate(("", "_1"))
    for end in ("weight", "bias")
}
_MARKS = {
    "cond_stage_models.0.start_of_sequence_tokens.weight": "sos_embed",
    "cond_stage_models.0.end_of_sequence_tokens.weight": "eos_embed",
}

#: Not read: a second CLAP and FLAN-T5, AudioMAE, the rest of the schedule, discriminators,
#: CLAP's mel transform of clips of other lengths, and what transformers computes itself.
_UNUSED = (
    r"^cond_stage_models\.0\.cond_stage_models\.", r"^first_stage_model\.loss\.",
    r"^clap\.mel_transform\.",
    r"^(betas|alphas_cumprod_prev|sqrt_\w+|log_one_minus_alphas_cumprod|posterior_\w+|lvlb_weights|logvar)$",
    r"\.attn\.(masked_)?bias$",
)  # fmt: skip


def find_original(folder: Path, pattern: str) -> Path | None:
    """The authors' checkpoint in ``folder``, which is then no folder of diffusers; None where there is none.

    Args:
        folder: With the tokenizers beside the checkpoint.
        pattern: What its name looks like.

    Raises:
        BenchError: If there are several.
    """
    if (folder / "model_index.json").is_file():
        return None
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise BenchError(f"{folder} holds several checkpoints", ", ".join(path.name for path in found), "leave one")
    return found[0] if found else None


def read_second(path: Path, head_channels: int) -> tuple[dict[str, Any], list[float]]:
    """AudioLDM 2's ``models``, and ``alphas_cumprod``, of ``audioldm2-full.pth`` or one of its sisters at 16 kHz.

    Args:
        path: A dictionary with a ``state_dict``.
        head_channels: Channels of an attention head in the U-Net; 0 for the 8 heads of diffusers.

    Raises:
        BenchError: If any key is missing, superfluous or of another shape.
    """
    from diffusers import AudioLDM2ProjectionModel
    from transformers import GPT2Config, GPT2Model, T5Config, T5EncoderModel

    wanted = [*_PROJECTION, *_MARKS, "alphas_cumprod", "scale_factor"]
    (unet, vocoder, vae, clap, gpt, t5), rest = parts(
        read_tensors(path, "state_dict"), _SECOND, wanted, (*_UNUSED, r"^model_ema\."), path
    )
    marks = {name + more: rest[key][index] for key, name in _MARKS.items() for index, more in enumerate(("", "_1"))}
    projection = {name: rest[key] for key, name in _PROJECTION.items()} | marks
    widths = [projection[f"projection{more}.weight"].shape[1] for more in ("", "_1")]
    width = projection["projection.weight"].shape[0]
    models = {
        "text_encoder": _clap(clap, path),
        "text_encoder_2": fitted(lambda: T5EncoderModel(T5Config(**_t5_config(t5))), t5, path, "FLAN-T5"),
        "projection_model": fitted(lambda: AudioLDM2ProjectionModel(*widths, width), projection, path),
        "language_model": fitted(lambda: GPT2Model(GPT2Config(**_gpt_config(gpt))), gpt, path, "GPT-2"),
        "unet": load_unet(unet, unet_shape(unet, head_channels), path),
        **_mel_parts(vae, vocoder, rest, path),
    }
    return models, [float(value) for value in rest["alphas_cumprod"]]


def read_first(path: Path, head_channels: int, averaged: bool) -> tuple[dict[str, Any], list[float]]:
    """AudioLDM's ``models``, and ``alphas_cumprod``, of ``audioldm-s-full.ckpt`` or one of its sisters.

    Args:
        path: A dictionary with a ``state_dict``.
        head_channels: Channels of an attention head in the U-Net; 0 for the 8 heads of diffusers.
        averaged: Take the U-Net's exponential averages, as the released sampler does.

    Raises:
        BenchError: If any key is missing, superfluous or of another shape, or the averages are not there.
    """
    from diffusers import UNet2DConditionModel

    state = read_tensors(path, "state_dict")
    wanted, unused = ("alphas_cumprod", "scale_factor"), (*_UNUSED, r"^model_ema\.")
    (unet, vocoder, vae, clap), rest = parts(state, _FIRST, wanted, unused, path)
    if averaged:
        # A buffer's name may hold no dots.
        names = {key: "model_ema." + f"diffusion_model.{key}".replace(".", "") for key in unet}
        check_keys(path, [name for name in names.values() if name not in state], [], [], "ema=true")
        unet = {key: state[name] for key, name in names.items()}
    channels = _channels(unet)
    config = {
        **configs.audioldm_unet("s"),
        "block_out_channels": channels,
        "cross_attention_dim": channels,
        "attention_head_dim": configs.heads(channels, head_channels) if head_channels else 8,
        "projection_class_embeddings_input_dim": unet["film_emb.weight"].shape[1],
    }
    stock = {unet_name(key, 2, 1): value for key, value in unet.items()}
    models = {
        "text_encoder": _clap(clap, path),
        "unet": fitted(lambda: UNet2DConditionModel(**config), stock, path),
        **_mel_parts(vae, vocoder, rest, path),
    }
    return models, [float(value) for value in rest["alphas_cumprod"]]


def _clap(state: State, path: Path) -> Any:
    """CLAP, with both of its halves."""
    layout = OfficialLayout(build(_clap_architecture(state)))
    fit(layout, state, path, "CLAP", ignore=[key for key in state if UNUSED.fullmatch(key)])
    layout.verify_front_end(path)
    return layout.model


def _mel_parts(vae: State, vocoder: State, rest: State, path: Path) -> dict[str, Any]:
    """Autoencoder and vocoder."""
    config = {**_vae_config(vae), "scaling_factor": float(rest["scale_factor"])}
    waves = vocoder_config(vocoder, vocoder["conv_pre.weight"].shape[1], 16_000)
    return {"vae": load_vae(vae, config, path), "vocoder": load_vocoder(vocoder, waves, path)}


def _count(state: State, pattern: str) -> int:
    """How many numbers stand where ``pattern`` has its group: 0, 1, 2, ..."""
    numbers = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    return max(numbers, default=-1) + 1


def _clap_architecture(state: State) -> Architecture:
    """Sizes of CLAP."""
    layers = _count(state, r"audio_branch\.layers\.(\d+)\.")
    block = "audio_branch.layers.{}.blocks.0.attn.relative_position_bias_table"
    text = state["text_branch.embeddings.word_embeddings.weight"]
    return Architecture(
        width=state["audio_branch.patch_embed.proj.weight"].shape[0],
        depths=tuple(_count(state, rf"audio_branch\.layers\.{index}\.blocks\.(\d+)\.") for index in range(layers)),
        heads=tuple(state[block.format(index)].shape[1] for index in range(layers)),
        text_width=text.shape[1],
        text_layers=_count(state, r"text_branch\.encoder\.layer\.(\d+)\."),
        text_heads=max(1, text.shape[1] // 64),
        vocabulary=text.shape[0],
        joint=state["text_projection.0.weight"].shape[0],
    )


def _channels(state: State) -> list[int]:
    """Channels of the four levels of a U-Net."""
    return [state[f"input_blocks.{1 + 3 * level}.0.out_layers.3.weight"].shape[0] for level in range(4)]


def unet_shape(state: State, head_channels: int) -> dict[str, Any]:
    """Configuration of the U-Net: two residual blocks a level, transformers below the first level."""
    channels = _channels(state)
    inside = "input_blocks.4.{}.transformer_blocks.0.attn2.to_k.weight"
    widths = [
        state[inside.format(1 + index)].shape[1] for index in range(_count(state, r"input_blocks\.4\.(\d+)\.") - 1)
    ]
    cross = [None if width == channels[1] else width for width in widths]
    heads = configs.heads(channels, head_channels) if head_channels else [8] * len(channels)
    inner, outer = state["input_blocks.0.0.weight"].shape[1], state["out.2.weight"].shape[0]
    depth = _count(state, r"input_blocks\.4\.1\.transformer_blocks\.(\d+)\.")
    return {**unet_config(inner, outer, channels, heads, cross), "transformer_layers_per_block": depth}


def _vae_config(state: State) -> dict[str, Any]:
    """Configuration of the autoencoder."""
    levels = _count(state, r"encoder\.down\.(\d+)\.")
    return {
        **configs.VAE,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": [state[f"encoder.down.{index}.block.0.conv1.weight"].shape[0] for index in range(levels)],
        "layers_per_block": _count(state, r"encoder\.down\.0\.block\.(\d+)\."),
        "latent_channels": state["post_quant_conv.weight"].shape[1],
    }


def _t5_config(state: State) -> dict[str, Any]:
    """Configuration of FLAN-T5: the large one's, in the sizes that are there."""
    attention = "encoder.block.0.layer.0.SelfAttention."
    heads = state[attention + "relative_attention_bias.weight"].shape[1]
    return {
        **configs.FLAN_T5_LARGE,
        "vocab_size": state["shared.weight"].shape[0],
        "d_model": state["shared.weight"].shape[1],
        "d_ff": state["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"].shape[0],
        "d_kv": state[attention + "q.weight"].shape[0] // heads,
        "num_heads": heads,
        "num_layers": _count(state, r"encoder\.block\.(\d+)\."),
    }


def _gpt_config(state: State) -> dict[str, Any]:
    """Configuration of GPT-2, whose heads have 64 channels."""
    vocabulary, width = state["wte.weight"].shape
    return {
        "vocab_size": vocabulary,
        "n_embd": width,
        "n_positions": state["wpe.weight"].shape[0],
        "n_layer": _count(state, r"h\.(\d+)\."),
        "n_head": max(1, width // 64),
    }
