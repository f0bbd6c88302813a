"""AudioLDM's zero-shot tasks: the known part of the latent is put back at every step, the rest is generated."""

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

if TYPE_CHECKING:
    from torch import Tensor

#: Front end of the autoencoder. Source: haoheliu/AudioLDM, ``default_audioldm_config`` and ``audio/stft.py``.
WINDOW = 1024
LOWEST, HIGHEST = 0.0, 8000.0
FLOOR = 1e-5

#: Peak that the autoencoder was trained with. Source: haoheliu/AudioLDM, ``audio/tools.py``, ``normalize_wav``.
PEAK = 0.5

#: Asked for where the clip's text is what is said, not what is heard.
SPEECH_PROMPT = "A person is speaking."

#: Seconds over which a restored input takes over from the generated sound.
FADE_S = 0.01


class ZeroShot(AudioLDM):
    """AudioLDM with ``z = m z_ob + (1 - m) z`` after every step, ``z_ob`` noised to the level of that step.

    A ``gap`` is filled (inpainting); above the cut-off of ``lowpass`` and ``resample`` the band up to 8 kHz is added
    (super-resolution). The mask ``m`` is made in cells of the latent (4 mel frames by 4 mel bands): a cell counts as
    known only where nothing in it has to be generated. The input is centred and brought to a peak of 0.5, as the
    autoencoder expects, and the output is brought back to the input's level.

    As in the paper the last step ends on the clean ``z_ob``; the released sampler blends before each step instead
    and leaves the last result as it is. Neither copies the input's waveform: ``restore`` does so on request, with a
    fade of 10 ms, or below the cut-off.

    Settings beyond ``AudioLDM``'s: ``prompt`` (underscores for spaces) instead of the clip's caption, ``restore``.

    Source: Liu et al. 2023 (arXiv:2301.12503), section 3.4.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.asked = spoken(spec.settings["prompt"])
        self.restore = bool(spec.settings["restore"])
        super().__init__(spec)

    def prompt(self, clip: Clip) -> str:
        """The setting, or the clip's caption; for speech, whose text is a transcript, that a person speaks.

        Raises:
            BenchError: If there is no caption, or the clip has no condition.
        """
        self.condition(clip)
        if self.asked:
            return self.asked
        return SPEECH_PROMPT if clip.content == "speech" else super().prompt(clip)

    def condition(self, clip: Clip) -> Condition:
        """What was done to the clip.

        Raises:
            BenchError: If nothing was.
        """
        if clip.condition is None:
            raise BenchError(
                f"{self.card.name} has nothing to do on {clip.id}",
                f"its dataset {clip.dataset} is not degraded",
                "use a dataset with a condition, such as DATASET@gap or DATASET@4khz",
            )
        return clip.condition

    def samples(self, clip: Clip) -> int:
        """Length of the clip in samples."""
        return max(1, round(clip.audio.duration * self.rate))

    def generate(
        self, clips: Sequence[Clip], prompts: Sequence[str], frames: int
    ) -> tuple[Waveforms, list[Mapping[str, object]]]:
        """Waveforms ``[clips, time]``, and for each how much of the latent was known."""
        import torch

        vae, scheduler = self.models["vae"], self.pipeline.scheduler
        inputs = [clip.input.mono().at(self.rate).fit(self.samples(clip)) for clip in clips]
        levels = [_level(sound) for sound in inputs]
        masks = [self.mask(self.condition(clip), frames, clip.id) for clip in clips]
        mels = [
            log_mel((sound.samples[0] - mean) * gain, frames, self.hop, self.rate, self._bands)
            for sound, (mean, gain) in zip(inputs, levels, strict=True)
        ]
        generators = self.generators(clips)

        def noise(like: Tensor) -> Tensor:
            drawn = [torch.randn(like.shape[1:], generator=generator) for generator in generators]
            return torch.stack(drawn).to(like)

        posterior = vae.encode(torch.from_numpy(np.stack(mels)[:, None]).to(vae.device, vae.dtype)).latent_dist
        observed: Tensor = (posterior.mean + posterior.std * noise(posterior.mean)) * vae.config.scaling_factor
        kept = torch.from_numpy(np.stack(masks)[:, None]).to(observed)
        scheduler.set_timesteps(self.steps)
        times = scheduler.timesteps

        def at(step: int) -> Tensor:
            """The observed latent at the noise level before ``step``; clean behind the last one."""
            if step >= len(times):
                return observed
            noised: Tensor = scheduler.add_noise(observed, noise(observed), times[step].expand(len(clips)))
            return noised

        def blend(step: int, _: object, latents: Tensor) -> None:
            # In place: the pipeline goes on with this very tensor.
            latents.copy_(kept * at(step + 1) + (1 - kept) * latents)

        start = kept * at(0) + (1 - kept) * noise(observed)
        waves = self.run(prompts, frames, generators, latents=start, callback=blend)
        details: list[Mapping[str, object]] = []
        for index, (clip, sound, (mean, gain)) in enumerate(zip(clips, inputs, levels, strict=True)):
            waves[index] = waves[index] / gain + mean
            if self.restore:
                waves[index, : sound.length] = restored(sound, waves[index], self.condition(clip))
            facts = {**self.facts(prompts[index]), "prompt": prompts[index]}
            details.append({**facts, "known": round(float(masks[index].mean()), 6)})
        return waves, details

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
