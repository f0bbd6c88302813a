"""Official names and shapes of SemantiCodec's weights, written down independently, and tiny folders of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.systems.latent import configs as configs
from ldmbench.systems.semanticodec import audiomae as _audiomae
from ldmbench.systems.semanticodec import files as _semanticodec_files

Shapes = dict[str, tuple[int, ...]]

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "semanticodec"


def drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule that the goldens' weights are drawn by: a generator seeded by the name, scaled by the kind."""
    n = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape, dtype=np.float32)
    if len(shape) == 1 and key.endswith(".weight"):
        return np.float32(1) + np.float32(0.1) * n
    if key.endswith("_codebook.embed"):
        return np.float32(0.15) * n
    if key == "centroids":
        return n
    if len(shape) >= 2:
        gains = {"attn.qkv.weight": 2, "patch_embed.proj.weight": 10}
        gain = next((value for ending, value in gains.items() if key.endswith(ending)), 1)
        gain = 4 if "weight_ih_l" in key else gain
        return n * np.float32(gain / np.sqrt(np.prod(shape[1:])))
    return np.float32(0.05) * n


def noise(tag: str, index: int, shape: tuple[int, ...]) -> np.ndarray:
    """The goldens' noise."""
    seed = zlib.crc32(f"noise/{tag}/{index}".encode())
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)


def _layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def unet_shapes(channels: tuple[int, ...], context: int, latent: int = 8) -> Shapes:
    """``UNetModel`` with two blocks a level, attention below the first level, ``extra_sa_layer``."""
    model, time = channels[0], 4 * channels[0]
    shapes = {**_layer("time_embed.0", time, model), **_layer("time_embed.2", time, time)}
    shapes |= _layer("input_blocks.0.0", model, latent, 3, 3)

    def residual(name: str, wide: int, out: int) -> None:
        shapes.update(_layer(f"{name}.in_layers.0", wide) | _layer(f"{name}.in_layers.2", out, wide, 3, 3))
        shapes.update(_layer(f"{name}.emb_layers.1", out, time))
        shapes.update(_layer(f"{name}.out_layers.0", out) | _layer(f"{name}.out_layers.3", out, out, 3, 3))
        if wide != out:
            shapes.update(_layer(f"{name}.skip_connection", out, wide, 1, 1))

    def transformer(name: str, wide: int, seen: int) -> None:
        shapes.update(_layer(f"{name}.norm", wide) | _layer(f"{name}.proj_in", wide, wide, 1, 1))
        block = f"{name}.transformer_blocks.0"
        for attention, source in (("attn1", wide), ("attn2", seen)):
            shapes[f"{block}.{attention}.to_q.weight"] = (wide, wide)
            shapes[f"{block}.{attention}.to_k.weight"] = (wide, source)
            shapes[f"{block}.{attention}.to_v.weight"] = (wide, source)
            shapes.update(_layer(f"{block}.{attention}.to_out.0", wide, wide))
        shapes.update(_layer(f"{block}.ff.net.0.proj", 8 * wide, wide) | _layer(f"{block}.ff.net.2", wide, 4 * wide))
        for norm in (1, 2, 3):
            shapes.update(_layer(f"{block}.norm{norm}", wide))
        shapes.update(_layer(f"{name}.proj_out", wide, wide, 1, 1))

    kept, wide, number = [model], model, 1
    for level, out in enumerate(channels):
        for _ in range(2):
            residual(f"input_blocks.{number}.0", wide, out)
            if level:
                transformer(f"input_blocks.{number}.1", out, out)
                transformer(f"input_blocks.{number}.2", out, context)
            wide, number = out, number + 1
            kept.append(wide)
        if level < len(channels) - 1:
            shapes |= _layer(f"input_blocks.{number}.0.op", wide, wide, 3, 3)
            number += 1
            kept.append(wide)
    residual("middle_block.0", wide, wide)
    transformer("middle_block.1", wide, wide)
    transformer("middle_block.2", wide, context)
    residual("middle_block.3", wide, wide)
    number = 0
    for level, out in reversed(list(enumerate(channels))):
        for block in range(3):
            residual(f"output_blocks.{number}.0", wide + kept.pop(), out)
            wide = out
            if level:
                transformer(f"output_blocks.{number}.1", out, out)
                transformer(f"output_blocks.{number}.2", out, context)
            if level and block == 2:
                shapes |= _layer(f"output_blocks.{number}.{3 if level else 1}.conv", wide, wide, 3, 3)
            number += 1
    return shapes | _layer("out.0", wide) | _layer("out.2", latent, wide, 3, 3)


def vae_shapes(channels: tuple[int, ...], latent: int = 8) -> Shapes:
    """``AutoencoderKL`` of the original: two blocks a level on the way in, three on the way out."""
    shapes = _layer("encoder.conv_in", channels[0], 1, 3, 3) | _layer("decoder.conv_in", channels[-1], latent, 3, 3)

    def residual(name: str, wide: int, out: int) -> None:
        shapes.update(_layer(f"{name}.norm1", wide) | _layer(f"{name}.conv1", out, wide, 3, 3))
        shapes.update(_layer(f"{name}.norm2", out) | _layer(f"{name}.conv2", out, out, 3, 3))
        if wide != out:
            shapes.update(_layer(f"{name}.nin_shortcut", out, wide, 1, 1))

    wide = channels[0]
    for level, out in enumerate(channels):
        for block in range(2):
            residual(f"encoder.down.{level}.block.{block}", wide, out)
            wide = out
        if level < len(channels) - 1:
            shapes |= _layer(f"encoder.down.{level}.downsample.conv", out, out, 3, 3)
    for side in ("encoder", "decoder"):
        for block in (1, 2):
            residual(f"{side}.mid.block_{block}", wide, wide)
        shapes |= _layer(f"{side}.mid.attn_1.norm", wide)
        for matrix in ("q", "k", "v", "proj_out"):
            shapes |= _layer(f"{side}.mid.attn_1.{matrix}", wide, wide, 1, 1)
    shapes |= _layer("encoder.norm_out", wide) | _layer("encoder.conv_out", 2 * latent, wide, 3, 3)
    for level, out in reversed(list(enumerate(channels))):
        for block in range(3):
            residual(f"decoder.up.{level}.block.{block}", wide, out)
            wide = out
        if level:
            shapes |= _layer(f"decoder.up.{level}.upsample.conv", out, out, 3, 3)
    shapes |= _layer("decoder.norm_out", wide) | _layer("decoder.conv_out", 1, wide, 3, 3)
    shapes |= _layer("quant_conv", 2 * latent, 2 * latent, 1, 1)
    return shapes | _layer("post_quant_conv", latent, latent, 1, 1)


def vocoder_shapes(config: dict[str, Any]) -> Shapes:
    """HiFi-GAN without weight norm."""
    wide = config["upsample_initial_channel"]
    shapes = _layer("conv_pre", wide, config["model_in_dim"], 7)
    for stage, kernel in enumerate(config["upsample_kernel_sizes"]):
        shapes |= {f"ups.{stage}.weight": (wide, wide // 2, kernel), f"ups.{stage}.bias": (wide // 2,)}
        wide //= 2
        for index, size in enumerate(config["resblock_kernel_sizes"]):
            block = stage * len(config["resblock_kernel_sizes"]) + index
            for part in ("convs1", "convs2"):
                for place in range(3):
                    shapes |= _layer(f"resblocks.{block}.{part}.{place}", wide, wide, size)
    return shapes | _layer("conv_post", 1, wide, 7)


def encoder_shapes(stack: int, wide: int = 768) -> Shapes:
    """``encoder.ckpt``, with a stub of AudioMAE's decoder."""
    mae: Shapes = {"cls_token": (1, 1, wide), "pos_embed": (1, 513, wide), "mask_token": (1, 1, 512)}
    mae |= {"decoder_pos_embed": (1, 513, 512)} | _layer("patch_embed.proj", wide, 1, 16, 16)
    for block in range(12):
        name = f"blocks.{block}"
        mae |= _layer(f"{name}.norm1", wide) | _layer(f"{name}.attn.qkv", 3 * wide, wide)
        mae |= _layer(f"{name}.attn.proj", wide, wide) | _layer(f"{name}.norm2", wide)
        mae |= _layer(f"{name}.mlp.fc1", 4 * wide, wide) | _layer(f"{name}.mlp.fc2", wide, 4 * wide)
    mae |= _layer("norm", wide) | _layer("decoder_embed", 512, wide) | _layer("decoder_blocks.0.norm1", 512)
    mae |= _layer("decoder_norm", 512) | _layer("decoder_pred", 256, 512)
    shapes = {f"audiomae.model.{key}": shape for key, shape in mae.items()}
    size = wide * stack
    for layer in range({1: 4, 2: 3, 4: 2}[stack]):
        for way in ("", "_reverse"):
            shapes[f"encoder.weight_ih_l{layer}{way}"] = (8 * size, 2 * size if layer == 0 else 4 * size)
            shapes[f"encoder.weight_hh_l{layer}{way}"] = (8 * size, 2 * size)
            shapes[f"encoder.bias_ih_l{layer}{way}"] = shapes[f"encoder.bias_hh_l{layer}{way}"] = (8 * size,)
    shapes["encoder_output_linear.weight"] = (size, 4 * size)
    book = "quantizer._codebook."
    shapes |= {f"{book}initted": (), f"{book}cluster_size": (1, 8192), f"{book}embed_avg": (1, 8192, size)}
    return shapes | {f"{book}embed": (1, 8192, size)}


def decoder_shapes(channels: tuple[int, ...], context: int, vae: tuple[int, ...], vocoder: dict[str, Any]) -> Shapes:
    """``decoder.ckpt``, with a stub of the moving average."""
    shapes = {f"model.diffusion_model.{key}": shape for key, shape in unet_shapes(channels, context).items()}
    shapes |= {f"first_stage_model.{key}": shape for key, shape in vae_shapes(vae).items()}
    shapes |= {f"first_stage_model.vocoder.{key}": shape for key, shape in vocoder_shapes(vocoder).items()}
    schedule = (
        "logvar", "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped",
        "posterior_mean_coef1", "posterior_mean_coef2",
    )  # fmt: skip
    shapes |= dict.fromkeys(schedule, (1000,))
    return shapes | {"scale_factor": (), "model_ema.decay": (), "model_ema.diffusion_modelout2bias": (8,)}


def alphas_cumprod() -> np.ndarray:
    """The goldens' schedule."""
    f = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - (1 - f[1:] / f[:-1])).astype(np.float32)


def fill(shapes: Shapes, positions: Any = None) -> dict[str, torch.Tensor]:
    """A state dictionary of these names and shapes."""
    fixed = {
        "alphas_cumprod": alphas_cumprod(), "scale_factor": np.float32(0.5), "quantizer._codebook.initted": True,
        "audiomae.model.pos_embed": positions,
    }  # fmt: skip
    return {key: torch.as_tensor(fixed.get(key, drawn(key, shape))) for key, shape in shapes.items()}


@pytest.fixture(scope="session")
def official() -> SimpleNamespace:
    """The rule, the official names and shapes, and the goldens of the reference implementation."""
    with np.load(GOLDEN / "stages.npz") as archive:
        golden = dict(archive)
    return SimpleNamespace(
        drawn=drawn, noise=noise, fill=fill, unet=unet_shapes, vae=vae_shapes, vocoder=vocoder_shapes,
        encoder=encoder_shapes, decoder=decoder_shapes, alphas=alphas_cumprod, golden=golden, folder=GOLDEN,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread: other tests run beside these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


TINY_VOCODER = {
    **configs.VOCODER, "upsample_initial_channel": 32, "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5]] * 2,
}  # fmt: skip
TINY_CHANNELS, TINY_VAE, TINY_WIDTH = (32, 32, 32, 64), (32, 32, 32), 48


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the adapter's networks few channels; names, depths and lengths stay."""
    monkeypatch.setattr(_audiomae, "WIDTH", TINY_WIDTH)
    monkeypatch.setattr(_semanticodec_files, "CHANNELS", TINY_CHANNELS)
    monkeypatch.setattr(_semanticodec_files, "HEADS", (1, 1, 1, 2))
    monkeypatch.setattr(configs, "VAE", {**configs.VAE, "block_out_channels": TINY_VAE})
    monkeypatch.setattr(configs, "VOCODER", TINY_VOCODER)


def slim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave hardly any network: for long inputs, of which the number of windows counts."""
    shrink(monkeypatch)
    monkeypatch.setattr(configs, "VAE", {**configs.VAE, "block_out_channels": (8, 8, 8), "norm_num_groups": 8})
    resblocks = {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 1, 1]]}
    monkeypatch.setattr(configs, "VOCODER", {**configs.VOCODER, **resblocks})


@pytest.fixture
def shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter with narrow networks."""
    shrink(monkeypatch)


@pytest.fixture(scope="session")
def tiny_states() -> Callable[[int], tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], np.ndarray]]:
    """Encoder, decoder and codebook of 4096 in tiny, for a number of patches a token."""

    def make(stack: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], np.ndarray]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_audiomae, "WIDTH", TINY_WIDTH)
            positions = _audiomae.positions().numpy()
        size = TINY_WIDTH * stack
        decoder = decoder_shapes(TINY_CHANNELS, 2 * size + 192, TINY_VAE, TINY_VOCODER)
        return fill(encoder_shapes(stack, TINY_WIDTH), positions), fill(decoder), drawn("centroids", (4096, size))

    return make


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tiny_states: Any) -> Path:
    """Weights in the official layout: 100 and 25 tokens per second, vocabulary 4096."""
    folder = tmp_path_factory.mktemp("semanticodec")
    for stack in (1, 4):
        encoder, decoder, codebook = tiny_states(stack)
        place = folder / f"semanticodec_tokenrate_{100 // stack}"
        place.mkdir()
        torch.save(encoder, place / "encoder.ckpt")
        torch.save(decoder, place / "decoder.ckpt")
        table = folder / "codebook_idx" / f"combine_{512 // stack}_audioset_dominate" / "codebook_2048_0.npy"
        table.parent.mkdir(parents=True)
        np.save(table, codebook)
    return folder
