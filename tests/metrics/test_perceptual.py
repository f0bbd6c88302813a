from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import perceptual
from ldmbench.metrics._base import load_metric
from ldmbench.metrics.perceptual import Mapper, visqol
from ldmbench.system.protocol import Output
from tests.present import present

RATES: dict[Mapper, int] = {"svr": 48_000, "lattice": 16_000, "exponential": 16_000}
NAMES = {
    "svr": "visqol_audio",
    "lattice": "visqol_speech_lattice",
    "exponential": "visqol_speech_exponential",
}
#: The mappings of speech.
SPEECH: tuple[Mapper, ...] = ("lattice", "exponential")

#: visqol-python's own interface, by mapping.
Apis = dict[Mapper, Any]

GOLDEN = Path(__file__).parents[1] / "golden" / "visqol_conformance.json"


def voice(rate: int, seconds: float = 2.5, seed: int = 0) -> np.ndarray:
    """Syllables: harmonic bursts with pauses, float32 ``[time]``."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(rate * seconds)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.9 * t)) / rate
    tone = sum(np.sin(k * pitch) / k for k in range(1, 24))
    syllables = np.clip(np.sin(2 * np.pi * 2.3 * t) + 0.3, 0, None) * (np.sin(2 * np.pi * 0.35 * t) > -0.6)
    return (0.15 * tone * syllables + 0.001 * rng.standard_normal(t.size)).astype(np.float32)


def degrade(kind: str, signal: np.ndarray, rate: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    noise = rng.standard_normal(signal.size).astype(np.float32)
    degraded: dict[str, np.ndarray] = {
        "noise": signal + 0.02 * noise,
        "crackle": np.where(rng.random(signal.size) < 0.002, 0.5, signal).astype(np.float32),
        "dull": np.convolve(signal, np.ones(9, np.float32) / 9, "same"),
        "delayed": np.concatenate([np.zeros(rate // 20, np.float32), signal]),
        "shorter": 0.3 * signal[: -rate // 10] + 0.001 * noise[: -rate // 10],
        "rough": np.round(signal * 16) / 16,
    }
    return degraded[kind].astype(np.float32)


@pytest.fixture(scope="module")
def api() -> Apis:
    """visqol-python's own interface, by mapping."""
    from visqol.api import VisqolApi

    made: Apis = {}
    for mapping in RATES:
        made[mapping] = VisqolApi()
        if mapping == "svr":
            made[mapping].create(mode="audio")
        else:
            made[mapping].create(mode="speech", use_lattice_model=mapping == "lattice")
    return made


def clip_of(audio: Audio, content: Content = "speech") -> Clip:
    return Clip("test/clip", "test", content=content, loaded=audio)


@pytest.mark.parametrize("mapping", RATES)
def test_visqol_equals_the_librarys_own_interface(mapping: Mapper, api: Apis) -> None:
    rate = RATES[mapping]
    reference = voice(rate)
    # Six systems on one reference: from the second on, its spectrograms come from memory.
    values = []
    for kind in ("noise", "crackle", "dull", "delayed", "shorter", "rough"):
        estimate = degrade(kind, reference, rate)
        expected = api[mapping].measure_from_arrays(reference, estimate, rate).moslqo
        assert visqol(reference, estimate, rate, mapping=mapping) == pytest.approx(expected, abs=1e-9, rel=0)
        values.append(expected)
    assert len({round(value, 3) for value in values}) >= 5


def test_visqol_audio_on_another_reference_is_not_mixed_up_with_the_first(api: Apis) -> None:
    for seed in (1, 2, 1):
        reference = voice(48_000, 1.5, seed)
        estimate = degrade("noise", reference, 48_000)
        expected = api["svr"].measure_from_arrays(reference, estimate, 48_000).moslqo
        assert visqol(reference, estimate, 48_000, mapping="svr") == pytest.approx(expected, abs=1e-9, rel=0)


@pytest.mark.parametrize("mapping", RATES)
def test_metric_compares_the_mono_mix_at_its_rate(mapping: Mapper, api: Apis) -> None:
    left, right = voice(44_100), voice(44_100, seed=3)
    reference = Audio.of(np.stack([left, 0.5 * right]), 44_100)
    estimate = Audio.of(np.stack([degrade("noise", left, 44_100), 0.5 * right]), 44_100)
    rate = RATES[mapping]
    expected = (
        api[mapping]
        .measure_from_arrays(reference.mono().at(rate).samples[0], estimate.mono().at(rate).samples[0], rate)
        .moslqo
    )
    metric = load_metric(NAMES[mapping])
    assert metric.facts.rate == rate
    assert metric.measure(clip_of(reference), Output(estimate)) == pytest.approx(expected, abs=1e-9, rel=0)


def test_the_three_mappings_end_where_they_should() -> None:
    speech = voice(16_000)
    assert visqol(speech, speech, 16_000, mapping="exponential") == 5.0
    assert 4.0 < visqol(speech, speech, 16_000, mapping="lattice") < 4.6
    assert 4.6 < visqol(voice(48_000), voice(48_000), 48_000, mapping="svr") < 4.8


def test_both_speech_mappings_are_computed_from_one_comparison(api: Apis, monkeypatch: pytest.MonkeyPatch) -> None:
    from visqol.visqol_manager import VisqolManager

    compared: list[object] = []
    original = VisqolManager.run_from_signals

    def run_from_signals(*pair: Any) -> Any:
        compared.append(1)
        return original(*pair)

    monkeypatch.setattr(VisqolManager, "run_from_signals", run_from_signals)
    reference = voice(16_000, seed=5)
    for kind in ("noise", "rough"):
        estimate = degrade(kind, reference, 16_000)
        ours = [visqol(reference, estimate, 16_000, mapping=mapping) for mapping in SPEECH]
        compared.append("ours")
        for mapping, value in zip(SPEECH, ours, strict=True):
            assert value == api[mapping].measure_from_arrays(reference, estimate, 16_000).moslqo
    assert compared == [1, "ours", 1, 1] * 2


def test_hardly_similar_sounds_follow_the_library_too(api: Apis) -> None:
    rng = np.random.default_rng(2)
    for mapping, rate in RATES.items():
        reference = voice(rate)
        clicks = (rng.random(reference.size) < 1e-4).astype(np.float32)
        expected = api[mapping].measure_from_arrays(reference, clicks, rate).moslqo
        assert visqol(reference, clicks, rate, mapping=mapping) == expected


def test_worse_sound_gets_a_lower_score() -> None:
    reference = voice(48_000)
    noise = np.random.default_rng(0).standard_normal(reference.size).astype(np.float32)
    scores = [visqol(reference, reference + gain * noise, 48_000, mapping="svr") for gain in (0.001, 0.01, 0.1)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[2] > 1


@pytest.mark.parametrize(("mapping", "fewest"), [("svr", 46_080), ("lattice", 10_240), ("exponential", 10_240)])
def test_the_shortest_clip_has_a_value_and_one_sample_less_has_none(mapping: Mapper, fewest: int, api: Apis) -> None:
    rate = RATES[mapping]
    signal = voice(rate)[:fewest]
    expected = api[mapping].measure_from_arrays(signal, signal, rate).moslqo
    assert visqol(signal, signal, rate, mapping=mapping) == pytest.approx(expected, abs=1e-9, rel=0)
    with pytest.raises(Unscored, match=r"the output has .* s, ViSQOL needs"):
        visqol(signal, signal[:-1], rate, mapping=mapping)
    with pytest.raises(Unscored, match="the reference has"):
        visqol(signal[:-1], signal, rate, mapping=mapping)


@pytest.mark.parametrize("mapping", RATES)
def test_silence_has_no_visqol(mapping: Mapper) -> None:
    rate = RATES[mapping]
    sound, silence = voice(rate), np.zeros(rate * 2, np.float32)
    with pytest.raises(Unscored, match="the reference is silent"):
        visqol(silence, sound, rate, mapping=mapping)
    with pytest.raises(Unscored, match="the output is silent"):
        visqol(sound, silence, rate, mapping=mapping)


def test_visqol_refuses_lengths_that_cannot_belong_together() -> None:
    sound = Audio.of(voice(48_000, 4), 48_000)
    with pytest.raises(BenchError, match=r"differ in length: 4\.000 s and 2\.900 s"):
        load_metric("visqol_audio").measure(clip_of(sound), Output(sound.fit(round(2.9 * 48_000))))
    with pytest.raises(BenchError, match="no output audio"):
        load_metric("visqol_audio").measure(clip_of(sound), Output())


def test_a_missing_lattice_is_an_error_and_never_the_polynomial(monkeypatch: pytest.MonkeyPatch) -> None:
    perceptual._lattice.cache_clear()
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    try:
        with pytest.raises(BenchError, match=r"needs the lattice's runtime.*visqol-python\[lattice\]"):
            visqol(voice(16_000), voice(16_000), 16_000, mapping="lattice")
    finally:
        perceptual._lattice.cache_clear()


@pytest.mark.parametrize(("rate", "bands", "speech"), [(48_000, 32, False), (16_000, 21, True), (44_100, 32, False)])
def test_spectrograms_equal_the_librarys_to_the_last_bit(rate: int, bands: int, speech: bool) -> None:
    from visqol.analysis_window import AnalysisWindow
    from visqol.audio_utils import AudioSignal
    from visqol.gammatone import GammatoneSpectrogramBuilder

    from ldmbench.metrics._gammatone import RememberingBuilder

    ours, theirs = (kind(bands, 50.0, speech) for kind in (RememberingBuilder, GammatoneSpectrogramBuilder))
    window = AnalysisWindow(rate)
    for seed in range(3):
        signal = AudioSignal(voice(rate, 0.7 + 0.1 * seed, seed), rate)
        built, expected = ours.build(signal, window), theirs.build(signal, window)
        np.testing.assert_array_equal(built.data, expected.data)
        np.testing.assert_array_equal(built.center_freq_bands, expected.center_freq_bands)
        assert ours.build(AudioSignal(signal.data.copy(), rate), window) is built
    with pytest.raises(ValueError, match="too few"):
        ours.build(AudioSignal(np.ones(window.size), rate), window)


def test_remembered_spectrograms_stay_within_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from visqol.analysis_window import AnalysisWindow
    from visqol.audio_utils import AudioSignal

    from ldmbench.metrics import _gammatone as gammatone

    monkeypatch.setattr(gammatone, "KEEP", 40_000)
    builder, window = gammatone.RememberingBuilder(32, 50.0), AnalysisWindow(48_000)
    first = AudioSignal(voice(48_000, 1.0), 48_000)
    built = builder.build(first, window)
    for seed in range(1, 6):
        builder.build(AudioSignal(voice(48_000, 1.0, seed), 48_000), window)
        assert sum(kept.data.nbytes for kept in builder._kept.values()) == builder._bytes <= 40_000
    again = builder.build(first, window)
    assert again is not built
    np.testing.assert_array_equal(again.data, built.data)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.3, 3.0]), st.integers(10_240, 20_000))
def test_speech_patches_are_the_librarys(seed: int, gain: float, length: int) -> None:
    from visqol.analysis_window import AnalysisWindow
    from visqol.audio_utils import AudioSignal
    from visqol.patch_creator import VadPatchCreator

    from ldmbench.metrics._gammatone import VectorVad

    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.random(length // 1000 + 1) < 0.4, 1000)[:length]
    signal = AudioSignal(gain * rng.standard_normal(length) * envelope + 1e-3 * gain, 16_000)
    window, spectrogram = AnalysisWindow(16_000), np.zeros((21, 1 + (length - 1280) // 320))
    ours, theirs = (
        kind(20).create_ref_patch_indices(spectrogram, signal, window) for kind in (VectorVad, VadPatchCreator)
    )
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", json.loads(GOLDEN.read_text())["rows"], ids=lambda row: f"{row['degraded']}-{row['mapping']}"
)
def test_published_conformance(row: dict[str, Any], api: Apis) -> None:
    """visqol-python against Google's table; the tolerance is its measured distance, ours from it is none."""
    import soundfile

    folder = os.environ.get("LDMBENCH_VISQOL_TESTDATA")
    if not folder:
        pytest.skip("set LDMBENCH_VISQOL_TESTDATA to the testdata folder of github.com/google/visqol")
    signals = []
    for part in ("reference", "degraded"):
        samples, rate = soundfile.read(Path(folder) / f"{row[part]}.wav", always_2d=True)
        signals.append(samples.mean(axis=1))
    reference, degraded = signals
    value = visqol(reference, degraded, rate, mapping=row["mapping"])
    library = api[row["mapping"]].measure_from_arrays(reference, degraded, rate).moslqo
    assert value == pytest.approx(library, abs=1e-9, rel=0)
    assert value == pytest.approx(row["published"], abs=row["tolerance"], rel=0)


# ---- PESQ


@pytest.fixture(scope="module")
def speech() -> tuple[Clip, Output]:
    """A clip and what a system made of it, at 44.1 kHz."""
    reference = Audio.of(voice(44_100, 4), 44_100)
    return clip_of(reference), Output(Audio.of(degrade("noise", reference.samples[0], 44_100), 44_100))


@pytest.mark.parametrize(
    ("name", "rate", "band"), [("pesq_wb", 16_000, "wb"), ("pesq_nb", 16_000, "nb"), ("pesq_nb@8khz", 8_000, "nb")]
)
def test_pesq_is_the_packages_value(name: str, rate: int, band: str, speech: tuple[Clip, Output]) -> None:
    from pesq import pesq

    clip, output = speech
    metric = load_metric(name)
    expected = pesq(rate, clip.audio.at(rate).samples[0], present(output.audio).at(rate).samples[0], band)
    assert metric.facts.rate == rate
    assert metric.measure(clip, output) == expected
    assert 1.0 < expected < 4.5


def test_narrow_band_at_8_khz_is_another_number(speech: tuple[Clip, Output]) -> None:
    assert load_metric("pesq_nb").measure(*speech) != load_metric("pesq_nb@8khz").measure(*speech)


@pytest.mark.parametrize("name", ["pesq_wb", "pesq_nb", "pesq_nb@8khz"])
@pytest.mark.parametrize(
    ("reference", "estimate", "reason"),
    [
        (np.zeros(32_000), voice(16_000, 2), "the reference is silent"),
        (voice(16_000, 2), np.zeros(32_000), "the output is silent"),
        (voice(16_000, 2), np.full(32_000, 1e-42), "the output vanishes|the output is silent"),
        (voice(16_000, 0.2), voice(16_000, 0.2), "shorter than the 0.25 s"),
        (voice(16_000, 19.2), voice(16_000, 19.2), "19.2 s are longer than 19 s"),
    ],
    ids=["silent reference", "silent output", "vanishing output", "short", "long"],
)
def test_pesq_without_a_value_says_why(name: str, reference: ArrayLike, estimate: ArrayLike, reason: str) -> None:
    with pytest.raises(Unscored, match=reason):
        load_metric(name).measure(clip_of(Audio.of(reference, 16_000)), Output(Audio.of(estimate, 16_000)))


def test_pesq_of_speech_in_the_shortest_bursts_survives_up_to_its_limit() -> None:
    # The most utterances that fit: bursts and pauses of 200 ms. A few seconds more and the C code would crash.
    rng = np.random.default_rng(0)
    t = np.arange(round(perceptual.LONGEST_PESQ * 16_000)) / 16_000
    signal = (0.1 * rng.standard_normal(t.size) * (t % 0.4 < 0.2)).astype(np.float32)
    clip, output = clip_of(Audio.of(signal, 16_000)), Output(Audio.of(signal + 0.001, 16_000))
    assert 1.0 < load_metric("pesq_wb").measure(clip, output) < 4.65


@pytest.mark.parametrize("name", ["visqol_speech_lattice", "visqol_speech_exponential", "pesq_wb", "pesq_nb"])
def test_speech_metrics_apply_to_speech_only(name: str) -> None:
    facts = load_metric(name).facts
    assert facts.applies_to("speech")
    assert not facts.applies_to("music")
    assert not facts.applies_to("general")
    assert facts.better == "higher"
    assert not facts.device


def test_visqol_audio_applies_to_everything() -> None:
    facts = load_metric("visqol_audio").facts
    assert all(facts.applies_to(content) for content in ("speech", "music", "general"))
    assert replace(facts, name="visqol_audio") == facts
