"""AudioLDM's zero-shot tasks: what is known of a latent is put back at every step, or all of it is half forgotten."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio import spectra as mel
from ldmbench.audio.arrays import Features, Signal, Waveforms
from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.systems.audioldm.audioldm import AudioLDM
from ldmbench.systems.audioldm.base import spoken
from ldmbench.systems.audioldm.clap import Dropout
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.latent.v_diffusion import Predict

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Front end of the autoencoder. Source: haoheliu/AudioLDM, ``default_audioldm_config`` and ``audio/stft.py``.
WINDOW = 1024
LOWEST, HIGHEST = 0.0, 8000.0
FLOOR = 1e-5

#: Peak that the autoencoder was trained with. Source: haoheliu/AudioLDM, ``audio/tools.py``, ``normalize_wav``.
PEAK = 0.5

#: Asked for where the clip's text is what is said, not what is heard.
SPEECH_PROMPT = "A person is speaking."

#: Whose ends of the two algorithms.
ALGORITHMS = ("paper", "released")

#: Seconds over which a restored input takes over from the generated sound.
FADE_S = 0.01


class ZeroShot(AudioLDM):
    """AudioLDM with ``z = m z_ob + (1 - m) z`` after every step, ``z_ob`` noised to the level of that step.

    A ``gap`` is filled (inpainting); above the cut-off of ``lowpass`` and ``resample`` the band up to 8 kHz is added
    (super-resolution). The mask ``m`` is made in cells of the latent (4 mel frames by 4 mel bands): a cell counts as
    known only where nothing in it has to be generated. The input is centred and brought to a peak of 0.5, as the
    autoencoder expects, and the output is brought back to the input's level.

    Under ``restyle`` the whole latent is noised, by ``strength`` of the steps, and denoised under the other text
    (style transfer): at 1 all steps are taken and little of the input is left, near 0 nearly all of it is.

    Settings beyond ``AudioLDM``'s: ``prompt`` (underscores for spaces) instead of the clip's caption; ``strength``;
    ``restore``, which copies the input's waveform where it is known, with a fade of 10 ms, or below the cut-off;
    ``algorithm``. By the ``paper`` the last step ends on the clean ``z_ob``, and style transfer begins at the level of
    its first step. ``released`` are the ends of the released sampler: it leaves the last result as it is, and noises
    to one step above the first that it takes. (It also drops the last 0.12 s of a restyled sound; here it is kept.)

    Source: Liu et al. 2023 (arXiv:2301.12503), section 3.4; haoheliu/AudioLDM, ``ddim.py``, and ``pipeline.py``,
    ``style_transfer``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.asked = spoken(spec.settings["prompt"])
        self.restore = bool(spec.settings["restore"])
        self.strength = float(spec.settings["strength"])
        self.algorithm = str(spec.settings["algorithm"])
        check_setting(spec, "strength", 0 < self.strength <= 1, "above 0 and at most 1")
        check_setting(spec, "algorithm", self.algorithm in ALGORITHMS, f"one of {', '.join(ALGORITHMS)}")
        super().__init__(spec)

    def prompt(self, clip: Clip) -> str:
        """The setting, or the clip's caption; for speech, whose text is a transcript, that a person speaks.

        Of a dataset that is to be restyled the text is the one it is asked for.

        Raises:
            BenchError: If there is no caption, or the clip has no condition.
        """
        restyled = self.condition(clip).kind == "restyle"
        if restyled:
            self.first_step()
        if self.asked and restyled:
            raise BenchError(
                f"{self.card.name} cannot restyle {clip.dataset} by another prompt",
                "metrics compare with the text of the dataset",
                "leave prompt out, or give the condition another text",
            )
        if self.asked:
            return self.asked
        return SPEECH_PROMPT if clip.content == "speech" and not restyled else super().prompt(clip)

    def condition(self, clip: Clip) -> Condition:
        """What was done to the clip.

        Raises:
            BenchError: If nothing was.
        """
        if clip.condition is None:
            raise BenchError(
                f"{self.card.name} has nothing to do on {clip.id}",
                f"its dataset {clip.dataset} is not degraded",
                "use a dataset with a condition, such as DATASET@gap, DATASET@4khz, or one that restyles",
            )
        return clip.condition

    def samples(self, clip: Clip) -> int:
        """Length of the clip in samples."""
        return max(1, round(clip.audio.duration * self.rate))

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]``, and for each how much of the latent was known, or how far it was forgotten."""
        restyled = [self.condition(clip).kind == "restyle" for clip in clips]
        waves = np.zeros((len(clips), 0), np.float32)
        details: list[Mapping[str, object]] = [{} for _ in clips]
        for transfer in sorted(set(restyled)):
            rows = [index for index, kind in enumerate(restyled) if kind == transfer]
            chosen, texts = [clips[index] for index in rows], [prompts[index] for index in rows]
            made, facts = self._generate(chosen, texts, frames, transfer)
            waves = waves if waves.size else np.zeros((len(clips), made.shape[1]), np.float32)
            waves[rows] = made
            for index, fact in zip(rows, facts, strict=True):
                details[index] = fact
        return waves, details

    def _generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int, transfer: bool
    ) -> tuple[Waveforms, list[dict[str, object]]]:
        inputs = [clip.input.mono().at(self.rate).fit(self.samples(clip)) for clip in clips]
        levels = [_level(sound) for sound in inputs]
        facts: list[dict[str, object]] = [{} for _ in clips]
        if not transfer:
            masks = [self.mask(self.condition(clip), frames, clip.id) for clip in clips]
            facts = [{"known": round(float(mask.mean()), 6)} for mask in masks]
        mels = [
            log_mel((sound.samples[0] - mean) * gain, frames, self.hop, self.rate, self._bands)
            for sound, (mean, gain) in zip(inputs, levels, strict=True)
        ]
        generators = self.generators(clips)
        observed = self._observed(mels, generators)
        predict = self.guided(prompts, [Dropout(self.clap_dropout, clip.seed) for clip in clips])
        if transfer:
            latents = self._transferred(predict, observed, generators)
            facts = [{"strength": self.strength, "steps_taken": len(self.times) - self.first_step()} for _ in clips]
        else:
            latents = self._filled(predict, observed, masks, generators)
        waves = self.sounds(latents)
        for index, (clip, sound, (mean, gain)) in enumerate(zip(clips, inputs, levels, strict=True)):
            waves[index] = waves[index] / gain + mean
            if self.restore and not transfer:
                waves[index, : sound.length] = restored(sound, waves[index], self.condition(clip))
            facts[index] = {**self.facts(prompts[index]), "prompt": prompts[index], **facts[index]}
        return waves, facts

    def _observed(self, mels: Sequence[Features], generators: Sequence[torch.Generator]) -> Tensor:
        """Latents ``[clips, channels, time, bands]`` of log-mel spectrograms, drawn from their posterior."""
        import torch

        vae = self.models["vae"]
        posterior = vae.encode(torch.from_numpy(np.stack(mels)[:, None]).to(vae.device, vae.dtype)).latent_dist
        mean, std = posterior.mean.float(), posterior.std.float()
        drawn: Tensor = (mean + std * self.noise(generators, mean.shape[1:])) * vae.config.scaling_factor
        return drawn

    def _filled(
        self,
        predict: Predict,
        observed: Tensor,
        masks: Sequence[NDArray[np.float32]],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Latents in which what ``masks`` say is known was put back ahead of every step."""
        import torch

        kept = torch.from_numpy(np.stack(masks)[:, None]).to(observed)
        shape = observed.shape[1:]

        def blend(step: int, latents: Tensor) -> Tensor:
            noised = self.noised(observed, self.times[step], self.noise(generators, shape))
            return kept * noised + (1 - kept) * latents

        latents = self.sampled(predict, self.noise(generators, shape), generators, before=blend)
        return latents if self.algorithm == "released" else kept * observed + (1 - kept) * latents

    def _transferred(self, predict: Predict, observed: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Latents that were noised by ``strength`` and denoised again."""
        first = self.first_step()
        level = self.times[first - (self.algorithm == "released")]
        noised = self.noised(observed, level, self.noise(generators, observed.shape[1:]))
        return self.sampled(predict, noised, generators, self.times[first:])

    def first_step(self) -> int:
        """Index of the first of all steps that style transfer takes.

        Raises:
            BenchError: If it is none, or the released algorithm would have to begin above the first of all steps.
        """
        taken = int(self.strength * self.steps)
        check_setting(self.spec, "strength", taken > 0, f"at least one of {self.steps} steps")
        if self.algorithm == "released" and taken == len(self.times):
            raise BenchError(
                f"the released style transfer cannot take strength={self.strength:g}",
                "it begins one step above the first one",
                "use a smaller strength, or algorithm=paper",
            )
        return len(self.times) - taken

    def noised(self, clean: Tensor, time: int, noise: Tensor) -> Tensor:
        """``clean`` at the noise level of a time step."""
        share = self.alphas[time]
        return math.sqrt(share) * clean + math.sqrt(1 - share) * noise

    def mask(self, condition: Condition, frames: int, name: str) -> NDArray[np.float32]:
        """1 where the latent ``[time, bands]`` is known, 0 where it has to be generated.

        Raises:
            BenchError: If everything or nothing is known, for the clip ``name``.
        """
        kept = np.ones((frames // self.shrink, self._bands // self.shrink), np.float32)
        if condition.kind == "gap":
            cell = self.hop * self.shrink / self.rate
            kept[math.floor(condition.start_s / cell) : math.ceil(condition.end_s / cell)] = 0.0
        else:
            upper = mel.mel_edges(self._bands, LOWEST, HIGHEST)[2:]
            kept[:, int((upper <= cutoff(condition)).sum()) // self.shrink :] = 0.0
        if not 0 < kept.mean() < 1:
            raise BenchError(
                f"{self.card.name} has nothing to do on {name}",
                f"{'nothing' if kept.mean() == 0 else 'everything'} is known below {HIGHEST:g} Hz under {condition}",
                "use a condition that removes a part of the clip",
            )
        return kept

    @property
    def _bands(self) -> int:
        """Mel bands of the vocoder."""
        return int(self.models["vocoder"].config.model_in_dim)


def log_mel(signal: Signal, frames: int, hop: int, rate: int, bands: int) -> Features:
    """Log-mel spectrogram ``[frames, bands]`` of ``signal`` ``[time]``, zero-padded to ``frames`` hops.

    Source: haoheliu/AudioLDM, ``TacotronSTFT.mel_spectrogram`` and ``wav_to_fbank``.
    """
    padded = np.zeros(frames * hop, np.float32)
    padded[: len(signal)] = np.clip(signal, -1.0, 1.0)
    filters = mel.mel_filters(rate, WINDOW, bands, LOWEST, HIGHEST)
    energies = mel.magnitudes(padded, WINDOW, hop) @ filters.T
    return np.asarray(np.log(np.maximum(energies, np.float32(FLOOR))), np.float32)[:frames]


def cutoff(condition: Condition) -> float:
    """Highest frequency in Hz that a low-passed or resampled input still holds."""
    return condition.rate / 2 if condition.kind == "resample" else condition.cutoff_hz


def restored(source: Audio, wave: Signal, condition: Condition) -> Signal:
    """``wave`` ``[time]`` with the known part of the input's waveform in place of its own, as long as the input."""
    made = wave[: source.length]
    if condition.kind != "gap":
        low = lowpass(Audio.of(made, source.rate), cutoff(condition)).samples[0]
        return np.asarray(source.samples[0] + made - low, np.float32)
    time = np.arange(source.length) / source.rate
    outside = np.maximum(condition.start_s - time, time - condition.end_s)
    weight = np.clip(outside / FADE_S, 0.0, 1.0).astype(np.float32)
    return np.asarray(weight * source.samples[0] + (1 - weight) * made, np.float32)


def _level(sound: Audio) -> tuple[np.float32, np.float32]:
    """Mean of a sound, and the gain that brings the rest to ``PEAK``."""
    mean = sound.samples[0].mean(dtype=np.float64)
    peak = float(np.abs(sound.samples[0] - mean).max())
    return np.float32(mean), np.float32(PEAK / (peak + 1e-8))
