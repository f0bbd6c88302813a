"""CLAP score, FAD and KAD on small LAION-CLAP models with seeded random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio, read
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors import cache
from ldmbench.metrics import _frechet as frechet
from ldmbench.metrics._base import (
    DeviceMetric,
    list_metrics,
    load_metric,
)
from ldmbench.metrics.alignment import cosine
from ldmbench.names import Setting
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError
from tests.present import present, with_interval

pytest.importorskip("torch")
pytest.importorskip("transformers")

RATE = 48_000
NAMES = ("630k-audioset-best", "630k-audioset-fusion-best", "music_speech_audioset_epoch_15_esc_89.98")
METRICS = ("clap_score", "fad_clap", "kad_clap")


@pytest.fixture(autouse=True)
def _small_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small models under the official names, and a cache of their own."""
    import torch

    from ldmbench.extractors import clap
    from ldmbench.extractors.clap_weights import Architecture

    sizes: dict[str, Any] = {
        "width": 16, "depths": (1, 1, 1, 1), "heads": (1, 2, 4, 8), "text_width": 32, "text_layers": 2,
        "text_heads": 2, "vocabulary": 300, "joint": 12,
    }  # fmt: skip
    monkeypatch.setattr(clap, "ARCHITECTURES", {name: Architecture(fusion="fusion" in name, **sizes) for name in NAMES})
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LDMBENCH_WEIGHTS", raising=False)
    clap.load_clap.cache_clear()
    cache.forget()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    clap.load_clap.cache_clear()


def noise(seed: int, seconds: float = 2.0, rate: int = RATE) -> Audio:
    random = np.random.default_rng(seed)
    samples = random.standard_normal(round(seconds * rate))
    tone = np.sin(2 * np.pi * 100 * 2 ** random.uniform(0, 6) * np.arange(len(samples)) / rate)
    return Audio.of(0.1 * random.uniform() * samples + 0.3 * random.uniform() * tone, rate)


def clip(index: int, text: str = "a dog barks", seed: int | None = None, **more: Any) -> Clip:
    return Clip(f"set/{index}", "set", "general", text=text, loaded=noise(index if seed is None else seed), **more)


def metric(name: str, **settings: Setting) -> DeviceMetric:
    asked = ",".join(f"{key}={value}" for key, value in {"untrained": "true", **settings}.items())
    return with_model(f"{name}:{asked}")


def with_model(name: str) -> DeviceMetric:
    found = load_metric(name)
    assert isinstance(found, DeviceMetric)
    return found


def forget(tmp_path: Path) -> None:
    """Leave nothing of what was computed."""
    import shutil

    cache.forget()
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)


# Names and facts


def test_each_checkpoint_has_its_own_name() -> None:
    names = list_metrics()
    for name in METRICS:
        assert {name, *(f"{name}@{variant}" for variant in NAMES)} <= set(names)
        assert {metric(f"{name}@{variant}").facts.name for variant in NAMES} == {
            f"{name}@{variant}:untrained=true" for variant in NAMES
        }
        assert len({load_metric(f"{name}@{variant}").facts.source for variant in NAMES}) == 3


def test_the_bare_name_is_630k_audioset_best() -> None:
    clips, outputs = [clip(0)], [Output(noise(1))]
    bare, named, other = (metric(name).measure(clips[0], outputs[0]) for name in (
        "clap_score", "clap_score@630k-audioset-best", "clap_score@630k-audioset-fusion-best",
    ))  # fmt: skip
    assert bare == named
    assert bare != other
    assert load_metric("clap_score").facts.source.count("630k-audioset-best") == 1


def test_what_takes_the_place_of_dice_is_in_the_facts() -> None:
    assert "first 10 s" in load_metric("clap_score").facts.source
    assert "mean over 10 s stretches" in load_metric("fad_clap:windows=all").facts.source
    assert "middle of each third" in load_metric("kad_clap@630k-audioset-fusion-best").facts.source
    facts = load_metric("clap_score").facts
    assert facts.device
    assert facts.extras == ("models",)
    assert facts.needs == ("output", "text")
    assert not facts.applies_to("speech")


def test_settings_that_cannot_be() -> None:
    with pytest.raises(BenchError, match="unknown variant of clap_score '630k-audioset'"):
        load_metric("clap_score@630k-audioset")
    with pytest.raises(BenchError, match="use first or all"):
        load_metric("clap_score:windows=some")
    with pytest.raises(BenchError, match="whole already"):
        load_metric("fad_clap@630k-audioset-fusion-best:windows=all")
    with pytest.raises(BenchError, match="no such bandwidth"):
        load_metric("kad_clap:bandwidth=wide")
    with pytest.raises(BenchError, match="unknown setting of clap_score 'checkpoint'"):
        load_metric("clap_score:checkpoint=mine")


@pytest.mark.parametrize("name", METRICS)
def test_weights_are_asked_for(name: str, tmp_path: Path) -> None:
    official = with_model(name)
    assert "weights of LAION-CLAP 630k-audioset-best are not in" in official.problem()
    with pytest.raises(CheckpointError, match=r"missing 630k-audioset-best\.pt"):
        official.measure_batch([clip(0)], [Output(noise(1))])
    assert metric(name).problem() == ""
    folder = tmp_path / "weights" / "clap"
    folder.mkdir(parents=True)
    (folder / "630k-audioset-best.pt").touch()
    official.configure("cpu", tmp_path / "weights")
    assert ("weights of RoBERTa's tokeniser are not in" in official.problem()) == (name == "clap_score")


# CLAP score


def test_score_is_the_cosine_of_both_embeddings() -> None:
    from ldmbench.extractors.clap import load_clap

    score = metric("clap_score")
    value = score.measure(clip(0, "rain on a roof"), Output(noise(5)))
    extractor = load_clap(untrained=True)
    sound = extractor.embed([noise(5)])[0]["embedding"].astype(np.float64)
    text = extractor.embed_text(["rain on a roof"])[0].astype(np.float64)
    assert value == pytest.approx(sound @ text / np.linalg.norm(sound) / np.linalg.norm(text), abs=1e-12)
    assert -1 <= value <= 1
    assert value != score.measure(clip(0, "a violin"), Output(noise(5)))
    assert value != score.measure(clip(0, "rain on a roof"), Output(noise(6)))


def test_cosine() -> None:
    assert cosine(np.array([3.0, 0.0]), np.array([2.0, 2.0])) == pytest.approx(np.sqrt(0.5))
    assert cosine(np.array([1.0, 0.1]), np.array([-10.0, -1.0])) == -1.0
    with pytest.raises(Unscored):
        cosine(np.zeros(2), np.ones(2))


@pytest.mark.parametrize("variant", NAMES)
def test_a_long_clip_twice_gets_the_same_score(variant: str, tmp_path: Path) -> None:
    long = noise(3, seconds=25)
    values = []
    for _ in range(2):
        values.append(metric(f"clap_score@{variant}").measure(clip(0), Output(long)))
        forget(tmp_path)
    assert values[0] == values[1]


def test_one_by_one_equals_sixteen_together(tmp_path: Path) -> None:
    clips = [clip(index, f"sound {'after sound ' * (index % 3)}") for index in range(16)]
    outputs = [Output(noise(100 + index, seconds=1 + index % 2 * 11)) for index in range(16)]
    score = metric("clap_score")
    together = score.measure_batch(clips, outputs)
    backwards = score.measure_batch(clips[::-1], outputs[::-1])[::-1]
    assert together == backwards
    forget(tmp_path)
    alone = [score.measure(*pair) for pair in zip(clips, outputs, strict=True)]
    assert np.abs(np.array(alone) - np.array(together)).max() < 1e-5
    assert len(set(together)) == 16


def test_a_clip_without_caption_or_output_stays_alone() -> None:
    clips = [clip(0), clip(1, text=""), clip(2, text="  "), clip(3)]
    outputs = [Output(noise(9)), Output(noise(9)), Output(noise(9)), Output(None)]
    values = metric("clap_score").measure_batch(clips, outputs)
    assert isinstance(values[0], float)
    assert [type(value) for value in values[1:]] == [Unscored, Unscored, BenchError]
    assert str(values[1]) == "the clip has no caption"
    assert "set/3 has no output audio" in str(values[3])
    (alone,) = with_model("clap_score").measure_batch(clips[1:2], outputs[1:2])
    assert isinstance(alone, Unscored)
    assert str(alone) == "the clip has no caption"


def test_silence_has_a_score() -> None:
    silence = Output(Audio.of(np.zeros(RATE), RATE))
    value = metric("clap_score").measure(clip(0), silence)
    assert np.isfinite(value)
    assert value == metric("clap_score").measure(clip(0), silence)


def test_estimate_is_the_mean_with_an_interval() -> None:
    estimate = metric("clap_score").aggregate([0.1, 0.2, 0.6])
    assert estimate.value == pytest.approx(0.3)
    low, value, high = with_interval(estimate)
    assert -1 <= low < value < high == 1.0, "cut to what a cosine can be"


def test_no_number_is_refused_where_audio_is_read(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "x.wav", np.array([0.0, np.nan, 0.1]), RATE, subtype="FLOAT")
    with pytest.raises(BenchError, match="holds NaN or Inf"):
        read(tmp_path / "x.wav")


# FAD and KAD


def values_of(name: str, outputs: Iterable[int], references: Iterable[int] = range(20)) -> Sequence[Any]:
    clips = [clip(index, seed=seed) for index, seed in enumerate(references)]
    return metric(name).measure_batch(clips, [Output(noise(seed)) for seed in outputs])


def test_fad_is_the_frechet_distance_of_embeddings() -> None:
    from ldmbench.extractors.clap import load_clap

    fad = metric("fad_clap")
    estimate = fad.aggregate(values_of("fad_clap", range(100, 120)))
    extractor = load_clap(untrained=True)
    sets = [
        np.stack([features["embedding"] for features in extractor.embed([noise(seed) for seed in seeds])])
        for seeds in (range(20), range(100, 120))
    ]
    assert estimate.value == pytest.approx(frechet.frechet_distance(*sets), rel=1e-9)
    low, value, high = with_interval(estimate)
    assert low <= value <= high
    assert estimate.n == 20


@pytest.mark.parametrize("variant", NAMES)
def test_equal_sets_are_no_distance_apart(variant: str) -> None:
    name = f"fad_clap@{variant}"
    assert metric(name).aggregate(values_of(name, range(20))).value == pytest.approx(0, abs=1e-9)
    assert metric(name).aggregate(values_of(name, [*range(1, 20), 0])).value == pytest.approx(0, abs=1e-9)
    assert present(metric(name).aggregate(values_of(name, range(100, 120))).value) > 1e-4


@pytest.mark.parametrize("name", ["fad_clap", "kad_clap"])
def test_order_of_clips_does_not_matter(name: str) -> None:
    values = values_of(name, range(100, 120))
    first, second = metric(name).aggregate(values), metric(name).aggregate(values[::-1])
    assert first.value == pytest.approx(second.value, rel=1e-9)


def test_kad_is_the_kernel_distance_of_embeddings() -> None:
    values = values_of("kad_clap", range(100, 120))
    sides = [np.stack([value[4:].reshape(2, -1)[side] for value in values]) for side in (0, 1)]
    expected = frechet.kernel_distance(sides[0], sides[1])
    assert metric("kad_clap").aggregate(values).value == pytest.approx(expected.value, rel=1e-9)
    by_reference = frechet.kernel_distance(sides[0], sides[1], bandwidth="reference")
    found = metric("kad_clap", bandwidth="reference").aggregate(values)
    assert found.value == pytest.approx(by_reference.value, rel=1e-9)


@pytest.mark.parametrize("name", ["fad_clap", "kad_clap"])
def test_one_clip_is_no_set(name: str) -> None:
    values = values_of(name, [100], [0])
    assert metric(name).aggregate(values).value is None
    assert metric(name).aggregate([]).value is None


def test_captions_are_not_needed_for_distances() -> None:
    bare = dataclasses.replace(clip(0), text="")
    (value,) = metric("fad_clap").measure_batch([bare], [Output(noise(1))])
    assert isinstance(value, np.ndarray)


# As stable-audio-metrics


def test_stable_audio_score_is_that_of_the_output_at_minus_1_db() -> None:
    one = metric("clap_score_stable_audio")
    assert "630k-audioset-fusion-best" in one.facts.source
    assert "stable-audio-metrics fd55536" in one.facts.source
    assert one.facts.title.startswith("CLAP Stable Audio")
    quiet = noise(7)
    loud = Audio.of(quiet.samples * (10 ** (-1 / 20) / np.abs(quiet.samples).max()), RATE)
    plain = metric("clap_score@630k-audioset-fusion-best")
    value = one.measure(clip(0), Output(quiet))
    assert value == pytest.approx(plain.measure(clip(0), Output(loud)), abs=2e-6)
    assert value != pytest.approx(plain.measure(clip(0), Output(quiet)), abs=1e-6)
    assert np.isfinite(one.measure(clip(0), Output(Audio.of(np.zeros(RATE), RATE))))
    names = {name for name in list_metrics() if name.startswith("clap_score_stable_audio@")}
    assert len(names) == 3
    assert all("@music_" in name for name in names)
