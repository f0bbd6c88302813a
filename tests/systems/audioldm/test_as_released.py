"""AudioLDM and AudioLDM 2 from files under their authors' names return what their authors' code returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.registry import load_system, resolve
from ldmbench.systems.audioldm.clap import Dropout, embed_sounds
from ldmbench.systems.audioldm.sampling import guided, time_steps

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "audioldm2"
RATE = 16_000

Asked = Callable[..., SystemSpec]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Numbers of the authors' code; see ``make_audioldm2.py``."""
    return dict(np.load(GOLDEN / "small.npz"))


@pytest.fixture(scope="module")
def keys() -> dict[str, tuple[int, ...]]:
    """Official names and shapes of two small U-Nets, and of a small autoencoder with its vocoder."""
    lines = (line.split() for line in (GOLDEN / "keys.txt").read_text().splitlines())
    return {key: tuple(map(int, shape.split("x"))) for key, shape in lines}


def below(prefix: str, keys: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {key.removeprefix(prefix): shape for key, shape in keys.items() if key.startswith(prefix)}


def clap_state(rule: ModuleType, prefix: str) -> dict[str, Any]:
    """A small CLAP under its official names; its front end and what training counts are not drawn."""
    import torch

    from ldmbench.extractors.clap_weights import Architecture, OfficialLayout, build, front_end

    shapes = OfficialLayout(build(Architecture(False, 16, (1, 1), (2, 2), 64, 1, 1, 261, 512))).state_dict()
    state = {}
    for key, value in {**shapes, **front_end()}.items():
        plain = key in front_end() or not value.is_floating_point() or not value.ndim
        state[prefix + key] = value.clone() if plain else torch.from_numpy(rule.drawn(key, tuple(value.shape)))
    state[prefix + "audio_branch.bn0.running_mean"] = torch.zeros(64)
    state[prefix + "audio_branch.bn0.running_var"] = torch.ones(64)
    return state


def save_roberta(folder: Path) -> None:
    """A tokenizer of bytes in the two files in which RoBERTa's is published."""
    import json

    from ldmbench.systems.latent.tokenizers import byte_tokenizer

    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(byte_tokenizer().get_vocab()))
    (folder / "merges.txt").write_text("#version: 0.2\n")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, tuple[int, ...]], rule: ModuleType) -> Path:
    """A small AudioLDM 2 as its authors' checkpoint lays it out, with the tokenizers beside it."""
    import torch
    from transformers import GPT2Config, GPT2Model, T5Config, T5EncoderModel

    from ldmbench.systems.latent.configs import AUDIOLDM_SCHEDULER, FLAN_T5_LARGE
    from ldmbench.systems.latent.parts import alphas
    from ldmbench.systems.latent.tokenizers import character_tokenizer

    def shapes(model: Any) -> dict[str, tuple[int, ...]]:
        return {key: tuple(value.shape) for key, value in model.state_dict().items()}

    with torch.device("meta"):
        gpt = GPT2Model(GPT2Config(vocab_size=16, n_layer=2))
        t5 = T5EncoderModel(T5Config(**{**FLAN_T5_LARGE, "vocab_size": 98, "d_ff": 8, "num_layers": 1}))
    wanted = {f"model.diffusion_model.{key}": shape for key, shape in below("texts.", keys).items()}
    wanted |= {f"cond_stage_models.0.model.{key}": shape for key, shape in shapes(gpt).items()}
    wanted |= {f"cond_stage_models.1.model.{key}": shape for key, shape in shapes(t5).items()}
    wanted |= {f"cond_stage_models.0.{end}_of_sequence_tokens.weight": (32, 768) for end in ("start", "end")}
    for index, width in enumerate((512, 1024)):
        name = f"cond_stage_models.0.input_sequence_embed_linear.{index}"
        wanted |= {f"{name}.weight": (768, width), f"{name}.bias": (768,)}
    state = {key: torch.from_numpy(rule.drawn(key, shape)) for key, shape in wanted.items()}
    vae = below("first_stage_model.", keys)
    state |= {f"first_stage_model.{key}": torch.from_numpy(rule.drawn(key, shape)) for key, shape in vae.items()}
    state |= clap_state(rule, "clap.model.")
    state["alphas_cumprod"], state["scale_factor"] = torch.tensor(alphas(AUDIOLDM_SCHEDULER)), torch.tensor(0.5)
    # What the released file holds besides: schedule, averages, and second copies.
    state["betas"], state["model_ema.decay"] = torch.zeros(1000), torch.tensor(0.9999)
    state["cond_stage_models.0.cond_stage_models.2.x"] = state["clap.mel_transform.spectrogram.window"] = torch.ones(1)
    folder = tmp_path_factory.mktemp("original")
    torch.save({"state_dict": state}, folder / "audioldm2-full.pth")
    save_roberta(folder / "roberta-base")
    character_tokenizer(128).save_pretrained(folder / "flan-t5-large")
    return folder


@pytest.fixture(scope="module")
def second(asked: Asked, original: Path) -> Any:
    """AudioLDM 2 from that file, with heads of 8 channels, as the small U-Net's."""
    return load_system(asked("audioldm2@base-original:steps=4,head_channels=8,candidates=2,seconds=0.32", original))


@pytest.fixture
def inference() -> Iterator[None]:
    import torch

    with torch.inference_mode():
        yield


def told(rule: ModuleType, *shapes: tuple[int, ...], tag: str = "texts_ctx", first: int = 0) -> list[Any]:
    import torch

    return [torch.from_numpy(rule.noise(tag, first + index, shape)) for index, shape in enumerate(shapes)]


def texts(states: Any, t5: Any, mask: Any = None) -> dict[str, Any]:
    import torch

    kept = torch.ones(t5.shape[:2], dtype=torch.long) if mask is None else mask
    return {"encoder_hidden_states": states, "encoder_hidden_states_1": t5, "encoder_attention_mask_1": kept}


def test_unet_of_the_authors_file(second: Any, golden: dict[str, Any], rule: ModuleType, inference: None) -> None:
    import torch

    states, t5 = told(rule, (2, 8, 768), (2, 13, 1024), tag="small_ctx")
    mask = torch.ones(2, 13, dtype=torch.long)
    mask[1, 5:] = 0
    x = torch.from_numpy(rule.noise("small_x", 0, (2, 8, 16, 16)))
    made = second.models["unet"](x, 501, **texts(states, t5, mask)).sample
    # The largest value is 2.5; with the 8 heads of diffusers 0.87 is off.
    np.testing.assert_allclose(made.flatten()[::3], golden["unet_base"], atol=2e-5)


@pytest.mark.parametrize("count", [13, 5])
def test_states_of_gpt_2(count: int, second: Any, golden: dict[str, Any], rule: ModuleType, inference: None) -> None:
    import torch

    clap = torch.from_numpy(rule.noise("gpt_clap", count, (1, 1, 512)))
    t5 = torch.from_numpy(rule.noise("gpt_t5", count, (1, count, 1024)))
    made = second.continued(clap, t5, torch.ones(1, count, dtype=torch.long))
    np.testing.assert_allclose(made.numpy(), golden[f"gpt_{count}"], atol=4e-5)


class Named:
    """The noise of a trajectory by name, in place of a system's own."""

    def __init__(self, rule: ModuleType, tag: str) -> None:
        self.rule, self.tag, self.index = rule, tag, 0

    def __call__(self, _: object, shape: Any) -> Any:
        import torch

        noise = torch.from_numpy(self.rule.noise(self.tag, self.index, (1, *shape)))
        self.index += 1
        return noise


@pytest.mark.parametrize("scale", [3.5, 0.5])
def test_trajectory_of_audioldm2_from_noise_to_waveform(
    scale: float,
    second: Any,
    golden: dict[str, Any],
    rule: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    inference: None,
) -> None:
    import torch

    monkeypatch.setattr(second, "noise", Named(rule, "texts"))
    states, t5, single = told(rule, (1, 8, 768), (1, 13, 1024), (1, 1, 1024))
    # Padded to the same length, as where the adapter puts the two branches together.
    padded = torch.cat([single, torch.zeros(1, 12, 1024)], dim=1)
    empty = texts(torch.zeros(1, 8, 768), padded, (torch.arange(13) < 1).long()[None])
    predict = guided(second.models["unet"], texts(states, t5), empty, scale)
    latents = second.sampled(predict, second.start([None], 64), [None])
    wanted = golden[f"texts_{scale}_latent"]
    np.testing.assert_allclose(latents.numpy(), wanted, atol=1e-5 * np.abs(wanted).max())
    wanted = golden[f"texts_{scale}_wave"]
    np.testing.assert_allclose(second.sounds(latents)[0, ::3], wanted, atol=1e-5 * np.abs(wanted).max())


def test_the_unconditional_branch_is_zeros_and_one_token(second: Any, inference: None) -> None:
    states, t5, mask = second.untold()
    assert states.shape == (1, 8, 768)
    assert not states.any()
    assert t5.shape == (1, 1, 1024)
    assert t5.abs().max() > 1
    assert mask.tolist() == [[1]]


def test_from_the_authors_file_to_a_sound(second: Any) -> None:
    outputs = list(second.process([Clip("x/a", "x", text=text, seed=3) for text in ("a dog barks", "rain")]))
    assert all(output.audio.samples.std() > 1e-3 for output in outputs)
    assert all(len(output.details["clap"]) == 2 for output in outputs)
    assert second.parameters > 26e6


def test_a_published_folder_says_eight_heads(
    second: Any, asked: Asked, audioldm2_folder: Path, tmp_path: Path, golden: dict[str, Any], rule: ModuleType
) -> None:
    """The same weights in diffusers' layout, whose configuration has 8 heads at every level: run as trained."""
    import json
    import shutil

    folder = Path(shutil.copytree(audioldm2_folder, tmp_path / "published"))
    second.models["unet"].save_pretrained(folder / "unet")
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "attention_head_dim": 8}))
    system: Any = load_system(asked("audioldm2:steps=4,head_channels=8", folder))
    levels = [4, 8, 12, 20]
    assert list(system.models["unet"].config.attention_head_dim) == levels
    heads = {
        name.split(".attn")[0].partition(".attentions")[0]: module.heads
        for name, module in system.models["unet"].named_modules()
        if name.endswith("attn1")
    }
    assert heads == {
        "down_blocks.1": 8, "down_blocks.2": 12, "down_blocks.3": 20, "mid_block": 20,
        "up_blocks.0": 20, "up_blocks.1": 12, "up_blocks.2": 8,
    }  # fmt: skip
    assert system.facts("a dog")["heads"] == f"{levels}; the folder's configuration says [8, 8, 8, 8]"
    assert system.facts("a dog")["roberta_eps"] == "1e-05; the folder's configuration says 1e-12"
    eps = {module.eps for name, module in system.models["text_encoder"].text_model.named_modules() if "Norm" in name}
    assert eps == {1e-5}
    plain: Any = load_system(asked("audioldm2:steps=4,head_channels=0,roberta_eps=0", folder))
    assert set(plain.facts("a dog")) == set()
    assert plain.models["unet"].down_blocks[1].attentions[0].transformer_blocks[0].attn1.heads == 8


def test_heads_that_do_not_divide_are_refused(asked: Asked, audioldm2_folder: Path) -> None:
    with pytest.raises(BenchError, match="no heads of 48 channels in a U-Net of 32, 64: 48 does not divide 32"):
        load_system(asked("audioldm2:head_channels=48", audioldm2_folder))


def test_trajectory_of_audioldm_from_noise_to_waveform(
    asked: Asked,
    audioldm_folder: Path,
    keys: dict[str, tuple[int, ...]],
    golden: dict[str, Any],
    rule: ModuleType,
    tmp_path: Path,
    inference: None,
) -> None:
    import shutil

    import torch
    from diffusers import UNet2DConditionModel

    from ldmbench.systems.audioldm.vae import read_vae
    from ldmbench.systems.latent.configs import audioldm_unet
    from ldmbench.systems.latent.keys import unet_name

    shape = {**audioldm_unet("s"), "block_out_channels": (32, 64, 96, 160), "cross_attention_dim": (32, 64, 96, 160)}
    unet = UNet2DConditionModel(**shape)
    state = {}
    for key, size in below("film.", keys).items():
        state[unet_name(key, 2, 1)] = torch.from_numpy(rule.drawn(f"model.diffusion_model.{key}", size))
    unet.load_state_dict(state)
    vae = {key: torch.from_numpy(rule.drawn(key, size)) for key, size in below("first_stage_model.", keys).items()}
    torch.save(vae, tmp_path / "vae.bin")
    config = {"in_channels": 1, "out_ch": 1, "ch": 32, "ch_mult": [1, 2, 4], "num_res_blocks": 2, "z_channels": 8}
    parts = read_vae(
        tmp_path / "vae.bin", {"ddconfig": config, "scale_factor": 0.5}, {"n_mel_channels": 64, "sampling_rate": RATE}
    )
    folder = Path(shutil.copytree(audioldm_folder, tmp_path / "folder"))
    for name, model in zip(("unet", "vae", "vocoder"), (unet, *parts), strict=True):
        shutil.rmtree(folder / name)
        model.save_pretrained(folder / name)
    made = film_trajectory(load_system(asked("audioldm:steps=4,head_channels=8", folder)), rule)
    for value, name in zip(made, ("film_2.5_latent", "film_2.5_wave"), strict=True):
        np.testing.assert_allclose(value, golden[name], atol=1e-5 * np.abs(golden[name]).max())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, tuple[int, ...]], rule: ModuleType) -> Path:
    """A small AudioLDM as its authors' checkpoint lays it out, whose averages are what the golden numbers are of."""
    import torch

    from ldmbench.systems.latent.configs import AUDIOLDM_SCHEDULER
    from ldmbench.systems.latent.parts import alphas

    state = clap_state(rule, "cond_stage_model.model.")
    for key, size in below("film.", keys).items():
        averaged = torch.from_numpy(rule.drawn(f"model.diffusion_model.{key}", size))
        state[f"model_ema.diffusion_model{key.replace('.', '')}"] = averaged
        state[f"model.diffusion_model.{key}"] = torch.from_numpy(rule.drawn(f"raw.{key}", size))
    for key, size in below("first_stage_model.", keys).items():
        state[f"first_stage_model.{key}"] = torch.from_numpy(rule.drawn(key, size))
    state["alphas_cumprod"], state["scale_factor"] = torch.tensor(alphas(AUDIOLDM_SCHEDULER)), torch.tensor(0.5)
    state["model_ema.decay"], state["logvar"] = torch.tensor(0.9999), torch.zeros(1000)
    folder = tmp_path_factory.mktemp("first")
    torch.save({"state_dict": state}, folder / "audioldm-s-text-ft.ckpt")
    save_roberta(folder / "roberta-base")
    return folder


def film_trajectory(system: Any, rule: ModuleType) -> tuple[Any, Any]:
    """Latent and waveform by the noise and the conditions of the authors' trajectory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "noise", Named(rule, "film"))
        asked_for, empty = ({"class_labels": y} for y in told(rule, (1, 512), (1, 512), tag="film_y"))
        predict = guided(system.models["unet"], asked_for, empty, 2.5)
        latents = system.sampled(predict, system.start([None], 64), [None])
    return latents.numpy(), system.sounds(latents)[0, ::3]


def test_audioldm_of_the_authors_file_runs_its_averages(
    asked: Asked, first: Path, golden: dict[str, Any], rule: ModuleType, inference: None
) -> None:
    made = film_trajectory(load_system(asked("audioldm@s-text-ft:steps=4,head_channels=8", first)), rule)
    for value, name in zip(made, ("film_2.5_latent", "film_2.5_wave"), strict=True):
        np.testing.assert_allclose(value, golden[name], atol=1e-5 * np.abs(golden[name]).max())
    raw = film_trajectory(load_system(asked("audioldm@s-text-ft:steps=4,head_channels=8,ema=false", first)), rule)
    assert np.abs(raw[0] - made[0]).max() > 1


def test_averages_that_are_not_there_are_named(asked: Asked, first: Path, tmp_path: Path) -> None:
    import shutil

    import torch

    folder = Path(shutil.copytree(first, tmp_path / "bare"))
    state = torch.load(folder / "audioldm-s-text-ft.ckpt", weights_only=True)["state_dict"]
    kept = {key: value for key, value in state.items() if not key.startswith("model_ema.")}
    torch.save({"state_dict": kept}, folder / "audioldm-s-text-ft.ckpt")
    with pytest.raises(BenchError, match=r"do not fit ema=true: keys \d+ missing \(model_ema.diffusion_model"):
        load_system(asked("audioldm@s-text-ft:head_channels=8", folder))
    load_system(asked("audioldm@s-text-ft:head_channels=8,ema=false", folder))
    torch.save({"state_dict": {**kept, "strange": torch.zeros(1)}}, folder / "audioldm-s-text-ft.ckpt")
    with pytest.raises(BenchError, match="1 superfluous \\(strange\\)"):
        load_system(asked("audioldm@s-text-ft:head_channels=8,ema=false", folder))
    shutil.copy(folder / "audioldm-s-text-ft.ckpt", folder / "audioldm-l-full.ckpt")
    with pytest.raises(BenchError, match=r"several checkpoints: audioldm-l-full.ckpt, audioldm-s-text-ft.ckpt"):
        load_system(asked("audioldm@s-text-ft:head_channels=8", folder))


def test_audioldm_ranks_candidates_by_the_authors_file(asked: Asked, first: Path, audioldm_folder: Path) -> None:
    system: Any = load_system(asked("audioldm@s-text-ft:steps=2,head_channels=8,seconds=0.32", first))
    clips = [Clip("x/a", "x", text=text, seed=seed) for seed, text in enumerate(("a dog barks", "rain"))]
    for one, output in zip(clips, system.process(clips), strict=True):
        assert output.details["chosen"] == int(np.argmax(output.details["clap"]))
        assert len(set(output.details["clap"])) == 3
        (alone,) = system.process([one])
        np.testing.assert_allclose(alone.audio.samples, output.audio.samples, atol=2e-6)
    with pytest.raises(BenchError, match=r"cannot rank candidates: .* holds only the text half of CLAP"):
        load_system(asked("audioldm:candidates=3", audioldm_folder))


def test_a_latent_that_runs_away_is_brought_back(asked: Asked, audioldm_folder: Path, inference: None) -> None:
    import torch

    system: Any = load_system(asked("audioldm:steps=2", audioldm_folder))
    near = torch.randn(2, 8, 4, 16, generator=torch.Generator().manual_seed(0))
    far = near.clone()
    far[1] *= 60
    assert far[1].abs().max() > 100
    far[0, 0, 0, 0] = 99.0
    first, second = system.sounds(far), system.sounds(torch.stack([far[0], far[1].clamp(-10, 10)]))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["audioldm@s-full", "audioldm@m-full", "audioldm@l-full", "audioldm2@large"])
def test_heads_of_the_published_sizes(name: str) -> None:
    """As ``num_head_channels`` of the authors' configurations has it: 64 in AudioLDM's large one, else 32."""
    from ldmbench.systems.latent import configs as configs

    settings, channels = resolve(name).settings, {"s": 128, "m": 192, "l": 256}.get(name[9:10], 128)
    expected = {192: [6, 12, 18, 30]}.get(channels, [4, 8, 12, 20])
    assert configs.heads([channels * level for level in (1, 2, 3, 5)], int(settings["head_channels"])) == expected


def test_time_steps_are_the_authors() -> None:
    assert time_steps(200) == list(range(996, 0, -5))
    assert time_steps(4) == [751, 501, 251, 1]
    # What does not divide 1000: more steps than were asked for; diffusers takes the lower ones.
    assert (len(time_steps(150)), time_steps(150)[0], time_steps(150)[-1]) == (167, 997, 1)
    taken = time_steps(150, "diffusers")
    assert (len(taken), taken[0], taken[-1]) == (150, 895, 1)
    for steps in (3, 27, 1000 - 1):
        with pytest.raises(BenchError, match=f"the released code cannot take {steps} steps"):
            time_steps(steps)
        assert len(time_steps(steps, "diffusers")) == steps
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    from ldmbench.systems.latent.configs import AUDIOLDM_SCHEDULER

    stock = DDIMScheduler(**AUDIOLDM_SCHEDULER)
    for steps in (1, 3, 50, 150, 200):
        stock.set_timesteps(steps)
        assert stock.timesteps.tolist() == time_steps(steps, "diffusers")


def test_more_steps_than_asked_for_are_recorded(asked: Asked, audioldm_folder: Path) -> None:
    system: Any = load_system(asked("audioldm:steps=13,seconds=0.32", audioldm_folder))
    (output,) = system.process([Clip("x/a", "x", text="rain", seed=0)])
    assert output.details["steps"] == 14


def test_schedule_is_summed_in_double_precision() -> None:
    from ldmbench.systems.latent.configs import AUDIOLDM_SCHEDULER
    from ldmbench.systems.latent.parts import alphas

    made = alphas(AUDIOLDM_SCHEDULER)
    betas = [(0.0015**0.5 + (0.0195**0.5 - 0.0015**0.5) * index / 999) ** 2 for index in range(1000)]
    product = 1.0
    for index, beta in enumerate(betas):
        product *= 1 - beta
        assert made[index] == float(np.float32(product)) or abs(made[index] / product - 1) < 6e-8


def test_dropout_of_clap_hits_the_prompts_that_it_hits_in_the_released_code() -> None:
    """Seeds below 100 in which haoheliu/AudioLDM2 b5786c5 replaces the embedding of the prompt."""
    hit = [seed for seed in range(100) if Dropout(0.1, seed).decide(1)[0]]
    assert hit == [13, 24, 39, 47, 51, 69, 73, 79, 84, 88, 98, 99]
    assert not any(Dropout(0.0, seed).decide(1)[0] for seed in range(100))
    # A ranking of three: three sounds and three times the prompt.
    touched = np.mean([any(Dropout(0.1, seed).decide(7)[1:]) for seed in range(2000)])
    assert touched == pytest.approx(1 - 0.9**6, abs=0.03)


def test_dropout_makes_a_prompt_the_empty_one(asked: Asked, audioldm_folder: Path) -> None:
    def made(more: str, text: str, seed: int = 13) -> Any:
        system = load_system(asked(f"audioldm:steps=2,seconds=0.32{more}", audioldm_folder))
        (output,) = system.process([Clip("x/a", "x", text=text, seed=seed)])
        assert output.audio is not None
        return output.audio.samples

    dropped = made(",clap_dropout=0.1", "a dog barks")
    np.testing.assert_array_equal(dropped, made(",clap_dropout=0.1", "rain"))
    assert np.abs(dropped - made("", "a dog barks")).max() > 1e-4
    np.testing.assert_array_equal(made(",clap_dropout=0.1", "rain", 14), made("", "rain", 14))


class Heard:
    """In place of CLAP: keeps the spectrograms it is given."""

    def __init__(self) -> None:
        import torch

        self.device, self.dtype, self.mels = torch.device("cpu"), torch.float32, list[Any]()

    def audio_model(self, mel: Any, is_longer: Any) -> Any:
        assert not is_longer.any()
        self.mels.append(mel[0, 0].numpy())

        class Pooled:
            pooler_output = mel.mean(dim=2)[:, 0]

        return Pooled

    def audio_projection(self, value: Any) -> Any:
        return value


def test_front_end_of_the_ranking(golden: dict[str, Any]) -> None:
    """Three signals that the authors' code was given, resampled, of which ten seconds are heard."""
    count = 163_872
    time = np.arange(count) / RATE
    signals = [
        0.1 * np.random.default_rng(0).standard_normal(count),
        0.3 * np.sin(2 * np.pi * (300 * time + 200 * time**2)),
        0.2 * np.sign(np.sin(2 * np.pi * 110 * time)) * np.exp(-4 * (time % 1)),
    ]
    heard = Heard()
    embed_sounds(heard, np.array(signals, np.float32), RATE)
    mels = np.stack(heard.mels)
    assert mels.shape == (3, 1001, 64)
    # Decibels; cells near the floor of -100 amplify rounding.
    powers, wanted = (10 ** (values / 10) for values in (mels[:, ::50], golden["logmel"]))
    np.testing.assert_allclose(powers, wanted, atol=1e-5 * wanted.max(), rtol=2e-3)
    heard = Heard()
    embed_sounds(heard, np.array(signals, np.float32)[:1, : RATE * 2], RATE)
    assert heard.mels[0].shape == (201, 64)


@pytest.mark.parametrize("seconds", [2.0, 10.242])
def test_front_end_of_audioldms_ranking(seconds: float) -> None:
    """Repeated to ten seconds, or ten seconds drawn as NumPy's own generator draws them behind the seed."""
    import torch
    import torchaudio

    from ldmbench.extractors.clap_input import filters, log_mel
    from ldmbench.systems.audioldm.clap import embed_repeated

    waves = 0.1 * np.random.default_rng(0).standard_normal((2, round(seconds * RATE))).astype(np.float32)
    heard = Heard()
    embed_repeated(heard, waves, RATE, 7)
    generator = np.random.RandomState(7)
    for mel, wave in zip(
        heard.mels, torchaudio.functional.resample(torch.from_numpy(waves), RATE, 48_000), strict=True
    ):
        signal = wave.numpy()
        if seconds < 10:
            expected = np.concatenate([*[signal] * 5])
        else:
            frames = len(signal) // 480 + 1
            for third in np.array_split(list(range(frames - 1001 + 1)), 3):
                generator.choice(third)
            start = generator.randint(0, len(signal) - 480_000 + 1)
            expected = signal[start : start + 480_000]
        np.testing.assert_array_equal(mel, log_mel(expected, filters()))


def test_untrained_clap_is_htsat_base() -> None:
    import torch
    from transformers import ClapConfig, ClapModel

    from ldmbench.extractors.clap_weights import BASE, build
    from ldmbench.systems.latent import configs as configs

    with torch.device("meta"):
        model = ClapModel(ClapConfig(text_config=configs.CLAP_TEXT, audio_config=configs.CLAP_AUDIO))
    count = sum(value.numel() for value in model.parameters())
    assert count == sum(value.numel() for value in build(BASE).parameters())
    assert count / 1e6 == pytest.approx(193.9, abs=0.1)
