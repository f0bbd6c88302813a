from __future__ import annotations

import json
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.system.protocol import Output

GOLDEN = Path(__file__).parents[1] / "golden"
_MODULE = runpy.run_path(str(GOLDEN / "make_signal_metrics.py"))
PAIRS = _MODULE["pairs"]()
EXPECTED = json.loads((GOLDEN / "signal_metrics.json").read_text(encoding="utf-8"))["values"]
CASES = [(pair, name) for pair in PAIRS for name in EXPECTED[pair] if name in ("stoi", "estoi")]


def score(name: str, reference: ArrayLike, estimate: ArrayLike, rate: int) -> float:
    clip = Clip("set/clip", "set", "speech", loaded=Audio.of(reference, rate))
    value = load_metric(name).measure(clip, Output(Audio.of(estimate, rate)))
    assert isinstance(value, float)
    return value


def speech(seed: int, seconds: float = 2.0, rate: int = 10_000) -> np.ndarray:
    samples: np.ndarray = _MODULE["_speech"](np.random.default_rng(seed), seconds, rate)
    return samples


def noise(seed: int, length: int = 20_000) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(length)


@pytest.mark.parametrize(("pair", "name"), CASES)
def test_equals_stored_pystoi(pair: str, name: str) -> None:
    reference, estimate, rate = PAIRS[pair]
    assert score(name, reference, estimate, rate) == pytest.approx(EXPECTED[pair][name], rel=1e-9)


@pytest.mark.parametrize("rate", [8_000, 10_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("level", [0.01, 0.3])
def test_equals_pystoi_beside_it(rate: int, level: float) -> None:
    from pystoi import stoi

    reference = speech(rate, 1.5, rate).astype(np.float32)
    estimate = (reference + level * noise(rate, len(reference))).astype(np.float32)
    x, y = reference.astype(np.float64), estimate.astype(np.float64)
    assert score("stoi", reference, estimate, rate) == pytest.approx(stoi(x, y, rate), abs=1e-12)
    # pystoi adds noise of 2e-16 to every band before it normalises.
    assert score("estoi", reference, estimate, rate) == pytest.approx(stoi(x, y, rate, extended=True), abs=1e-9)


@pytest.mark.parametrize("name", ["stoi", "estoi"])
def test_identity_is_one(name: str) -> None:
    assert score(name, speech(1), speech(1), 10_000) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", ["stoi", "estoi"])
def test_more_noise_is_worse(name: str) -> None:
    scores = [score(name, speech(1), speech(1) + gain * noise(2), 10_000) for gain in (0.0, 0.1, 0.5, 2.0, 10.0)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[-1] > 0.3


@pytest.mark.parametrize("name", ["stoi", "estoi"])
@pytest.mark.parametrize("gain", [0.01, 10.0])
def test_gain_of_the_estimate_does_not_matter(name: str, gain: float) -> None:
    estimate = speech(1) + 0.3 * noise(2)
    expected = score(name, speech(1), estimate, 10_000)
    assert score(name, speech(1), gain * estimate, 10_000) == pytest.approx(expected, abs=1e-6)


def test_flat_bands_give_the_same_estoi_every_time_where_pystoi_does_not() -> None:
    from pystoi import stoi

    reference = speech(3)
    estimate = reference.copy()
    # More than 30 frames of digital silence: the bands do not vary, and pystoi correlates random numbers there.
    estimate[4000:] = 0.0
    np.random.seed(0)  # noqa: NPY002 (pystoi draws from the global generator)
    values = {score("estoi", reference, estimate, 10_000) for _ in range(3)}
    assert len(values) == 1
    x, y = reference.astype(np.float32).astype(np.float64), estimate.astype(np.float32).astype(np.float64)
    theirs = np.array([stoi(x, y, 10_000, extended=True) for _ in range(20)])
    assert np.ptp(theirs) > 1e-4
    assert values.pop() == pytest.approx(theirs.mean(), abs=4 * theirs.std() / np.sqrt(20))


def test_silent_output_is_scored_low() -> None:
    assert abs(score("stoi", speech(1), np.zeros(20_000), 10_000)) < 1e-6
    assert score("estoi", speech(1), np.zeros(20_000), 10_000) == 0.0


@pytest.mark.parametrize("name", ["stoi", "estoi"])
@pytest.mark.parametrize("length", [1, 255, 257, 3000])
def test_too_few_frames_are_unscored(name: str, length: int) -> None:
    with pytest.raises(Unscored, match=r"less than 0\.384 s"):
        score(name, noise(1, length), noise(2, length), 10_000)


def test_the_limit_is_where_pystoi_stops_measuring() -> None:
    from pystoi import stoi

    x, y = noise(1, 5000).astype(np.float32), noise(2, 5000).astype(np.float32)
    for length in range(4000, 4400, 64):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            theirs = stoi(x[:length].astype(np.float64), y[:length].astype(np.float64), 10_000)
        if caught:
            with pytest.raises(Unscored):
                score("stoi", x[:length], y[:length], 10_000)
        else:
            assert score("stoi", x[:length], y[:length], 10_000) == pytest.approx(theirs, abs=1e-12)


def test_mostly_silent_reference_is_unscored_and_a_silent_one_too() -> None:
    reference = np.zeros(30_000)
    reference[10_000:11_000] = noise(1, 1000)
    with pytest.raises(Unscored, match="loudest frame"):
        score("stoi", reference, reference, 10_000)
    with pytest.raises(Unscored, match="the reference is silent"):
        score("stoi", np.zeros(30_000), noise(1, 30_000), 10_000)


@pytest.mark.parametrize("name", ["stoi", "estoi"])
def test_nan_is_never_a_score(name: str) -> None:
    broken = noise(2)
    broken[5000] = np.nan
    with pytest.raises(BenchError, match="nan"):
        score(name, speech(1), broken, 10_000)


def test_only_speech_has_intelligibility() -> None:
    for name in ("stoi", "estoi"):
        facts = load_metric(name).facts
        assert facts.applies_to("speech")
        assert not facts.applies_to("music")
