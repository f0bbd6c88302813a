from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.audio import memo
from ldmbench.audio import spectra as mel
from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import Padding, Scale


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(length).astype(np.float32)


@pytest.mark.parametrize("length", [32, 743, 2048])
def test_hann_is_scipys_periodic_one(length: int) -> None:
    import scipy.signal

    np.testing.assert_allclose(mel.hann(length), scipy.signal.get_window("hann", length), atol=1e-15)


@pytest.mark.parametrize(("length", "hop"), [(32, 8), (743, 160), (2048, 512)])
@pytest.mark.parametrize("padding", ["reflect", "constant"])
def test_magnitudes_are_those_of_torch(length: int, hop: int, padding: Padding) -> None:
    torch = pytest.importorskip("torch")
    signal = noise(9001)
    window = torch.hann_window(length, dtype=torch.float64)
    expected = torch.stft(
        torch.from_numpy(signal).double(), length, hop, window=window, pad_mode=padding, return_complex=True
    )
    for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 5e-6)):
        found = mel.magnitudes(signal, length, hop, padding, dtype)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected.abs().numpy().T, atol=tolerance)


def test_a_tone_peaks_in_its_bin_with_half_the_window_sum() -> None:
    time = np.arange(8192)
    found = mel.magnitudes(np.cos(2 * np.pi * 10 * time / 256).astype(np.float32), 256, 64)
    middle = found[len(found) // 2]
    assert middle.argmax() == 10
    # Amplitude 1 leaves half of the Hann window's sum (128) in the positive frequency.
    assert middle[10] == pytest.approx(64, rel=1e-5)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = noise(20_000)
    whole = mel.magnitudes(signal, 512, 128)
    monkeypatch.setattr(mel, "_BLOCK", 5 * 512)
    np.testing.assert_array_equal(mel.magnitudes(signal, 512, 128), whole)


def test_what_cannot_be_reflected_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be reflected"):
        mel.frames(noise(16), 32, 8)
    assert mel.frames(noise(17), 32, 8).shape == (3, 32)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize(("rate", "length", "mels"), [(44_100, 2048, 150), (44_100, 32, 5), (16_000, 512, 80)])
def test_filters_are_those_of_torchaudio(scale: str, normalised: bool, rate: int, length: int, mels: int) -> None:
    functional = pytest.importorskip("torchaudio.functional")
    expected = functional.melscale_fbanks(
        length // 2 + 1, 0.0, rate / 2, mels, rate, norm="slaney" if normalised else None, mel_scale=scale
    )
    found = mel.mel_filters(rate, length, mels, scale=scale, normalised=normalised)
    # torchaudio computes in float32 throughout.
    np.testing.assert_allclose(found.T, expected.numpy(), atol=2e-3 * float(expected.max()))


@pytest.mark.parametrize("mels", [80, 128])
def test_filters_are_librosas_as_whisper_ships_them(mels: int) -> None:
    whisper = pytest.importorskip("whisper")
    stored = np.load(Path(whisper.__file__).parent / "assets" / "mel_filters.npz", allow_pickle=False)
    np.testing.assert_allclose(mel.mel_filters(16_000, 400, mels), stored[f"mel_{mels}"], atol=1e-8)


@given(st.floats(0.0, 48_000.0), st.sampled_from(["slaney", "htk"]))
def test_mel_and_back(hertz: float, scale: Scale) -> None:
    assert mel.mel_to_hz(mel.hz_to_mel(hertz, scale), scale) == pytest.approx(hertz, rel=1e-9, abs=1e-9)


def test_slaney_scale_has_its_corner_at_1_khz() -> None:
    np.testing.assert_allclose(mel.hz_to_mel(np.array([200 / 3, 1000.0, 6400.0])), [1.0, 15.0, 42.0])
    assert mel.hz_to_mel(1000.0, "htk") == pytest.approx(1000.0, abs=0.02)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_edges_of_filters_are_equally_spaced_in_mel(scale: mel.Scale) -> None:
    edges = mel.mel_edges(20, 50.0, 14_000.0, scale)
    assert edges.shape == (22,)
    assert (edges[0], edges[-1]) == pytest.approx((50.0, 14_000.0))
    steps = np.diff(mel.hz_to_mel(edges, scale))
    assert steps == pytest.approx(np.full(21, steps.mean()))


def test_a_triangle_is_one_at_its_peak_and_zero_from_its_ends_on() -> None:
    filters = mel.triangles(np.array([100.0, 300.0, 400.0, 800.0]), 8000, 80)
    expected = np.zeros((2, 41))
    expected[0, 1:5] = 0.0, 0.5, 1.0, 0.0
    expected[1, 3:9] = 0.0, 1.0, 0.75, 0.5, 0.25, 0.0
    assert filters == pytest.approx(expected)


def test_remember_computes_once_and_forgets_with_the_sound() -> None:
    calls = []

    def make() -> np.ndarray:
        calls.append(1)
        return np.ones(3)

    sound = Audio.of(noise(100), 16_000)
    first = remember(sound, "key", make)
    assert remember(sound, "key", make) is first
    assert remember(Audio.of(noise(100), 16_000), "key", make) is not first
    assert len(calls) == 2
    gone = weakref.ref(first)
    del first, sound
    gc.collect()
    assert gone() is None


def test_long_sounds_keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "LONGEST_KEPT", 99)
    sound = Audio.of(noise(100), 16_000)
    assert remember(sound, "key", object) is not remember(sound, "key", object)
