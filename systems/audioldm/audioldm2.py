"""AudioLDM 2: text to audio through CLAP, FLAN-T5 and GPT-2, a latent diffusion U-Net, a mel VAE and HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ldmbench.audio.arrays import Waveforms
from ldmbench.clips.clip import Clip
from ldmbench.system.card import SystemSpec
from ldmbench.systems.audioldm.base import LatentDiffusion
from ldmbench.systems.audioldm.clap import Dropout, embed_sounds, embed_texts, similarities
from ldmbench.systems.audioldm.original import find_original, read_second
from ldmbench.systems.audioldm.sampling import guided, stacked
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.parts import alphas, load_alphas, load_part, model_index, read_json, untrained_vocoder
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.latent.tokenizers import byte_tokenizer, character_tokenizer, load_tokenizer
from ldmbench.systems.latent.v_diffusion import Predict
from ldmbench.weights.tensors import seeded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import ClapTextConfig, RobertaTokenizer, T5Tokenizer

#: Hidden states that GPT-2 continues the prompt with, where its configuration does not say.
NEW_TOKENS = 8

#: Tokens of FLAN-T5 that are read. Source: convert_original_audioldm2_to_diffusers.py.
T5_TOKENS = 128

#: Folders of CLAP's and FLAN-T5's tokenizers in diffusers' layout, and beside the authors' checkpoint.
TOKENIZERS = {"diffusers": ("tokenizer", "tokenizer_2"), "original": ("roberta-base", "flan-t5-large")}

#: What the U-Net is told by the unconditional branch instead of GPT-2's states: nothing, as in the released code, or
#: GPT-2's continuation of the empty prompt, padded as long as the clip's, as diffusers does.
UNCONDITIONAL = ("zeros", "diffusers")

#: What the U-Net attends to, each ``[1, tokens, ...]``: GPT-2's states, FLAN-T5's, and the latter's mask.
Told = tuple["Tensor", "Tensor", "Tensor"]


class AudioLDM2(LatentDiffusion):
    """The stock components of the official diffusers folders, run as AudioLDM 2's released code runs its own.

    The pipeline of diffusers is not used: its U-Nets have 8 heads where the weights were trained with heads of 32
    channels, its unconditional branch is another, it does not guide at scales up to 1, ranks candidates over the
    whole batch by another front end, and takes other time steps where their number does not divide 1000.

    Every prompt is encoded alone: GPT-2 counts padding as positions, so that the same prompt would sound otherwise in
    another batch. (The released code pads prompts of one batch.)

    Settings beyond ``LatentDiffusion``'s: ``unconditional``, see ``UNCONDITIONAL``; a ``negative`` prompt, which the
    released code does not have, is encoded as prompts are.

    Source: Liu et al. 2023 (arXiv:2308.05734); haoheliu/AudioLDM2.
    """

    tokenizer: RobertaTokenizer
    tokenizer_2: T5Tokenizer

    def __init__(self, spec: SystemSpec) -> None:
        self.unconditional = str(spec.settings["unconditional"])
        check_setting(spec, "unconditional", self.unconditional in UNCONDITIONAL, f"one of {', '.join(UNCONDITIONAL)}")
        self.new_tokens = NEW_TOKENS
        super().__init__(spec)

    def load(self, folder: Path) -> None:
        """Fill ``models`` from a folder of ``AudioLDM2Pipeline.save_pretrained``, or of the authors' checkpoint.

        Beside the checkpoint it holds the tokenizers, ``roberta-base`` and ``flan-t5-large``.
        """
        if original := find_original(folder, "audioldm2*.pth"):
            self.models, self.alphas = read_second(original, self.head_channels)
            self.predicts = "epsilon"
            self._read_tokenizers(folder, *TOKENIZERS["original"])
        else:
            self._load_diffusers(folder)
        self.set_roberta_eps()

    def _load_diffusers(self, folder: Path) -> None:
        from diffusers import AudioLDM2ProjectionModel, AudioLDM2UNet2DConditionModel, AutoencoderKL
        from transformers import (
            ClapModel,
            GPT2Model,
            SpeechT5HifiGan,
            T5EncoderModel,
        )

        model_index(folder, "AudioLDM2Pipeline")
        shape = read_json(folder / "unet" / "config.json", f"{folder} lacks unet")
        self.models = {
            "text_encoder": load_part(ClapModel, folder, "text_encoder"),
            "text_encoder_2": load_part(T5EncoderModel, folder, "text_encoder_2"),
            "projection_model": load_part(AudioLDM2ProjectionModel, folder, "projection_model"),
            "language_model": load_part(GPT2Model, folder, "language_model"),
            "unet": load_part(AudioLDM2UNet2DConditionModel, folder, "unet", **self.heads(shape)),
            "vae": load_part(AutoencoderKL, folder, "vae"),
            "vocoder": load_part(SpeechT5HifiGan, folder, "vocoder"),
        }
        language = read_json(folder / "language_model" / "config.json", f"{folder} lacks language_model")
        self.new_tokens = int(language.get("max_new_tokens", NEW_TOKENS))
        self._read_tokenizers(folder, *TOKENIZERS["diffusers"])
        self.alphas, self.predicts = load_alphas(folder)

    def _read_tokenizers(self, folder: Path, first: str, second: str) -> None:
        from transformers import RobertaTokenizer, T5Tokenizer

        text = cast("ClapTextConfig", self.models["text_encoder"].config.text_config)
        words = self.models["text_encoder_2"].config.vocab_size
        # The first two positions of RoBERTa stand for padding.
        positions = int(text.max_position_embeddings) - 2
        self.tokenizer = load_tokenizer(RobertaTokenizer, folder, first, text.vocab_size, positions)
        self.tokenizer_2 = load_tokenizer(T5Tokenizer, folder, second, words, T5_TOKENS)

    def untrained(self) -> None:
        """Fill ``models`` in the full size of the variant; the tokenizers read bytes and characters."""
        from diffusers import AudioLDM2ProjectionModel, AudioLDM2UNet2DConditionModel, AutoencoderKL
        from transformers import ClapConfig, ClapModel, GPT2Config, GPT2Model, T5Config, T5EncoderModel

        unet = configs.audioldm2_unet(self.spec.name.variant.startswith("large"))
        if self.head_channels:
            unet["attention_head_dim"] = configs.heads(unet["block_out_channels"], self.head_channels)
        clap = ClapConfig(text_config=configs.CLAP_TEXT, audio_config=configs.CLAP_AUDIO)
        self.models = {
            "text_encoder": seeded(lambda: ClapModel(clap)),
            "text_encoder_2": seeded(lambda: T5EncoderModel(T5Config(**configs.FLAN_T5_LARGE))),
            "projection_model": seeded(lambda: AudioLDM2ProjectionModel(512, 1024, 768)),
            "language_model": seeded(lambda: GPT2Model(GPT2Config())),
            "unet": seeded(lambda: AudioLDM2UNet2DConditionModel(**unet)),
            "vae": seeded(lambda: AutoencoderKL(**configs.VAE, scaling_factor=configs.AUDIOLDM2_SCALING)),
            "vocoder": untrained_vocoder(configs.VOCODER),
        }
        self.tokenizer, self.tokenizer_2 = byte_tokenizer(), character_tokenizer(T5_TOKENS)
        self.alphas, self.predicts = alphas(configs.AUDIOLDM_SCHEDULER), "epsilon"
        self.set_roberta_eps()

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]`` from one sampling; the best candidate of each prompt."""
        generators = self.generators(clips, self.candidates)
        dropouts = [Dropout(self.clap_dropout, clip.seed) for clip in clips]
        predict = self.guided(prompts, dropouts)
        waves = self.sounds(self.sampled(predict, self.start(generators, frames), generators))
        details: list[Mapping[str, object]] = [self.facts(prompt) for prompt in prompts]
        return self.chosen(waves, details, lambda index, own: self.rank(prompts[index], own, dropouts[index]))

    def guided(self, prompts: Sequence[str], dropouts: Sequence[Dropout]) -> Predict:
        """The U-Net under each of ``prompts`` as often as there are candidates, against the unconditional branch."""
        told, without = [], []
        empty = self.clap("")
        untold = None if self.unconditional == "diffusers" else self.untold()
        for prompt, dropout in zip(prompts, dropouts, strict=True):
            heard = self.told(prompt, dropout.apply(self.clap(prompt), empty))
            told += [heard] * self.candidates
            without += [untold or self.untold(heard[1].shape[1])] * self.candidates
        names = ("encoder_hidden_states", "encoder_hidden_states_1", "encoder_attention_mask_1")
        # Padded to the same length, since both halves go through the U-Net together.
        columns = [stacked([row[index] for row in (*told, *without)]) for index in range(len(names))]
        asked, unasked = (
            dict(zip(names, (column[part] for column in columns), strict=True))
            for part in (slice(len(told)), slice(len(told), None))
        )
        return guided(self.models["unet"], asked, unasked, self.cfg)

    def clap(self, text: str) -> Tensor:
        """CLAP's embedding ``[1, width]`` of a text."""
        return embed_texts(self.models["text_encoder"], self.tokenizer, [text])

    def told(self, text: str, clap: Tensor, tokens: int = 0) -> Told:
        """What the U-Net attends to of a text: read alone, or padded or cut to ``tokens`` of FLAN-T5.

        Args:
            text: The caption.
            clap: Its embedding ``[1, width]``.
            tokens: 0 for as many as it has.
        """
        encoder = self.models["text_encoder_2"]
        most = tokens or self.tokenizer_2.model_max_length
        padding = "max_length" if tokens else False
        read = self.tokenizer_2([text], padding=padding, max_length=most, truncation=True, return_tensors="pt")
        read = read.to(encoder.device)
        states = encoder(input_ids=read.input_ids, attention_mask=read.attention_mask)[0]
        return self.continued(clap[:, None], states, read.attention_mask), states, read.attention_mask

    def untold(self, tokens: int = 0) -> Told:
        """What the unconditional branch attends to; as diffusers does, beside a text of ``tokens`` tokens."""
        states, read, mask = self.told(self.negative, self.clap(self.negative), tokens)
        return (states if tokens or self.negative else states * 0), read, mask

    def continued(self, clap: Tensor, t5: Tensor, mask: Tensor) -> Tensor:
        """States ``[1, new_tokens, width]`` that GPT-2 continues the two texts with.

        Args:
            clap: ``[1, 1, width]``.
            t5: ``[1, tokens, width]``.
            mask: 1 where ``t5`` counts ``[1, tokens]``.

        Source: haoheliu/AudioLDM2, ``Sequence2AudioMAE.generate``.
        """
        import torch

        language = self.models["language_model"]
        sequence = self.models["projection_model"](clap, t5, mask.new_ones(1, 1), mask)
        states, seen, kept = sequence.hidden_states, sequence.attention_mask, None
        made: list[Any] = []
        for _ in range(self.new_tokens):
            step = language(inputs_embeds=states, attention_mask=seen, past_key_values=kept, use_cache=True)
            states, kept = step.last_hidden_state[:, -1:], step.past_key_values
            seen = torch.cat([seen, seen.new_ones(1, 1)], dim=1)
            made.append(states)
        return torch.cat(made, dim=1)

    def rank(self, prompt: str, waves: Waveforms, dropout: Dropout | None = None) -> list[float]:
        """Cosine between the prompt and each waveform ``[candidates, time]`` under the folder's own CLAP."""
        dropout = dropout or Dropout(0.0, 0)
        empty = self.clap("")
        sounds = dropout.apply(embed_sounds(self.models["text_encoder"], waves, self.rate), empty)
        texts = dropout.apply(self.clap(prompt).expand(len(waves), -1), empty)
        return similarities(sounds, texts)

    def facts(self, prompt: str) -> dict[str, object]:
        """What is recorded about a clip: whether its prompt was cut, and which tokenizers read it."""
        facts = super().facts(prompt)
        if self.spec.untrained:
            facts["tokenizer"] = "bytes and characters, not the official ones"
        cuts = []
        for name, tokenizer in (("CLAP", self.tokenizer), ("T5", self.tokenizer_2)):
            count = len(tokenizer(prompt).input_ids)
            if count > tokenizer.model_max_length:
                cuts.append(f"{count} {name} tokens, {tokenizer.model_max_length} read")
        if cuts:
            facts["prompt_cut"] = cuts
        return facts
