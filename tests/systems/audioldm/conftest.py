"""Tiny seeded systems in their official folder layouts, and a folder of captioned clips."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.system.card import SystemSpec
from ldmbench.system.registry import resolve

RATE = 16_000

CAPTIONS: dict[str, Any] = {
    "bell": "a bell rings",
    "dog": "a dog barks twice while a long train passes far away in the rain",
    "rain": "rain on a roof",
    "train": "a train passes",
}

VOCODER: dict[str, Any] = {
    "model_in_dim": 64,
    "sampling_rate": RATE,
    "upsample_initial_channel": 32,
    "upsample_rates": [5, 4, 2, 2, 2],
    "upsample_kernel_sizes": [16, 16, 8, 4, 4],
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "normalize_before": False,
}
VAE: dict[str, Any] = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [32, 32, 64],
    "latent_channels": 8,
    "layers_per_block": 1,
    "scaling_factor": 0.9,
}
UNET: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": 8,
    "out_channels": 8,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [32, 64],
    "layers_per_block": 1,
    "attention_head_dim": 4,
}
SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
T5: dict[str, Any] = {
    "vocab_size": 100,
    "d_model": 32,
    "d_ff": 37,
    "d_kv": 8,
    "num_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
CLAP_TEXT: dict[str, Any] = {
    "vocab_size": 261,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 98,
    "projection_dim": 32,
}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run beside each other, and sums must not depend on the number of cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def rule() -> ModuleType:
    """How the authors' numbers were made: weights and noise drawn by name."""
    path = Path(__file__).parent.parent.parent / "golden" / "name_drawn.py"
    spec = importlib.util.spec_from_file_location("name_drawn", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of 0.32 s with captions in ``clips.csv``."""
    folder = tmp_path_factory.mktemp("data") / "captioned"
    generator = np.random.default_rng(3)
    for name in CAPTIONS:
        audio.write(folder / f"{name}.wav", Audio.of(0.1 * generator.standard_normal(5120), RATE))
    write_table(folder, CAPTIONS)
    return folder


def write_table(folder: Path, captions: dict[str, str]) -> None:
    with (folder / "clips.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["path", "text"])
        table.writerows((f"{name}.wav", text) for name, text in captions.items())


@pytest.fixture(scope="session")
def audioldm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny AudioLDM as ``save_pretrained`` of its pipeline lays it out."""
    from diffusers import AudioLDMPipeline, AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import ClapTextConfig, ClapTextModelWithProjection, SpeechT5HifiGan, SpeechT5HifiGanConfig

    folder = tmp_path_factory.mktemp("weights") / "audioldm"
    unet = UNet2DConditionModel(
        **UNET,
        cross_attention_dim=[32, 64],
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=32,
        class_embeddings_concat=True,
    )
    AudioLDMPipeline(
        vae=lively(AutoencoderKL(**VAE)),
        text_encoder=lively(ClapTextModelWithProjection(ClapTextConfig(**CLAP_TEXT))),
        tokenizer=roberta(),
        unet=lively(unet),
        scheduler=DDIMScheduler(**SCHEDULE),
        vocoder=lively(SpeechT5HifiGan(SpeechT5HifiGanConfig(**VOCODER))),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def audioldm2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny AudioLDM 2 whose language model is a headless GPT-2, as in the official folders."""
    from diffusers import (
        AudioLDM2Pipeline,
        AudioLDM2ProjectionModel,
        AudioLDM2UNet2DConditionModel,
        AutoencoderKL,
        DDIMScheduler,
    )
    from transformers import (
        ClapAudioConfig,
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapTextConfig,
        GPT2Config,
        GPT2Model,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
        T5Config,
        T5EncoderModel,
    )

    folder = tmp_path_factory.mktemp("weights") / "audioldm2"
    clap = ClapConfig(
        text_config=ClapTextConfig(**CLAP_TEXT).to_dict(),
        audio_config=ClapAudioConfig(
            spec_size=256,
            window_size=8,
            num_mel_bins=64,
            hidden_size=32,
            patch_embeds_hidden_size=16,
            projection_dim=32,
            depths=[1, 1],
            num_attention_heads=[2, 2],
            num_hidden_layers=2,
        ).to_dict(),
        projection_dim=32,
    )
    gpt2 = GPT2Config(vocab_size=50, n_embd=16, n_head=2, n_layer=2, n_positions=128)
    AudioLDM2Pipeline(
        vae=lively(AutoencoderKL(**VAE)),
        text_encoder=lively(ClapModel(clap)),
        text_encoder_2=lively(T5EncoderModel(T5Config(**T5))),
        projection_model=lively(AudioLDM2ProjectionModel(32, 32, 16)),
        language_model=lively(GPT2Model(gpt2)),
        tokenizer=roberta(),
        tokenizer_2=sentencepiece(),
        feature_extractor=ClapFeatureExtractor(
            feature_size=64,
            sampling_rate=48_000,
            hop_length=480,
            fft_window_size=1024,
            max_length_s=10,
            frequency_min=50,
            frequency_max=14_000,
            padding="repeatpad",
            truncation="rand_trunc",
        ),
        unet=lively(AudioLDM2UNet2DConditionModel(**UNET, cross_attention_dim=[[None, 16, 32]] * 2)),
        scheduler=DDIMScheduler(**SCHEDULE),
        vocoder=lively(SpeechT5HifiGan(SpeechT5HifiGanConfig(**VOCODER))),
    ).save_pretrained(folder)
    config = folder / "language_model" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_new_tokens": 4}))
    assert json.loads((folder / "model_index.json").read_text())["language_model"][1] == "GPT2Model"
    return folder


@pytest.fixture(scope="session")
def tango_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Tango in the layout of the published checkpoints, with FLAN-T5's files beside it."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig, T5Config, T5EncoderModel

    folder = tmp_path_factory.mktemp("weights") / "tango"
    folder.mkdir()
    config = {**UNET, "cross_attention_dim": 32, "use_linear_projection": True, "_class_name": "UNet2DConditionModel"}
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    models = {
        "unet": lively(UNet2DConditionModel(**own)),
        "text_encoder": lively(T5EncoderModel(T5Config(**T5))),
    }
    main = {f"{name}.{key}": value for name, model in models.items() for key, value in model.state_dict().items()}
    vae = original_vae(lively(AutoencoderKL(**VAE)), lively(SpeechT5HifiGan(SpeechT5HifiGanConfig(**VOCODER))))
    torch.save(main, folder / "pytorch_model_main.bin")
    torch.save(vae, folder / "pytorch_model_vae.bin")
    files = {
        "main_config.json": {
            "text_encoder_name": "google/flan-t5-large",
            "scheduler_name": "stabilityai/stable-diffusion-2-1",
            "unet_model_name": None,
            "unet_model_config_path": "configs/diffusion_model_config.json",
            "snr_gamma": 5.0,
        },
        "vae_config.json": {
            "image_key": "fbank",
            "subband": 1,
            "embed_dim": 8,
            "time_shuffle": 1,
            "ddconfig": {
                "double_z": True,
                "z_channels": 8,
                "resolution": 256,
                "downsample_time": False,
                "in_channels": 1,
                "out_ch": 1,
                "ch": 32,
                "ch_mult": [1, 1, 2],
                "num_res_blocks": 1,
                "attn_resolutions": [],
                "dropout": 0.0,
            },
            "scale_factor": 0.9,
        },
        "stft_config.json": {
            "filter_length": 1024,
            "hop_length": 160,
            "win_length": 1024,
            "n_mel_channels": 64,
            "sampling_rate": RATE,
            "mel_fmin": 0,
            "mel_fmax": 8000,
        },
        "diffusion_model_config.json": config,
        "config.json": T5,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    sentencepiece().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def asked() -> Callable[..., SystemSpec]:
    """A spec by name with its weights folder: ``asked("audioldm:steps=2", folder)``."""
    return lambda name, folder=None, untrained=False: resolve(name, "cpu", untrained, folder)


@pytest.fixture(scope="session")
def original_layout() -> Callable[..., dict[str, Any]]:
    """The function that renames stock modules to AudioLDM's original autoencoder."""
    return original_vae


def original_vae(vae: Any, vocoder: Any) -> dict[str, Any]:
    """The state dictionary of AudioLDM's original autoencoder: the stock names, put back one by one."""
    levels = len(vae.config.block_out_channels)
    state = {}
    for key, value in vae.state_dict().items():
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", key)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d)", lambda found: f"up.{levels - 1 - int(found[1])}", name)
        name = name.replace(".resnets.", ".block.").replace("upsamplers.0", "upsample")
        name = name.replace("mid_block.block.0", "mid.block_1").replace("mid_block.block.1", "mid.block_2")
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
        for stock, original in attention.items():
            name = name.replace(f"mid_block.attentions.0.{stock}", f"mid.attn_1.{original}")
        matrix = "attn_1" in name and value.ndim == 2
        state[name] = value[:, :, None, None].clone() if matrix else value.clone()
    for key, value in vocoder.state_dict().items():
        if key not in ("mean", "scale"):
            state["vocoder." + key.replace("upsampler.", "ups.")] = value.clone()
    return state


def lively(model: Any, seed: int = 0) -> Any:
    """The model with seeded weights of unit gain: at their own initialisation some networks are nearly constant."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        if value.ndim > 1:
            scale = 1 / math.sqrt(math.prod(value.shape[1:]))
            value.data = scale * torch.randn(value.shape, generator=generator)
    return model.eval()


def roberta() -> Any:
    """A byte-level RoBERTa tokenizer: every byte and five special tokens."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    symbols = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    vocab = {symbol: number for number, symbol in enumerate(symbols)}
    return RobertaTokenizer(vocab=vocab, merges=[], model_max_length=96)


def sentencepiece() -> Any:
    """A T5 tokenizer of letters."""
    from transformers import T5Tokenizer

    pieces = ["<pad>", "</s>", "<unk>", "▁", *(chr(code) for code in range(33, 127)), "ab", "cd"]
    scores = [(piece, 0.0 if piece.startswith("<") else -2.0) for piece in pieces]
    return T5Tokenizer(vocab=scores, extra_ids=0, model_max_length=64)
