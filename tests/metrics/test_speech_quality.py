"""Judges of speech: their values beside the packages' own on a recording, and in which order they put harm."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("speechmos") is None:
    pytest.skip("the extra 'speech' is not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio, read
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors import dnsmos
from ldmbench.metrics._base import load_metric
from ldmbench.system.protocol import Output
from tests.golden.make_speech_metrics import GOLDEN, RECORDING, conditions

VALUES: dict[str, dict[str, float]] = json.loads(GOLDEN.read_text())

#: Largest difference from the package.
TOLERANCE = {
    "dnsmos_sig": 2e-6, "dnsmos_bak": 2e-6, "dnsmos_ovrl": 2e-6, "dnsmos_p808": 2e-6,
    "dnsmos_sig@personalised": 2e-6, "dnsmos_bak@personalised": 2e-6, "dnsmos_ovrl@personalised": 2e-6,
    "plcmos": 2e-6, "distillmos": 2e-6, "zimtohrli": 1e-6, "zimtohrli_mos": 1e-6,
    "warpq": 1e-5, "warpq:vad=false": 1e-5,
}  # fmt: skip

#: What is compared at every run; all else takes minutes.
QUICK = {
    ("dnsmos_ovrl", "clean"), ("dnsmos_p808", "noise_10"), ("plcmos", "loss_10"), ("zimtohrli", "mulaw_4"),
    ("warpq", "loss_30"), ("warpq:vad=false", "lowpass_3400"),
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
