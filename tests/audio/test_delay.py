"""Delays between a reference and an output: measured to the sample, and none where nobody can tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ldmbench.audio.delay import delay, shifted
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._base import align, load_metric
from ldmbench.system.protocol import Output

Sound = Callable[..., Audio]

RATE = 16_000


def late(sound: Audio, count: int) -> Audio:
    """The sound ``count`` samples later, as long as before."""
    return shifted(sound, -count / sound.rate).fit(sound.length) if count > 0 else shifted(sound, -count / sound.rate)


@pytest.mark.parametrize("count", [-800, -23, -2, 2, 23, 371, 1024, 1600])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_delay_is_found_to_the_sample(speechlike: Sound, count: int, noise: float) -> None:
    sound = speechlike(2.0)
    moved = late(sound, count)
    noisy = Audio.of(moved.samples + noise * np.random.default_rng(1).standard_normal(moved.samples.shape), RATE)
    assert round(delay(sound, noisy) * RATE) == count


@pytest.mark.parametrize("count", [-1, 0, 1])
def test_a_sample_is_no_delay(speechlike: Sound, count: int) -> None:
    sound = speechlike(1.0)
    assert delay(sound, late(sound, count)) == 0.0


def test_the_finer_of_two_rates_counts(speechlike: Sound) -> None:
    sound = speechlike(2.0, 44_100)
    assert round(delay(sound.at(16_000), late(sound, 1024)) * 44_100) == 1024


def test_where_nobody_can_tell_there_is_none(tone: Sound) -> None:
    generator = np.random.default_rng(0)
    noise, other = (Audio.of(0.1 * generator.standard_normal(RATE), RATE) for _ in range(2))
    silence = Audio.of(np.zeros(RATE), RATE)
    assert delay(noise, other) == 0.0
    assert delay(silence, noise) == delay(noise, silence) == delay(silence, silence) == 0.0
    assert delay(Audio.of([1.0], RATE), Audio.of([1.0], RATE)) == 0.0
    # A steady tone fits at every period; what fits without a delay has none.
    assert delay(tone(1.0), tone(1.0)) == 0.0
    assert delay(noise, Audio.of(-noise.samples, RATE)) == 0.0


@pytest.mark.parametrize("count", [371, -371])
@pytest.mark.parametrize("name", ["si_sdr", "snr", "stoi", "mel_dac", "lsd", "pesq_wb"])
def test_an_aligned_metric_is_that_of_the_output_in_place(speechlike: Sound, name: str, count: int) -> None:
    sound = speechlike(2.0)
    noise = 0.01 * np.random.default_rng(1).standard_normal(sound.samples.shape)
    output = Audio.of(sound.samples + noise, RATE)
    clip = Clip("set/clip", "set", "speech", loaded=sound)
    in_place, aligned = load_metric(name), load_metric(align(name))
    assert aligned.facts.name == f"{name}:align=true"
    assert aligned.facts.title == f"{in_place.facts.title} aligned"
    moved = late(output, count)
    expected = in_place.measure(clip, Output(shifted(moved, count / RATE)))
    assert aligned.measure(clip, Output(moved)) == expected
    assert aligned.measure(clip, Output(output)) == in_place.measure(clip, Output(output))
    assert abs(float(in_place.measure(clip, Output(moved))) - float(expected)) > 1e-3


def test_what_cannot_be_aligned() -> None:
    assert align("kbps") == "kbps"
    assert align("si_sdr@zero-mean") == "si_sdr@zero-mean:align=true"
    with pytest.raises(BenchError, match="metric kbps cannot be aligned"):
        load_metric("kbps:align=true")
    with pytest.raises(BenchError):
        load_metric("si_sdr:align=maybe")
    assert load_metric("si_sdr:align=false").facts.title == "SI-SDR"
