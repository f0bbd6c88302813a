"""Cnn14 beside a plain layer-by-layer reading of the architecture, its loader, its checkpoint."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench.audio.arrays import Features
from ldmbench.audio.sound import Audio
from ldmbench.extractors import cache, panns
from ldmbench.extractors.loading import as_audioldm_eval
from ldmbench.extractors.panns import CHECKPOINTS, load_panns
from ldmbench.weights.record import CheckpointError

State = dict[str, "torch.Tensor"]


@pytest.fixture(scope="module")
def state() -> State:
    made: State = panns.random_state(16_000, seed=2)
    return made


def sound(seconds: float = 2.0, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Audio:
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * random.uniform(100, 3000) * t)
    return Audio.of(0.1 * tone + 0.05 * random.standard_normal((channels, t.size)) + 0.02, rate)


def plain_cnn14(state: State, signal: torch.Tensor, window: int, hop: int) -> dict[str, np.ndarray]:
    """The paper's network, in evaluation mode, one operation after the other; STFT by the checkpoint's kernels."""
    functional = torch.nn.functional

    def norm(x: torch.Tensor, name: str, dims: int) -> torch.Tensor:
        shape = [1, -1] + [1] * (dims - 2)
        mean, var, weight, bias = (
            state[f"{name}.{key}"].reshape(shape) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    padded = functional.pad(signal[None, None], (window // 2, window // 2), mode="reflect")
    real, imag = (
        functional.conv1d(padded, state[f"spectrogram_extractor.stft.conv_{part}.weight"], stride=hop)
        for part in ("real", "imag")
    )
    mel = (real**2 + imag**2).transpose(1, 2) @ state["logmel_extractor.melW"]
    x = (10 * torch.log10(mel.clamp(min=1e-10))).transpose(1, 2)
    x = norm(x, "bn0", 3).transpose(1, 2)[:, None]
    for block in range(1, 7):
        for layer in (1, 2):
            weight = state[f"conv_block{block}.conv{layer}.weight"]
            x = torch.relu(norm(functional.conv2d(x, weight, padding=1), f"conv_block{block}.bn{layer}", 4))
        if block < 6:
            x = functional.avg_pool2d(x, 2)
    x = x.mean(3)
    x = x.max(2).values + x.mean(2)
    embedding = torch.relu(x @ state["fc1.weight"].T + state["fc1.bias"])
    logits = embedding @ state["fc_audioset.weight"].T + state["fc_audioset.bias"]
    return {"embedding": embedding[0].numpy(), "logits": logits[0].numpy()}


def close(found: Mapping[str, Features], expected: Mapping[str, Features], tolerance: float = 2e-5) -> None:
    for layer, array in expected.items():
        assert found[layer].shape == array.shape
        np.testing.assert_allclose(found[layer], array, rtol=0, atol=tolerance * np.abs(array).max())


@pytest.mark.parametrize("rate", [16_000, pytest.param(32_000, marks=pytest.mark.slow)])
def test_it_is_the_published_network(rate: int) -> None:
    state = panns.random_state(rate, seed=2)
    # Normalisation that does something: random_state leaves all but the first at the identity.
    random = torch.Generator().manual_seed(0)
    for key in list(state):
        if ".bn" in key and key.endswith(("mean", "bias")):
            state[key] = 0.1 * torch.randn(state[key].shape, generator=random)
        elif ".bn" in key and key.endswith(("var", "weight")):
            state[key] = 0.5 + torch.rand(state[key].shape, generator=random)
    extractor = panns.Panns(rate, "cpu", "test", lambda: state, Path("x.pth"))
    one = sound(2.3, rate)
    front = panns.FRONT_ENDS[rate]
    with torch.inference_mode():
        expected = plain_cnn14(state, torch.from_numpy(as_audioldm_eval(one, rate)), front.window, front.hop)
    close(extractor.embed([one])[0], expected)
    assert expected["logits"].std() > 0.1
    assert 0.1 < (expected["embedding"] > 0).mean() < 0.9


@pytest.fixture(scope="module")
def extractor(state: State) -> panns.Panns:
    return panns.Panns(16_000, "cpu", "test", lambda: state, Path("x.pth"))


def test_alone_or_in_a_batch_of_any_lengths_is_the_same(
    extractor: panns.Panns, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [sound(seconds, seed=seed) for seed, seconds in enumerate((2.0, 2.5, 1.0, 2.5, 0.2))]
    together = extractor.embed(sounds)
    monkeypatch.setenv("LDMBENCH_CACHE", str(home / "other"))
    cache.forget()
    for alone, found in zip((extractor.embed([one])[0] for one in sounds), together, strict=True):
        close(found, alone, 1e-5)


def test_two_calls_give_the_same_bits(extractor: panns.Panns, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = extractor.embed([sound()])
    monkeypatch.setenv("LDMBENCH_CACHE", str(home / "other"))
    cache.forget()
    (second,) = extractor.embed([sound()])
    for layer in first:
        np.testing.assert_array_equal(first[layer], second[layer])


def test_silence_and_a_single_sample_have_features(extractor: panns.Panns) -> None:
    for one in (Audio.of(np.zeros(16_000), 16_000), Audio.of([0.3], 16_000)):
        assert np.isfinite(extractor.embed([one])[0]["embedding"]).all()


def test_checkpoint_in_the_official_layout_is_loaded_with_what_else_it_holds(home: Path, state: State) -> None:
    folder = home / "weights" / "panns"
    folder.mkdir(parents=True)
    path = folder / CHECKPOINTS[16_000].file
    torch.save({"iteration": 1, "model": state, "sampler": {"indexes": np.arange(3)}}, path)
    with pytest.raises(CheckpointError, match="not the official checkpoint of PANNs Cnn14 16 kHz"):
        load_panns(16_000, weights=folder)
    loaded = load_panns(16_000, weights=folder.parent, official=False)
    reference = panns.Panns(16_000, "cpu", "other", lambda: state, Path("x.pth"))
    close(loaded.embed([sound()])[0], reference.embed([sound()])[0], 0)
    gc.collect()
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(path) not in maps.read_text(), "the file stays mapped"
    assert loaded.fingerprint != reference.fingerprint


def faulty(state: State, change: Callable[[State], object]) -> State:
    changed = dict(state)
    change(changed)
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("fc1.bias"), r"1 missing \(fc1\.bias\)"),
        (lambda s: s.update({"att_block.att.weight": torch.zeros(2)}), r"1 superfluous \(att_block\.att\.weight\)"),
        (
            lambda s: s.update({"spectrogram_extractor.stft.conv_real.weight": torch.zeros(257, 1, 512)}),
            r"conv_real\.weight is not the Hann-windowed DFT",
        ),
        (lambda s: s.update({"logmel_extractor.melW": torch.zeros(513, 64)}), r"melW \[513, 64\] instead of \[257"),
    ],
)
def test_other_checkpoints_are_refused_by_name(state: State, change: Callable[[State], object], message: str) -> None:
    extractor = panns.Panns(16_000, "cpu", "test", lambda: faulty(state, change), Path("x.pth"))
    with pytest.raises(CheckpointError, match=message):
        extractor.embed([sound()])


def test_a_checkpoint_without_a_model_is_refused(home: Path) -> None:
    torch.save({"state": {}}, home / "x.pth")
    with pytest.raises(CheckpointError, match="no entry 'model'"):
        load_panns(16_000, weights=home / "x.pth", official=False).embed([sound()])


def test_untrained_needs_no_file_and_has_its_own_fingerprint() -> None:
    first, second = load_panns(16_000, untrained=True), load_panns(32_000, untrained=True)
    assert load_panns(16_000, untrained=True) is first
    assert len({first.fingerprint, second.fingerprint}) == 2


def test_random_state_repeats_and_has_the_true_front_end(state: State) -> None:
    again = panns.random_state(16_000, seed=2)
    assert all(torch.equal(state[key], again[key]) for key in state)
    kernel = panns.dft_kernels(512)
    spectrum = kernel @ np.random.default_rng(0).standard_normal(512)
    window = np.hanning(513)[:-1]
    expected = np.fft.rfft(window * np.random.default_rng(0).standard_normal(512))
    np.testing.assert_allclose(spectrum, expected, atol=1e-10)


def test_official_digests_are_whole() -> None:
    for checkpoint in CHECKPOINTS.values():
        assert len(checkpoint.files[checkpoint.file]) == 64
        assert checkpoint.size > 3e8
