from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.systems.latent import configs as configs
from ldmbench.systems.latent import keys as keys
from ldmbench.systems.semanticodec import files as files
from ldmbench.systems.semanticodec.decoder import FADE, LATENT, Decoder, overlap_add, window_samples

#: Stands for a model that the test does not run.
NO_MODEL: Any = None


def test_overlap_add_equals_the_reference(official: SimpleNamespace) -> None:
    waves = [0.1 * official.noise("semanticodec/overlap_add", n, (1, 1, 163_872))[0, 0] for n in range(3)]
    joined = overlap_add(waves, 471_136, 163_872)
    np.testing.assert_allclose(joined[148_000:328_000:18], official.golden["overlap_add"], atol=1e-6)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("length", [1, 800, 163_840, 163_873, 200_000, 400_000])
def test_only_what_is_heard_is_needed(length: int, aligned: bool) -> None:
    whole = window_samples(aligned)
    waves = [np.random.default_rng(n).standard_normal(whole).astype(np.float32) for n in range(3)]
    decoder = Decoder(NO_MODEL, NO_MODEL, NO_MODEL, [], 1.0)
    needed = decoder.needed(length, 3, aligned)
    complete = overlap_add(waves, 3 * whole - 2 * FADE, whole)[:length]
    cut = overlap_add([wave[:count] for wave, count in zip(waves, needed, strict=True)], length, whole)
    np.testing.assert_array_equal(cut, complete)


def test_aligned_windows_start_every_9_6_s() -> None:
    assert window_samples(True) - FADE == 153_600 == 9.6 * 16_000
    ones = [np.ones(window_samples(True), np.float32)] * 3
    np.testing.assert_allclose(overlap_add(ones, 470_000, window_samples(True)), 1.0, atol=1e-6)


def test_a_part_of_a_mel_gives_the_beginning_of_the_whole_sound(tiny_states: Any, shrunk: None) -> None:
    _, state, _ = tiny_states(1)
    prefix = "first_stage_model.vocoder."
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    # With the official kernel sizes, which reach farthest.
    vocoder = {**configs.VOCODER, "resblock_kernel_sizes": [3, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 2}
    generator = torch.Generator().manual_seed(0)
    for key in weights:
        if "resblocks" in key and key.endswith("weight") and weights[key].shape[2] == 5:
            weights[key] = torch.randn(*weights[key].shape[:2], 11, generator=generator) * 0.1
    decoder = Decoder(NO_MODEL, NO_MODEL, keys.load_vocoder(weights, vocoder, Path("x")), [], 1.0)
    mel = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32))
    with torch.inference_mode():
        whole = decoder.wave(mel, 300 * 160)
        for samples in (1, 160, 16_000, 30_001):
            part = decoder.wave(mel, samples)
            assert len(part) == samples
            np.testing.assert_allclose(part, whole[:samples], atol=1e-5 * np.abs(whole).max())


@pytest.mark.slow
def test_unet_and_ddim_equal_the_reference_in_full_size(official: SimpleNamespace) -> None:
    shapes = official.unet(files.CHANNELS, 1728)
    prefix = "model.diffusion_model."
    state = {key: torch.from_numpy(official.drawn(prefix + key, shape)) for key, shape in shapes.items()}
    unet = keys.load_unet(state, files.unet_config(1), Path("x"))
    words = official.golden["tokens_100"]
    semantic = official.drawn("centroids", (4096, 768))
    acoustic = official.drawn("quantizer._codebook.embed", (1, 8192, 768))[0]
    context = np.full((1, 512, 1728), -1.0, np.float32)
    context[0, :152, :1536] = np.concatenate([acoustic[words[:, 1]], semantic[words[:, 0]]], axis=1)
    place = np.arange(512)[:, None] * np.exp(np.arange(0, 192, 2) * -(np.log(10_000.0) / 192))
    context[0, :, 1536:] = np.stack([np.sin(place), np.cos(place)], axis=2).reshape(512, 192)
    given = torch.from_numpy(context)
    without = given.clone()
    without[:, :, :1536] = 0
    decoder = Decoder(unet, NO_MODEL, NO_MODEL, official.alphas().tolist(), 0.5)
    seen: list[tuple[int, Any, Any]] = []

    def noise(index: int, shape: tuple[int, ...]) -> Any:
        return torch.from_numpy(official.noise("semanticodec/decode", index, (1, *shape))[0])

    with torch.inference_mode():
        x = torch.from_numpy(official.noise("semanticodec/unet_x", 0, (1, *LATENT)))
        out = unet(x, torch.tensor([501]), encoder_hidden_states=given).sample
        decoder.latents(given, without, [noise], 4, 2.0, 1.0, lambda *step: seen.append(step))
    np.testing.assert_allclose(out[:, :, ::8], official.golden["unet_out"], atol=6e-5)
    assert [step[0] for step in seen] == official.golden["ddim_t"].tolist()
    found = torch.stack([step[1][0] for step in seen])
    np.testing.assert_allclose(found[:, :, ::16], official.golden["ddim_x"], atol=1.1e-4)
