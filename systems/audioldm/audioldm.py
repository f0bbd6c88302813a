"""AudioLDM: text to audio through CLAP, a FiLM-conditioned latent diffusion U-Net, a mel VAE and HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ldmbench.audio.arrays import Waveforms
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.systems.audioldm.base import LatentDiffusion
from ldmbench.systems.audioldm.clap import Dropout, embed_repeated, embed_texts, similarities
from ldmbench.systems.audioldm.original import find_original, read_first
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

    The published folders hold only the text half of CLAP, so that ``candidates`` cannot be ranked, and one set of
    weights; the authors' own file (``audioldm-s-full.ckpt`` or a sister) has all of it. Setting beyond
    ``LatentDiffusion``'s: ``ema``, the averaged weights of that file, which the released sampler uses.

    Source: Liu et al. 2023 (arXiv:2301.12503); haoheliu/AudioLDM.
    """

    tokenizer: RobertaTokenizer

    def load(self, folder: Path) -> None:
        """Fill ``models`` from a folder of ``AudioLDMPipeline.save_pretrained``, or of the authors' checkpoint.

        Beside the checkpoint it holds the tokenizer, ``roberta-base``.
        """
        from transformers import RobertaTokenizer

        if original := find_original(folder, "audioldm-*.ckpt"):
            averaged = bool(self.spec.settings.get("ema", True))
            self.models, self.alphas = read_first(original, self.head_channels, averaged)
            self.predicts, name = "epsilon", "roberta-base"
        else:
            self._load_diffusers(folder)
            name = "tokenizer"
        # The whole CLAP of the authors' file, or its text half.
        encoder = self.models["text_encoder"]
        text = getattr(encoder.config, "text_config", encoder.config)
        positions = text.max_position_embeddings - _RESERVED
        self.tokenizer = load_tokenizer(RobertaTokenizer, folder, name, text.vocab_size, positions)
        if self.candidates > 1 and not hasattr(encoder, "audio_model"):
            raise BenchError(
                f"{self.spec.label} cannot rank candidates",
                f"{folder} holds only the text half of CLAP",
                "leave candidates at 1, or name a folder of the authors' own file with --weights",
            )
        self.set_roberta_eps()

    def _load_diffusers(self, folder: Path) -> None:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import ClapTextModelWithProjection, SpeechT5HifiGan

        model_index(folder, "AudioLDMPipeline")
        shape = read_json(folder / "unet" / "config.json", f"{folder} lacks unet")
        self.models = {
            "text_encoder": load_part(ClapTextModelWithProjection, folder, "text_encoder"),
            "unet": load_part(UNet2DConditionModel, folder, "unet", **self.heads(shape)),
            "vae": load_part(AutoencoderKL, folder, "vae"),
            "vocoder": load_part(SpeechT5HifiGan, folder, "vocoder"),
        }
        self.alphas, self.predicts = load_alphas(folder)

    def untrained(self) -> None:
        """Fill ``models`` in the full size of the variant; the tokenizer reads single bytes."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import ClapConfig, ClapModel, ClapTextConfig, ClapTextModelWithProjection

        unet = configs.audioldm_unet(self.spec.name.variant[:1])
        if self.head_channels:
            unet["attention_head_dim"] = configs.heads(unet["block_out_channels"], self.head_channels)

        def clap() -> ClapModel | ClapTextModelWithProjection:
            if self.candidates > 1:
                # HTSAT-base in the middle size. HTSAT-tiny is what transformers has by default.
                audio = configs.CLAP_AUDIO if self.spec.name.variant.startswith("m") else {}
                return ClapModel(ClapConfig(text_config=configs.CLAP_TEXT, audio_config=audio))
            return ClapTextModelWithProjection(ClapTextConfig(**configs.CLAP_TEXT))

        self.models = {
            "text_encoder": seeded(clap),
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
        """Waveforms ``[clips, time]`` from one sampling of the whole batch; the best candidate of each prompt."""
        generators = self.generators(clips, self.candidates)
        dropouts = [Dropout(self.clap_dropout, clip.seed) for clip in clips]
        predict = self.guided(prompts, dropouts)
        waves = self.sounds(self.sampled(predict, self.start(generators, frames), generators))

        def rank(index: int, own: Waveforms) -> list[float]:
            return self.rank(prompts[index], own, clips[index].seed, dropouts[index])

        return self.chosen(waves, [self.facts(prompt) for prompt in prompts], rank)

    def guided(self, prompts: Sequence[str], dropouts: Sequence[Dropout]) -> Predict:
        """The U-Net under each of ``prompts`` as often as there are candidates, against the ``negative`` one."""
        import torch

        encoder = self.models["text_encoder"]
        asked, (without, empty) = (
            embed_texts(encoder, self.tokenizer, texts) for texts in (prompts, [self.negative, ""])
        )
        heard = [dropout.apply(row[None], empty[None]) for dropout, row in zip(dropouts, asked, strict=True)]
        labels = torch.cat(heard).to(encoder.dtype).repeat_interleave(self.candidates, dim=0)
        return guided(
            self.models["unet"], {"class_labels": labels}, {"class_labels": without.expand_as(labels)}, self.cfg
        )

    def rank(self, prompt: str, waves: Waveforms, seed: int, dropout: Dropout | None = None) -> list[float]:
        """Cosine between the prompt and each waveform ``[candidates, time]`` under AudioLDM's own CLAP."""
        clap, dropout = self.models["text_encoder"], dropout or Dropout(0.0, 0)
        asked, empty = embed_texts(clap, self.tokenizer, [prompt, ""]).chunk(2)
        sounds = dropout.apply(embed_repeated(clap, waves, self.rate, seed), empty)
        return similarities(sounds, dropout.apply(asked.expand(len(waves), -1), empty))

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
