"""The reference through AudioSR's mel spectrogram and vocoder: what it keeps, and what it does not look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.system.registry import load_system, resolve
from ldmbench.systems.audiosr import models as models
from ldmbench.systems.audiosr import signal as signal
from ldmbench.systems.audiosr.reference_mel import ReferenceMel
from ldmbench.systems.latent.parts import untrained_vocoder

Make = Callable[..., Audio]


@pytest.fixture
def system(tiny: None, official: Path) -> ReferenceMel:
    built = load_system(resolve("reference-mel", weights=official))
    assert isinstance(built, ReferenceMel)
    return built


def made(system: ReferenceMel, sound: Audio, condition: Condition | None = None) -> Audio:
    (output,) = system.process([Clip("x/a", "x", loaded=sound, condition=condition)])
    assert output.audio is not None
    return output.audio


def test_it_is_the_vocoder_on_the_references_own_mel(system: ReferenceMel, narrow: Make) -> None:
    """Step by step as the row's definition has it."""
    sound = narrow(1.0)
    wave = sound.samples[0]
    padded, gain, mean = signal.normalised(wave)
    mel, _ = signal.spectrogram(padded[: len(wave)])
    with torch.inference_mode():
        expected = system.vocoder(mel[None])[0].numpy()[: len(wave)] * gain + mean
    np.testing.assert_allclose(made(system, sound).samples[0], expected, atol=1e-7)
    assert expected.std() > 1e-4


def test_the_degraded_input_changes_nothing(system: ReferenceMel, narrow: Make) -> None:
    sound = narrow(0.5)
    lowpassed = Condition(kind="lowpass", cutoff_hz=1000, filter="stft")
    assert made(system, sound, lowpassed).digest() == made(system, sound).digest()


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(0.05, 48_000, 1), (1.0, 16_000, 2), (17.3, 44_100, 1)])
def test_length_rate_and_channels(system: ReferenceMel, narrow: Make, seconds: float, rate: int, channels: int) -> None:
    sound = narrow(seconds, rate, channels=channels)
    output = made(system, sound)
    assert (output.rate, output.channels, output.length) == (48_000, 1, round(sound.duration * 48_000))
    assert np.isfinite(output.samples).all()


def test_pieces_join_without_a_seam(system: ReferenceMel, narrow: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = narrow(3.0)
    whole = made(system, sound)
    monkeypatch.setattr(signal, "PIECE", 2 * signal.RATE)
    monkeypatch.setattr(signal, "OVERLAP", signal.RATE // 2)
    joined = made(system, sound)
    # Away from the ends of pieces both are the same; in the slopes two equal sounds are faded into each other.
    inner = np.r_[2400 : int(1.5 * 48_000), int(2.1 * 48_000) : int(2.9 * 48_000)]
    np.testing.assert_allclose(joined.samples[0][inner], whole.samples[0][inner], atol=1e-5)
    assert len(signal.pieces(sound.length)) == 2


def test_silence_stays_silence(system: ReferenceMel) -> None:
    still = made(system, Audio.of(np.full(16_000, 0.25), 16_000))
    np.testing.assert_allclose(still.samples, 0.25, atol=1e-6)


def test_files_and_untrained(tiny: None, narrow: Make, tmp_path: Path) -> None:
    untrained = load_system(resolve("reference-mel@speech", untrained=True))
    assert isinstance(untrained, ReferenceMel)
    assert untrained.parameters == sum(value.numel() for value in untrained_vocoder(models.VOCODER).parameters())
    assert made(untrained, narrow(0.2)).samples.std() > 1e-4
    (tmp_path / "pytorch_model.bin").write_bytes(b"no pickle")
    with pytest.raises(BenchError, match="cannot be read as tensors"):
        load_system(resolve("reference-mel", weights=tmp_path))
