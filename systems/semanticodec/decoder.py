"""SemantiCodec's decoder: diffusion in the latent of a mel autoencoder, HiFi-GAN, and overlap-add of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ldmbench.audio.arrays import Signal, Waveforms
from ldmbench.systems.latent.compiled import any_batch
from ldmbench.systems.latent.condition_cache import ConditionCache
from ldmbench.systems.latent.mel_batches import mel_batches
from ldmbench.systems.latent.parts import for_inference
from ldmbench.systems.latent.v_diffusion import Noise, Watch, ddim, guided

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2UNet2DConditionModel
    from torch import Tensor
    from transformers import SpeechT5HifiGan

#: Latent of one window: channels, time, frequency.
LATENT = (8, 256, 16)
#: Mel frames of one window.
FRAMES = 1024
#: Samples per mel frame.
HOP = 160
#: Samples in which neighbouring windows are faded into each other: 0.64 s.
FADE = 10_240
#: The vocoder returns this many samples more than its frames hold.
SURPLUS = 32

#: Mel frames behind a sample that can change it: the vocoder's receptive field is 25 frames to each side.
_REACH = 32

#: Mel frames that go through the autoencoder or the vocoder at once, by the kind of device: about 1 GiB of activations
#: in float32 on a CPU, where more gains nothing, and 8 GiB on a GPU.
MOST_FRAMES = {"cpu": FRAMES, "cuda": 8 * FRAMES}


@dataclass(eq=False)
class Decoder:
    """From conditions to sound.

    Attributes:
        unet: ``AudioLDM2UNet2DConditionModel``.
        vae: ``AutoencoderKL``.
        vocoder: ``SpeechT5HifiGan``.
        alphas_cumprod: The schedule, as the checkpoint holds it.
        scale_factor: Latents are divided by it before they are decoded.
    """

    unet: AudioLDM2UNet2DConditionModel
    vae: AutoencoderKL
    vocoder: SpeechT5HifiGan
    alphas_cumprod: Sequence[float]
    scale_factor: float
    _kept: ConditionCache | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.unet is not None:
            self._kept = ConditionCache(self.unet, self.unet.config["cross_attention_dim"][0][1])

    def to(self, device: str, precision: str) -> None:
        """Move to a device; the U-Net in ``precision``, what is run once in float32."""
        for_inference(self.unet, device, precision)
        for_inference(self.vae, device)
        for_inference(self.vocoder, device)

    def latents(
        self,
        context: Tensor,
        without: Tensor,
        noises: Sequence[Noise],
        steps: int,
        cfg: float,
        eta: float,
        watch: Watch | None = None,
    ) -> Tensor:
        """Latents ``[n, 8, 256, 16]`` of windows under conditions ``[n, tokens, width]``, still scaled."""
        dtype, kept = self.unet.dtype, self._kept
        assert kept is not None

        def evaluate(latents: Tensor, times: Tensor, condition: Tensor) -> Tensor:
            kept.keep(condition)
            seen = latents.to(dtype)
            any_batch(self.unet, seen, times, condition, *kept.kept())
            velocity: Tensor = self.unet(seen, times, encoder_hidden_states=condition).sample
            return velocity

        predict = guided(evaluate, context.to(dtype), without.to(dtype), cfg)
        try:
            return ddim(predict, self.alphas_cumprod, noises, LATENT, steps, eta, context.device, watch)
        finally:
            kept.forget()

    def sounds(self, latents: Tensor, samples: Sequence[int]) -> list[Signal]:
        """The first ``samples`` samples of each window, of scaled latents ``[n, 8, 256, 16]``."""
        pieces: list[Signal] = []
        for few in mel_batches(len(latents), FRAMES, latents.device, MOST_FRAMES):
            waves = self.wave(self.mel(latents[few]), max(samples[few]))
            pieces += [wave[:count] for wave, count in zip(waves, samples[few], strict=True)]
        return pieces

    def mel(self, latents: Tensor) -> Tensor:
        """Log-mel spectrograms ``[n, 1024, 64]`` of scaled latents."""
        images: Tensor = self.vae.decode(latents / self.scale_factor).sample
        return images[:, 0]

    def wave(self, mel: Tensor, samples: int) -> Waveforms:
        """The first ``samples`` samples of the vocoder's output for mel spectrograms ``[..., 1024, 64]``."""
        *count, length, bands = mel.shape
        frames = min(length, -(-samples // HOP) + _REACH)
        sound = self.vocoder(mel[..., :frames, :].reshape(-1, frames, bands)).reshape(*count, -1)
        return np.asarray(sound[..., :samples].float().cpu().numpy())

    def needed(self, length: int, windows: int, aligned: bool) -> list[int]:
        """Samples of each window that are heard in a sound of ``length`` samples."""
        whole = window_samples(aligned)
        return [max(0, min(whole, length - index * (whole - FADE))) for index in range(windows)]


def window_samples(aligned: bool) -> int:
    """Samples of a decoded window: those of its frames, or with what the vocoder returns beyond them."""
    return 1024 * HOP + (0 if aligned else SURPLUS)


def overlap_add(waves: Sequence[Signal], length: int, whole: int) -> Signal:
    """Windows of ``whole`` samples (cut short where nothing more is needed) as one sound of ``length`` samples.

    Each is faded linearly into the next over ``FADE`` samples.

    Source: haoheliu/SemantiCodec-inference, ``overlap_add_waveform``.
    """
    joined = np.zeros(length, np.float32)
    for index, wave in enumerate(waves):
        add_window(joined, wave, index, index == len(waves) - 1, whole)
    return joined


def add_window(joined: Signal, wave: Signal, index: int, last: bool, whole: int) -> None:
    """Add window ``index`` to the sound that ``overlap_add`` makes; the windows have to come in order."""
    start = index * (whole - FADE)
    piece = wave[: max(0, len(joined) - start)].copy()
    if index:
        faded = piece[:FADE]
        faded *= np.linspace(0.0, 1.0, FADE)[: len(faded)]
    if not last:
        faded = piece[whole - FADE : whole]
        faded *= np.linspace(1.0, 0.0, FADE)[: len(faded)]
    joined[start : start + len(piece)] += piece
