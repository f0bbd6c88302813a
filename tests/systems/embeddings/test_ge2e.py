"""GE2E: the parts it hears, its spectrogram beside an independent one, and what random weights promise."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.extractors.ge2e import BANDS, RATE, mel_spectrogram, parts
from ldmbench.system.protocol import Embeds
from ldmbench.system.registry import load_system, resolve
from ldmbench.systems.embeddings.ge2e import Ge2e


@pytest.mark.parametrize(
    ("samples", "expected"),
    # By Resemblyzer 0.1.4, compute_partial_slices(samples, 1.3, 0.75).
    [(100, [0]), (16_000, [0]), (25_600, [0]), (31_519, [0]), (31_520, [0, 77]), (48_000, [0, 77, 154]),
     (176_000, list(range(0, 925, 77)))],
)  # fmt: skip
def test_parts(samples: int, expected: list[int]) -> None:
    assert parts(samples) == expected


def test_the_spectrogram_is_that_of_a_transform_written_out() -> None:
    signal = np.random.default_rng(0).standard_normal(3200).astype(np.float32)
    ours = mel_spectrogram(signal)
    assert ours.shape == (21, BANDS)
    padded = np.pad(signal.astype(np.float64), 200)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(padded[5 * 160 : 5 * 160 + 400] * window)) ** 2
    from ldmbench.audio.spectra import mel_filters

    np.testing.assert_allclose(ours[5], mel_filters(RATE, 400, BANDS).astype(np.float64) @ power, rtol=1e-4)


def test_embeddings_of_random_weights(speechlike: Callable[..., Audio]) -> None:
    system = load_system(resolve("ge2e", untrained=True))
    assert isinstance(system, Embeds)
    assert isinstance(system, Ge2e)
    sounds = [speechlike(2.5, 16_000, 1), speechlike(0.4, 44_100, 2)]
    clips = [Clip(f"d/{n}", "d", loaded=sound) for n, sound in enumerate(sounds)]
    embeddings = [item["all"] for item in system.embed(clips)]
    for vector in embeddings:
        assert vector.shape == (256,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
        assert (vector >= 0).all()
    again = load_system(resolve("ge2e", untrained=True))
    assert isinstance(again, Ge2e)
    (same,) = again.embed(clips[:1])
    np.testing.assert_array_equal(same["all"], embeddings[0])
    assert system.parameters == 1_423_616
    with pytest.raises(BenchError, match="ge2e makes no sound"):
        list(system.process(clips))
