"""Tango: text to audio through FLAN-T5, a cross-attention latent diffusion U-Net, AudioLDM's VAE and HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ldmbench.audio.arrays import Waveforms
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.steps import counted
from ldmbench.systems.audioldm.base import LatentDiffusion
from ldmbench.systems.audioldm.sampling import guided
from ldmbench.systems.audioldm.t5 import encoded, prompt_facts
from ldmbench.systems.audioldm.vae import read_vae
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.parts import read_json, untrained_vocoder
from ldmbench.systems.latent.tokenizers import character_tokenizer, load_tokenizer
from ldmbench.weights.tensors import fitted, read_tensors, seeded

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from torch import Tensor
    from transformers import T5Tokenizer

#: Tokens of FLAN-T5 that are read.
TOKENS = 512

#: Folders of FLAN-T5's tokenizer and configuration below the folder, which the published ones do not hold.
_T5_FOLDERS = ("", "flan-t5-large", "tokenizer")


class Tango(LatentDiffusion):
    """The stock U-Net and T5 encoder with the official checkpoint's keys, and the sampling loop of ``models.py``.

    Sampling is DDPM (``v`` prediction, stochastic), guided by the empty or the ``negative`` prompt. The original
    rounds its output to 16 bits; here it stays as the vocoder made it.

    Source: Ghosal et al. 2023 (arXiv:2304.13731); declare-lab/tango, ``tango.py`` and ``models.py``.
    """

    tokenizer: T5Tokenizer
    scheduler: DDPMScheduler

    def load(self, folder: Path) -> None:
        """Fill ``models`` from ``main_config.json``, ``vae_config.json``, ``stft_config.json`` and their weights."""
        from diffusers import UNet2DConditionModel
        from transformers import T5Config, T5EncoderModel, T5Tokenizer

        what = f"{folder} is not a folder of Tango"
        main = read_json(folder / "main_config.json", what)
        if "t5" not in str(main.get("text_encoder_name")):
            raise BenchError(what, f"its text encoder is {main.get('text_encoder_name')}", "use a Tango with FLAN-T5")
        stft = read_json(folder / "stft_config.json", what)
        vae, vocoder = read_vae(folder / "pytorch_model_vae.bin", read_json(folder / "vae_config.json", what), stft)
        path = folder / "pytorch_model_main.bin"
        state = read_tensors(path)
        strange = sorted(key for key in state if not key.startswith(("unet.", "text_encoder.")))
        if strange:
            raise BenchError(f"the weights in {path} do not fit", f"keys {', '.join(strange[:3])}", "use a Tango file")
        config = self._unet_config(folder, str(main.get("unet_model_config_path") or ""))
        unet = fitted(lambda: UNet2DConditionModel(**config), _below("unet.", state), path)
        words = T5Config(**self._t5_config(folder))
        t5 = fitted(lambda: T5EncoderModel(words), _below("text_encoder.", state), path)
        self.models = {"text_encoder": t5, "unet": unet, "vae": vae, "vocoder": vocoder}
        holders = [name for name in _T5_FOLDERS if any((folder / name / file).is_file() for file in _T5_FILES)]
        holder = holders[0] if holders else ""
        self.tokenizer = load_tokenizer(T5Tokenizer, folder, holder, t5.config.vocab_size, TOKENS)
        self._schedule()

    def untrained(self) -> None:
        """Fill ``models`` in full size; the tokenizer reads single characters."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import T5Config, T5EncoderModel

        self.models = {
            "text_encoder": seeded(lambda: T5EncoderModel(T5Config(**configs.FLAN_T5_LARGE))),
            "unet": seeded(lambda: UNet2DConditionModel(**configs.TANGO_UNET)),
            "vae": seeded(lambda: AutoencoderKL(**configs.VAE, scaling_factor=configs.TANGO_SCALING)),
            "vocoder": untrained_vocoder(configs.VOCODER),
        }
        self.tokenizer = character_tokenizer(TOKENS)
        self._schedule()

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]`` from one sampling of the whole batch."""
        text, mask = encoded(self.models["text_encoder"], self.tokenizer, prompts, self.negative)
        # The negative prompts come first.
        empty, asked = (
            {"encoder_hidden_states": states, "encoder_attention_mask": kept}
            for states, kept in zip(text.chunk(2), mask.chunk(2), strict=True)
        )
        generators = self.generators(clips)
        latents = self.start(generators, frames)
        predict = guided(self.models["unet"], asked, empty, self.cfg)
        self.scheduler.set_timesteps(self.steps)
        latents = latents * self.scheduler.init_noise_sigma
        for step in counted(self.scheduler.timesteps, "step"):
            # What draws the noise takes a generator for each clip; only the annotation of ``step`` does not.
            own = cast(Any, generators)
            latents = self.scheduler.step(predict(latents, step), step, latents, own, return_dict=False)[0]
        return self.sounds(latents), [self.facts(prompt) for prompt in prompts]

    def facts(self, prompt: str) -> dict[str, object]:
        """What is recorded about a clip: whether its prompt was cut, and which tokenizer read it."""
        return prompt_facts(self.tokenizer, prompt, self.spec.untrained)

    def _schedule(self) -> None:
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        self.scheduler = DDPMScheduler(**configs.TANGO_SCHEDULER)

    def _unet_config(self, folder: Path, named: str) -> dict[str, Any]:
        """The U-Net's configuration: the file that the main one names, where the folder holds it, or Tango's own.

        The published folders name a file of the code repository.
        """
        for candidate in (folder / named, folder / Path(named).name) if named else ():
            if candidate.is_file():
                content = read_json(candidate, f"{folder} is not a folder of Tango")
                return {key: value for key, value in content.items() if not key.startswith("_")}
        return configs.TANGO_UNET

    def _t5_config(self, folder: Path) -> dict[str, Any]:
        """FLAN-T5's configuration: the ``config.json`` in the folder, or that of FLAN-T5-large."""
        for name in _T5_FOLDERS:
            if (folder / name / "config.json").is_file():
                return read_json(folder / name / "config.json", f"{folder} is not a folder of Tango")
        return configs.FLAN_T5_LARGE


#: Any of these is a tokenizer of T5.
_T5_FILES = ("tokenizer.json", "spiece.model")


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
