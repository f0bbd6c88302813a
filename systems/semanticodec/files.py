"""SemantiCodec's official files: names, keys and shapes; the models filled from them, or with seeded random weights."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ldmbench.errors import BenchError
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent import keys as keys
from ldmbench.systems.latent.drawn import deviation_of_gain, draw_weights
from ldmbench.systems.latent.v_diffusion import cosine_alphas
from ldmbench.systems.semanticodec.decoder import Decoder
from ldmbench.weights.tensors import fitted, read_tensors

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from torch import Tensor
    from torch.nn import Module

    from ldmbench.systems.semanticodec.tokens import Coder

M = TypeVar("M", bound="Module")

#: Stored by the encoder's file and not needed: AudioMAE's own decoder, and the bookkeeping of training codebooks.
ENCODER_UNUSED = (
    r"^audiomae\.model\.(mask_token|decoder_\w+(\.|$))",
    r"^quantizer\._codebook\.(initted|cluster_size|embed_avg)$",
)

#: Stored by the decoder's file and not needed: the moving average of weights (the reference decodes with the plain
#: ones), what follows from ``alphas_cumprod``, an unused variance, and the autoencoder's way in.
DECODER_UNUSED = (
    r"^model_ema\.",
    r"^(betas|alphas_cumprod_prev|sqrt_(one_minus_|recip_|recipm1_)?alphas_cumprod|log_one_minus_alphas_cumprod)$",
    r"^posterior_(variance|log_variance_clipped|mean_coef1|mean_coef2)$",
    r"^logvar$",
)

#: Heads of 32 channels, four levels; after each residual block two transformers: self-attention, then attention to the
#: condition.
CHANNELS, HEADS = (64, 128, 192, 320), (2, 4, 6, 10)

#: ``untrained`` only; the released value is in the checkpoint.
_SCALE = 0.5


def checkpoint_files(stack: int, vocab: int) -> tuple[str, str, str]:
    """Names of encoder, decoder and semantic codebook below the weights folder.

    A codebook's file is named by half its rows, its folder by 512 / ``stack``.
    """
    folder = f"semanticodec_tokenrate_{100 // stack}"
    codebook = f"codebook_idx/combine_{512 // stack}_audioset_dominate/codebook_{vocab // 2}_0.npy"
    return f"{folder}/encoder.ckpt", f"{folder}/decoder.ckpt", codebook


def read_coder(folder: Path, stack: int, vocab: int) -> Coder:
    """The coder with the weights of the official files.

    Raises:
        BenchError: If a file is missing, damaged, holds more than tensors, or belongs to another variant.
    """
    from ldmbench.systems.semanticodec.tokens import Coder, Geometry

    encoder, _, codebook = checkpoint_files(stack, vocab)
    path = folder / encoder
    state = read_tensors(path)
    prefixes = ("audiomae.model.", "encoder.", "encoder_output_linear.", "quantizer._codebook.")
    (vit, lstm, project, quantizer), _ = keys.parts(state, prefixes, (), ENCODER_UNUSED, path)
    stock = {
        **{f"audiomae.{key}": value for key, value in vit.items()},
        **{f"lstm.{key}": value for key, value in lstm.items()},
        **{f"project.{key}": value for key, value in project.items()},
        **{f"quantizer.{key}": value for key, value in quantizer.items() if key != "embed"},
        "semantic": _read_codebook(folder / codebook, vocab, Geometry(stack).width),
    }
    if (words := quantizer.get("embed")) is not None:
        # One head.
        stock["acoustic"] = words[0] if words.ndim == 3 and len(words) == 1 else words
    return fitted(lambda: Coder(stack, vocab), stock, path)


def read_decoder(folder: Path, stack: int, vocab: int) -> Decoder:
    """The decoder with the weights, schedule and scale factor of the official file.

    Raises:
        BenchError: If the file is missing, damaged, holds more than tensors, or belongs to another variant.
    """
    _, decoder, _ = checkpoint_files(stack, vocab)
    path = folder / decoder
    state = read_tensors(path)
    prefixes = ("model.diffusion_model.", "first_stage_model.vocoder.", "first_stage_model.")
    wanted = ("alphas_cumprod", "scale_factor")
    (unet, vocoder, vae), single = keys.parts(state, prefixes, wanted, DECODER_UNUSED, path)
    alphas, scale = single["alphas_cumprod"].double().tolist(), float(single["scale_factor"])
    if len(alphas) != 1000 or not all(first > second for first, second in itertools.pairwise(alphas)):
        raise BenchError(f"the weights in {path} do not fit", "alphas_cumprod is no schedule of 1000 steps", _FIX)
    if not (math.isfinite(scale) and scale > 0):
        raise BenchError(f"the weights in {path} do not fit", f"scale_factor is {scale}", _FIX)
    return Decoder(
        keys.load_unet(unet, unet_config(stack), path),
        _without_encoder(keys.load_vae(vae, configs.VAE, path)),
        keys.load_vocoder(vocoder, configs.VOCODER, path),
        alphas,
        scale,
    )


def unet_config(stack: int) -> dict[str, Any]:
    """The U-Net at ``stack`` patches a token: 75, 86 or 107 M parameters."""
    from ldmbench.systems.semanticodec.tokens import Geometry

    return keys.unet_config(8, 8, CHANNELS, HEADS, (None, Geometry(stack).context))


def untrained_coder(stack: int, vocab: int) -> Coder:
    """The coder in full size with seeded weights under which tokens vary."""
    import torch

    from ldmbench.systems.semanticodec.tokens import Coder

    with torch.device("meta"):
        coder = Coder(stack, vocab)
    return _drawn(coder)


def untrained_decoder(stack: int) -> Decoder:
    """The decoder in full size with seeded weights of unit gain and a cosine schedule."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2UNet2DConditionModel
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    with torch.device("meta"):
        unet = AudioLDM2UNet2DConditionModel(**unet_config(stack))
        vae = AutoencoderKL(**configs.VAE)
        vocoder = SpeechT5HifiGan(SpeechT5HifiGanConfig(**configs.VOCODER))
    return Decoder(_drawn(unet), _without_encoder(_drawn(vae)), _drawn(vocoder), cosine_alphas(), _SCALE)


_FIX = "use the official file"


def _read_codebook(path: Path, vocab: int, width: int) -> Tensor:
    """Semantic centroids ``[vocab, width]``.

    Raises:
        BenchError: If the file is missing, is no array of numbers, or has another shape.
    """
    import numpy as np
    import torch

    try:
        table = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise BenchError(f"{path.parent} lacks {path.name}", fix="fetch it again or correct --weights") from None
    except (OSError, ValueError, EOFError) as error:
        raise BenchError(f"{path} cannot be read as an array", str(error), "fetch it again") from None
    if not isinstance(table, np.ndarray) or table.shape != (vocab, width) or table.dtype != np.float32:
        held = f"{table.dtype} {table.shape}" if isinstance(table, np.ndarray) else type(table).__name__
        raise BenchError(f"{path} is not the codebook of this variant", f"{held}, not {vocab} x {width}", _FIX)
    return torch.from_numpy(table)


def _without_encoder(vae: AutoencoderKL) -> AutoencoderKL:
    """Only what decodes is kept and counted."""
    for name in ("encoder", "quant_conv"):
        vae.register_module(name, None)
    return vae


def _drawn(model: M) -> M:
    """``model``, made without memory, with a seeded value for every weight, drawn from its name."""
    import torch

    from ldmbench.systems.semanticodec.audiomae import positions

    draw_weights(model.to_empty(device="cpu"), _deviation)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(positions() if name.endswith("pos_embed") else torch.full_like(buffer, float(name == "scale")))
    return model


def _deviation(name: str, value: Tensor) -> float | None:
    """Deviations under which untrained tokens vary."""
    if name in _CODEBOOKS:
        return _CODEBOOKS[name]
    gain = next((gain for part, gain in _GAINS.items() if part in name), None)
    return None if gain is None else deviation_of_gain(value, gain)


_CODEBOOKS = {"semantic": 1.0, "acoustic": 0.15}
_GAINS = {"attn.qkv.weight": 2.0, "patch_embed.proj.weight": 10.0, "weight_ih_l": 4.0}
