"""PaSST-S beside hear21passt's numbers on the same random weights, its windows, its checkpoint and its metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.extractors import passt
from ldmbench.extractors.passt import CHECKPOINT, RATE, SHORTEST, WINDOW, Passt, load_passt
from ldmbench.metrics._base import load_metric
from ldmbench.metrics._embedding import EmbeddingMetric, SetMetric, Source
from ldmbench.metrics.distribution import kl_divergence
from ldmbench.runs.reference import against
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError

State = dict[str, "torch.Tensor"]
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "passt.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def state() -> State:
    made: State = passt.random_state(GOLDEN["seed"])
    return made


@pytest.fixture(scope="module")
def extractor(state: State) -> Passt:
    return Passt(lambda: state, "test", Path("x.pt"))


def sound(seconds: float, seed: int) -> Audio:
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * (300 + 200 * seed) * t * (1 + 0.1 * t))
    return Audio.of((0.2 * tone + 0.02 * random.standard_normal(t.size)).astype(np.float32), RATE)


def as_hear21passt(extractor: Passt, clips: list[dict[str, Any]]) -> None:
    sounds = [sound(one["seconds"], one["seed"]) for one in clips]
    for features, one in zip(extractor.embed(sounds), clips, strict=True):
        for layer in ("embedding", "logits"):
            expected = np.array(one[layer])
            np.testing.assert_allclose(features[layer], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_numbers_of_hear21passt(extractor: Passt) -> None:
    short = [one for one in GOLDEN["sounds"] if one["seconds"] < 2]
    assert len(short) == 2
    as_hear21passt(extractor, short)


@pytest.mark.slow
def test_numbers_of_hear21passt_on_whole_and_several_windows(extractor: Passt) -> None:
    long = [one for one in GOLDEN["sounds"] if one["seconds"] >= 10]
    assert [one["seconds"] for one in long] == [10.0, 10.5]
    as_hear21passt(extractor, long)


def test_windows_of_hear21passt(extractor: Passt) -> None:
    whole, longer = sound(10.0, 0), sound(12.6, 1)
    np.testing.assert_array_equal(extractor.prepare(whole), whole.samples)
    windows = extractor.prepare(longer)
    assert windows.shape == (longer.length // (WINDOW // 4) + 1, WINDOW)
    half = WINDOW // 2
    np.testing.assert_array_equal(windows[0, half:], longer.samples[0, :half])
    np.testing.assert_array_equal(windows[0, :half], longer.samples[0, half:0:-1])
    np.testing.assert_array_equal(windows[2], longer.samples[0, :WINDOW])


@pytest.mark.parametrize(
    ("seconds", "shape"), [(1.5, (1, 48_000)), (1.6, (1, WINDOW)), (10.1, (2, WINDOW)), (20.0, (3, WINDOW))]
)
def test_windows_of_stable_audio_metrics(seconds: float, shape: tuple[int, int]) -> None:
    loud = sound(seconds, 0)
    windows = Passt(dict, "test", Path("x.pt"), "stable_audio_metrics").prepare(loud)
    assert windows.shape == shape
    scaled = loud.samples[0] * 10 ** (-1 / 20) / np.abs(loud.samples).max()
    kept = min(loud.length, WINDOW)
    np.testing.assert_allclose(windows[0, :kept], scaled[:kept], rtol=1e-6, atol=1e-9)
    assert not windows[0, kept:].any()
    if len(windows) > 1:
        np.testing.assert_allclose(windows[1, : WINDOW // 2], windows[0, WINDOW // 2 :], atol=1e-9)


def test_other_rates_channels_and_silence(extractor: Passt) -> None:
    other = Passt(dict, "test", Path("x.pt"), "stable_audio_metrics")
    for one in (Audio.of(np.full((2, 44_100), 0.1), 44_100), Audio.of(np.zeros(RATE), RATE)):
        assert other.prepare(one).shape == extractor.prepare(one).shape == (1, RATE)
    assert not other.prepare(Audio.of(np.zeros(RATE), RATE)).any()


def test_a_sound_of_less_than_one_column_of_patches_has_no_features(extractor: Passt) -> None:
    long, short = (Audio.of(np.full(length, 0.1), RATE) for length in (SHORTEST, SHORTEST - 1))
    heard, unheard = extractor.embed([long, short])
    assert heard["embedding"].shape == (768,)
    assert unheard["embedding"].shape == (0, 768)
    metric = load_metric("kl_passt")
    assert isinstance(metric, EmbeddingMetric)
    metric.source = Source(lambda **_: extractor, (), "logits", True, False)
    (value,) = metric.measure_batch([Clip("set/a", "set", loaded=long)], [Output(short)])
    assert isinstance(value, Unscored)
    assert "too short" in str(value)


def test_checkpoint_in_the_official_layout(home: Path, state: State, extractor: Passt) -> None:
    folder = home / "weights" / "passt"
    folder.mkdir(parents=True)
    path = folder / CHECKPOINT.file
    torch.save(state, path)
    # The layout of the official file to the byte but for its archive's headers.
    assert abs(path.stat().st_size - CHECKPOINT.size) < 20_000
    with pytest.raises(CheckpointError, match="not the official checkpoint of PaSST-S"):
        load_passt(weights=folder)
    loaded = load_passt(weights=folder, official=False)
    assert loaded.fingerprint != extractor.fingerprint
    loaded.load()
    short = np.stack([extractor.prepare(sound(0.2, 0))])
    extractor.embed([sound(0.2, 0)])
    np.testing.assert_array_equal(loaded.forward(short)["logits"], extractor.forward(short)["logits"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.3.attn.qkv.bias"), r"1 missing \(blocks\.3\.attn\.qkv\.bias\)"),
        (
            lambda s: s.update({"time_new_pos_embed": torch.zeros(1, 768, 1, 199)}),
            r"time_new_pos_embed \[1, 768, 1, 199\] instead of \[1, 768, 1, 99\]",
        ),
    ],
)
def test_other_checkpoints_are_refused_by_name(state: State, change: Callable[[State], object], message: str) -> None:
    changed = dict(state)
    change(changed)
    with pytest.raises(CheckpointError, match=message):
        Passt(lambda: changed, "test", Path("x.pt")).embed([sound(0.2, 0)])


def test_metrics_are_defined_as_they_say(extractor: Passt) -> None:
    assert against("fd_passt", "mine-1f2e3d4c5b6a") == "fd_passt:reference=mine-1f2e3d4c5b6a"
    first, second = sound(0.2, 0), sound(0.3, 1)
    logits = [features["logits"].astype(np.float64) for features in extractor.embed([first, second])]
    metric = load_metric("kl_passt")
    assert isinstance(metric, EmbeddingMetric)
    metric.source = Source(lambda **_: extractor, (), "logits", True, False)
    (value,) = metric.measure_batch([Clip("set/a", "set", loaded=first)], [Output(second)])
    assert value == pytest.approx(kl_divergence(logits[1], logits[0], "softmax"), rel=1e-9)
    for name, layer, both in (("fd_passt", "embedding", True), ("is_passt", "logits", False)):
        metric = load_metric(name)
        assert isinstance(metric, SetMetric)
        assert (metric.source.layer, "audio" in metric.facts.needs) == (layer, both)
        assert ": missing " in metric.problem()
    with pytest.raises(CheckpointError, match="ldmbench fetch passt"):
        metric.measure(Clip("set/a", "set", loaded=first), Output(second))
