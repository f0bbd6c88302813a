"""SRC-gAudio: text to audio at a rate that is asked for, through FLAN-T5, a latent diffusion U-Net and a VAE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ldmbench.audio.arrays import Waveforms
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.steps import counted
from ldmbench.system.card import SystemSpec
from ldmbench.systems.audioldm.base import LatentDiffusion
from ldmbench.systems.audioldm.t5 import encoded, prompt_facts
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.parts import load_part, load_scheduler, untrained_vocoder
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.latent.tokenizers import character_tokenizer, load_tokenizer
from ldmbench.weights.tensors import seeded

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from torch import Tensor
    from transformers import T5Tokenizer

#: Tokens of FLAN-T5 that are read. (The paper gives no length; this is Tango's.)
TOKENS = 512


class SrcGAudio(LatentDiffusion):
    """One U-Net for all rates, told the rate by a token behind the text's, and a HiFi-GAN for each rate.

    All rates have hops of 10 ms and 64 mel bands, so a latent is the same size at each. Guidance leaves the text out
    and keeps the rate. Without ``controlled`` there is no such token: a U-Net of one rate alone, the paper's gAudio.

    What the paper leaves open, and is read here: the order of blocks and the form of the rate's embedding (by the
    number of parameters), the noise schedule (AudioLDM's), the rate counted in kHz, and the vocoders at 24 and 32 kHz.

    Settings beyond ``LatentDiffusion``'s: ``hz``, the rate of the variant; ``controlled``.

    Source: Li et al. 2024 (arXiv:2410.06544), section II.
    """

    tokenizer: T5Tokenizer
    scheduler: DDIMScheduler

    def __init__(self, spec: SystemSpec) -> None:
        self.hz, self.controlled = int(spec.settings["hz"]), bool(spec.settings["controlled"])
        rates = tuple(configs.SRC_GAUDIO_VOCODERS)
        check_setting(spec, "hz", self.hz in rates, "one of " + ", ".join(str(rate) for rate in rates))
        super().__init__(spec)

    def load(self, folder: Path) -> None:
        """Fill ``models`` from a folder with one folder a part, each as ``save_pretrained`` writes it."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import SpeechT5HifiGan, T5EncoderModel, T5Tokenizer

        from ldmbench.systems.audioldm.rate_token import RateToken

        vocoder = f"vocoder-{self.hz // 1000}k"
        self.models = {
            "text_encoder": load_part(T5EncoderModel, folder, "text_encoder"),
            "unet": load_part(UNet2DConditionModel, folder, "unet"),
            "vae": load_part(AutoencoderKL, folder, "vae"),
            "vocoder": load_part(SpeechT5HifiGan, folder, vocoder),
        }
        if self.controlled:
            self.models["rate_token"] = load_part(RateToken, folder, "rate_token")
        sounds = int(self.models["vocoder"].config.sampling_rate)
        if sounds != self.hz:
            raise BenchError(f"{vocoder} in {folder} is of another rate", f"{sounds} Hz", "correct its config.json")
        vocabulary = self.models["text_encoder"].config.vocab_size
        self.tokenizer = load_tokenizer(T5Tokenizer, folder, "tokenizer", vocabulary, TOKENS)
        self.scheduler = load_scheduler(folder)

    def untrained(self) -> None:
        """Fill ``models`` in full size; the tokenizer reads single characters."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler
        from transformers import T5Config, T5EncoderModel

        from ldmbench.systems.audioldm.rate_token import RateToken

        self.models = {
            "text_encoder": seeded(lambda: T5EncoderModel(T5Config(**configs.FLAN_T5_LARGE))),
            "unet": seeded(lambda: UNet2DConditionModel(**configs.SRC_GAUDIO_UNET)),
            "vae": seeded(lambda: AutoencoderKL(**configs.VAE, scaling_factor=configs.TANGO_SCALING)),
            "vocoder": untrained_vocoder(configs.SRC_GAUDIO_VOCODERS[self.hz]),
        }
        if self.controlled:
            self.models["rate_token"] = seeded(lambda: RateToken())
        self.tokenizer = character_tokenizer(TOKENS)
        self.scheduler = DDIMScheduler(**configs.AUDIOLDM_SCHEDULER)

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]`` from one sampling of the whole batch."""
        facts = [prompt_facts(self.tokenizer, prompt, self.spec.untrained) for prompt in prompts]
        return self.sounds(self.latents(clips, prompts, frames)), list(facts)

    def latents(self, clips: Sequence[Clip], prompts: Sequence[str], frames: int) -> Tensor:
        """Sampled latents ``[clips, 8, frames / 4, 16]``, scaled."""
        import torch
        from diffusers.utils.torch_utils import randn_tensor

        unet, guided = self.models["unet"], self.cfg != 1
        condition, mask = self.condition(prompts, guided)
        generators = self.generators(clips)
        bands = self.models["vocoder"].config.model_in_dim // self.shrink
        shape = (len(clips), unet.config.in_channels, frames // self.shrink, bands)
        latents: Tensor = randn_tensor(shape, generator=generators, device=unet.device, dtype=unet.dtype)
        self.scheduler.set_timesteps(self.steps, device=unet.device)
        for step in counted(self.scheduler.timesteps, "step"):
            seen = torch.cat([latents] * 2) if guided else latents
            noise = unet(seen, step, encoder_hidden_states=condition, encoder_attention_mask=mask).sample
            if guided:
                without, with_text = noise.chunk(2)
                noise = without + self.cfg * (with_text - without)
            # What draws the noise takes a generator for each clip; only the annotation of ``step`` does not.
            stepped = self.scheduler.step(noise, step, latents, eta=self.eta, generator=cast(Any, generators))
            latents = stepped[0]
        return latents

    def condition(self, prompts: Sequence[str], guided: bool) -> tuple[Tensor, Tensor]:
        """Text and rate tokens and their mask; where ``guided``, those of the negative prompt first, the rate kept."""
        import torch

        encoder = self.models["text_encoder"]
        text, mask = encoded(encoder, self.tokenizer, prompts, self.negative if guided else None)
        if not self.controlled:
            return text, mask
        rates = torch.full((len(text),), self.hz, device=text.device)
        token = self.models["rate_token"](rates)
        return torch.cat([text, token], dim=1), torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
