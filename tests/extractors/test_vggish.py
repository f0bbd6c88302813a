"""VGGish beside plain NumPy: front end, network, post-processing; its two ways of reading a sound."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench.audio.sound import Audio
from ldmbench.extractors import cache, vggish
from ldmbench.extractors.vggish import CHECKPOINT, PCA, Loading, examples, load_vggish
from ldmbench.weights.record import CheckpointError


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    made: torch.nn.Module = vggish.build()
    made.load_state_dict(vggish.random_state(seed=2))
    return made.eval()


def extractor(network: torch.nn.Module, loading: Loading = "audioldm_eval", **settings: Any) -> vggish.Vggish:
    return vggish.Vggish(lambda: network, "test", loading, **settings)


def noise(seconds: float, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Audio:
    random = np.random.default_rng(seed)
    return Audio.of(0.1 * random.standard_normal((channels, round(seconds * rate))) + 0.05, rate)


def plain_examples(signal: np.ndarray) -> np.ndarray:
    """Log-mel frames, window by window and band by band."""

    def mel(hertz: float) -> float:
        return float(1127 * np.log(1 + hertz / 700))

    edges = np.linspace(mel(125), mel(7500), 66)
    rows = []
    for start in range(0, len(signal) - 400 + 1, 160):
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
        spectrum = np.abs(np.fft.rfft(signal[start : start + 400] * window, 512))
        row = []
        for band in range(64):
            low, middle, high = edges[band : band + 3]
            total = 0.0
            for k in range(1, 257):
                at = mel(k * 16_000 / 512)
                total += spectrum[k] * max(0.0, min((at - low) / (middle - low), (high - at) / (high - middle)))
            row.append(np.log(total + 0.01))
        rows.append(row)
    whole = len(rows) // 96
    return np.array(rows[: 96 * whole]).reshape(whole, 96, 64)


def test_front_end_is_the_originals() -> None:
    signal = np.random.default_rng(0).standard_normal(16_000 + 500).astype(np.float32)
    np.testing.assert_allclose(examples(signal), plain_examples(signal), atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (399, 0), (400 + 160 * 94, 0), (400 + 160 * 95, 1), (32_000, 2), (160_000, 10)]
)
def test_frames_that_are_not_full_are_dropped(samples: int, frames: int) -> None:
    assert examples(np.zeros(samples, np.float32)).shape == (frames, 96, 64)


def plain_network(state: Mapping[str, torch.Tensor], frames: np.ndarray) -> np.ndarray:
    functional = torch.nn.functional
    x = torch.from_numpy(frames)[:, None]
    pools = {0, 3, 8, 13}
    for layer in (0, 3, 6, 8, 11, 13):
        weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
        x = torch.relu(functional.conv2d(x, weight, bias, padding=1))
        if layer in pools:
            x = functional.max_pool2d(x, 2)
    # TensorFlow's order: height, width, channels.
    x = torch.stack([item.permute(1, 2, 0).flatten() for item in x])
    for layer in (0, 2, 4):
        x = x @ state[f"embeddings.{layer}.weight"].T + state[f"embeddings.{layer}.bias"]
        if layer < 4:
            x = torch.relu(x)
    result: np.ndarray = x.numpy()
    return result


def test_network_is_the_published_one_without_the_last_relu(network: torch.nn.Module) -> None:
    one = noise(2.2)
    with torch.inference_mode():
        expected = plain_network(network.state_dict(), extractor(network).prepare(one))
    found = extractor(network).embed([one])[0]["embedding"]
    assert found.shape == (2, 128)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert (found < 0).any()
    rectified = extractor(network, activation=True).embed([one])[0]["embedding"]
    np.testing.assert_array_equal(rectified, np.maximum(found, 0))


def test_post_processing_whitens_clips_and_rounds_to_bytes(network: torch.nn.Module) -> None:
    content = vggish.random_pca(seed=1)
    raw = extractor(network).embed([noise(3.0)])[0]["embedding"].astype(np.float64)
    found = extractor(network, pca=lambda: content).embed([noise(3.0)])[0]["embedding"]
    vectors, means = content["pca_eigen_vectors"].double().numpy(), content["pca_means"].double().numpy()
    exact = (np.clip((raw - means) @ vectors.T, -2, 2) + 2) * 255 / 4
    assert np.abs(found - exact).max() <= 0.5 + 1e-3
    assert np.array_equal(found, np.round(found))
    assert (found.min(), found.max()) == (0, 255)


def test_alone_or_together_is_the_same(network: torch.nn.Module, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = [noise(seconds, seed=seed) for seed, seconds in enumerate((2.0, 3.0, 1.0, 2.0))]
    together = extractor(network).embed(sounds)
    monkeypatch.setenv("LDMBENCH_CACHE", str(home / "other"))
    cache.forget()
    for one, found in zip(sounds, together, strict=True):
        alone = extractor(network).embed([one])[0]["embedding"]
        np.testing.assert_allclose(found["embedding"], alone, atol=1e-5 * np.abs(alone).max())


def test_a_short_sound_has_no_frames_in_the_package_and_two_in_audioldm_eval(network: torch.nn.Module) -> None:
    short = noise(0.5)
    package = extractor(network, "frechet_audio_distance").embed([short, noise(1.2)])
    assert [len(found["embedding"]) for found in package] == [0, 1]
    assert extractor(network).embed([short])[0]["embedding"].shape == (2, 128)


def test_settings_have_fingerprints_of_their_own(network: torch.nn.Module) -> None:
    made = [
        extractor(network),
        extractor(network, "frechet_audio_distance"),
        extractor(network, activation=True),
        extractor(network, pca=vggish.random_pca),
        vggish.Vggish(lambda: network, "other"),
    ]
    assert len({item.fingerprint for item in made}) == 5


def test_checkpoints_in_torchvggishs_layout_are_loaded(network: torch.nn.Module, home: Path) -> None:
    torch.save(network.state_dict(), home / CHECKPOINT.file)
    with pytest.raises(CheckpointError, match="not the official checkpoint of VGGish"):
        load_vggish(weights=home)
    loaded = load_vggish(weights=home, official=False)
    one = noise(1.0)
    np.testing.assert_array_equal(loaded.embed([one])[0]["embedding"], extractor(network).embed([one])[0]["embedding"])
    with pytest.raises(CheckpointError, match=r"weights of VGGish's PCA .*put https://"):
        load_vggish(weights=home, official=False, pca=True)
    content = {key: value.numpy() for key, value in vggish.random_pca().items()}
    torch.save(content, home / PCA.file)
    found = load_vggish(weights=home / CHECKPOINT.file, official=False, pca=True).embed([one])[0]["embedding"]
    assert found.max() <= 255
    torch.save({"pca": torch.zeros(1)}, home / PCA.file)
    with pytest.raises(CheckpointError, match="entries pca"):
        load_vggish(weights=home, device="cpu", official=False, pca=True).embed([noise(1.1)])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_file_stays_mapped(network: torch.nn.Module, home: Path) -> None:
    torch.save(network.state_dict(), home / CHECKPOINT.file)
    torch.save(vggish.random_pca(), home / PCA.file)
    loaded = load_vggish(weights=home, official=False, pca=True)
    loaded.embed([noise(1.2)])
    gc.collect()
    assert str(home) not in Path("/proc/self/maps").read_text()


def test_keys_of_another_network_are_named(home: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1), "classifier": torch.zeros(1)}, home / CHECKPOINT.file)
    with pytest.raises(CheckpointError, match=r"missing \(embeddings\.0\.bias.* 1 superfluous \(classifier\)"):
        load_vggish(weights=home, official=False, activation=True).embed([noise(1.0)])
