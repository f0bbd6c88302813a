"""Measures of tokens as columns: of one layer, of their mean, and of codes that a change disturbed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ldmbench
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.metrics.tokens import SteadyMetric, TokenMetric
from ldmbench.names import Name
from ldmbench.probes.steadiness import steadiness
from ldmbench.reports import curves, drawing
from ldmbench.reports.layers import has_layers
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.codec import Codec, Stream
from ldmbench.system.protocol import Output
from tests.present import present

RATE = 8000


class Levels(Codec):
    """One token for every 80 samples: the mean magnitude in 64 steps; and a second layer that never changes."""

    def encode(self, audio: Audio) -> Stream:
        frames = audio.samples[0, : audio.length // 80 * 80].reshape(-1, 80)
        codes = np.minimum(np.abs(frames).mean(axis=1) * 64, 63).astype(np.int64)
        tokens = np.stack([codes, np.zeros_like(codes)])
        return Stream(tokens, 6 * codes.size, tokens, (64, 64))

    def decode(self, stream: Stream) -> Audio:
        return Audio(np.repeat((stream.payload[0] + 0.5) / 64, 80)[None].astype(np.float32), RATE)


@pytest.fixture
def codec() -> Levels:
    card = SystemCard(name="levels", title="Levels", tasks=("codec",), licence="CC0", module="x:y", rate=RATE)
    return Levels(SystemSpec(card, Name("levels"), {}))


def ramp(seconds: float = 1.0) -> Audio:
    return Audio.of(np.linspace(0.1, 0.9, round(seconds * RATE)), RATE)


def output(tokens: list[list[int]], sizes: tuple[int, ...] = (4, 4)) -> Output:
    return Output(Audio.of(np.zeros(800), RATE), 10, np.array(tokens), sizes)


def test_layers_are_measured_alone_and_as_their_mean() -> None:
    clip = Clip("d/a", "d", label="x")
    clips = [output([[0, 1, 2, 3], [0, 0, 0, -1]]), output([[0, 1, 2, 3], [1, 1, 1, 1]])]
    for name, first, second in (
        ("codebook_utilisation", 100.0, 50.0),
        ("codebook_perplexity", 4.0, 2 ** (-3 / 7 * np.log2(3 / 7) - 4 / 7 * np.log2(4 / 7))),
        ("token_entropy_share", 100.0, 50 * (-3 / 7 * np.log2(3 / 7) - 4 / 7 * np.log2(4 / 7))),
    ):
        found = []
        for layer in (1, 2, 0):
            metric = load_metric(f"{name}:layer={layer}" if layer else name)
            found.append(present(metric.aggregate([metric.measure(clip, one) for one in clips]).value))
        assert found == pytest.approx([first, second, (first + second) / 2])
    with pytest.raises(Unscored, match="it has 2 layers"):
        load_metric("token_entropy:layer=3").measure(clip, clips[0])
    with pytest.raises(BenchError, match="layers count from 1"):
        load_metric("token_entropy:layer=-1")
    with pytest.raises(BenchError, match="no such estimator"):
        load_metric("token_entropy:estimator=guess")


def test_layers_are_had_from_the_scores_of_their_mean(codec: Levels) -> None:
    clip = Clip("d/a", "d", label="x")
    outputs = [output([[0, 1, 2, 3], [0, 0, 0, 1]]), output([[0, 1, 2, 3], [1, 1, 1, 1]])]
    metric = load_metric("token_entropy")
    assert isinstance(metric, TokenMetric)
    stored = [metric.measure(clip, one) for one in outputs]
    layers = [present(item.value) for item in metric.by_layer(stored)]
    assert layers == [present(load_metric(f"token_entropy:layer={n}").aggregate(stored).value) for n in (1, 2)]
    assert np.mean(layers) == present(metric.aggregate(stored).value)
    assert not metric.by_layer([])
    steady = load_metric("token_identity@noise")
    assert isinstance(steady, SteadyMetric)
    details = [{"steadiness": steadiness(codec, ramp(), [steady.change], seed)} for seed in range(4)]
    first, second = steady.by_layer(details)
    assert present(first.value) == pytest.approx(90, abs=10)
    assert second.value == 100.0
    assert first.n == 4
    assert has_layers("token_entropy")
    assert not any(map(has_layers, ("token_entropy:layer=2", "accuracy_linear")))


def test_codes_that_stay_and_codes_that_change(codec: Levels) -> None:
    clip = ramp()
    found = steadiness(codec, clip, [("offset", 10.0), ("offset", 2.0), ("context", 0.0), ("noise", 60.0)], seed=1)
    # A frame later, the ramp is a little lower everywhere.
    assert found["offset 10"]["equal"][0] < 1
    assert found["offset 10"]["equal"][1] == 1.0
    # The cut begins at a frame, and frames do not know each other.
    assert found["context 0"] == {"equal": [1.0, 1.0], "edits": [0.0, 0.0]}
    assert found["noise 60"]["equal"][0] > 0.9
    again = steadiness(codec, clip, [("reencode", 3.0)], seed=1)
    assert again["reencode 3"]["equal"] == [1.0, 1.0]
    assert steadiness(codec, clip, [("noise", 0.0)], seed=1) == steadiness(codec, clip, [("noise", 0.0)], seed=1)
    assert "too few" in steadiness(codec, ramp(0.1), [("context", 0.0)], seed=1)["context 0"]


def test_a_clip_that_was_not_changed_has_no_value() -> None:
    clip = Clip("d/a", "d")
    metric = load_metric("token_identity@noise:strength=20")
    with pytest.raises(Unscored, match="in a suite of task embed"):
        metric.measure(clip, output([[1], [2]]))
    changed = Output(details={"steadiness": {"noise 20": {"equal": [0.5, 1.0], "edits": [2.0, 0.0]}}})
    assert metric.measure(clip, changed) == 75.0
    assert load_metric("token_edits@noise:strength=20,layer=1").measure(clip, changed) == 2.0


@pytest.mark.slow
def test_a_run_with_tokens(tmp_path: Path) -> None:
    names = ("codebook_utilisation", "token_ngram@2gram", "token_labels", "token_identity@context", "token_edits@noise")
    (done,) = ldmbench.evaluate(
        "token-quickstart", ["kmeans-mel@0.60kbps:train=builtin-training"], datasets=["builtin-timbre"], out=tmp_path,
        metrics=names, limit=16, quiet=True,
    )  # fmt: skip
    assert not done.failures
    values = {name: present(done.estimate(name, "builtin-timbre")) for name in names}
    assert all(estimate.n == 16 for estimate in values.values())
    assert 0 < present(values["codebook_utilisation"].value) < 10
    assert 0 < present(values["token_ngram@2gram"].value) <= 12.5
    assert 0 < present(values["token_identity@context"].value) <= 100
    # Layer by layer, from the same scores: each is what its own column would be, and their mean is the column.
    drawn = {curve.facts.name: curve for curve in curves.build([done], names) if curve.axis == "layer"}
    assert set(drawn) == set(names)
    for name in names:
        (family,) = drawn[name].families
        assert [point.x for point in family.points] == [1.0, 2.0]
        assert np.mean([point.value for point in family.points]) == pytest.approx(present(values[name].value), abs=1e-9)
    assert drawing.render([drawn["token_labels"]]).startswith(b"<?xml")
    # One more change: only what is new is computed, and what was there stays.
    (again,) = ldmbench.evaluate(
        "token-quickstart", ["kmeans-mel@0.60kbps:train=builtin-training"], datasets=["builtin-timbre"], out=tmp_path,
        metrics=[*names, "token_identity@noise:strength=10"], limit=16, quiet=True,
    )  # fmt: skip
    assert present(again.estimate("token_edits@noise", "builtin-timbre")) == values["token_edits@noise"]
    assert present(present(again.estimate("token_identity@noise:strength=10", "builtin-timbre")).value) >= 0
