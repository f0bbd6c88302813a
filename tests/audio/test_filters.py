"""The low-pass: its mask, its zero delay, its edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError


def _response(cutoff: float, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and gain in dB, from what the filter makes of an impulse."""
    impulse = np.zeros(8193)
    impulse[4096] = 1
    filtered = lowpass(Audio.of(impulse, rate), cutoff).samples[0].astype(float)
    return np.fft.rfftfreq(1 << 18, 1 / rate), 20 * np.log10(np.abs(np.fft.rfft(filtered, 1 << 18)) + 1e-9)


@pytest.mark.parametrize("cutoff", [3500, 7000])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000])
def test_mask_of_bs_1534(cutoff: int, rate: int) -> None:
    if cutoff + 480 > rate / 2:
        pytest.skip("nothing to remove at this rate")
    frequency, gain = _response(cutoff, rate)
    assert np.abs(gain[frequency <= cutoff]).max() <= 0.1
    assert np.abs(gain[frequency <= cutoff]).max() <= 0.02  # as the docstring has it
    assert gain[frequency >= min(cutoff + 500, rate / 2)].max() <= -50
    above = gain[frequency >= cutoff + 1000]
    assert not len(above) or above.max() <= -50


def test_symmetric_about_the_impulse() -> None:
    impulse = np.zeros(2001)
    impulse[1000] = 1
    filtered = lowpass(Audio.of(impulse, 48000), 3500).samples[0]
    assert np.argmax(filtered) == 1000
    np.testing.assert_allclose(filtered, filtered[::-1], atol=1e-7)


@settings(max_examples=30)
@given(length=st.integers(1, 2000), channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_is_linear_and_keeps_the_shape(length: int, channels: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).standard_normal((2, channels, length)).astype(np.float32)
    one, two = (lowpass(Audio.of(sound, 48000), 3500).samples for sound in (first, second))
    both = lowpass(Audio.of(first + 3 * second, 48000), 3500).samples
    assert both.shape == (channels, length)
    np.testing.assert_allclose(both, one + 3 * two, atol=2e-5)


def test_equals_direct_convolution() -> None:
    """The blocks of the overlap-add leave no seams."""
    impulse = np.zeros(1001)
    impulse[500] = 1
    kernel = lowpass(Audio.of(impulse, 48000), 7000).samples[0].astype(float)
    sound = np.random.default_rng(1).standard_normal(20000)
    filtered = lowpass(Audio.of(sound, 48000), 7000).samples[0]
    np.testing.assert_allclose(filtered, np.convolve(sound, kernel, "same"), atol=2e-6)


@pytest.mark.parametrize("cutoff", [0.0, -5.0, 3600.0, 4000.0, 1e6])
def test_refuses_cutoffs_outside_the_band(cutoff: float) -> None:
    with pytest.raises(BenchError, match="8000 Hz"):
        lowpass(Audio.of(np.zeros(100), 8000), cutoff)
