"""The reference through its own mel spectrogram: what AudioSR's vocoder makes of a perfect estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.host.device import check_device
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output
from ldmbench.systems.audiosr import models as models
from ldmbench.systems.audiosr.signal import HOP, RATE, fade, is_silent, normalised, pieces, resampled, spectrogram
from ldmbench.systems.latent.parts import for_inference, parameters, untrained_vocoder
from ldmbench.systems.latent.settings import quiet


class ReferenceMel:
    """Analysis and synthesis of ``clip.audio``; the degraded input is not looked at, and no band is replaced.

    The upper bound of a system that estimates AudioSR's mel spectrogram and leaves the rest to its vocoder: the row
    GT-Mel of its paper, whose numbers are indeed the same at all cut-offs. Level and mean are the reference's;
    silence stays as it is. Longer sounds go through in pieces of 15.36 s under Hann slopes, as AudioSR's.

    Source: Liu et al. 2023 (arXiv:2309.07314), Table 1.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.card = spec.card
        check_device(spec.device)
        with quiet():
            self.vocoder = (
                untrained_vocoder(models.VOCODER)
                if spec.untrained
                else models.load_vocoder_alone(spec.weights_folder())
            )
        #: Learned values of the vocoder.
        self.parameters = parameters([self.vocoder])
        for_inference(self.vocoder, spec.device)

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield every reference at 48 kHz, mono, synthesised again."""
        for clip in clips:
            sound = clip.audio
            details = {"downmix": f"mean of {sound.channels} channels"} if sound.channels > 1 else {}
            yield Output(self._again(sound), details=details)

    def _again(self, sound: Audio) -> Audio:
        import torch

        mono = sound.mono().samples[0]
        length = round(sound.duration * RATE)
        if is_silent(mono):
            return Audio.of(np.full(length, np.mean(mono)), RATE)
        wave = resampled(mono, sound.rate)
        padded, gain, mean = normalised(wave)
        made = np.zeros(len(wave), np.float32)
        for span in pieces(len(wave)):
            count = span.stop - span.start
            piece = padded[span.start : span.start + -(-count // HOP) * HOP]
            mel, _ = spectrogram(piece)
            with torch.inference_mode():
                heard = self.vocoder(mel[None].to(self.spec.device))[0].float().cpu().numpy()
            made[span] += heard[:count] * fade(span, len(wave))
        return Audio.of(made * gain + mean, RATE).fit(length)
