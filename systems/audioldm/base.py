"""What the text-to-audio adapters share: settings, batches of equal length, sampling by a generator per clip."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmbench.audio.arrays import Signal, Waveforms
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.device import check_device
from ldmbench.names import Setting
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output
from ldmbench.systems.audioldm.clap import set_epsilon
from ldmbench.systems.audioldm.sampling import SPACINGS, time_steps
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent.mel_batches import mel_batches
from ldmbench.systems.latent.parts import for_inference, parameters
from ldmbench.systems.latent.settings import check_sampling, check_setting, quiet
from ldmbench.systems.latent.v_diffusion import Predict, scheduler, walk

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Mel frames that go through the autoencoder or the vocoder at once.
MOST_FRAMES = {"cpu": 1024, "cuda": 8 * 1024}


class LatentDiffusion:
    """Base of the adapters: subclasses load or build ``models`` and turn prompts into waveforms.

    Clips of equal length go through the model together. All noise of a clip is drawn on the CPU from a generator
    seeded by ``clip.seed``, so that device, batch and order do not change it; what remains is rounding, which
    depends on the batch size (bit-equal at equal batch size on one device).

    Settings: ``steps`` of the sampler, ``cfg`` guidance scale (1 is none), ``negative`` prompt (underscores stand
    for spaces, which names of systems cannot hold), ``seconds`` of sound (0 is the duration of the clip's
    reference), ``eta`` of DDIM (the share of fresh noise in a step), ``precision`` of the weights.

    Settings of the adapters with CLAP, by which they run as their authors' code does: ``head_channels`` of the U-Net's
    attention, ``roberta_eps`` (0 leaves either as the folder's configuration says), ``spacing`` of the time steps, and
    ``clap_dropout``, a probability; and ``candidates`` per prompt, of which CLAP's favourite is kept.
    """

    #: The schedule: ``alphas_cumprod``, and what the U-Net predicts.
    alphas: Sequence[float]
    predicts: str

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.card = spec.card
        self.steps = int(spec.settings["steps"])
        self.cfg = float(spec.settings["cfg"])
        self.negative = spoken(spec.settings.get("negative", ""))
        self.seconds = float(spec.settings.get("seconds", 0.0))
        self.eta = float(spec.settings.get("eta", 0.0))
        self.precision = str(spec.settings["precision"])
        self.head_channels = int(spec.settings.get("head_channels", 0))
        self.roberta_eps = float(spec.settings.get("roberta_eps", 0.0))
        self.spacing = str(spec.settings.get("spacing", SPACINGS[0]))
        self.clap_dropout = float(spec.settings.get("clap_dropout", 0.0))
        self.candidates = int(spec.settings.get("candidates", 1))
        self._departures: dict[str, str] = {}
        check_setting(spec, "steps", 1 <= self.steps <= 1000, "1 to 1000")
        check_setting(spec, "head_channels", self.head_channels >= 0, "0 or more")
        check_setting(spec, "roberta_eps", 0 <= self.roberta_eps < 1, "0 to 1")
        check_setting(spec, "spacing", self.spacing in SPACINGS, f"one of {', '.join(SPACINGS)}")
        check_setting(spec, "candidates", self.candidates >= 1, "1 or more")
        check_setting(spec, "clap_dropout", 0 <= self.clap_dropout <= 1, "0 to 1")
        #: Time steps of DDIM. (Tango's sampler makes its own.)
        self.times = time_steps(self.steps, self.spacing) if "spacing" in spec.settings else []
        check_setting(spec, "seconds", self.seconds >= 0 and math.isfinite(self.seconds), "0 or more")
        check_sampling(spec)
        self.models: dict[str, Any] = {}
        self.rate = 0
        with quiet():
            self._prepare()

    @property
    def parameters(self) -> int:
        """Learned values of all models together."""
        return parameters(self.models.values())

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the sound of every clip, in order; clips of equal length are generated together."""
        import torch

        # Before anything is computed: a clip without a prompt must not cost the others their minutes.
        prompts = [self.prompt(clip) for clip in clips]
        lengths = [self.samples(clip) for clip in clips]
        groups: dict[int, list[int]] = {}
        for index, length in enumerate(lengths):
            groups.setdefault(self.frames(length), []).append(index)
        outputs: dict[int, Output] = {}
        with torch.inference_mode(), quiet():
            for frames, members in groups.items():
                chosen = [clips[index] for index in members]
                waves, details = self.generate(chosen, [prompts[index] for index in members], frames)
                for index, wave, detail in zip(members, waves, details, strict=True):
                    outputs[index] = Output(self.trimmed(wave, lengths[index]), details=detail)
        yield from (outputs[index] for index in range(len(clips)))

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]`` of at least ``frames`` mel frames, and the details of each."""
        raise NotImplementedError

    def load(self, folder: Path) -> None:
        """Fill ``models`` from the official files in ``folder``."""
        raise NotImplementedError

    def untrained(self) -> None:
        """Fill ``models`` in full size with seeded random weights."""
        raise NotImplementedError

    @property
    def hop(self) -> int:
        """Samples per mel frame."""
        return math.prod(self.models["vocoder"].config.upsample_rates)

    @property
    def shrink(self) -> int:
        """Mel frames (and mel bands) per latent frame (and latent band)."""
        return int(2 ** (len(self.models["vae"].config.block_out_channels) - 1))

    def prompt(self, clip: Clip) -> str:
        """What the model is asked for.

        Raises:
            BenchError: If the clip has no caption.
        """
        if not (clip.text or "").strip():
            raise BenchError(f"{clip.id} has no caption", fix="give one in the column text of the dataset's CSV")
        return str(clip.text).strip()

    def samples(self, clip: Clip) -> int:
        """Length to generate for a clip, in samples."""
        seconds = self.seconds or clip.audio.duration
        return max(1, round(seconds * self.rate))

    def frames(self, samples: int) -> int:
        """Mel frames that hold ``samples``, a multiple of what the autoencoder shrinks."""
        return math.ceil(samples / (self.hop * self.shrink)) * self.shrink

    def trimmed(self, wave: Signal, length: int) -> Audio:
        """The first ``length`` samples; a vocoder returns a few more than its frames."""
        if len(wave) < length:
            raise ValueError(f"{len(wave)} samples were generated where {length} are needed")
        return Audio.of(wave[:length], self.rate)

    def generators(self, clips: Sequence[Clip], each: int = 1) -> list[torch.Generator]:
        """``each`` seeded generators per clip; the first is the one a single candidate gets."""
        import torch

        seeds = [seed for clip in clips for seed in _seeds(clip.seed, each)]
        return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]

    def heads(self, config: Mapping[str, Any]) -> dict[str, list[int]]:
        """What a U-Net's ``config`` has to say otherwise, so that its heads have ``head_channels`` channels.

        The weights were trained so. diffusers takes 8 heads where a configuration says nothing.
        """
        if not self.head_channels:
            return {}
        trained = configs.heads(config["block_out_channels"], self.head_channels)
        stated = config.get("num_attention_heads") or config.get("attention_head_dim", 8)
        stated = [stated] * len(trained) if isinstance(stated, int) else list(stated)
        if stated != trained:
            self.departs("heads", trained, stated)
        return {"attention_head_dim": trained}

    def set_roberta_eps(self) -> None:
        """Let CLAP's text half normalise with ``roberta_eps``."""
        if self.roberta_eps:
            before = set_epsilon(self.models["text_encoder"].text_model, self.roberta_eps)
            if before != self.roberta_eps:
                self.departs("roberta_eps", f"{self.roberta_eps:g}", f"{before:g}")

    def departs(self, what: str, used: object, stated: object) -> None:
        """Note for every clip's details that a folder's configuration was not followed."""
        self._departures[what] = f"{used}; the folder's configuration says {stated}"

    def facts(self, prompt: str) -> dict[str, object]:
        """What is recorded about every clip: where a folder was not followed, and how many steps were taken."""
        facts: dict[str, object] = dict(self._departures)
        if self.times and len(self.times) != self.steps:
            facts["steps"] = len(self.times)
        return facts

    def start(self, generators: Sequence[torch.Generator], frames: int) -> Tensor:
        """Noise ``[sounds, channels, time, bands]`` in the shape of latents of ``frames`` mel frames."""
        vae, vocoder = self.models["vae"], self.models["vocoder"]
        bands = vocoder.config.model_in_dim // self.shrink
        return self.noise(generators, (vae.config.latent_channels, frames // self.shrink, bands))

    def noise(self, generators: Sequence[torch.Generator], shape: Sequence[int]) -> Tensor:
        """Standard normal ``[sounds, *shape]``, each from its own generator."""
        import torch

        return torch.stack([torch.randn(*shape, generator=one) for one in generators]).to(self.spec.device)

    def sampled(
        self,
        predict: Predict,
        latents: Tensor,
        generators: Sequence[torch.Generator],
        times: Sequence[int] | None = None,
        before: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Latents after DDIM through ``times``, by default all; ``before`` may change them ahead of a step."""
        sampler = scheduler(self.alphas, self.predicts)
        sampler.set_timesteps(self.steps)
        shape = latents.shape[1:]
        steps = self.times if times is None else times
        return walk(sampler, steps, predict, latents, lambda _: self.noise(generators, shape), self.eta, before=before)

    def sounds(self, latents: Tensor) -> Waveforms:
        """Waveforms ``[sounds, time]`` of latents; as many at once as the bound on memory allows."""
        vae, vocoder = self.models["vae"], self.models["vocoder"]
        waves = []
        for few in mel_batches(len(latents), latents.shape[2] * self.shrink, latents.device, MOST_FRAMES):
            mel = vae.decode((latents[few] / vae.config.scaling_factor).to(vae.dtype)).sample[:, 0]
            waves.append(np.atleast_2d(vocoder(mel).float().cpu().numpy()))
        return np.concatenate(waves)

    def chosen(
        self,
        waves: Waveforms,
        details: Sequence[Mapping[str, object]],
        rank: Callable[[int, Waveforms], Sequence[float]],
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """The best candidate of each prompt, and its details with the scores of all.

        Args:
            waves: The candidates of a prompt after each other ``[prompts * candidates, time]``.
            details: Of every prompt.
            rank: Scores of the candidates ``[candidates, time]`` of the prompt of an index.
        """
        count = self.candidates
        if count == 1:
            return waves, list(details)
        best, facts = [], list(details)
        for index in range(len(details)):
            own = waves[index * count : (index + 1) * count]
            scores = rank(index, own)
            first = int(np.argmax(scores))
            best.append(own[first])
            facts[index] = {**details[index], "clap": [round(score, 6) for score in scores], "chosen": first}
        return np.stack(best), facts

    def _prepare(self) -> None:
        device = self.spec.device
        check_device(device)
        if self.spec.untrained:
            self.untrained()
        else:
            self.load(self.spec.weights_folder())
        for model in self.models.values():
            for_inference(model, device, self.precision)
        self.rate = int(self.models["vocoder"].config.sampling_rate)


def spoken(setting: Setting) -> str:
    """A setting that is a text: names of systems hold no spaces, so underscores stand for them."""
    return str(setting).replace("_", " ").strip()


def _seeds(first: int, count: int) -> list[int]:
    """``first``, then seeds derived from it."""
    rest = (hashlib.sha256(f"{first}/{index}".encode()).digest()[:4] for index in range(1, count))
    return [first, *(int.from_bytes(digest, "little") for digest in rest)]
