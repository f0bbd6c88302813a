"""OpenL3 beside stable-audio-metrics' numbers on the same random weights, its windows, its file and its distance."""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.cli import cli
from ldmbench.errors import BenchError

if TYPE_CHECKING:
    import h5py
    import torch
else:
    torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")
    h5py = pytest.importorskip("h5py", reason="the extra 'models' is not installed")

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.extractors.loading import KAISER_BEST_02, resample_kaiser_best
from ldmbench.extractors.openl3 import CHECKPOINTS, HOP, RATE, WIDTH, WINDOW, OpenL3, load_openl3
from ldmbench.extractors.openl3_weights import LAYERS, State, random_state, read_official
from ldmbench.metrics import _frechet as frechet
from ldmbench.metrics._base import load_metric
from ldmbench.metrics._embedding import SetMetric, Source
from ldmbench.runs.reference import against
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError

MAKE = Path(__file__).parents[1] / "golden" / "make_openl3.py"
spec = importlib.util.spec_from_file_location("make_openl3", MAKE)
assert spec is not None
assert spec.loader is not None
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

GOLDEN = json.loads(make.GOLDEN.read_text(encoding="utf-8"))["sounds"]

#: Empty bands hold the rounding of an FFT, and every library rounds its own way: the largest difference of a few
#: dimensions, relative to the largest value, and the share of dimensions that it does not reach.
TOLERANCE = {"short": (2e-3, 0.75), "stereo": (2e-3, 0.75), "8 kHz": (2e-2, 0.5)}


@pytest.fixture(autouse=True)
def _own_homes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("weights", "data"):
        monkeypatch.setenv(f"LDMBENCH_{name.upper()}", str(home / name))
    load_openl3.cache_clear()


@pytest.fixture(scope="module")
def state() -> State:
    return random_state(make.SEED)


@pytest.fixture(scope="module")
def extractor(state: State) -> OpenL3:
    return OpenL3(lambda: state, "test", Path("x.h5"))


def noise(seconds: float, seed: int = 0, rate: int = RATE, channels: int = 1) -> Audio:
    random = np.random.default_rng(seed)
    return Audio.of(0.1 * random.standard_normal((channels, round(seconds * rate))), rate)


@pytest.mark.parametrize("name", make.SOUNDS)
def test_numbers_of_stable_audio_metrics(extractor: OpenL3, name: str) -> None:
    (features,) = extractor.embed([Audio(make.sound(name), make.SOUNDS[name][1])])
    expected = np.array(GOLDEN[name])
    error = np.abs(features["embedding"][:, :: make.EVERY] - expected) / np.abs(expected).max()
    largest, share = TOLERANCE[name]
    assert error.max() < largest
    # Rounded to four digits; another resampler (resampy 0.4) is beyond both.
    assert np.quantile(error, share) < 1e-5
    halves = features["embedding"][:, :WIDTH], features["embedding"][:, WIDTH:]
    assert np.array_equal(*halves) == (make.SOUNDS[name][2] == 1)


@pytest.mark.parametrize(("seconds", "windows"), [(0.1, 1), (0.5, 1), (0.51, 2), (1.0, 2), (2.4, 5)])
def test_windows_are_centred_every_half_second_and_cover_the_sound(
    extractor: OpenL3, seconds: float, windows: int
) -> None:
    heard = extractor.prepare(noise(seconds))
    assert heard.shape == (1, WINDOW + (windows - 1) * HOP)
    assert not heard[0, : WINDOW // 2].any()
    assert heard[0, WINDOW // 2 : WINDOW // 2 + 1000].any()
    end = WINDOW // 2 + round(seconds * RATE)
    assert heard[0, end - 1000 : end].any()
    assert not heard[0, end:].any()


def test_the_peak_of_both_channels_is_at_minus_1_db_and_others_are_left_out(extractor: OpenL3) -> None:
    surround = noise(0.2, channels=3, rate=44_100)
    scaled = surround.samples * 10 ** (-1 / 20) / np.abs(surround.samples).max()
    heard = extractor.prepare(surround)
    assert heard.shape == (2, WINDOW)
    length = int(surround.length * RATE / 44_100)
    for channel in (0, 1):
        expected = resample_kaiser_best(scaled[channel].astype(np.float32), 44_100, RATE, KAISER_BEST_02)
        np.testing.assert_allclose(heard[channel, HOP : HOP + length], expected, atol=1e-6)


def test_silence_and_other_rates_have_embeddings(extractor: OpenL3) -> None:
    sounds = [Audio.of(np.zeros(4800), RATE), noise(0.1, rate=8000), noise(0.1, rate=192_000, channels=2)]
    rows = [features["embedding"] for features in extractor.embed(sounds)]
    assert [row.shape for row in rows] == [(1, 1024)] * 3
    assert np.isfinite(np.concatenate(rows)).all()
    again = OpenL3(extractor._read, "again", Path("x.h5")).embed(sounds[::-1])[::-1]
    for row, other in zip(rows, again, strict=True):
        np.testing.assert_allclose(other["embedding"], row, rtol=0, atol=1e-4)
    with pytest.raises(BenchError, match="are too few for OpenL3"):
        extractor.prepare(Audio.of([0.1], 192_000))


def test_official_files_are_read_as_published_and_as_unpacked(home: Path, state: State, extractor: OpenL3) -> None:
    path = home / "weights" / "openl3" / CHECKPOINTS["music"].file
    path.parent.mkdir(parents=True)
    unpacked = home / "openl3_audio_mel256_music.h5"
    make.write_like_keras(state, unpacked)
    path.write_bytes(gzip.compress(unpacked.read_bytes(), 1))
    sound = noise(0.2)
    (expected,) = extractor.embed([sound])
    for loaded in (load_openl3("music"), load_openl3("music", weights=unpacked, official=False)):
        assert loaded.fingerprint != extractor.fingerprint
        np.testing.assert_array_equal(loaded.embed([sound])[0]["embedding"], expected["embedding"])
    # Keras also saves whole models, whose weights lie one level deeper, and layers without weights.
    with h5py.File(unpacked, "r+") as file:
        deeper = file.create_group("model_weights")
        for layer in LAYERS:
            file.move(layer, f"model_weights/{layer}")
        deeper.create_group("activation").attrs["weight_names"] = np.array([])
        deeper.attrs["layer_names"] = [b"activation", *(layer.encode() for layer in LAYERS)]
        del file.attrs["layer_names"]
    assert read_official(unpacked).keys() == state.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"\x1f\x8bnothing"), "cannot be read as a file of Keras"),
        (
            lambda path: path.write_bytes(gzip.compress(b"x" * 99)[:12] + b"damaged"),
            "cannot be read as a file of Keras",
        ),
        (lambda path: path.write_bytes(b"nothing"), "cannot be read as a file of Keras"),
        (lambda path: _cut(path), "is not OpenL3: 15 layers with weights, not 16"),
        (lambda path: _reshape(path), r"conv7\.weight \[512, 512, 1, 1\] instead of \[512, 512, 3, 3\]"),
    ],
)
def test_other_files_are_refused(home: Path, state: State, change: Callable[[Path], Any], message: str) -> None:
    path = home / "x.h5"
    make.write_like_keras(state, path)
    change(path)
    with pytest.raises(CheckpointError, match=message):
        load_openl3(weights=path, official=False).embed([noise(0.1)])


def _cut(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = list(file.attrs["layer_names"])[1:]


def _reshape(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["conv7/conv7/kernel:0"]
        file["conv7"].create_dataset("conv7/kernel:0", data=np.zeros((1, 1, 512, 512)))


def metric(name: str, extractor: OpenL3) -> SetMetric:
    made = load_metric(name)
    assert isinstance(made, SetMetric)
    made.source = Source(lambda **_: extractor, (), "embedding", True, False)
    return made


def test_the_distance_is_frechets_over_all_windows(extractor: OpenL3) -> None:
    sounds = [noise(0.6 if seed == 2 else 0.3, seed=seed) for seed in range(4)]
    distance = metric("fd_openl3", extractor)
    clips = [Clip(f"set/{seed}", "set", loaded=sounds[seed]) for seed in (0, 1)]
    values = distance.measure_batch(clips, [Output(sound) for sound in sounds[2:]])
    rows = [features["embedding"].astype(np.float64) for features in extractor.embed(sounds)]
    expected = frechet.frechet_distance(np.concatenate(rows[:2]), np.concatenate(rows[2:]))
    assert distance.aggregate([np.asarray(value) for value in values]).value == pytest.approx(expected, rel=1e-9)


def test_stable_audio_metrics_statistics_stand_for_the_references(home: Path, extractor: OpenL3) -> None:
    """Its published files say mu_ref and sigma_ref, of 1024 dimensions."""
    reference = np.random.default_rng(0).standard_normal((40, 1024))
    path = home / "audiocaps-test__channels2__44100__openl3env__openl3hopsize0.5__batch4.npz"
    np.savez(path, mu_ref=reference.mean(axis=0), sigma_ref=np.cov(reference, rowvar=False))
    added = CliRunner().invoke(
        cli, ["statistics", "add", str(path), "-m", "fd_openl3@env", "--whose", "AudioCaps test"]
    )
    assert added.exit_code == 0, added.output
    name = added.stdout.strip()
    assert name.startswith("fd_openl3@env:reference=audiocaps-test__channels2")
    distance = metric(name, extractor)
    assert distance.facts.needs == ("output",)
    assert "AudioCaps test (stable-audio-metrics' file)" in distance.facts.reference
    sound = noise(0.6)
    (value,) = distance.measure_batch([Clip("set/a", "set")], [Output(sound)])
    (rows,) = extractor.embed([sound])
    expected = frechet.frechet_distance(reference, rows["embedding"].astype(np.float64))
    assert distance.aggregate([np.asarray(value)]).value == pytest.approx(expected, rel=1e-6)


def test_facts_and_names() -> None:
    assert against("fd_openl3@music", "mine-1f2e3d4c5b6a") == "fd_openl3@music:reference=mine-1f2e3d4c5b6a"
    facts = [load_metric(name).facts for name in ("fd_openl3", "fd_openl3@env", "fd_openl3@music")]
    assert [fact.title for fact in facts] == ["FD OpenL3", "FD OpenL3 env", "FD OpenL3 music"]
    assert facts[0].source == facts[1].source
    assert all("CC BY 4.0" in fact.source and "silent clip" in fact.note for fact in facts)
    with pytest.raises(CheckpointError, match="ldmbench fetch openl3-music"):
        load_metric("fd_openl3@music").measure(Clip("set/a", "set", loaded=noise(1)), Output(noise(1)))
