from __future__ import annotations

import hashlib
import importlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips import load as dataset
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.errors import BenchError
from ldmbench.runs.code import code_modules
from ldmbench.system.codec import Stream
from ldmbench.system.registry import load_system, resolve
from ldmbench.systems.kmeans_mel import adapter as kmeans_mel
from ldmbench.systems.kmeans_mel.patches import log_mel_spectrogram

SMALL = "kmeans-mel@1.40kbps:vocab=256"


def sound(seed: int, seconds: float = 1.5, rate: int = 16_000, channels: int = 1) -> Audio:
    """Decaying harmonic notes over a little noise, a different one every 0.3 s, with a gap of silence."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    total = np.zeros((channels, time_s.size))
    for start in np.arange(0, seconds, 0.3):
        pitch, active = rng.uniform(80, 800), time_s >= start
        for harmonic in range(1, 8):
            envelope = np.exp(-(time_s - start) * rng.uniform(2, 15)) * active * rng.uniform(0.0, 0.3, (channels, 1))
            total += envelope / harmonic * np.sin(2 * np.pi * pitch * harmonic * time_s)
    total += rng.standard_normal(total.shape) * 0.003
    total[:, round(0.4 * seconds * rate) : round(0.5 * seconds * rate)] = 0.0
    return Audio.of(total, rate)


def clip(audio: Audio, name: str = "clip") -> Clip:
    return Clip(f"test/{name}", "test", loaded=audio)


def material(sounds: Sequence[Audio], name: str = "toy") -> Dataset:
    clips = tuple(clip(audio, str(index)) for index, audio in enumerate(sounds))
    digest = hashlib.sha256("".join(audio.digest() for audio in sounds).encode()).hexdigest()
    return Dataset(name, name, "general", clips, digest)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def training(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A seeded training set in place of the built-in one, in a cache that the tests of this module share."""
    monkeypatch.setenv("LDMBENCH_CACHE", str(cache))
    toy = material([sound(seed) for seed in range(100, 108)])
    monkeypatch.setattr(dataset, "load_source", lambda _: toy)
    return toy


def build(name: str = SMALL) -> kmeans_mel.KMeansMel:
    system = load_system(resolve(name))
    assert isinstance(system, kmeans_mel.KMeansMel)
    return system


def digest(codebooks: kmeans_mel.Codebooks) -> str:
    return hashlib.sha256(codebooks.centroids.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("variant", "tokens_per_second"),
    [("0.30kbps", 25), ("0.35kbps", 25), ("0.60kbps", 50), ("0.70kbps", 50), ("1.20kbps", 100), ("1.40kbps", 100)],
)
def test_variants_are_named_by_their_bits(variant: str, tokens_per_second: int) -> None:
    system = build(f"kmeans-mel@{variant}")
    values = np.random.default_rng(0).standard_normal((4, system.vocab, 64), np.float32)
    system._codebooks = kmeans_mel.Codebooks(values, -5.0, 3.0)  # the toy set is too small for these
    stream = system.encode(sound(1, seconds=1.6))  # ten whole patches
    assert stream.tokens is not None
    assert stream.tokens.size == tokens_per_second * 1.6
    assert stream.bits == stream.tokens.size * np.log2(system.vocab)
    assert f"{stream.bits / 1.6 / 1000:.2f}kbps" == variant
    assert system.parameters == system.stages * system.vocab * 64


@pytest.mark.parametrize("length", [1, 800, 2_560, 2_561, 16_000])
def test_tokens_and_bits_are_exact_for_any_length(length: int) -> None:
    source = Audio(sound(2).samples[:, :length].copy(), 16_000)
    output = next(build().process([clip(source)]))
    assert output.tokens is not None
    assert output.tokens.dtype == np.int64
    assert output.tokens.shape == (4, 4 * -(-length // 2_560))
    assert 0 <= output.tokens.min() <= output.tokens.max() < 256
    assert output.bits == output.tokens.size * 8
    assert output.audio is not None
    assert output.audio.length == length
    assert output.audio.rate == 16_000


def test_decoding_depends_on_tokens_alone() -> None:
    system, again = build(), build()
    stream = system.encode(sound(3))
    first = system.decode(stream)
    assert first.digest() == again.decode(again.encode(sound(3))).digest()
    assert first.samples.any()


def test_a_batch_equals_its_clips_alone() -> None:
    clips = [clip(sound(seed, seconds), str(seed)) for seed, seconds in [(4, 0.7), (5, 1.5), (6, 0.05)]]
    together = list(build().process(clips))
    for one, output in zip(clips, together, strict=True):
        alone = next(build().process([one]))
        assert output.audio is not None
        assert alone.audio is not None
        assert output.audio.digest() == alone.audio.digest()


def test_distortion_falls_with_every_stage_on_unseen_sounds() -> None:
    originals = [sound(seed) for seed in range(200, 206)]
    errors = []
    for stages in range(1, 5):
        system = build(f"{SMALL},stages={stages}")
        outputs = [output.audio for output in system.process([clip(audio) for audio in originals])]
        pairs = zip(originals, outputs, strict=True)
        errors.append(
            np.mean(
                [
                    np.abs(log_mel_spectrogram(audio.samples[0]) - log_mel_spectrogram(made.samples[0])).mean()
                    for audio, made in pairs
                    if made is not None
                ]
            )
        )
    assert all(later < 0.97 * earlier for earlier, later in itertools.pairwise(errors)), errors
    silent = np.mean([np.abs(log_mel_spectrogram(audio.samples[0]) - np.log(1e-4)).mean() for audio in originals])
    assert errors[0] < 0.5 * silent


def test_stages_are_nested() -> None:
    streams = [build(f"{SMALL},stages={stages}").encode(sound(7)) for stages in (1, 2, 4)]
    longest = streams[-1].tokens
    assert longest is not None
    for stream in streams:
        assert stream.tokens is not None
        np.testing.assert_array_equal(stream.tokens, longest[: len(stream.tokens)])


def test_every_token_is_the_nearest_centroid() -> None:
    system = build()
    features = system._features(sound(8))
    tokens, residual = system._quantise(features)
    rest = features.astype(np.float64)
    for stage in range(4):
        distances = ((rest[:, None, :] - system.codebooks.centroids[stage][None]) ** 2).sum(axis=2)
        best = distances.min(axis=1)
        np.testing.assert_allclose(distances[np.arange(len(rest)), tokens[stage]], best, rtol=1e-4)
        rest = rest - system.codebooks.centroids[stage][tokens[stage]]
    np.testing.assert_allclose(residual, rest, atol=1e-4)


def test_embeddings_are_time_averages() -> None:
    system = build()
    (layers,) = system.embed([clip(sound(9))])
    assert {name: layer.shape for name, layer in layers.items()} == {
        "all": (256,), "first": (256,), "unquantised": (256,),
    }  # fmt: skip
    error = {name: np.linalg.norm(layer - layers["unquantised"]) for name, layer in layers.items()}
    assert error["all"] < error["first"]
    patches = system._features(sound(9)).reshape(-1, 4, 64)
    np.testing.assert_allclose(layers["unquantised"].reshape(4, 64), patches.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_silence_stays_silent() -> None:
    for seconds in (1 / 16_000, 0.05, 1.0):
        output = next(build().process([clip(Audio.of(np.zeros(round(seconds * 16_000)), 16_000))]))
        assert output.audio is not None
        assert np.abs(output.audio.samples).max() < 1e-5


@pytest.mark.parametrize("gain_db", [0.0, -20.0])
def test_level_is_preserved(gain_db: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path))
    noise = [np.random.default_rng(seed).standard_normal(32_000) * 0.1 * 10 ** (gain_db / 20) for seed in range(3)]
    noisy = material([Audio.of(samples, 16_000) for samples in noise[1:]])
    monkeypatch.setattr(dataset, "load_source", lambda _: noisy)
    output = next(build().process([clip(Audio.of(noise[0], 16_000))]))
    assert output.audio is not None
    assert abs(20 * np.log10(output.audio.samples.std() / noise[0].std())) < 1.5


def test_stereo_at_48_khz_for_30_s_is_faster_than_real_time() -> None:
    system = build()
    assert system.codebooks.centroids.shape == (4, 256, 64)
    source = clip(Audio(np.tile(sound(10, seconds=3.0, rate=48_000, channels=2).samples, 10), 48_000))
    start = time.process_time()
    output = next(system.process([source]))
    spent = time.process_time() - start
    assert output.audio is not None
    assert (output.audio.channels, output.audio.length) == (1, 480_000)
    assert output.details == {"downmix": "mean of 2 channels", "resampled_from": 48_000}
    assert spent < 30.0 / 5  # seconds of processor time, on however many cores


def test_cache_hit_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first = build().codebooks
    monkeypatch.setattr(kmeans_mel, "fit", lambda *_: pytest.fail("trained again"))
    second = build(f"{SMALL},stages=1").codebooks
    assert digest(first) == digest(second)
    assert (first.mean, first.deviation) == (second.mean, second.deviation)


def test_changed_code_trains_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed seed of the training, in a copy of its sources: the cached codebooks are those of other code."""
    _ = build().codebooks
    copies = [tmp_path / f"{number}.py" for number, _ in enumerate(kmeans_mel.training_sources())]
    for copy, source in zip(copies, kmeans_mel.training_sources(), strict=True):
        copy.write_bytes(source.read_bytes())
    monkeypatch.setattr(kmeans_mel, "training_sources", lambda: copies)
    monkeypatch.setattr(kmeans_mel, "fit", lambda *_: pytest.fail("trained again"))
    kmeans_mel.training_code.cache_clear()
    _ = build().codebooks  # the same code elsewhere
    own = next(copy for copy in copies if "_SEED = 0\n\n\n@dataclass" in copy.read_text())
    own.write_text(own.read_text().replace("_SEED = 0", "_SEED = 1"))
    kmeans_mel.training_code.cache_clear()
    try:
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            _ = build().codebooks
    finally:
        kmeans_mel.training_code.cache_clear()


def test_the_code_that_trains_is_that_of_a_runs_id() -> None:
    """Every module that makes a run's audio, but for what codes and degrades clips, is in the key of the codebooks."""
    modules = code_modules("ldmbench.systems.kmeans_mel.adapter").keys()
    later = {"ldmbench.system.codec", "ldmbench.system.channel", "ldmbench.clips.condition"}
    assert later < modules
    files = {Path(str(importlib.import_module(name).__file__)).resolve() for name in modules - later}
    assert files <= {path.resolve() for path in kmeans_mel.training_sources()}


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "other vocabulary", "pickle"])
def test_damaged_cache_is_rebuilt(damage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path))
    before = digest(build().codebooks)
    (file,) = (tmp_path / "kmeans-mel").glob("*.npz")
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "pickle":
        np.savez(file, centroids=np.array([{}], dtype=object), mean=0.0, deviation=1.0)
    elif damage == "other vocabulary":
        np.savez(file, centroids=np.zeros((4, 2, 64), np.float32), mean=0.0, deviation=1.0)
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "truncate" else b"")
    assert digest(build().codebooks) == before
    assert kmeans_mel._read_codebooks(file, 256) is not None
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_other_material_and_other_vocabulary_have_their_own_codebooks(
    training: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(build().codebooks)
    assert build("kmeans-mel@1.40kbps:vocab=128").codebooks.centroids.shape == (4, 128, 64)
    other = material([sound(seed) for seed in range(300, 304)])
    monkeypatch.setattr(dataset, "load_source", lambda _: other)
    assert digest(build().codebooks) != before


def test_training_gives_the_same_bits_on_one_and_two_threads() -> None:
    program = (
        "import sys, hashlib, numpy as np\n"
        "from ldmbench.audio.sound import Audio\nfrom ldmbench.clips.clip import Clip, Dataset\n"
        "from ldmbench.systems.kmeans_mel.adapter import fit\n"
        "noise = np.random.default_rng(0).standard_normal((4, 40_000)) * np.geomspace(0.001, 1, 40_000)\n"
        "clips = tuple(Clip(str(i), 'x', loaded=Audio.of(row, 16_000)) for i, row in enumerate(noise))\n"
        "books = fit(Dataset('x', 'x', 'general', clips, ''), 512)\n"
        "print(hashlib.sha256(books.centroids.tobytes()).hexdigest(), books.mean, books.deviation)\n"
    )
    results = set()
    for threads in ("1", "2"):
        settings = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | settings, capture_output=True, text=True, check=True
        )
        results.add(done.stdout)
    assert len(results) == 1
    assert len(results.pop()) > 64


def test_training_material_may_be_short_clips_or_too_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(dataset, "load_source", lambda _: material([sound(1, 0.01), sound(2, 0.3)]))
    assert build("kmeans-mel@1.40kbps:vocab=64").codebooks.centroids.shape == (4, 64, 64)
    with pytest.raises(BenchError, match=r"toy is too short to train 1024 centroids: 0.3 s of audio, 208 patches"):
        _ = build("kmeans-mel@1.40kbps:vocab=1024").codebooks
    monkeypatch.undo()
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path))
    with pytest.raises(BenchError, match="unknown dataset or folder 'no-such'"):
        _ = build("kmeans-mel@1.40kbps:train=no-such").codebooks


@pytest.mark.parametrize("setting", ["vocab=1000", "vocab=1", "stages=0", "stages=5", "iterations=0"])
def test_wrong_settings_are_refused(setting: str) -> None:
    with pytest.raises(BenchError, match="must be"):
        build(f"kmeans-mel@1.40kbps:{setting}")


def test_setup_takes_training_out_of_the_first_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    system = build()
    system.setup([clip(sound(11))])
    monkeypatch.setattr(kmeans_mel, "trained", lambda *_: pytest.fail("trained while processing"))
    output = next(system.process([clip(sound(11))]))
    assert output.audio is not None
    assert output.audio.length == 24_000


def test_no_stage_makes_any_patch_worse() -> None:
    system = build()
    for strange in (sound(12), Audio.of(np.random.default_rng(0).uniform(-3, 3, 16_000), 16_000)):
        residual = features = system._features(strange)
        tokens, _ = system._quantise(features)
        for stage in range(4):
            before = np.linalg.norm(residual, axis=1)
            residual = residual - system.codebooks.centroids[stage][tokens[stage]]
            if stage:
                assert (np.linalg.norm(residual, axis=1) <= before * 1.0001).all()


@pytest.mark.slow
def test_built_in_clips_train_every_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for variant in ("0.30kbps", "0.35kbps"):
        system = build(f"kmeans-mel@{variant}")
        start = time.process_time()
        kept = system.codebooks.centroids
        assert time.process_time() - start < 120
        assert np.isfinite(kept).all()
        assert len(np.unique(kept[0], axis=0)) > 0.98 * system.vocab


def test_lost_patches_are_repeated_and_silent_before_the_first() -> None:
    codec = build()
    tokens = np.arange(1, 13).reshape(1, 12)
    asked: list[np.ndarray] = []
    codec.decode = lambda stream: asked.append(stream.payload) or Audio.of([0.0], 16_000)  # type: ignore[method-assign, func-returns-value]
    codec.stages = 1
    stream = Stream(tokens, 0, tokens)
    assert codec.packets(stream) == 3
    codec.receive(stream, np.array([True, False, True]))
    assert asked[0].tolist() == [[0, 0, 0, 0, 5, 6, 7, 8, 5, 6, 7, 8]]
