"""What every metric promises, whoever wrote it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench import stats
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import _base as base
from ldmbench.metrics._base import BaseMetric, DeviceMetric, Metric, MetricFacts, list_metrics, load_metric
from ldmbench.metrics._embedding import EmbeddingMetric
from ldmbench.metrics._judge import PackagedJudge
from ldmbench.metrics.spectral import SpectralMetric
from ldmbench.probes.steadiness import CHANGES, key
from ldmbench.runs.scoring import _plain
from ldmbench.system.protocol import Cost, Output
from tests.present import present

RATE = 16_000
NEEDS = {"audio", "output", "text", "bits", "tokens", "cost", "embedding"}
#: Metrics that take seconds. Their learned mappings are not at their best for equal signals either: a trace of
#: noise may score higher (ViSQOL's lattice), though never as much noise as makes a clip sound bad.
HEAVY = ("visqol",)
#: Others that take seconds here: networks, another rate or tracker of what is measured anyway.
SLOW = (*HEAVY, "dnsmos_", "f0_rmse@", "vuv_error@", "mcd_world@", "mcd_world_dtw@")
#: Metrics of what sounds in reference and output, which loud noise leaves nothing of.
VOICED = ("f0_rmse",)
#: Metrics of few steps, which noise has to be loud for: the key is heard through noise as loud as the sound.
COARSE = ("key_agreement",)
#: Metrics whose value is infinite for equal signals.
INFINITE = ("snr", "si_sdr")
#: Metrics that say nothing of clips with one label.
UNLIKE = ("token_labels",)
TEXT = "the quick brown fox"


def cases(need: str = "") -> list[Any]:
    """Metrics that measure a clip without a checkpoint, and have ``need`` among their needs; heavy ones marked slow."""
    facts = [load_metric(name).facts for name in list_metrics()]
    alone = [fact for fact in facts if not fact.device and "embedding" not in fact.needs]
    names = [fact.name for fact in alone if not need or need in fact.needs]
    return [pytest.param(name, marks=pytest.mark.slow if name.startswith(SLOW) else ()) for name in names]


def speech() -> np.ndarray:
    """Three seconds with a pitch, formants, syllables and pauses, and a faint noise floor."""
    time = np.arange(3 * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 1.3 * time)) / RATE
    voice = np.zeros(len(time))
    for harmonic in range(1, 40):
        hertz = 120.0 * harmonic
        formants = sum(np.exp(-(((hertz - centre) / 250.0) ** 2)) for centre in (500.0, 1500.0, 2500.0))
        voice += (formants + 0.03) * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * time) + 0.2, 0, None)
    return 0.1 * voice * syllables + 0.0005 * np.random.default_rng(0).standard_normal(len(time))


def output(noise: float) -> Output:
    error = np.random.default_rng(1).standard_normal(3 * RATE)
    return Output(
        Audio.of(speech() + noise * error, RATE),
        bits=18_000,
        tokens=np.zeros((2, 75), np.int64),
        codebooks=(1024, 16),
        side_bits=160,
        nominal_kbps=6.0,
        details={
            "packets": 150,
            "packets_lost": 3,
            "steadiness": {key(*change): {"equal": [0.5, 1.0], "edits": [0.5, 0.0]} for change in CHANGES.items()},
        },
        cost=Cost(seconds=0.5, peak_memory=2**28, parameters=1_000_000),
    )


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip("set/clip", "set", "speech", text=TEXT, language="en", loaded=Audio.of(speech(), RATE))


def test_there_are_metrics_and_none_twice() -> None:
    names = list_metrics()
    assert {"mel_dac", "stft_dac", "lsd", "si_sdr", "stoi", "kbps"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", list_metrics())
def test_facts_are_complete(name: str) -> None:
    metric = load_metric(name)
    facts = metric.facts
    assert isinstance(metric, Metric)
    assert isinstance(metric, DeviceMetric) is facts.device
    assert facts.name == name
    assert 0 < len(facts.title) <= 40
    assert len(facts.source) > 5
    assert facts.version >= 1
    assert facts.better in ("lower", "higher", "neither")
    assert facts.kind in ("mean", "ratio", "largest", "set")
    assert 0 <= facts.digits <= 6
    assert facts.rate >= 0
    assert facts.needs
    assert set(facts.needs) <= NEEDS
    assert set(facts.content) <= {"speech", "music", "general"}


def test_titles_tell_metrics_apart() -> None:
    titles = [load_metric(name).facts.title for name in list_metrics()]
    assert len(titles) == len(set(titles)), sorted(title for title in titles if titles.count(title) > 1)


@pytest.mark.parametrize("name", list_metrics())
def test_no_clips_no_value(name: str) -> None:
    estimate = load_metric(name).aggregate([])
    assert estimate.value is None
    assert estimate.n == 0


@pytest.mark.parametrize("name", cases())
def test_measures_a_finite_number_or_pair(name: str, clip: Clip) -> None:
    metric = load_metric(name)
    value = metric.measure(clip, output(0.02))
    if metric.facts.kind == "set":
        # Stored as a vector; what it makes of several is for its own test.
        assert np.ndim(value) == 1
        estimate = metric.aggregate([value, value, value])
        if name in UNLIKE:
            assert (estimate.value, estimate.note) == (None, "the clips have fewer than two labels")
        else:
            assert np.isfinite(present(estimate.value))
        return
    assert np.shape(value) == ((2,) if metric.facts.kind == "ratio" else ())
    assert np.isfinite(value).all()
    # As the journal stores it.
    np.testing.assert_array_equal(_plain(value, metric.facts.kind), value)
    estimate = metric.aggregate([value, value, value])
    assert estimate.n == 3
    number, *below = np.ravel(value)
    assert estimate.value == pytest.approx(float(number / below[0] if below else number))


@pytest.mark.parametrize("name", cases("audio"))
def test_identity_is_best_in_the_declared_direction(name: str, clip: Clip) -> None:
    metric = load_metric(name)
    loud = 0.02 if name.startswith(VOICED) else 10.0 if name.startswith(COARSE) else 0.1
    near, far = (float(metric.measure(clip, output(noise))) for noise in (1e-5, loud))
    sign = {"higher": 1.0, "lower": -1.0}[metric.facts.better]
    assert sign * near > sign * far
    if name.startswith(INFINITE):
        with pytest.raises(Unscored, match="equals the reference"):
            metric.measure(clip, output(0.0))
        return
    same = float(metric.measure(clip, output(0.0)))
    assert sign * same > sign * far
    if not name.startswith(HEAVY):
        assert sign * same >= sign * near - 1e-3 * abs(near)


@pytest.mark.parametrize("name", cases())
def test_crosses_process_borders_and_repeats_exactly(name: str, clip: Clip) -> None:
    metric = load_metric(name)
    copy = pickle.loads(pickle.dumps(metric))
    assert copy.facts == metric.facts
    np.testing.assert_array_equal(copy.measure(clip, output(0.02)), metric.measure(clip, output(0.02)))


@pytest.mark.parametrize("name", cases())
def test_missing_inputs_are_named_not_scored(name: str, clip: Clip) -> None:
    metric = load_metric(name)
    with pytest.raises((Unscored, BenchError)):
        metric.measure(clip, Output())


@pytest.mark.parametrize("name", list_metrics())
def test_settings_nobody_declared_are_refused(name: str) -> None:
    with pytest.raises(BenchError, match="unknown setting"):
        load_metric(f"{name}:no_such_setting=1")


def test_mean_and_ratio_are_those_of_stats() -> None:
    assert load_metric("stoi").aggregate([0.5, 0.7]) == stats.mean([0.5, 0.7])
    assert load_metric("kbps").aggregate([[1, 2], [3, 4]]) == stats.ratio([[1, 2], [3, 4]])


DEVICE = [name for name in list_metrics() if load_metric(name).facts.device]


@pytest.mark.parametrize("name", DEVICE)
def test_a_metric_with_a_model_names_its_missing_checkpoint_before_anything_is_loaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="the extra 'models' is not installed")
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path / "home"))
    metric = load_metric(name)
    assert isinstance(metric, DeviceMetric)
    if isinstance(metric, PackagedJudge):
        pytest.importorskip("distillmos", reason="the extra 'speech' is not installed")
        # Its checkpoint comes with the package.
        assert metric.problem() == ""
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert "not installed (fix: pip install 'ldmbench[models,speech]')" in metric.problem()
        return
    assert str(tmp_path / "home") in metric.problem()
    metric.configure("cpu", tmp_path / "other")
    assert str(tmp_path / "other") in metric.problem()
    random = load_metric(base.untrained(name))
    assert isinstance(random, DeviceMetric)
    assert random.problem() == ""


@pytest.mark.parametrize("name", DEVICE)
def test_a_network_is_loaded_once_for_all_batches(name: str) -> None:
    pytest.importorskip("torch", reason="the extra 'models' is not installed")
    pytest.importorskip("distillmos", reason="the extra 'speech' is not installed")
    metric, again = (load_metric(base.untrained(name)) for _ in range(2))
    if isinstance(metric, EmbeddingMetric):
        assert isinstance(again, EmbeddingMetric)
        assert metric.extractor() is metric.extractor() is again.extractor()


def test_untrained_is_said_only_of_what_has_a_network() -> None:
    assert base.untrained("f0_rmse@crepe") == "f0_rmse@crepe:untrained=true"
    for name in ("f0_rmse", "vuv_error@harvest", "pesq_wb"):
        assert base.untrained(name) == name
    with pytest.raises(BenchError, match="WORLD has no network to leave untrained"):
        load_metric("f0_rmse:untrained=true")


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("lsd:n_fft=true", "a whole number: True"),
        ("lsd:n_fft=2.5", "a whole number: 2.5"),
        ("lsd:eps=true", "a number: True"),
        ("lsd:eps=tiny", "a number: 'tiny'"),
        ("fd_panns:untrained=1", "true or false: 1"),
    ],
)
def test_settings_of_another_type_are_refused(asked: str, kind: str) -> None:
    with pytest.raises(BenchError, match=f"must be {kind}"):
        load_metric(asked)


def test_a_whole_number_stands_for_a_number() -> None:
    metric = load_metric("lsd:eps=1")
    assert isinstance(metric, SpectralMetric)
    assert metric.settings["eps"] == 1.0
    assert type(metric.settings["eps"]) is float


@pytest.mark.parametrize(("device", "members"), [(True, ()), (False, ("configure", "problem", "measure_batch"))])
def test_a_metric_that_is_not_what_its_facts_say_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: bool, members: tuple[str, ...]
) -> None:
    """Without this it would be measured in worker processes, or asked for methods that it has not."""
    facts = MetricFacts("other", "Other", device=device)
    kind = type(
        "Other", (BaseMetric,), {"facts": facts, **{name: lambda self, *_: None for name in ("measure", *members)}}
    )
    monkeypatch.setitem(base._registry, "other", base._Entry(lambda *_: kind(), {}, {}))
    with pytest.raises(BenchError, match=rf"metric other is not what its facts say: device is {device}"):
        load_metric("other")
