"""Delays between a reference and an output: measured to the sample, and none where nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ldmbench.audio.delay import delay, shifted
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import DeviceMetric, MetricFacts, ModelMetric, Value, align, list_metrics, load_metric
from ldmbench.system.protocol import Output
from tests.present import present

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


class Difference(ModelMetric):
    """A metric with a model, which hears clips together."""

    facts = MetricFacts("difference", "Difference", device=True)

    def problem(self) -> str:
        return ""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        values: list[Value | Exception] = []
        for clip, output in zip(clips, outputs, strict=True):
            try:
                heard = present(output.audio).fit(clip.audio.length)
                values.append(float(np.abs(clip.audio.samples - heard.samples).mean()))
            except BenchError as error:
                values.append(error)
        return values


def test_a_metric_with_a_model_is_aligned_clip_by_clip(speechlike: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metrics._Entry(lambda *_: Difference(), {}, {})
    list_metrics()
    monkeypatch.setitem(metrics._registry, "difference", entry)
    aligned = load_metric(align("difference"))
    assert isinstance(aligned, DeviceMetric)
    assert isinstance(aligned, Difference)
    assert (aligned.facts.name, aligned.facts.title) == ("difference:align=true", "Difference aligned")
    assert load_metric("difference").facts.title == "Difference"
    sound = speechlike(1.0)
    clips = [Clip(f"set/{name}", "set", "speech", loaded=sound) for name in "ab"]
    lost = Clip("set/lost", "set", "speech", missing="not here")
    outputs = [Output(late(sound, 300)), Output(sound), Output(sound)]
    first, second, third = aligned.measure_batch([*clips, lost], outputs)
    in_place = Output(shifted(present(outputs[0].audio), 300 / RATE))
    assert first == Difference().measure(clips[0], in_place)
    assert second == 0
    assert isinstance(third, BenchError)
    assert aligned.measure(clips[0], outputs[0]) == first
    assert isinstance(first, float)
    assert abs(float(Difference().measure(clips[0], outputs[0])) - first) > 1e-3


@pytest.mark.parametrize("name", ["fd_panns", "kl_softmax_panns", "fad_vggish_package", "fad_clap", "kad_panns"])
def test_distances_of_embeddings_are_aligned_and_remain_what_they_are(name: str) -> None:
    plain, aligned = load_metric(name), load_metric(align(f"{name}:untrained=true"))
    assert isinstance(aligned, type(plain))
    assert aligned.facts.name == f"{name}:align=true,untrained=true"
    assert aligned.facts.title.endswith(" aligned")


def test_what_cannot_be_aligned() -> None:
    assert align("si_sdr@zero-mean") == "si_sdr@zero-mean:align=true"
    for name in ("kbps", "clap_score", "wer_whisper_tiny", "is_panns"):
        assert align(name) == name
        with pytest.raises(BenchError, match=f"metric {name} cannot be aligned: it does not compare two sounds"):
            load_metric(f"{name}:align=true")
    with pytest.raises(BenchError):
        load_metric("si_sdr:align=maybe")
    assert load_metric("si_sdr:align=false").facts.title == "SI-SDR"
