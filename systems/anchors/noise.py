"""White noise as loud as the reference: the worst value of a metric."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.systems.anchors._anchor import Anchor


class Noise(Anchor):
    """White Gaussian noise with the level (RMS) of each channel: the worst value of a metric.

    Drawn from ``clip.seed``, independent between channels. Source of the stream: numpy's PCG64 through
    ``Generator.standard_normal``, which is stable for one version of numpy.
    """

    def apply(self, clip: Clip, audio: Audio) -> Audio:
        """Noise as loud and as long as ``audio``."""
        generator = np.random.default_rng(clip.seed)
        noise = generator.standard_normal(audio.samples.shape)
        noise *= _rms(audio.samples.astype(np.float64)) / np.maximum(_rms(noise), np.finfo(np.float64).tiny)
        return Audio(noise.astype(np.float32), audio.rate)


def _rms(samples: Real) -> Real:
    """Root mean square of each channel, ``[channels, 1]``."""
    return np.asarray(np.sqrt(np.mean(samples**2, axis=1, keepdims=True)))
