"""FD, IS, KL, FAD and KAD: the peers' numbers on the same weights and sounds, and what the engine needs of them."""

from __future__ import annotations

import json
import pickle
import runpy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from scipy.special import log_softmax, logit

torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench import stats  # noqa: E402
from ldmbench.audio.sound import Audio, read  # noqa: E402
from ldmbench.clips.clip import Clip  # noqa: E402
from ldmbench.errors import BenchError, Unscored  # noqa: E402
from ldmbench.extractors import NetworkExtractor, cache, panns, vggish  # noqa: E402
from ldmbench.metrics._base import MetricFacts, list_metrics, load_metric  # noqa: E402
from ldmbench.metrics._embedding import EmbeddingMetric, SetMetric, Source, pack, unpack  # noqa: E402
from ldmbench.metrics._estimates import frechet_estimate  # noqa: E402
from ldmbench.metrics._frechet import frechet_distance  # noqa: E402
from ldmbench.metrics.distribution import kl_divergence  # noqa: E402
from ldmbench.stats import Estimate  # noqa: E402
from ldmbench.system.protocol import Output  # noqa: E402
from ldmbench.weights.record import CheckpointError  # noqa: E402
from tests.present import present, with_interval  # noqa: E402

TESTS = Path(__file__).parents[1]
NAMES = [name for name in list_metrics() if "panns" in name or "vggish" in name]
RATE = 16_000


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path / "weights"))
    cache.forget()
    return tmp_path


def noise(seconds: float, seed: int = 0, channels: int = 1) -> Audio:
    random = np.random.default_rng(seed)
    return Audio.of(0.1 * random.standard_normal((channels, round(RATE * seconds))), RATE)


def clip(sound: Audio | None, name: str = "set/a") -> Clip:
    return Clip(name, "set", loaded=sound)


# ---- the peers' numbers


def parity(home: Path, rate: int, skip: tuple[str, ...] = ()) -> None:
    bench = runpy.run_path(str(TESTS / "benchmarks" / "bench_distribution.py"))
    golden = json.loads((TESTS / "golden" / f"distribution_{rate // 1000}k.json").read_text(encoding="utf-8"))
    generated, reference = bench["sounds"](golden["clips"], golden["seconds"], home)
    load: dict[str, NetworkExtractor] = {
        "panns": panns.Panns(rate, "cpu", "seed 1", lambda: panns.random_state(rate, golden["seed"]), Path("x")),
    }
    network = vggish.build()
    network.load_state_dict(vggish.random_state(golden["seed"]))
    for loading in ("audioldm_eval", "frechet_audio_distance"):
        load[loading] = vggish.Vggish(lambda: network, "seed 1", loading)
    for key, name in ((name, name) for name in bench["KEYS"] if name not in skip):
        metric = load_metric(f"{name}@32khz" if rate == 32_000 and "panns" in name else name)
        assert isinstance(metric, EmbeddingMetric)
        used = "panns" if "panns" in key else "frechet_audio_distance" if "package" in key else "audioldm_eval"
        metric.source = Source(lambda used=used, **_: load[used], (), metric.source.layer, True, False)
        values: list[Any] = []
        files = sorted(reference.iterdir())
        for start in range(0, len(files), 8):
            batch = files[start : start + 8]
            clips = [Clip(path.name, "set", path=path).load() for path in batch]
            values += metric.measure_batch(clips, [Output(read(generated / path.name)) for path in batch])
        estimate = metric.aggregate(values)
        expected = golden["numbers"][bench["KEYS"][name]]
        assert estimate.value == pytest.approx(expected, rel=1e-4), name
        assert estimate.n == golden["clips"]
        if name != "is_panns_std" and "infinity" not in name:
            low, value, high = with_interval(estimate)
            assert low < value < high, name


def test_numbers_of_audioldm_eval_and_frechet_audio_distance(home: Path) -> None:
    parity(home, 16_000)


@pytest.mark.slow
def test_numbers_of_audioldm_eval_at_32_khz(home: Path) -> None:
    parity(home, 32_000, skip=("fad_vggish_package",))


# ---- KL

P = np.array([0.05, 0.1, 0.2, 0.05, 0.15, 0.25, 0.08, 0.12])
Q = np.array([0.3, 0.1, 0.2, 0.1, 0.1, 0.02, 0.08, 0.1])


def test_kl_softmax_of_known_distributions() -> None:
    # stable-audio-metrics fd55536, src/test_kld.py, with 1e-6 added to the second distribution.
    assert kl_divergence(np.log(P), np.log(Q), "softmax") == pytest.approx(0.5898663401603699, rel=1e-6)
    p, q = np.array([0.1, 0.4, 0.5]), np.array([0.8, 0.15, 0.05])
    assert kl_divergence(np.log(p), np.log(q), "softmax") == pytest.approx(1.335667371749878, rel=1e-6)


def test_kl_has_a_direction_and_a_shift_of_logits_does_not_matter() -> None:
    assert kl_divergence(np.log(P) + 3, np.log(Q) - 2, "softmax") == pytest.approx(0.589866, rel=1e-5)
    assert kl_divergence(np.log(Q), np.log(P), "softmax") == pytest.approx(np.sum(Q * np.log(Q / P)), rel=1e-3)
    assert abs(kl_divergence(np.log(P), np.log(P), "softmax")) < 1e-5


@pytest.mark.parametrize(
    ("output", "reference", "value"),
    [
        (
            [0.05, 0.1, 0.2, 0.05, 0.15, 0.25, 0.08, 0.12],
            [0.3, 0.1, 0.2, 0.1, 0.1, 0.02, 0.08, 0.1],
            0.5898663401603699,
        ),
        ([0.1, 0.4, 0.5], [0.8, 0.15, 0.05], 1.335667371749878),
    ],
)
def test_stable_audio_metrics_own_vectors_in_its_direction(
    output: list[float], reference: list[float], value: float
) -> None:
    """From stable-audio-metrics fd55536, ``src/test_kld.py``, with the 1e-6 of ``passt_kld.py``, in float32."""
    logits = [np.log(np.array([side])) for side in (reference, output)]
    swapped, straight = (load_metric(name) for name in ("kl_stable_audio_panns", "kl_softmax_panns"))
    assert isinstance(swapped, EmbeddingMetric)
    assert isinstance(straight, EmbeddingMetric)
    assert swapped.compare(*logits) == pytest.approx(value, abs=1e-6)
    assert straight.compare(*logits) == pytest.approx(float(np.asarray(swapped.compare(*reversed(logits)))), abs=1e-12)
    assert straight.compare(*logits) != pytest.approx(value, rel=0.01)


def test_kl_sigmoid_leaves_out_the_absent_classes_and_can_be_negative() -> None:
    expected = np.sum(P * (np.log(P) - np.log(Q + 1e-6)))
    assert kl_divergence(logit(P), logit(Q), "sigmoid") == pytest.approx(expected, rel=1e-9)
    assert kl_divergence(logit(P), logit(2 * P), "sigmoid") < 0


def test_kl_equals_torchs_and_survives_extremes() -> None:
    random = np.random.default_rng(0)
    reference, output = random.standard_normal((2, 527)) * 5
    activations: dict[Literal["softmax", "sigmoid"], Any] = {
        "softmax": lambda x: x.softmax(0),
        "sigmoid": torch.sigmoid,
    }
    for activation, function in activations.items():
        first, second = (function(torch.from_numpy(x)) for x in (reference, output))
        expected = torch.nn.functional.kl_div((second + 1e-6).log(), first, reduction="sum")
        assert kl_divergence(reference, output, activation) == pytest.approx(float(expected), rel=1e-9)
    certain = np.array([1000.0, 0.0, -1000.0])
    assert kl_divergence(certain, certain[::-1], "softmax") == pytest.approx(-np.log(1e-6))


# ---- a small extractor, to see what the metrics do with it


class Toy(NetworkExtractor):
    """Three moments per 1000 samples; refuses to hear more than a second."""

    rate = RATE
    fingerprint = "toy" * 10

    def load(self) -> None:
        pass

    def prepare(self, sound: Audio) -> np.ndarray:
        if sound.length > RATE:
            raise BenchError("too long")
        samples: np.ndarray = sound.samples[0]
        return samples

    def forward(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        if len(batch) > 3:
            raise RuntimeError("out of memory")
        frames = batch[:, : batch.shape[1] // 1000 * 1000].reshape(len(batch), -1, 1000)
        stack = np.stack([frames.mean(2), frames.std(2), np.abs(frames).mean(2)], axis=2)
        return {"moments": stack, "logits": stack.reshape(len(batch), -1)}


def toy(layer: str = "moments", **facts: Any) -> SetMetric:
    extractor = Toy()
    facts = {"name": "toy", "title": "Toy", "kind": "set", "needs": ("audio",), **facts}
    return SetMetric(MetricFacts(**facts), Source(lambda **_: extractor, (), layer, True, False), frechet_estimate)


def vectors(values: Sequence[object]) -> list[np.ndarray]:
    """Values of clips that are arrays, all of them."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    assert len(arrays) == len(values)
    return arrays


def test_set_metric_is_the_distance_of_all_frames_of_all_clips() -> None:
    sounds = [(noise(0.4, i), noise(0.5, 50 + i)) for i in range(12)]
    metric = toy()
    values = vectors(metric.measure_batch([clip(a) for a, _ in sounds], [Output(b) for _, b in sounds]))
    assert all(np.isfinite(value).all() and value.ndim == 1 for value in values)
    rows = [np.concatenate([Toy().embed([s])[0]["moments"] for s in side]) for side in zip(*sounds, strict=True)]
    estimate = metric.aggregate(values)
    assert estimate.value == pytest.approx(frechet_distance(*rows), rel=1e-9)
    assert estimate.n == 12
    again = toy().aggregate([np.array(value) for value in values])
    assert again == estimate


def test_estimates_are_remembered_by_content_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [pack(*np.random.default_rng(i).standard_normal((2, 4, 3))) for i in range(6)]
    calls = []

    def counted(*sides: Any) -> Estimate:
        calls.append(1)
        return frechet_estimate(*sides)

    first, other = toy(), toy(name="toy:other=true")
    for metric in (first, other):
        metric.estimate = counted
    expected = first.aggregate(values)
    cache.forget()
    assert first.aggregate(values) == expected
    assert len(calls) == 1
    assert other.aggregate(values) == expected
    assert first.aggregate(values[::-1]).value == pytest.approx(expected.value)
    assert first.aggregate(values[1:]) != expected
    assert len(calls) == 4


@pytest.mark.parametrize("counts", [(3, 5), (0, 2), (1,), (2, 0)])
def test_packing_keeps_the_rows(counts: tuple[int, ...]) -> None:
    sides = [np.random.default_rng(i).standard_normal((count, 4)) for i, count in enumerate(counts)]
    for before, after in zip(sides, unpack(pack(*sides)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_one_bad_sound_in_a_batch_does_not_take_the_others_with_it() -> None:
    outputs = [Output(noise(0.5, i)) for i in range(4)] + [Output(noise(1.5)), Output()]
    clips = [clip(noise(0.5, 20 + i), f"set/{i}") for i in range(6)]
    values = toy().measure_batch(clips, outputs)
    assert [isinstance(value, Exception) for value in values] == [False] * 4 + [True] * 2
    assert "too long" in str(values[4])
    assert "set/5 has no output audio" in str(values[5])
    with pytest.raises(BenchError, match="too long"):
        toy().measure(clips[4], outputs[4])


def test_a_clip_without_reference_fails_only_where_one_is_needed() -> None:
    silent = Clip("set/x", "set", text="a dog")
    (value,) = toy().measure_batch([silent], [Output(noise(0.5))])
    assert isinstance(value, BenchError)
    (vector,) = vectors(toy("logits", needs=("output",)).measure_batch([silent], [Output(noise(0.5))]))
    assert len(unpack(vector)) == 1


def test_too_short_on_both_sides_is_unscored_and_on_one_side_counts_the_other() -> None:
    metric = toy()
    with pytest.raises(Unscored, match="one frame"):
        metric.measure(clip(noise(0.05)), Output(noise(0.03)))
    (vector,) = vectors([metric.measure(clip(noise(0.05)), Output(noise(0.5)))])
    reference, output = unpack(vector)
    assert (len(reference), len(output)) == (0, 8)


def test_one_clip_or_one_row_has_no_distance() -> None:
    metric = toy("logits")
    value = metric.measure(clip(noise(0.5)), Output(noise(0.5, 1)))
    estimate = metric.aggregate([value])
    assert (estimate.value, estimate.n) == (None, 1)


def test_lengths_and_rates_of_the_two_sides_may_differ() -> None:
    (vector,) = vectors([toy().measure(clip(noise(0.9)), Output(noise(0.3, channels=2)))])
    assert [len(rows) for rows in unpack(vector)] == [14, 4]


# ---- names, settings, weights


def test_all_variants_are_there() -> None:
    expected = {
        f"{name}{variant}"
        for name in (
            "fd_panns",
            "is_panns",
            "is_panns_std",
            "kl_softmax_panns",
            "kl_sigmoid_panns",
            "kl_stable_audio_panns",
            "kad_panns",
        )
        for variant in ("", "@32khz")
    }
    expected |= {f"fad_infinity_{who}panns{at}" for who in ("", "fadtk_") for at in ("", "@32khz")}
    expected |= {"fad_infinity_vggish", "fad_infinity_fadtk_vggish", "kad_vggish"}
    assert expected | {"fad_vggish_audioldm_eval", "fad_vggish_package"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_say_what_is_missing_without_loading_anything(name: str) -> None:
    metric = load_metric(name)
    assert isinstance(metric, EmbeddingMetric)
    assert metric.facts.rate == (32_000 if "32khz" in name else 16_000)
    assert ": missing " in metric.problem()
    with pytest.raises(CheckpointError, match=r"are not in .*: missing .*ldmbench fetch (panns|vggish)"):
        metric.measure(clip(noise(1.0)), Output(noise(1.0)))
    untrained = load_metric(f"{name}:untrained=true")
    assert isinstance(untrained, EmbeddingMetric)
    assert untrained.problem() == ""
    assert "untrained=true" in untrained.facts.name
    assert untrained.facts.title.endswith("UNTRAINED")
    assert pickle.loads(pickle.dumps(untrained)).facts == untrained.facts


def test_settings_reach_the_estimate() -> None:
    shift = np.array([0.0, 0.5])[:, None, None]
    rows = [pack(*(np.random.default_rng(i).standard_normal((2, 1, 4)) + shift)) for i in range(60)]
    kad = load_metric("kad_panns:untrained=true").aggregate(rows)
    other = load_metric("kad_panns:bandwidth=reference,untrained=true").aggregate(rows)
    assert present(kad.value) > 0
    assert kad.value != other.value
    assert load_metric("fad_infinity_panns").aggregate(rows).value is None
    infinite = load_metric("fad_infinity_panns:smallest=20,steps=5").aggregate(rows)
    assert infinite.value != load_metric("fad_infinity_panns:seed=1,smallest=20,steps=5").aggregate(rows).value
    assert (infinite.low, infinite.note) == (None, "an extrapolation")
    fadtk = load_metric("fad_infinity_fadtk_panns:smallest=20,steps=5").aggregate(rows)
    assert fadtk.value not in (None, infinite.value)
    assert (fadtk.low, fadtk.note) == (None, "an extrapolation")
    remembered = load_metric("fad_infinity_fadtk_panns:smallest=20,steps=5").aggregate(rows)
    assert remembered == fadtk, "the cache keeps the note as well"
    with pytest.raises(BenchError, match="no such bandwidth"):
        load_metric("kad_panns:bandwidth=median")
    with pytest.raises(BenchError, match="at least 2"):
        load_metric("fad_infinity_vggish:steps=1")


def test_inception_score_and_its_deviation_come_from_the_same_splits() -> None:
    logits = np.random.default_rng(0).standard_normal((33, 527)) * 3
    rows = [pack(row[None]) for row in logits]
    score, deviation = (load_metric(name).aggregate(rows) for name in ("is_panns", "is_panns_std"))
    order = np.random.RandomState(2020).permutation(33)
    scores = []
    for split in range(10):
        log_p = log_softmax(logits[order[split * 33 // 10 : (split + 1) * 33 // 10]], axis=1)
        p = np.exp(log_p)
        scores.append(np.exp((p * (log_p - np.log(p.mean(0)))).sum(1).mean()))
    assert score.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert deviation.value == pytest.approx(np.std(scores), rel=1e-12)
    over_splits = stats.mean([float(item) for item in scores], low=1.0)
    assert (score.low, score.high) == pytest.approx((over_splits.low, over_splits.high))
    assert "a tenth of the clips" in load_metric("is_panns").facts.interval
    assert (deviation.low, deviation.note) == (None, "a spread of splits")
    assert (score.n, deviation.n) == (33, 33)
    few = load_metric("is_panns").aggregate(rows[:9])
    assert (few.value, few.n) == (None, 9)


def test_equal_embeddings_have_no_kernel_distance() -> None:
    same = [pack(np.ones((1, 4)), np.ones((1, 4))) for _ in range(5)]
    assert load_metric("kad_panns").aggregate(same).value is None
    assert load_metric("fd_panns").aggregate(same).value == 0


def test_metrics_of_one_extractor_share_it() -> None:
    first, second = (load_metric(name) for name in ("fd_panns:untrained=true", "kl_softmax_panns:untrained=true"))
    loaded = []
    for metric in (first, second):
        assert isinstance(metric, EmbeddingMetric)
        loaded.append(metric.source.load(device="cpu", weights=None, untrained=True, official=True))
    assert loaded[0] is loaded[1]
