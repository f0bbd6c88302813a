"""Golden arrays of AudioSR's signal side, and a tiny AudioSR in its official file with the official keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AudioLDM2UNet2DConditionModel, AutoencoderKL

from ldmbench.audio.sound import Audio
from ldmbench.system.protocol import System
from ldmbench.system.registry import load_system, resolve
from ldmbench.systems.audiosr import adapter as audiosr
from ldmbench.systems.audiosr import models as models
from ldmbench.systems.audiosr import signal as signal
from ldmbench.systems.latent.keys import VOCODER, renamed, unet_config, unet_name, vae_name
from ldmbench.systems.latent.parts import untrained_vocoder
from ldmbench.systems.latent.v_diffusion import cosine_alphas
from ldmbench.weights.tensors import seeded

GOLDEN = Path(__file__).parents[2] / "golden" / "audiosr"

TINY_UNET = unet_config(32, 16, (32, 64, 96, 128), (1, 2, 3, 4), (None, None))
TINY_VAE = {**models.VAE, "block_out_channels": (32, 64, 96, 128)}
TINY_VOCODER = {**models.VOCODER, "upsample_initial_channel": 64}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def official_keys() -> dict[str, tuple[int, ...]]:
    """Every key of the official file, without those of the exponential averages, and its shape."""
    lines = (line.split(" ") for line in (GOLDEN / "keys.txt").read_text().splitlines())
    return {key: tuple(int(side) for side in shape.split("x") if side) for key, shape in lines}


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the adapter narrow models and blocks of 1.28 s; number of layers and mel bands are the official ones."""
    monkeypatch.setattr(signal, "BLOCK", 128 * signal.HOP)
    monkeypatch.setattr(audiosr, "BLOCK", 128 * signal.HOP)
    monkeypatch.setattr(models, "UNET", TINY_UNET)
    monkeypatch.setattr(models, "VAE", TINY_VAE)
    monkeypatch.setattr(models, "VOCODER", TINY_VOCODER)


def slim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave hardly any network: for long inputs, of which the number of pieces counts."""
    shrink(monkeypatch)
    monkeypatch.setattr(models, "UNET", unet_config(32, 16, (32,) * 4, (1,) * 4, (None, None)))
    monkeypatch.setattr(
        models,
        "VAE",
        {**models.VAE, "block_out_channels": (8, 8, 8, 8), "norm_num_groups": 8, "mid_block_add_attention": False},
    )
    vocoder = {"upsample_initial_channel": 32, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 1, 1]]}
    monkeypatch.setattr(models, "VOCODER", {**models.VOCODER, **vocoder})


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter with narrow models."""
    shrink(monkeypatch)


@pytest.fixture(scope="session")
def tiny_state(official_keys: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """The official keys with the tensors of narrow models."""
    unet = seeded(lambda: AudioLDM2UNet2DConditionModel(**TINY_UNET)).state_dict()
    vae = seeded(lambda: AutoencoderKL(**TINY_VAE)).state_dict()
    vocoder = untrained_vocoder(TINY_VOCODER).state_dict()

    def of_stage(key: str) -> torch.Tensor:
        value: torch.Tensor
        if key.startswith("vocoder."):
            value = vocoder[renamed(key.removeprefix("vocoder."), VOCODER)]
            return value
        value = vae[vae_name(key, 4)]
        return value[:, :, None, None] if ".attn_1." in key and value.ndim == 2 else value

    state = {}
    for key, shape in official_keys.items():
        if key.startswith("model.diffusion_model."):
            state[key] = unet[unet_name(key.removeprefix("model.diffusion_model."), 2)]
        elif key.startswith("first_stage_model."):
            state[key] = of_stage(key.removeprefix("first_stage_model."))
        elif key.startswith("cond_stage_models.0.vae."):
            state[key] = of_stage(key.removeprefix("cond_stage_models.0.vae."))
        else:
            state[key] = torch.zeros(shape)
    state["alphas_cumprod"] = torch.tensor(cosine_alphas(1000))
    state["scale_factor"] = torch.tensor(0.4)
    state["model_ema.decay"] = torch.tensor(0.9999)
    state["clap.logit_scale_a"] = torch.tensor(1.0)
    return state


@pytest.fixture
def weights(tmp_path: Path, tiny_state: dict[str, torch.Tensor]) -> Callable[..., Path]:
    """Write the official file, with ``changes`` to its keys (None removes one); its folder."""

    def write(**changes: Any) -> Path:
        state = {key: value for key, value in {**tiny_state, **changes}.items() if value is not None}
        folder = tmp_path / "audiosr" / "basic"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"epoch": 1, "state_dict": state}, folder / models.FILE)
        return folder

    return write


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory, tiny_state: dict[str, torch.Tensor]) -> Path:
    """The folder of the official file as it should be."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save({"epoch": 1, "state_dict": tiny_state}, folder / models.FILE)
    return folder


@pytest.fixture
def system(tiny: None, official: Path) -> Callable[..., System]:
    """A tiny AudioSR at two steps: ``system("level=upstream")``."""

    def build(settings: str = "") -> System:
        name = "audiosr@basic:steps=2" + (f",{settings}" if settings else "")
        return load_system(resolve(name, weights=official))

    return build


@pytest.fixture(scope="session")
def narrow() -> Callable[..., Audio]:
    """Noise without anything above 4 kHz, RMS 0.05; channels differ."""

    def make(seconds: float, rate: int = 48_000, channels: int = 1, seed: int = 0) -> Audio:
        from ldmbench.audio.filters import lowpass

        white = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
        return lowpass(Audio.of(0.12 * white, rate), 4000.0)

    return make
