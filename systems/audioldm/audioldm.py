"""AudioLDM: text to audio through CLAP, a FiLM-conditioned latent diffusion U-Net, a mel VAE and HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ldmbench.audio.arrays import Waveforms
from ldmbench.clips.clip import Clip
from ldmbench.systems.audioldm.base import LatentDiffusion
from ldmbench.systems.audioldm.clap import Dropout, embed_texts
from ldmbench.systems.audioldm.sampling import guided
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.parts import alphas, load_alphas, load_part, model_index, read_json, untrained_vocoder
from ldmbench.systems.latent.tokenizers import byte_tokenizer, load_tokenizer
from ldmbench.systems.latent.v_diffusion import Predict
from ldmbench.weights.tensors import seeded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import RobertaTokenizer

#: Tokens that RoBERTa's positions leave for text: the first two stand for padding.
_RESERVED = 2

#: A latent that leaves these bounds is brought back inside the second ones before it is decoded.
#: Source: haoheliu/AudioLDM, ``ldm.py``, ``generate_sample``.
_FAR, _NEAR = 100.0, 10.0


class AudioLDM(LatentDiffusion):
    """The stock components of the official diffusers folders, run as AudioLDM's released code runs its own.

    The pipeline of diffusers is not used: its U-Nets have 8 heads at every level where the weights were trained with
    heads of 32 channels (64 in the large one), its ``eta`` is 0, it does not guide at scales up to 1, and takes other
    time steps where their number does not divide 1000.

    The published folders hold only the text half of CLAP, so candidates cannot be ranked here.

    Source: Liu et al. 2023 (arXiv:2301.12503); haoheliu/AudioLDM.
    """

    tokenizer: RobertaTokenizer

    def load(self, folder: Path) -> None:
        """Fill ``models`` from a folder of ``AudioLDMPipeline.save_pretrained``."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import ClapTextModelWithProjection, RobertaTokenizer, SpeechT5HifiGan

        model_index(folder, "AudioLDMPipeline")
        encoder = load_part(ClapTextModelWithProjection, folder, "text_encoder")
        shape = read_json(folder / "unet" / "config.json", f"{folder} lacks unet")
        self.models = {
            "text_encoder": encoder,
            "unet": load_part(UNet2DConditionModel, folder, "unet", **self.heads(shape)),
            "vae": load_part(AutoencoderKL, folder, "vae"),
            "vocoder": load_part(SpeechT5HifiGan, folder, "vocoder"),
        }
        positions = encoder.config.max_position_embeddings - _RESERVED
        self.tokenizer = load_tokenizer(RobertaTokenizer, folder, "tokenizer", encoder.config.vocab_size, positions)
        self.alphas, self.predicts = load_alphas(folder)
        self.set_roberta_eps()

    def untrained(self) -> None:
        """Fill ``models`` in the full size of the variant; the tokenizer reads single bytes."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        unet = configs.audioldm_unet(self.spec.name.variant[:1])
        if self.head_channels:
            unet["attention_head_dim"] = configs.heads(unet["block_out_channels"], self.head_channels)
        self.models = {
            "text_encoder": seeded(lambda: ClapTextModelWithProjection(ClapTextConfig(**configs.CLAP_TEXT))),
            "unet": seeded(lambda: UNet2DConditionModel(**unet)),
            "vae": seeded(lambda: AutoencoderKL(**configs.VAE, scaling_factor=configs.AUDIOLDM_SCALING)),
            "vocoder": untrained_vocoder(configs.VOCODER),
        }
        self.tokenizer = byte_tokenizer()
        self.alphas, self.predicts = alphas(configs.AUDIOLDM_SCHEDULER), "epsilon"
        self.set_roberta_eps()

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]`` from one sampling of the whole batch."""
        generators = self.generators(clips)
        predict = self.guided(prompts, clips)
        latents = self.sampled(predict, self.start(generators, frames), generators)
        return self.sounds(latents), [self.facts(prompt) for prompt in prompts]

    def guided(self, prompts: Sequence[str], clips: Sequence[Clip]) -> Predict:
        """The U-Net under the captions ``prompts``, against the empty or the ``negative`` one."""
        import torch

        encoder = self.models["text_encoder"]
        asked, (without, empty) = (
            embed_texts(encoder, self.tokenizer, texts) for texts in (prompts, [self.negative, ""])
        )
        chosen = [
            Dropout(self.clap_dropout, clip.seed).apply(row[None], empty[None])
            for clip, row in zip(clips, asked, strict=True)
        ]
        labels = {"class_labels": torch.cat(chosen).to(encoder.dtype)}
        return guided(self.models["unet"], labels, {"class_labels": without.expand_as(asked)}, self.cfg)

    def sounds(self, latents: Tensor) -> Waveforms:
        """Waveforms ``[sounds, time]``; a latent that has run away is brought back, as in the released code."""
        far = latents.abs().amax(dim=(1, 2, 3), keepdim=True) > _FAR
        return super().sounds(latents.where(~far, latents.clamp(-_NEAR, _NEAR)))

    def facts(self, prompt: str) -> dict[str, object]:
        """What is recorded about a clip: whether its prompt was cut, and which tokenizer read it."""
        facts = super().facts(prompt)
        if self.spec.untrained:
            facts["tokenizer"] = "bytes, not the official one"
        count = len(self.tokenizer(prompt).input_ids)
        if count > self.tokenizer.model_max_length:
            facts["prompt_cut"] = f"{count} tokens, {self.tokenizer.model_max_length} are read"
        return facts
