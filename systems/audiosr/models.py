"""AudioSR's models as stock modules: read from the official file, or seeded in its shapes, and run stage by stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ldmbench.errors import BenchError
from ldmbench.systems.audiosr.signal import MELS, RATE
from ldmbench.systems.latent.compiled import any_batch
from ldmbench.systems.latent.keys import load_unet, load_vae, load_vocoder, parts, unet_config
from ldmbench.systems.latent.mel_batches import mel_batches
from ldmbench.systems.latent.parts import for_inference, parameters, untrained_vocoder
from ldmbench.systems.latent.v_diffusion import Noise, Watch, cosine_alphas, ddim, guided
from ldmbench.weights.tensors import read_tensors, seeded

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2UNet2DConditionModel
    from torch import Tensor
    from transformers import SpeechT5HifiGan

FILE = "pytorch_model.bin"

LATENT_CHANNELS = 16
#: Mel frames per latent frame, and mel bands per latent band.
SHRINK = 8
#: A latent of what the reference calls no condition, before the scale factor.
NO_CONDITION = -11.4981
TRAINED_STEPS = 1000

#: Source: ``get_basic_config`` in audiosr/utils.py of haoheliu/versatile_audio_super_resolution.
UNET = unet_config(
    in_channels=2 * LATENT_CHANNELS,
    out_channels=LATENT_CHANNELS,
    channels=(128, 256, 384, 640),
    heads=(4, 8, 12, 20),
    cross=(None, None),
)
VAE = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 1024),
    "latent_channels": LATENT_CHANNELS,
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
VOCODER = {
    "model_in_dim": MELS,
    "sampling_rate": RATE,
    "upsample_initial_channel": 1536,
    "upsample_rates": [6, 5, 4, 2, 2],
    "upsample_kernel_sizes": [12, 10, 8, 4, 4],
    "resblock_kernel_sizes": [3, 7, 11, 15],
    "resblock_dilation_sizes": [[1, 3, 5]] * 4,
    "normalize_before": False,
}

#: What the file holds beside the models' weights and is not read: exponential averages and the ranking model, the
#: halves of the two copies of the autoencoder that are not used, and what follows from ``alphas_cumprod``.
UNUSED = (
    r"^model_ema\.",
    r"^clap\.",
    r"^first_stage_model\.(encoder|quant_conv)\.",
    r"^cond_stage_models\.0\.vae\.(decoder|post_quant_conv|vocoder)\.",
    r"^(betas|alphas_cumprod_prev|sqrt_alphas_cumprod|sqrt_one_minus_alphas_cumprod|log_one_minus_alphas_cumprod"
    r"|sqrt_recip_alphas_cumprod|sqrt_recipm1_alphas_cumprod|posterior_variance|posterior_log_variance_clipped"
    r"|posterior_mean_coef1|posterior_mean_coef2|logvar)$",
)

#: Mel frames that go through the autoencoder or the vocoder at once, by the kind of device: about 2 GiB of activations
#: in float32 on a CPU, where more gains nothing, and 8 GiB on a GPU.
MOST_FRAMES = {"cpu": 1536, "cuda": 6144}


@dataclass(eq=False)
class Models:
    """The three models with schedule and scale factor.

    Attributes:
        unet: ``AudioLDM2UNet2DConditionModel`` without cross-attention; sees latent and condition side by side.
        vae: ``AutoencoderKL``: the encoder makes the condition, the decoder the mel spectrogram.
        vocoder: ``SpeechT5HifiGan``.
        alphas_cumprod: Share of signal power left after each trained step.
        scale: What latents are multiplied by before the U-Net sees them.
        parameters: Learned values of all models together.
    """

    unet: AudioLDM2UNet2DConditionModel
    vae: AutoencoderKL
    vocoder: SpeechT5HifiGan
    alphas_cumprod: list[float]
    scale: float
    parameters: int = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = parameters((self.unet, self.vae, self.vocoder))

    def to(self, device: str, precision: str) -> None:
        """Move to a device; the U-Net in ``precision``, what is run once in float32."""
        for_inference(self.unet, device, precision)
        for_inference(self.vae, device)
        for_inference(self.vocoder, device)

    def encode(self, mels: Tensor, noises: Sequence[Noise]) -> Tensor:
        """Conditions ``[n, 16, frames / 8, 32]`` of log-mels ``[n, frames, 256]``: one draw of each posterior, draw 1.

        Draw 0 is the reference's: it samples a latent of the input as it is, and throws it away.
        """
        import torch

        device = self.vae.device
        latents = []
        for few in mel_batches(len(mels), mels.shape[1], device, MOST_FRAMES):
            posterior = self.vae.encode(mels[few, None].to(device)).latent_dist
            drawn = [torch.as_tensor(noise(1, tuple(posterior.mean.shape[1:]))) for noise in noises[few]]
            latents.append(posterior.mean + posterior.std * torch.stack(drawn).to(device))
        return torch.cat(latents)

    def sample(
        self,
        conditions: Tensor,
        noises: Sequence[Noise],
        steps: int,
        cfg: float,
        eta: float,
        watch: Watch | None = None,
    ) -> Tensor:
        """Latents ``[n, 16, frames / 8, 32]``, by guided DDIM from draw 2 on."""
        import torch

        scaled = self.scale * conditions
        without = torch.full_like(conditions, NO_CONDITION) * self.scale

        def evaluate(latents: Tensor, times: Tensor, condition: Tensor) -> Tensor:
            return self.velocity(latents, condition, times)

        predict = guided(evaluate, scaled, without, cfg)
        later = [_from_second(noise) for noise in noises]
        shape = tuple(conditions.shape[1:])
        return ddim(predict, self.alphas_cumprod, later, shape, steps, eta, conditions.device, watch)

    def velocity(self, latents: Tensor, conditions: Tensor, times: Tensor) -> Tensor:
        """What the U-Net predicts for latents and scaled conditions, each ``[n, 16, frames / 8, 32]``."""
        import torch

        seen = torch.cat([latents, conditions], 1).to(self.unet.dtype)
        any_batch(self.unet, seen, times)
        velocity: Tensor = self.unet(seen, times, encoder_hidden_states=None, return_dict=False)[0]
        return velocity

    def decode(self, latents: Tensor) -> Tensor:
        """Log-mels ``[n, frames, 256]`` of latents."""
        import torch

        frames = latents.shape[2] * SHRINK
        scaled = latents / self.scale
        mels = [
            self.vae.decode(scaled[few]).sample[:, 0]
            for few in mel_batches(len(scaled), frames, scaled.device, MOST_FRAMES)
        ]
        return torch.cat(mels)

    def vocode(self, mels: Tensor) -> Tensor:
        """Waveforms ``[n, frames * 480 + 16]`` of log-mels."""
        import torch

        frames = mels.shape[1]
        inputs = mels.to(self.vocoder.device)
        return torch.cat(
            [self.vocoder(inputs[few]) for few in mel_batches(len(inputs), frames, inputs.device, MOST_FRAMES)]
        )


def load(folder: Path) -> Models:
    """The models in the official file in ``folder``; of its 6 GB, only what is used is read.

    Condition and output go through different copies of the autoencoder, as in the reference implementation.

    Raises:
        BenchError: If the file is damaged or holds code, or any key is missing, unknown or of another shape.
    """
    path = folder / FILE
    (unet, vocoder, decoder, encoder), values = _stored(path)
    alphas = [float(value) for value in values["alphas_cumprod"].flatten()]
    scale = float(values["scale_factor"].flatten()[0])
    if len(alphas) != TRAINED_STEPS or not all(0 <= value <= 1 for value in alphas) or not 0 < scale < math.inf:
        schedule = f"{len(alphas)} steps, scale factor {scale:g}"
        raise BenchError(f"the schedule in {path} cannot be used", schedule, "use the official file")
    return Models(
        load_unet(unet, UNET, path),
        load_vae({**encoder, **decoder}, VAE, path),
        load_vocoder(vocoder, VOCODER, path),
        alphas,
        scale,
    )


def load_vocoder_alone(folder: Path) -> SpeechT5HifiGan:
    """The vocoder in the official file in ``folder``.

    Raises:
        BenchError: As ``load``.
    """
    path = folder / FILE
    return load_vocoder(_stored(path)[0][1], VOCODER, path)


def _stored(path: Path) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Tensors of U-Net, vocoder, decoder and encoder under their own names, and what stands alone."""
    names = ("model.diffusion_model.", "first_stage_model.vocoder.", "first_stage_model.", "cond_stage_models.0.vae.")
    return parts(read_tensors(path, "state_dict"), names, ("alphas_cumprod", "scale_factor"), UNUSED, path)


def untrained() -> Models:
    """Models of the official shapes with seeded random weights, on the cosine schedule of the reference's config."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2UNet2DConditionModel

    return Models(
        seeded(lambda: AudioLDM2UNet2DConditionModel(**UNET)),
        seeded(lambda: AutoencoderKL(**VAE)),
        untrained_vocoder(VOCODER),
        cosine_alphas(TRAINED_STEPS),
        1.0,
    )


def _from_second(noise: Noise) -> Noise:
    return lambda index, shape: noise(index + 2, shape)
