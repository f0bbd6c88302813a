"""AudioLDM 2: text to audio through CLAP, FLAN-T5 and GPT-2, a latent diffusion U-Net, a mel VAE and HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ldmbench.audio.arrays import Real, Waveforms
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.systems.audioldm.base import LatentDiffusion
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.parts import load_part, load_scheduler, model_index, read_json, untrained_vocoder
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.latent.tokenizers import byte_tokenizer, character_tokenizer, load_tokenizer
from ldmbench.weights.tensors import seeded

if TYPE_CHECKING:
    from diffusers.pipelines.audioldm2.pipeline_audioldm2 import AudioLDM2Pipeline
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from torch import Tensor
    from transformers import ClapFeatureExtractor, ClapTextConfig, RobertaTokenizer, T5Tokenizer
    from transformers.modeling_outputs import BaseModelOutputWithPooling

#: Hidden states that GPT-2 continues the prompt with, where its configuration does not say.
NEW_TOKENS = 8

#: Tokens of FLAN-T5 that are read. Source: convert_original_audioldm2_to_diffusers.py.
T5_TOKENS = 128


class AudioLDM2(LatentDiffusion):
    """``AudioLDM2Pipeline`` of diffusers on the official components.

    Differences from a plain call of the pipeline, each of them because the plain call gives other samples to the
    same prompt in another batch: every prompt is encoded alone (GPT-2 counts padding as positions), and candidates
    are ranked among those of their own prompt (the pipeline ranks over the whole batch, and needs librosa to).

    Settings beyond ``LatentDiffusion``'s: ``candidates`` per prompt, of which CLAP's favourite is kept.

    Source: Liu et al. 2023 (arXiv:2308.05734).
    """

    pipeline: AudioLDM2Pipeline

    def __init__(self, spec: SystemSpec) -> None:
        self.candidates = int(spec.settings["candidates"])
        check_setting(spec, "candidates", self.candidates >= 1, "1 or more")
        self.new_tokens = NEW_TOKENS
        super().__init__(spec)

    def load(self, folder: Path) -> None:
        """Fill ``models`` from a folder of ``AudioLDM2Pipeline.save_pretrained``."""
        from diffusers import AudioLDM2ProjectionModel, AudioLDM2UNet2DConditionModel, AutoencoderKL
        from transformers import (
            ClapFeatureExtractor,
            ClapModel,
            GPT2LMHeadModel,
            RobertaTokenizer,
            SpeechT5HifiGan,
            T5EncoderModel,
            T5Tokenizer,
        )

        model_index(folder, "AudioLDM2Pipeline")
        clap = load_part(ClapModel, folder, "text_encoder")
        t5 = load_part(T5EncoderModel, folder, "text_encoder_2")
        self.models = {
            "text_encoder": clap,
            "text_encoder_2": t5,
            "projection_model": load_part(AudioLDM2ProjectionModel, folder, "projection_model"),
            # The index of the official folders says GPT2Model, which lacks what the pipeline calls
            # (huggingface/diffusers issue 12630); the head is tied to the embedding and not used.
            "language_model": load_part(GPT2LMHeadModel, folder, "language_model"),
            "unet": load_part(AudioLDM2UNet2DConditionModel, folder, "unet"),
            "vae": load_part(AutoencoderKL, folder, "vae"),
            "vocoder": load_part(SpeechT5HifiGan, folder, "vocoder"),
        }
        language = read_json(folder / "language_model" / "config.json", f"{folder} lacks language_model")
        self.new_tokens = int(language.get("max_new_tokens", NEW_TOKENS))
        text = cast("ClapTextConfig", clap.config.text_config)
        roberta = load_tokenizer(RobertaTokenizer, folder, "tokenizer", text.vocab_size, _positions(text))
        sentence = load_tokenizer(T5Tokenizer, folder, "tokenizer_2", t5.config.vocab_size, T5_TOKENS)
        features = ClapFeatureExtractor(
            **_public(read_json(folder / "feature_extractor" / "preprocessor_config.json", f"{folder} is incomplete"))
        )
        self._assemble(roberta, sentence, features, load_scheduler(folder))

    def untrained(self) -> None:
        """Fill ``models`` in the full size of the variant; the tokenizers read bytes and characters."""
        from diffusers import (
            AudioLDM2ProjectionModel,
            AudioLDM2UNet2DConditionModel,
            AutoencoderKL,
        )
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler
        from transformers import (
            ClapConfig,
            ClapFeatureExtractor,
            ClapModel,
            GPT2Config,
            GPT2LMHeadModel,
            T5Config,
            T5EncoderModel,
        )

        large = self.spec.name.variant == "large"
        self.models = {
            "text_encoder": seeded(lambda: ClapModel(ClapConfig())),
            "text_encoder_2": seeded(lambda: T5EncoderModel(T5Config(**configs.FLAN_T5_LARGE))),
            "projection_model": seeded(lambda: AudioLDM2ProjectionModel(512, 1024, 768)),
            "language_model": seeded(lambda: GPT2LMHeadModel(GPT2Config())),
            "unet": seeded(lambda: AudioLDM2UNet2DConditionModel(**configs.audioldm2_unet(large))),
            "vae": seeded(lambda: AutoencoderKL(**configs.VAE, scaling_factor=configs.AUDIOLDM2_SCALING)),
            "vocoder": untrained_vocoder(configs.VOCODER),
        }
        features = ClapFeatureExtractor(**configs.CLAP_FEATURES)
        scheduler = DDIMScheduler(**configs.AUDIOLDM_SCHEDULER)
        self._assemble(byte_tokenizer(), character_tokenizer(T5_TOKENS), features, scheduler)

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]`` from one call of the pipeline; the best candidate of each prompt."""
        count = self.candidates
        result = self.pipeline(
            **self._encoded(prompts),
            # A thousandth of a frame more: the pipeline rounds the quotient of two floats down.
            audio_length_in_s=(frames + 1e-3) * self.hop / self.rate,
            num_inference_steps=self.steps,
            guidance_scale=self.cfg,
            num_waveforms_per_prompt=count,
            eta=self.eta,
            generator=self.generators(clips, count),
        )
        waves = np.asarray(result.audios, np.float32)
        details: list[Mapping[str, object]] = [self.facts(prompt) for prompt in prompts]
        if count == 1:
            return waves, details
        chosen = []
        for index, prompt in enumerate(prompts):
            own = waves[index * count : (index + 1) * count]
            scores = self.rank(prompt, own)
            best = int(np.argmax(scores))
            chosen.append(own[best])
            details[index] = {**details[index], "clap": [round(float(score), 6) for score in scores], "chosen": best}
        return np.stack(chosen), details

    def rank(self, prompt: str, waves: Waveforms) -> Real:
        """Cosine between the prompt and each waveform ``[candidates, time]`` under the folder's own CLAP.

        Only CLAP's window of 10 s from the start is heard: its feature extractor would cut longer sounds at random.
        """
        import torch

        clap, features = self.models["text_encoder"], self.pipeline.feature_extractor
        window = int(features.nb_max_samples)
        heard = [
            Audio.of(wave, self.rate).at(features.sampling_rate).samples[0][:window].astype(np.float64)
            for wave in waves
        ]
        # One sound at a time: among several, the extractor may pick one at random and call it longer than it is.
        inputs = [features(sound, sampling_rate=features.sampling_rate, return_tensors="pt") for sound in heard]
        text = self.pipeline.tokenizer([prompt], return_tensors="pt", truncation=True).to(clap.device)
        spoken = _pooled(clap.get_text_features(**text)).double().cpu()
        scores = []
        for item in inputs:
            sound = _pooled(
                clap.get_audio_features(
                    input_features=item["input_features"].to(clap.device, clap.dtype),
                    is_longer=item["is_longer"].to(clap.device),
                )
            )
            scores.append(float(torch.nn.functional.cosine_similarity(sound.double().cpu(), spoken)[0]))
        return np.array(scores)

    def facts(self, prompt: str) -> dict[str, object]:
        """What is recorded about a clip: whether its prompt was cut, and which tokenizers read it."""
        facts: dict[str, object] = {}
        if self.spec.untrained:
            facts["tokenizer"] = "bytes and characters, not the official ones"
        cuts = []
        for name, tokenizer in (("CLAP", self.pipeline.tokenizer), ("T5", self.pipeline.tokenizer_2)):
            count = len(tokenizer(prompt).input_ids)
            if count > tokenizer.model_max_length:
                cuts.append(f"{count} {name} tokens, {tokenizer.model_max_length} read")
        if cuts:
            facts["prompt_cut"] = cuts
        return facts

    def _encoded(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """The pipeline's own encoding of each prompt alone, padded and masked to the longest."""
        guided = self.cfg > 1
        encoded = [
            self.pipeline.encode_prompt(
                prompt=[prompt],
                device=self.spec.device,
                num_waveforms_per_prompt=1,
                do_classifier_free_guidance=guided,
                negative_prompt=[self.negative] if guided else None,
                max_new_tokens=self.new_tokens,
            )
            for prompt in prompts
        ]
        names = ("prompt_embeds", "attention_mask", "generated_prompt_embeds")
        longest = max(item[0].shape[1] for item in encoded)
        batch: dict[str, Tensor] = {}
        # With guidance the encoding holds the negative prompt first.
        for row, prefix in enumerate(("negative_", "") if guided else ("",)):
            for position, name in enumerate(names):
                values = [item[position][row] for item in encoded]
                batch[prefix + name] = _stacked(values, longest if position < 2 else 0)
        return batch

    def _assemble(
        self, roberta: RobertaTokenizer, sentence: T5Tokenizer, features: ClapFeatureExtractor, scheduler: DDIMScheduler
    ) -> None:
        from diffusers.pipelines.audioldm2.pipeline_audioldm2 import AudioLDM2Pipeline

        parts = {**self.models, "tokenizer": roberta, "tokenizer_2": sentence, "feature_extractor": features}
        self.pipeline = AudioLDM2Pipeline(**parts, scheduler=cast(Any, scheduler))
        self.pipeline.set_progress_bar_config(disable=True)


def _stacked(values: list[Tensor], length: int) -> Tensor:
    """Tensors ``[time, ...]`` as one ``[n, length, ...]``, with zeros behind those that are shorter."""
    import torch

    if not length:
        return torch.stack(values)
    total = values[0].new_zeros((len(values), length, *values[0].shape[1:]))
    for row, value in zip(total, values, strict=True):
        row[: len(value)] = value
    return total


def _pooled(output: Tensor | BaseModelOutputWithPooling) -> Tensor:
    return cast("Tensor", getattr(output, "pooler_output", output))


def _positions(config: ClapTextConfig) -> int:
    """Tokens that RoBERTa's positions leave for text: the first two stand for padding."""
    return int(config.max_position_embeddings) - 2


def _public(config: Mapping[str, Any]) -> dict[str, Any]:
    """A preprocessor's settings without the names of classes."""
    if not config:
        raise BenchError("the feature extractor's configuration is empty", fix="fetch the folder again")
    return {key: value for key, value in config.items() if key not in ("feature_extractor_type", "processor_class")}
