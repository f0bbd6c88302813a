"""Judges of speech: their values beside the packages' own on a recording, and in which order they put harm."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("distillmos") is None:
    pytest.skip("the extra 'speech' is not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio, read
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors import dnsmos
from ldmbench.metrics._base import DeviceMetric, load_metric
from ldmbench.system.protocol import Output
from tests.golden.make_speech_metrics import GOLDEN, RECORDING, conditions

VALUES: dict[str, dict[str, float]] = json.loads(GOLDEN.read_text())

#: Largest difference from the package.
TOLERANCE = {
    "dnsmos_sig": 2e-6, "dnsmos_bak": 2e-6, "dnsmos_ovrl": 2e-6, "dnsmos_p808": 2e-6,
    "dnsmos_sig@personalised": 2e-6, "dnsmos_bak@personalised": 2e-6, "dnsmos_ovrl@personalised": 2e-6,
    "plcmos": 2e-6, "distillmos": 2e-6, "zimtohrli": 1e-6, "zimtohrli_mos": 1e-6,
    "warpq": 1e-5, "warpq:vad=false": 1e-5,
    "mcd_world": 2e-6, "mcd_world@24khz": 1e-4, "mcd_world@48khz": 5e-4,
    "mcd_world_dtw": 2e-6, "mcd_world_dtw@24khz": 1e-4, "mcd_world_dtw@48khz": 5e-4,
    "f0_rmse": 1e-5, "f0_rmse@harvest": 1e-5, "vuv_error": 1e-6, "vuv_error@harvest": 1e-6,
}  # fmt: skip

#: What is compared at every run; all else takes minutes.
QUICK = {
    ("dnsmos_ovrl", "clean"), ("dnsmos_p808", "noise_10"), ("plcmos", "loss_10"), ("zimtohrli", "mulaw_4"),
    ("warpq", "loss_30"), ("warpq:vad=false", "lowpass_3400"), ("mcd_world", "lowpass_1000"), ("f0_rmse", "mulaw_3"),
    ("vuv_error", "noise_10"),
}  # fmt: skip


@cache
def sounds() -> dict[str, Audio]:
    return {name: Audio.of(signal, 16_000) for name, signal in conditions(read(RECORDING).samples[0]).items()}


def measure(name: str, sound: Audio, reference: Audio | None = None) -> float:
    clip = Clip("set/clip", "set", "speech", loaded=reference or sounds()["clean"])
    value: Any = load_metric(name).measure(clip, Output(sound))
    return float(value)


def cases() -> list[Any]:
    every = [(name, condition) for condition in VALUES for name in TOLERANCE]
    return [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in every]


@pytest.mark.parametrize(("name", "condition"), cases())
def test_values_are_those_of_the_package(name: str, condition: str) -> None:
    assert measure(name, sounds()[condition]) == pytest.approx(VALUES[condition][name], abs=TOLERANCE[name])


@pytest.mark.parametrize("seconds", [9.01, 9.99, 10.0, 16.0, 17.0, 25.0, 128.0, 140.0])
def test_windows_are_those_of_the_script(seconds: float) -> None:
    """The loop of dnsmos_local.py written out, floating point included."""
    samples = round(seconds * 16_000)
    taken = []
    for index in range(int(np.floor(samples / 16_000) - 9.01) + 1):
        first, last = int(index * 16_000), int((index + 9.01) * 16_000)
        if min(last, samples) - first >= int(9.01 * 16_000):
            taken.append(first)
    assert dnsmos.starts(samples, "official") == taken
    every = dnsmos.starts(samples, "all")
    assert every == [16_000 * index for index in range(len(every))]
    assert len(every) == max(1, int(seconds - 9.01) + (seconds >= 10))
    assert (set(taken) < set(every)) is (seconds >= 17)


@pytest.mark.parametrize("name", ["dnsmos_ovrl", "plcmos"])
def test_silence_has_no_value(name: str) -> None:
    with pytest.raises(Unscored, match="the output is silent"):
        measure(name, Audio.of(np.zeros(8000), 16_000))


def test_windows_nobody_knows_are_refused() -> None:
    with pytest.raises(BenchError, match="unknown windows of dnsmos_ovrl"):
        load_metric("dnsmos_ovrl:windows=some")


@pytest.mark.parametrize("name", ["nisqa_mos", "nisqa_loudness@48khz"])
def test_nisqa_on_random_weights(name: str) -> None:
    """All columns come from one pass; what is too short or too long for the network has no value."""
    pytest.importorskip("torch", reason="the extra 'models' is not installed")
    metric = load_metric(f"{name}:untrained=true")
    assert isinstance(metric, DeviceMetric)
    sound = sounds()["clean"]
    parts = [sound.fit(16_000), sound.fit(1_600), Audio.of(np.zeros(16_000), 16_000), Audio.of(np.ones(600_000), 8_000)]
    clips = [Clip(f"set/{index}", "set", "speech", loaded=part) for index, part in enumerate(parts)]
    first, short, silent, long = metric.measure_batch(clips, [Output(part) for part in parts])
    assert isinstance(first, float)
    assert np.isfinite(first)
    assert [str(value) for value in (short, silent)] == [
        f"the output has 0.10 s, {name}:untrained=true needs 0.15 s",
        "the output is silent",
    ]
    assert "needs at most 52.1 s" in str(long)


def test_nisqa_hears_what_librosa_computes() -> None:
    """Frames of 20 ms in transforms of 4096 points, written out; bands above half the rate are at the floor."""
    from ldmbench.audio.spectra import mel_filters
    from ldmbench.extractors.nisqa import log_mel

    signal = sounds()["clean"].samples[0][16_000:32_000]
    bands = log_mel(signal, 16_000)
    assert bands.shape == (101, 48)
    padded = np.pad(signal.astype(np.float64), 2048, mode="reflect")
    window = np.zeros(4096)
    window[1888:2208] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320)
    magnitude = (
        np.abs(np.fft.rfft(padded[50 * 160 : 50 * 160 + 4096] * window))
        @ mel_filters(16_000, 4096, 48, 0.0, 20_000.0).T
    )
    expected = np.maximum(20 * np.log10(np.maximum(magnitude, 1e-4)), bands.max() - 80)
    np.testing.assert_allclose(bands[50], expected, atol=1e-3)
    assert (bands[:, -2:] == bands[:, -1:]).all()


def test_harm_is_put_in_order() -> None:
    """The packages' values, which ours are: worse and worse with noise, band limits, coarse steps and losses.

    What is left out is not in order: DNSMOS hardly hears band limits, PLCMOS judges losses, an old recording is narrow.
    Mel-cepstra and pitch are those of pysptk and pyworld, put together as our definitions say.
    """
    kinds = {
        "noise": ("noise_30", "noise_20", "noise_10"), "lowpass": ("lowpass_3400", "lowpass_2000", "lowpass_1000"),
        "mulaw": ("mulaw_6", "mulaw_4", "mulaw_3"), "loss": ("loss_3", "loss_10", "loss_30"),
    }  # fmt: skip
    every = set(kinds)
    judged = {
        "dnsmos_ovrl": {"noise", "loss"}, "dnsmos_bak": {"noise"}, "dnsmos_p808": every, "plcmos": {"loss", "mulaw"},
        "dnsmos_ovrl@personalised": every, "distillmos": every, "zimtohrli_mos": every,
        "speaker_similarity_ge2e": every, "nisqa_mos": {"noise", "mulaw", "loss"},
    }  # fmt: skip
    wrong = []
    for name, sign, expected in [*((name, -1, kind) for name, kind in judged.items()), ("zimtohrli", 1, every),
                                 ("warpq", 1, every), ("warpq:vad=false", 1, every), ("mcd_world", 1, every),
                                 ("mcd_world_dtw", 1, every), ("f0_rmse", 1, every),
                                 ("vuv_error", 1, every - {"mulaw"})]:  # fmt: skip
        for kind in sorted(expected):
            values = [sign * VALUES[condition][name] for condition in kinds[kind]]
            if values != sorted(values):
                wrong.append((name, kind, values))
    assert not wrong
