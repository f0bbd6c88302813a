"""Every stage against arrays of the reference implementation, from the official layout with weights drawn by rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.registry import load_system, resolve
from ldmbench.systems.ladiffcodec import files as files
from ldmbench.systems.ladiffcodec import sampling as sampling
from ldmbench.systems.ladiffcodec import unet as _unet
from ldmbench.systems.ladiffcodec.adapter import LaDiffCodec
from ldmbench.systems.ladiffcodec.sampling import Draws, Steps, midway_infilling, released_infilling

#: Ten times what two runs of the reference differ by, or 1e-5 of the largest value.
CLOSE = 2e-5
#: A code may differ where the two nearest entries are nearer than this.
MARGIN = 1e-4

Close = Callable[[str, Any], None]


@pytest.fixture(scope="module")
def wave(official: SimpleNamespace) -> torch.Tensor:
    return torch.from_numpy(official.golden["input"].astype(np.float32) / 32768)[None]


@pytest.fixture(scope="module")
def close(official: SimpleNamespace) -> Close:
    def compare(name: str, value: Any, atol: float = CLOSE) -> None:
        np.testing.assert_allclose(np.asarray(value), official.golden[name], atol=atol, rtol=0)

    return compare


@pytest.fixture(scope="module")
def shape() -> files.Shape:
    return files.Shape(books=3, strides=(8,), base=32, causal=True)


@pytest.fixture(scope="module")
def models(folder: Path, shape: files.Shape) -> files.Models:
    return files.read_models(folder, shape, "cosine")


@pytest.fixture(scope="module")
def condition(models: files.Models, official: SimpleNamespace) -> torch.Tensor:
    """The condition of the stored codes, divided by its largest value."""
    with torch.inference_mode():
        words = models.codec.sums(torch.from_numpy(official.golden["kbps1p5_codes"].astype(np.int64))[None])
        raised = models.unet.upsampled(words)
        return raised / (raised.abs().max() + 1e-8)


@pytest.fixture(scope="module")
def predict(models: files.Models) -> sampling.Predict:
    def noise(x: torch.Tensor, time: int, seen: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            predicted: torch.Tensor = models.unet(x, torch.full((len(x),), time), seen)
            return predicted

    return noise


@pytest.mark.parametrize(("books", "name"), [(3, "kbps1p5"), (6, "kbps3p0")])
def test_discrete_codec(
    books: int, name: str, folder: Path, wave: torch.Tensor, close: Close, official: SimpleNamespace
) -> None:
    shape = files.Shape(books, (8,), 32, causal=True)
    codec = files.read_codec(folder / shape.files[0], shape)
    with torch.inference_mode():
        latent = codec.encode(wave)
        close("encoder_out", latent[0, ::4])
        codes = codec.quantise(latent)[0].numpy()
        stored, margin = official.golden[f"{name}_codes"], official.golden[f"{name}_margin"]
        # A near-tie changes what the later books of its frame are left with.
        clear = np.logical_and.accumulate(margin > MARGIN, axis=0)
        assert clear.mean() > 0.98
        np.testing.assert_array_equal(codes[clear], stored[clear])
        words = codec.sums(torch.from_numpy(stored.astype(np.int64))[None])
        close(f"{name}_condition", words[0, ::8])
        close(f"{name}_decoded_wav", codec.decode(words)[0, ::8])


def test_continuous_autoencoder(models: files.Models, wave: torch.Tensor, close: Close) -> None:
    with torch.inference_mode():
        latent = models.continuous.encode(wave)
        close("cont_latent", latent[0, ::16, ::16])
        close("cont_decoded_wav", models.continuous.decode(latent)[0, ::8])


def test_unet_and_a_step(
    predict: sampling.Predict, condition: torch.Tensor, close: Close, official: SimpleNamespace
) -> None:
    close("condition_up", condition[0, ::16, ::16])
    x = official.noise("unet_x", 0, (128, 3200))[None]
    close("unet_out", predict(x, 50, condition)[0, ::16, ::16])
    steps = Steps.of("cosine", "ddpm", 501)
    close("alphas_cumprod", steps.alphas)
    assert steps.times[0] == 500
    noise = predict(0.5 * x, 500, condition)
    close("p_sample_t500_x0", steps.clean(500, 0.5 * x, noise)[0, ::16, ::16])
    fresh = official.noise("p_sample", 0, (128, 3200))[None]
    close("p_sample_t500", steps.step(0, 0.5 * x, noise, lambda: fresh)[0, ::16, ::16])


def test_the_released_samplers(
    predict: sampling.Predict, condition: torch.Tensor, close: Close, official: SimpleNamespace
) -> None:
    def never(*_: object) -> torch.Tensor:
        raise AssertionError("drawn")

    steps = Steps.of("cosine", "ddpm", 4)
    halfway = Draws(never, never, lambda index, shape: official.noise("halfway", index, shape))
    close("halfway4_latent", midway_infilling(predict, steps, condition, [halfway], 1.0)[0, ::16, ::16])
    # The reference draws for both branches from one counter, and once for nothing.
    infilling = Draws(
        lambda shape: official.uniform("infilling", 0, shape),
        lambda index, shape: official.noise("infilling", (1, 4, 6)[index], shape),
        lambda index, shape: official.noise("infilling", (3, 5, 7)[index], shape),
    )
    close("infilling4_latent", released_infilling(predict, steps, condition, [infilling], 0.3)[0, ::16, ::16])


@pytest.mark.slow
def test_a_hundred_released_steps(
    predict: sampling.Predict, condition: torch.Tensor, close: Close, official: SimpleNamespace
) -> None:
    draws = Draws(
        lambda shape: torch.zeros(shape),
        lambda index, shape: torch.zeros(shape),
        lambda index, shape: official.noise("halfway100", index, shape),
    )
    latent = midway_infilling(predict, Steps.of("cosine", "ddpm", 100), condition, [draws], 1.0)
    close("halfway100_latent", latent[0, ::16, ::16])


def test_the_released_variant_from_the_sound_to_the_sound(
    folder: Path, close: Close, official: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = load_system(resolve("ladiffcodec@1.5kbps-released:width=32,tau=4", weights=folder))
    assert isinstance(system, LaDiffCodec)
    golden = Draws(
        lambda shape: torch.zeros(shape),
        lambda index, shape: torch.zeros(shape),
        lambda index, shape: official.noise("halfway", index, shape),
    )
    monkeypatch.setattr(Draws, "seeded", lambda *_: golden)
    sound = Audio.of(official.golden["input"].astype(np.float32) / 32768, 16_000)
    (output,) = system.process([Clip("t/a", "t", loaded=sound, seed=1)])
    assert output.audio is not None
    np.testing.assert_array_equal(output.tokens, official.golden["kbps1p5_codes"])
    assert output.bits == 80 * 30
    close("halfway4_wav", output.audio.samples[0, ::8])


@pytest.mark.parametrize(
    ("strides", "ratios", "block"),
    [((1,), (8, 5, 4, 2), 320), ((8,), (5, 4, 2), 640), ((4, 8), (5, 2), 2560), ((4, 5, 8), (2,), 2560)],
)
def test_the_condition_reaches_the_frame_rate_of_every_stride(
    strides: tuple[int, ...], ratios: tuple[int, ...], block: int
) -> None:
    shape = files.Shape(3, strides, 8, causal=False)
    assert shape.ratios == ratios
    assert shape.block == block
    with torch.inference_mode():
        raised = _unet.UNet(8, shape.ratios).upsampled(torch.ones(1, 128, 7))
    assert raised.shape == (1, 128, 7 * 320 // shape.hop)
    deepest = files.Shape(3, (2, 4, 5, 8), 8, causal=False)
    assert (deepest.ratios, deepest.block, deepest.hop) == ((), 5120, 320)
