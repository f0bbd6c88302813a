"""Conditions degrade the input and leave the reference alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.system.registry import load_system, resolve

Sound = Callable[..., Audio]


def level(sound: Audio) -> float:
    """Root mean square away from the ends."""
    inner = sound.samples[:, sound.length // 4 : -sound.length // 4]
    return float(np.sqrt(np.mean(np.square(inner, dtype=np.float64))))


def test_lowpass_keeps_what_is_below_and_removes_what_is_above(tone: Sound) -> None:
    condition = Condition(kind="lowpass", cutoff_hz=2000)
    below, above = tone(hz=1900), tone(hz=2600)
    assert np.allclose(condition.apply(below).samples[:, 4000:12000], below.samples[:, 4000:12000], atol=1e-3)
    assert level(condition.apply(above)) < level(above) * 10 ** (-50 / 20)
    assert condition.apply(above).length == above.length


def test_lowpass_refuses_a_rate_that_has_nothing_to_remove(tone: Sound) -> None:
    with pytest.raises(BenchError, match="needs a rate above"):
        Condition(kind="lowpass", cutoff_hz=7900).apply(tone())


def test_resample_leaves_the_sound_at_the_lower_rate(tone: Sound) -> None:
    low = Condition(kind="resample", rate=8000).apply(tone())
    assert (low.rate, low.length) == (8000, 8000)


def test_gap_is_silent_and_exact(tone: Sound) -> None:
    sound = tone(channels=2)
    gap = Condition(kind="gap", start_s=0.25, end_s=0.5).apply(sound)
    assert not gap.samples[:, 4000:8000].any()
    assert np.array_equal(gap.samples[:, :4000], sound.samples[:, :4000])
    assert np.array_equal(gap.samples[:, 8000:], sound.samples[:, 8000:])
    assert sound.samples[:, 4000:8000].any(), "the sound itself must stay as it was"


def test_a_clip_applies_its_condition_to_the_input_only(tone: Sound) -> None:
    sound = tone()
    clip = Clip("d/c", "d@gap", condition=Condition(kind="gap", start_s=0, end_s=1), loaded=sound)
    assert not clip.input.samples.any()
    assert clip.audio is sound
    assert Clip("d/c", "d", loaded=sound).input is sound


@pytest.mark.parametrize("family", ["cheby1", "butter", "ellip", "bessel"])
def test_a_family_of_filters_is_zero_phase_and_steep(tone: Sound, family: str) -> None:
    condition = Condition.model_validate({"kind": "lowpass", "cutoff_hz": 2000, "filter": family})
    below, above = tone(hz=500), tone(hz=5000)
    inner = slice(4000, 12000)
    kept = condition.apply(below).samples[0, inner]
    gain = float(kept @ below.samples[0, inner] / (below.samples[0, inner] @ below.samples[0, inner]))
    # A Bessel filter already falls in its pass-band; what no zero-phase filter does is delay.
    assert 0.85 < gain < 1.02
    assert np.allclose(kept, gain * below.samples[0, inner], atol=1e-3)
    assert level(condition.apply(above)) < level(above) * 10 ** (-50 / 20)
    assert condition.apply(above).length == above.length


def test_the_families_differ_at_the_edge(tone: Sound) -> None:
    edge, edge_at = tone(hz=2000), {"kind": "lowpass", "cutoff_hz": 2000}
    levels = {
        family: level(Condition.model_validate({**edge_at, "filter": family}).apply(edge)) / level(edge)
        for family in ("cheby1", "butter", "ellip", "bessel")
    }
    # Forwards and backwards: twice the 0.1 dB ripple, twice the 3 dB of Butterworth's edge.
    assert 20 * np.log10(levels["cheby1"]) == pytest.approx(-0.2, abs=0.02)
    assert 20 * np.log10(levels["ellip"]) == pytest.approx(-0.2, abs=0.02)
    assert 20 * np.log10(levels["butter"]) == pytest.approx(-6.02, abs=0.05)


def test_a_random_family_belongs_to_the_clip(tone: Sound) -> None:
    condition = Condition(kind="lowpass", cutoff_hz=2000, filter="random")
    drawn = [condition.family(seed) for seed in range(40)]
    assert set(drawn) == {"cheby1", "butter", "ellip", "bessel"}
    assert drawn == [condition.family(seed) for seed in range(40)]
    clip = Clip("d/c", "d@x", condition=condition, loaded=tone(hz=2000)).seeded(0)
    fixed = Condition.model_validate({"kind": "lowpass", "cutoff_hz": 2000, "filter": condition.family(clip.seed)})
    assert np.array_equal(clip.input.samples, fixed.apply(clip.audio).samples)


def test_a_clip_shorter_than_the_filter_is_one_clear_line() -> None:
    with pytest.raises(BenchError, match="too short for this low-pass"):
        Condition(kind="lowpass", cutoff_hz=2000, filter="butter").apply(Audio.of([0.1] * 10, 16_000))


def test_bins_of_the_stft_are_silenced_as_torch_would() -> None:
    """The reference is torch's STFT and its inverse, with the same bins set to zero."""
    torch = pytest.importorskip("torch")
    white = np.random.default_rng(0).standard_normal(44_100).astype(np.float32) * 0.1
    made = Condition(kind="lowpass", cutoff_hz=4000, filter="stft").apply(Audio.of(white, 44_100))
    window = torch.hann_window(2048)
    bins = torch.stft(torch.from_numpy(white), 2048, 441, window=window, return_complex=True)
    bins[int(1025 * 4000 / 22_050) :] = 0
    expected = torch.istft(bins, 2048, 441, window=window, length=44_100).numpy()
    # At the ends only the number of windows that reach over them differs.
    np.testing.assert_allclose(made.samples[0][2048:-2048], expected[2048:-2048], atol=1e-6)
    np.testing.assert_allclose(made.samples[0], expected, atol=5e-3)
    assert made.length == 44_100


@pytest.mark.parametrize(("cutoff", "length"), [(4000, 1024), (24_000, 48_000)])
def test_stft_lowpass_refuses_what_it_cannot_do(cutoff: float, length: int) -> None:
    with pytest.raises(BenchError, match=r"too short|needs a rate above"):
        Condition(kind="lowpass", cutoff_hz=cutoff, filter="stft").apply(Audio.of(np.ones(length), 48_000))


@pytest.mark.parametrize("colour", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [-3.0, 15.0])
def test_noise_lies_where_it_should_and_comes_from_the_clips_seed(tone: Sound, colour: Any, snr_db: float) -> None:
    sound = tone(2.0, channels=2)
    condition = Condition(kind="noise", snr_db=snr_db, colour=colour)
    noise = condition.apply(sound, seed=3).samples.astype(np.float64) - sound.samples
    power = np.mean(np.square(sound.samples, dtype=np.float64))
    assert 10 * np.log10(power / np.mean(noise**2)) == pytest.approx(snr_db, abs=1e-3)
    assert abs(np.corrcoef(noise[0], noise[1]).ravel()[1]) < 0.05, "channels have noises of their own"
    np.testing.assert_array_equal(condition.apply(sound, seed=3).samples, condition.apply(sound, seed=3).samples)
    assert np.abs(condition.apply(sound, seed=4).samples - condition.apply(sound, seed=3).samples).max() > 0.01
    spectrum = np.abs(np.fft.rfft(noise[0])) ** 2
    low, high = (spectrum[2 * start : 2 * end].mean() for start, end in ((200, 400), (3200, 6400)))
    assert 10 * np.log10(low / high) == pytest.approx(0.0 if colour == "white" else 12.0, abs=1.5)


def test_silence_gets_no_noise_and_other_conditions_keep_their_digests(tone: Sound) -> None:
    silence = Audio.of(np.zeros(1600), 16_000)
    assert not Condition(kind="noise", colour="white").apply(silence).samples.any()
    # As runs of earlier versions recorded it.
    assert Condition(kind="gap", start_s=1.5, end_s=1.9).digest().startswith("1c06bf6c688b293d")
    white, pink = (Condition(kind="noise", colour=colour) for colour in ("white", "pink"))
    assert white.digest() != pink.digest()
    with pytest.raises(ValueError, match="colour: white or pink for kind = 'noise'"):
        Condition(kind="noise")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "reverb", "rt60_s": 0.4, "drr_db": 3.0},
        {"kind": "clip", "below_peak_db": 6.0},
        {"kind": "telephone", "law": "mu"},
        {"kind": "noise", "snr_db": 10.0, "colour": "pink"},
    ],
)
def test_a_codec_is_given_the_input_and_compared_as_the_condition_says(tone: Sound, fields: dict[str, Any]) -> None:
    """Clean: the reference is the sound. Input: it is what the codec was given, degraded once and not twice."""
    sound = tone()
    clean = Clip("d/c", "d@x", condition=Condition.model_validate(fields), seed=3)
    kept = Clip("d/c", "d@x", condition=Condition.model_validate({**fields, "reference": "input"}), seed=3)
    wanted = Condition.model_validate(fields).apply(sound, 3).digest()
    assert wanted != sound.digest()
    loaded = replace(clean, loaded=sound)
    assert (loaded.audio.digest(), loaded.input.digest()) == (sound.digest(), wanted)
    assert (
        Condition.model_validate(fields).digest() != Condition.model_validate({**fields, "reference": "input"}).digest()
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, "clip.wav")
        audio_io.write(path, sound)
        read = replace(kept, path=path)
        assert read.audio.digest() == wanted
        assert read.load().input.digest() == read.load().audio.digest() == wanted


@pytest.mark.parametrize("name", ["opus@12kbps", "mp3@64kbps"])
def test_codecs_code_the_input(tone: Sound, name: str) -> None:
    system = load_system(resolve(name))
    gap = Clip("d/c", "d@gap", condition=Condition(kind="gap", start_s=0.5, end_s=1.0), loaded=tone())
    (output,) = system.process([gap])
    assert output.audio is not None
    heard = output.audio.at(16_000).samples[0]
    assert np.abs(heard[11_000:]).max() < 0.05 < np.abs(heard[1000:7000]).max()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "reverb"}, "rt60_s: seconds in which the tail falls by 60 dB"),
        ({"kind": "gap", "end_s": 1.0, "rt60_s": 0.5}, "rt60_s: seconds in which"),
        ({"kind": "lowpass", "cutoff_hz": 0, "filter": "stft"}, "cutoff_hz: Hz above which nothing is left"),
        ({"kind": "clip"}, "below_peak_db: dB under the peak"),
        ({"kind": "telephone"}, "law: mu or a"),
        ({"kind": "restyle", "text": "rain", "reference": "input"}, "a text has no sound"),
    ],
)
def test_a_condition_that_says_too_little_or_too_much_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Condition.model_validate(fields)


def test_older_conditions_keep_their_digests() -> None:
    """As they were before there were rooms, overloads and telephones: runs stay comparable."""
    assert Condition(kind="lowpass", cutoff_hz=4000).digest().startswith("9bfc14752a9b51fb")
    assert Condition(kind="noise", snr_db=5, colour="pink").digest().startswith("65d0c2bc1e351bb0")
    assert Condition(kind="restyle", text="Rain.").digest().startswith("9d4150d25dd79005")
