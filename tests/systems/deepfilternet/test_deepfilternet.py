"""The denoiser with trained weights, from the package that carries them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ldmbench
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.metrics._base import load_metric
from ldmbench.runs.fetch import fetch
from ldmbench.system.registry import load_system, resolve


@pytest.mark.slow
def test_it_takes_noise_away_and_is_not_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: Callable[[np.ndarray, np.ndarray], int]
) -> None:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    fetch("deepfilternet")
    noise = Condition(kind="noise", snr_db=5.0, colour="pink")
    spoken = [clip.audio for clip in ldmbench.load_dataset("builtin-speech").clips[:2]]
    # One at another rate, and in stereo.
    sounds = [spoken[0], spoken[1].at(48_000).with_channels(2)]
    clips = [Clip(f"x/{index}", "x", loaded=sound, condition=noise, seed=index) for index, sound in enumerate(sounds)]
    si_sdr = load_metric("si_sdr")
    for clip, output in zip(clips, load_system(resolve("deepfilternet")).process(clips), strict=True):
        assert output.audio is not None
        assert (output.audio.rate, output.audio.samples.shape) == (clip.audio.rate, clip.audio.samples.shape)
        before = si_sdr.measure(clip, type(output)(clip.input))
        assert float(si_sdr.measure(clip, output)) > float(before) + 4
        assert lag(clip.audio.samples[0], output.audio.samples[0]) == 0
