"""SRC-gAudio and gAudio: sizes, the rate token, guidance, four rates from one latent, and folders of one's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.runs.fetch import fetch
from ldmbench.system.registry import load_system, load_system_card, resolve
from ldmbench.systems.audioldm.src_gaudio import SrcGAudio
from ldmbench.systems.latent import configs as configs
from tests.systems.audioldm import conftest as tiny

RATES = (16_000, 24_000, 32_000, 48_000)
FAST = "steps=2,seconds=0.32"

Build = Callable[..., SrcGAudio]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny system in the layout of the card's note, for both cards and all rates."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig, T5Config, T5EncoderModel

    from ldmbench.systems.audioldm.rate_token import RateToken

    root = tmp_path_factory.mktemp("weights") / "src-gaudio"
    unet = UNet2DConditionModel(**tiny.UNET, cross_attention_dim=32, use_linear_projection=True)
    tiny.lively(unet).save_pretrained(root / "unet")
    tiny.lively(RateToken(16, 24, 32)).save_pretrained(root / "rate_token")
    tiny.lively(T5EncoderModel(T5Config(**tiny.T5))).save_pretrained(root / "text_encoder")
    tiny.lively(AutoencoderKL(**tiny.VAE)).save_pretrained(root / "vae")
    tiny.sentencepiece().save_pretrained(root / "tokenizer")
    DDIMScheduler(**tiny.SCHEDULE).save_pretrained(root / "scheduler")
    for rate, config in configs.SRC_GAUDIO_VOCODERS.items():
        small = {**config, "upsample_initial_channel": 32, "resblock_kernel_sizes": [3, 5, 7]}
        vocoder = tiny.lively(SpeechT5HifiGan(SpeechT5HifiGanConfig(**small)))
        vocoder.save_pretrained(root / f"vocoder-{rate // 1000}k")
    return root


@pytest.fixture(scope="module")
def build(folder: Path) -> Build:
    """A tiny system by name, each built once."""
    made: dict[str, SrcGAudio] = {}

    def make(name: str) -> SrcGAudio:
        if name not in made:
            built = load_system(resolve(name, weights=folder))
            assert isinstance(built, SrcGAudio)
            made[name] = built
        return made[name]

    return make


def clip(text: str = "a dog barks", seed: int = 1) -> Clip:
    return Clip(id=f"x/{seed}", dataset="x", text=text, seed=seed)


def sound(system: SrcGAudio, *clips: Clip) -> Audio:
    output = next(iter(system.process(clips)))
    assert output.audio is not None
    return output.audio


def test_the_number_of_parameters_decides_what_the_paper_leaves_open() -> None:
    """Counted without memory; the card says what ``ldmbench show src-gaudio`` prints."""
    from diffusers import UNet2DConditionModel

    from ldmbench.systems.audioldm.rate_token import RateToken

    def millions(make: Callable[[], Any]) -> float:
        with torch.device("meta"):
            return float(sum(value.numel() for value in make().parameters())) / 1e6

    unet = millions(lambda: UNet2DConditionModel(**configs.SRC_GAUDIO_UNET))
    token = millions(RateToken)
    card = load_system_card("src-gaudio").parameters
    assert card == {
        "U-Net": f"{unet:.2f} M", "rate token": f"{token:.2f} M",
        "U-Net and rate token": f"{unet + token:.2f} M; the paper: 561 M",
    }  # fmt: skip
    assert load_system_card("gaudio").parameters == {"U-Net": f"{unet:.2f} M"}
    assert abs(unet + token - 561) < 0.5
    # The order of blocks in the paper's text is far off.
    blocks = {
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
    }
    assert millions(lambda: UNet2DConditionModel(**{**configs.SRC_GAUDIO_UNET, **blocks})) > 722


def test_show_prints_the_count_beside_the_papers() -> None:
    from click.testing import CliRunner

    from ldmbench.cli import cli

    text = CliRunner().invoke(cli, ["show", "src-gaudio"]).stdout
    assert "U-Net and rate token: 560.77 M; the paper: 561 M" in text


def test_a_frame_is_ten_milliseconds_at_every_rate() -> None:
    for rate, config in configs.SRC_GAUDIO_VOCODERS.items():
        assert int(np.prod(config["upsample_rates"])) * 100 == rate == config["sampling_rate"]
        assert config["model_in_dim"] == 64
    assert tuple(configs.SRC_GAUDIO_VOCODERS) == RATES


@pytest.mark.parametrize("name", ["src-gaudio", "gaudio"])
@pytest.mark.parametrize("rate", RATES)
def test_every_rate_from_its_folder(name: str, rate: int, build: Build) -> None:
    system = build(f"{name}@{rate // 1000}k:{FAST}")
    made = sound(system, clip())
    assert (made.rate, made.length) == (rate, round(0.32 * rate))
    assert np.isfinite(made.samples).all()
    assert made.samples.std() > 1e-3
    assert ("rate_token" in system.models) == (name == "src-gaudio")
    again = load_system(system.spec)
    assert isinstance(again, SrcGAudio)
    assert sound(again, clip()).digest() == made.digest() != sound(system, clip(seed=2)).digest()


def test_four_rates_from_one_latent(build: Build) -> None:
    systems = [build(f"src-gaudio@{rate // 1000}k:{FAST}") for rate in RATES]
    with torch.inference_mode():
        latents = systems[0].latents([clip()], ["a dog barks"], 32)
        assert latents.shape == (1, 8, 8, 16)
        waves = [system.sounds(latents) for system in systems]
        # The whole clip of the paper has one size at every rate.
        assert {system.frames(round(10.24 * system.rate)) for system in systems} == {1024}
    for rate, wave in zip(RATES, waves, strict=True):
        # A vocoder returns less than a frame more than its frames, of which there are a hundred a second.
        assert 0 <= wave.shape[1] - 32 * rate // 100 < rate // 100


def test_the_rate_changes_the_latent_only_where_it_is_told(build: Build) -> None:
    prompts = ["a dog barks"]
    with torch.inference_mode():
        told = [build(f"src-gaudio@{rate}k:{FAST}").latents([clip()], prompts, 32) for rate in (16, 48)]
        untold = [build(f"gaudio@{rate}k:{FAST}").latents([clip()], prompts, 32) for rate in (16, 48)]
    assert (told[0] - told[1]).abs().max() > 1e-3
    torch.testing.assert_close(untold[0], untold[1], rtol=0, atol=0)


def test_guidance_leaves_out_the_text_and_keeps_the_rate(build: Build) -> None:
    system = build(f"src-gaudio@32k:{FAST}")
    with torch.inference_mode():
        condition, mask = system.condition(["a dog barks", "rain"], guided=True)
        alone, _ = system.condition(["rain"], guided=False)
        token = system.models["rate_token"](torch.tensor([32_000]))[0, 0]
        empty, _ = system.condition([""], guided=False)
    # Two without text, then two with it; the rate is the last token of each, and always looked at.
    assert condition.shape[0] == 4
    for row in condition:
        torch.testing.assert_close(row[-1], token)
    assert mask[:, -1].all()
    text = int(mask[0].sum()) - 1
    torch.testing.assert_close(condition[0, :text], empty[0, :text], atol=1e-5, rtol=0)
    length = int(mask[3].sum()) - 1
    torch.testing.assert_close(condition[3, :length], alone[0, :length], atol=1e-5, rtol=0)
    assert not mask[3, length:-1].any()


def test_guidance_is_what_the_paper_writes(build: Build) -> None:
    """``w * conditional + (1 - w) * unconditional``, through one step from noise to the clean latent."""
    system = build("src-gaudio@16k:steps=1,seconds=0.32,cfg=3.0")
    start = torch.randn((1, 8, 8, 16), generator=system.generators([clip()])[0])
    with torch.inference_mode():
        made = system.latents([clip()], ["a dog barks"], 32)
        condition, mask = system.condition(["a dog barks"], guided=True)
        (time,) = system.scheduler.timesteps
        unet = system.models["unet"]
        without, with_text = (
            unet(start, time, encoder_hidden_states=condition[[row]], encoder_attention_mask=mask[[row]]).sample
            for row in (0, 1)
        )
        noise = 3.0 * with_text - 2.0 * without
        alpha = system.scheduler.alphas_cumprod[time]
        final = system.scheduler.final_alpha_cumprod
        clean = (start - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        torch.testing.assert_close(made, final.sqrt() * clean + (1 - final).sqrt() * noise, atol=1e-4, rtol=1e-4)


def test_alone_or_in_a_batch_it_sounds_the_same(build: Build) -> None:
    system = build(f"src-gaudio@24k:{FAST}")
    clips = [clip("a dog barks", 1), clip("rain on a roof while a long train passes", 2)]
    together = [output.audio for output in system.process(clips)]
    for one, item in zip(together, clips, strict=True):
        assert one is not None
        np.testing.assert_allclose(one.samples, sound(system, item).samples, atol=2e-6)


def test_what_is_wrong_with_a_folder_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "src-gaudio"
    shutil.copytree(folder, copy)
    config = copy / "vocoder-48k" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sampling_rate": 44_100}))
    with pytest.raises(BenchError, match=r"vocoder-48k .* another rate: 44100 Hz"):
        load_system(resolve("src-gaudio@48k", weights=copy))
    shutil.rmtree(copy / "rate_token")
    with pytest.raises(BenchError, match=r"missing rate_token/config\.json.*no weights were released: train them"):
        load_system(resolve("src-gaudio@16k", weights=copy))
    load_system(resolve("gaudio@16k", weights=copy))
    with pytest.raises(BenchError, match=r"hz .* must be one of 16000, 24000, 32000, 48000"):
        load_system(resolve("src-gaudio:hz=44100", untrained=True))


def test_nothing_can_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(BenchError, match=r"cannot be fetched.*lay the folder out as its note says"):
        fetch("src-gaudio@24k")
