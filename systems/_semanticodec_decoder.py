"""SemantiCodec's decoder: diffusion in the latent of a mel autoencoder, HiFi-GAN, and overlap-add of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systems._condition_cache import ConditionCache, keep_conditions
from systems._v_diffusion import Noise, Watch, ddim, guided

#: Latent of one window: channels, time, frequency.
LATENT = (8, 256, 16)
#: Samples per mel frame.
HOP = 160
#: Samples in which neighbouring windows are faded into each other: 0.64 s.
FADE = 10_240
#: The vocoder returns this many samples more than its frames hold.
SURPLUS = 32

#: Mel frames behind a sample that can change it: the vocoder's receptive field is 25 frames to each side.
_REACH = 32

Waves = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Decoder:
    """From conditions to sound.

    Attributes:
        unet: ``AudioLDM2UNet2DConditionModel``.
        vae: ``AutoencoderKL``.
        vocoder: ``SpeechT5HifiGan``.
        alphas_cumprod: The schedule, as the checkpoint holds it.
        scale_factor: Latents are divided by it before they are decoded.
    """

    unet: Any
    vae: Any
    vocoder: Any
    alphas_cumprod: Sequence[float]
    scale_factor: float
    _kept: list[ConditionCache] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        import torch

        if self.unet is not None:
            self._kept.extend(keep_conditions(self.unet, self.unet.config.cross_attention_dim[0][1]))
        for model in (self.unet, self.vae):
            if model is not None:
                # The same numbers; a third faster on a CPU.
                model.to(memory_format=torch.channels_last)

    def latents(
        self,
        context: Any,
        without: Any,
        noises: Sequence[Noise],
        steps: int,
        cfg: float,
        eta: float,
        watch: Watch | None = None,
    ) -> Any:
        """Latents ``[n, 8, 256, 16]`` of windows under conditions ``[n, tokens, width]``, still scaled."""
        dtype = self.unet.dtype

        def evaluate(latents: Any, times: Any, condition: Any) -> Any:
            return self.unet(latents.to(dtype), times, encoder_hidden_states=condition).sample

        predict = guided(evaluate, context.to(dtype), without.to(dtype), cfg)
        try:
            return ddim(predict, self.alphas_cumprod, noises, LATENT, steps, eta, context.device, watch)
        finally:
            for kept in self._kept:
                kept.forget()

    def mel(self, latents: Any) -> Any:
        """Log-mel spectrograms ``[n, 1024, 64]`` of scaled latents, one at a time: an autoencoder needs much memory."""
        import torch

        scaled = latents / self.scale_factor
        return torch.cat([self.vae.decode(latent).sample for latent in scaled.split(1)])[:, 0]

    def wave(self, mel: Any, samples: int) -> Waves:
        """The first ``samples`` samples of the vocoder's output for one mel spectrogram ``[1024, 64]``."""
        frames = min(len(mel), -(-samples // HOP) + _REACH)
        sound = self.vocoder(mel[None, :frames]).reshape(-1)
        return np.asarray(sound[:samples].float().cpu().numpy())

    def needed(self, length: int, windows: int, aligned: bool) -> list[int]:
        """Samples of each window that are heard in a sound of ``length`` samples."""
        whole = window_samples(aligned)
        return [max(0, min(whole, length - index * (whole - FADE))) for index in range(windows)]


def window_samples(aligned: bool) -> int:
    """Samples of a decoded window: those of its frames, or with what the vocoder returns beyond them."""
    return 1024 * HOP + (0 if aligned else SURPLUS)


def overlap_add(waves: Sequence[Waves], length: int, whole: int) -> Waves:
    """Windows of ``whole`` samples (cut short where nothing more is needed) as one sound of ``length`` samples.

    Each is faded linearly into the next over ``FADE`` samples.

    Source: haoheliu/SemantiCodec-inference, ``overlap_add_waveform``.
    """
    rise, fall = np.linspace(0.0, 1.0, FADE), np.linspace(1.0, 0.0, FADE)
    joined = np.zeros(length, np.float32)
    for index, wave in enumerate(waves):
        start = index * (whole - FADE)
        piece = wave[: max(0, length - start)].copy()
        if index:
            faded = piece[:FADE]
            faded *= rise[: len(faded)]
        if index < len(waves) - 1:
            faded = piece[whole - FADE : whole]
            faded *= fall[: len(faded)]
        joined[start : start + len(piece)] += piece
    return joined
