"""AudioSR: sound of any bandwidth to 48 kHz, by latent diffusion of the mel spectrogram's upper band and a vocoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ldmbench.audio.arrays import Signal
from ldmbench.audio.filters import FAMILIES
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.host.device import check_device
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output
from ldmbench.systems.audiosr import models as models
from ldmbench.systems.audiosr.signal import (
    BLOCK,
    RATE,
    Prepared,
    fade,
    is_silent,
    peak_normalised,
    pieces,
    prepare,
    replace_band,
    replace_mel,
    resampled,
)
from ldmbench.systems.latent.compiled import compiled
from ldmbench.systems.latent.settings import check_sampling, check_setting, quiet
from ldmbench.systems.latent.v_diffusion import Noise, check_steps, seeded_noise

LEVELS = ("input", "upstream")
DOWNMIXES = ("mean", "first")


@dataclass(eq=False)
class _Job:
    """A piece of a clip: where it lies, and what becomes of it."""

    clip: int
    number: int
    span: slice

    @property
    def blocks(self) -> int:
        return math.ceil(self.length / BLOCK)

    @property
    def length(self) -> int:
        return int(self.span.stop - self.span.start)


@dataclass(eq=False)
class _Work:
    """A clip on its way: mono at 48 kHz, the sum of its restored pieces, and what to record."""

    wave: Signal
    restored: Signal
    length: int
    details: dict[str, Any]
    cutoffs: dict[int, float | None] = field(default_factory=dict)


class AudioSR:
    """AudioSR on stock modules, with the weights of the official file.

    A piece of up to 15.36 s goes through the models at once, as in the reference implementation; longer inputs in
    pieces of that length that overlap by 2 s under Hann slopes. Pieces of equal length, of one clip or several, go
    through the models together, ``batch`` at a time. All noise of a piece is drawn on the CPU from its clip's seed
    and its number, so that neither batch nor order changes it; what remains is rounding, which depends on the batch
    size (bit-equal at equal batch size on one device).

    A silent piece (below -140 dBFS without its mean) comes back as it is. A band that ends below 1 kHz is taken to
    end at 1 kHz. The reference fails on both.

    Settings: ``steps`` of DDIM (a divisor of 1000), ``cfg`` guidance scale, ``eta`` (the share of fresh noise in a
    step), ``lowpass`` that is applied at the cut-off found (the reference draws one of the four for every file),
    ``level`` (``input``: the band that was there keeps its level and mean; ``upstream``: peak 0.5, no mean),
    ``downmix`` of several channels (``mean``; ``first`` as the reference for short files), ``batch``, and
    ``precision`` of the U-Net (two guided steps on random weights move by 0.2 % RMS in float16, 1.8 % in bfloat16), and
    ``compile`` it, which changes rounding and costs minutes at the first piece.

    Source: Liu et al. 2023 (arXiv:2309.07314).
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.card = spec.card
        self.steps, self.batch = int(spec.settings["steps"]), int(spec.settings["batch"])
        self.cfg, self.eta = float(spec.settings["cfg"]), float(spec.settings["eta"])
        self.lowpass, self.level = str(spec.settings["lowpass"]), str(spec.settings["level"])
        self.downmix = str(spec.settings["downmix"])
        check_setting(spec, "batch", self.batch >= 1, "1 or more")
        for key, allowed in {"lowpass": FAMILIES, "level": LEVELS, "downmix": DOWNMIXES}.items():
            check_setting(spec, key, spec.settings[key] in allowed, "one of " + ", ".join(allowed))
        check_sampling(spec)
        check_steps(self.steps, models.TRAINED_STEPS)
        check_device(spec.device)
        with quiet():
            self.models = models.untrained() if spec.untrained else models.load(spec.weights_folder())
            self.models.to(spec.device, str(spec.settings["precision"]))
            if spec.settings["compile"]:
                compiled(self.models.unet, spec.device)

    @property
    def parameters(self) -> int:
        """Learned values of U-Net, autoencoder and vocoder."""
        return self.models.parameters

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield every clip at 48 kHz, mono, as long as its input."""
        import torch

        work = [self._start(clip.input) for clip in clips]
        jobs = [
            _Job(index, number, span)
            for index, item in enumerate(work)
            for number, span in enumerate(pieces(len(item.wave)))
        ]
        with torch.inference_mode():
            for blocks in sorted({job.blocks for job in jobs}):
                alike = [job for job in jobs if job.blocks == blocks]
                for start in range(0, len(alike), self.batch):
                    self._restore(alike[start : start + self.batch], work, clips)
        for item in work:
            several = len(item.cutoffs) > 1
            wave = peak_normalised(item.restored) if several and self.level == "upstream" else item.restored
            yield Output(Audio(wave[None], RATE).fit(item.length), details=self._details(item))

    def restore(self, prepared: Sequence[Prepared], noises: Sequence[Noise]) -> list[tuple[Signal, float]]:
        """Waveforms ``[time]`` of prepared pieces of equal length, longer by 16 samples, and their edge ratios.

        Args:
            prepared: The pieces.
            noises: Of each: draw 1 the posterior's, 2 the start, 3 and on the steps'.
        """
        import torch

        low_mels = torch.stack([item.low_mel for item in prepared])
        conditions = self.models.encode(low_mels, noises)
        latents = self.models.sample(conditions, noises, self.steps, self.cfg, self.eta)
        mels = self.models.decode(latents)
        joined = [replace_mel(mel, item.low_mel)[0] for mel, item in zip(mels, prepared, strict=True)]
        waves = self.models.vocode(torch.stack(joined)).float().cpu().numpy()
        replaced = (replace_band(wave, item.lowpassed) for wave, item in zip(waves, prepared, strict=True))
        return [(wave, ratio) for wave, _, ratio in replaced]

    def _restore(self, jobs: Sequence[_Job], work: Sequence[_Work], clips: Sequence[Clip]) -> None:
        """Add what becomes of the pieces to their clips."""
        sounding: list[tuple[_Job, Prepared]] = []
        for job in jobs:
            item = work[job.clip]
            wave = item.wave[job.span]
            prepared = prepare(wave, self.lowpass)
            item.cutoffs[job.number] = prepared.cutoff_hz if prepared else None
            if prepared:
                sounding.append((job, prepared))
            else:
                item.restored[job.span] += wave * fade(job.span, len(item.wave))
        if not sounding:
            return
        noises = [seeded_noise(clips[job.clip].seed, "audiosr", job.number) for job, _ in sounding]
        results = self.restore([prepared for _, prepared in sounding], noises)
        for (job, prepared), (wave, ratio) in zip(sounding, results, strict=True):
            item = work[job.clip]
            if self.level == "upstream" and job.length == len(item.wave):
                levelled = peak_normalised(wave)[: job.length]
            else:
                # Both were divided out of the band that was there: the peak before, the edge's ratio after.
                levelled = wave[: job.length] * (prepared.gain * ratio) + prepared.mean
            item.restored[job.span] += levelled * fade(job.span, len(item.wave))

    def _start(self, sound: Audio) -> _Work:
        details: dict[str, Any] = {}
        if sound.channels > 1:
            details["downmix"] = f"{self.downmix} of {sound.channels} channels"
        if sound.rate != RATE:
            details["resampled_from"] = sound.rate
        mono = sound.mono().samples[0] if self.downmix == "mean" else sound.samples[0]
        length = round(sound.duration * RATE)
        # A constant would ripple after resampling, and no longer be silent.
        silent = is_silent(mono)
        wave = np.full(length, np.mean(mono), np.float32) if silent else resampled(mono, sound.rate)
        return _Work(wave, np.zeros(len(wave), np.float32), length, details)

    def _details(self, item: _Work) -> dict[str, Any]:
        cutoffs = [item.cutoffs[number] for number in sorted(item.cutoffs)]
        return {**item.details, "cutoff_hz": cutoffs[0] if len(cutoffs) == 1 else cutoffs}
