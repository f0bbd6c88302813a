"""AudioLDM: text to audio through CLAP, a FiLM-conditioned latent diffusion U-Net, a mel VAE and HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ldmbench.audio.arrays import Waveforms
from ldmbench.clips.clip import Clip
from ldmbench.systems.audioldm.base import LatentDiffusion
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.parts import load_part, load_scheduler, model_index, untrained_vocoder
from ldmbench.systems.latent.tokenizers import byte_tokenizer, load_tokenizer
from ldmbench.weights.tensors import seeded

if TYPE_CHECKING:
    from diffusers.pipelines.deprecated.audioldm.pipeline_audioldm import AudioLDMPipeline
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from torch import Generator
    from transformers import RobertaTokenizer

#: Tokens that RoBERTa's positions leave for text: the first two stand for padding.
_RESERVED = 2


class AudioLDM(LatentDiffusion):
    """``AudioLDMPipeline`` of diffusers on the official components.

    The released sampler draws noise at every step (``eta`` 1, ``ldm.py``); the pipeline's own default is 0.

    The published folders hold only the text half of CLAP, so candidates cannot be ranked here.

    Source: Liu et al. 2023 (arXiv:2301.12503).
    """

    pipeline: AudioLDMPipeline

    def load(self, folder: Path) -> None:
        """Fill ``models`` from a folder of ``AudioLDMPipeline.save_pretrained``."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import ClapTextModelWithProjection, RobertaTokenizer, SpeechT5HifiGan

        model_index(folder, "AudioLDMPipeline")
        encoder = load_part(ClapTextModelWithProjection, folder, "text_encoder")
        self.models = {
            "text_encoder": encoder,
            "unet": load_part(UNet2DConditionModel, folder, "unet"),
            "vae": load_part(AutoencoderKL, folder, "vae"),
            "vocoder": load_part(SpeechT5HifiGan, folder, "vocoder"),
        }
        positions = encoder.config.max_position_embeddings - _RESERVED
        tokenizer = load_tokenizer(RobertaTokenizer, folder, "tokenizer", encoder.config.vocab_size, positions)
        self._assemble(tokenizer, load_scheduler(folder))

    def untrained(self) -> None:
        """Fill ``models`` in the full size of the variant; the tokenizer reads single bytes."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        size = self.spec.name.variant[:1]
        self.models = {
            "text_encoder": seeded(lambda: ClapTextModelWithProjection(ClapTextConfig())),
            "unet": seeded(lambda: UNet2DConditionModel(**configs.audioldm_unet(size))),
            "vae": seeded(lambda: AutoencoderKL(**configs.VAE, scaling_factor=configs.AUDIOLDM_SCALING)),
            "vocoder": untrained_vocoder(configs.VOCODER),
        }
        self._assemble(byte_tokenizer(), DDIMScheduler(**configs.AUDIOLDM_SCHEDULER))

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]`` from one call of the pipeline."""
        return self.run(prompts, frames, self.generators(clips)), [self.facts(prompt) for prompt in prompts]

    def run(self, prompts: Sequence[str], frames: int, generators: list[Generator], **more: object) -> Waveforms:
        """The pipeline on a batch; ``more`` is passed on."""
        guided = {"negative_prompt": [self.negative] * len(prompts)} if self.cfg > 1 else {}
        result = self.pipeline(
            prompt=list(prompts),
            # A thousandth of a frame more: the pipeline rounds the quotient of two floats down.
            audio_length_in_s=(frames + 1e-3) * self.hop / self.rate,
            num_inference_steps=self.steps,
            guidance_scale=self.cfg,
            eta=self.eta,
            generator=generators,
            **guided,
            **more,
        )
        return np.asarray(result.audios, np.float32)

    def facts(self, prompt: str) -> dict[str, object]:
        """What is recorded about a clip: whether its prompt was cut, and which tokenizer read it."""
        facts: dict[str, object] = {}
        if self.spec.untrained:
            facts["tokenizer"] = "bytes, not the official one"
        count = len(self.pipeline.tokenizer(prompt).input_ids)
        if count > self.pipeline.tokenizer.model_max_length:
            facts["prompt_cut"] = f"{count} tokens, {self.pipeline.tokenizer.model_max_length} are read"
        return facts

    def _assemble(self, tokenizer: RobertaTokenizer, scheduler: DDIMScheduler) -> None:
        from diffusers.pipelines.deprecated.audioldm.pipeline_audioldm import AudioLDMPipeline

        self.pipeline = AudioLDMPipeline(**self.models, tokenizer=tokenizer, scheduler=cast(Any, scheduler))
        self.pipeline.set_progress_bar_config(disable=True)
