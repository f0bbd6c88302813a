"""Official names and shapes of LaDiffCodec's weights, written down independently, and folders of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

Shapes = dict[str, tuple[int, ...]]

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "ladiffcodec"

#: Schedule buffers of ``GaussianDiffusion1D``.
BUFFERS = (
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "p2_loss_weight",
)  # fmt: skip


def drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule that the goldens' weights are drawn by: a generator seeded by the name, scaled by the kind."""
    name = key.replace("diffusion.model.", "diff_model.")
    n = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape, dtype=np.float32)
    if key.endswith(("_g", ".g")) or (len(shape) == 1 and key.endswith(".weight")):
        return np.float32(1) + np.float32(0.1) * n
    if key.endswith("_codebook.embed"):
        return np.float32(0.15) * n
    if len(shape) >= 2:
        return n * np.float32((4 if "weight_ih_l" in key else 1) / np.sqrt(np.prod(shape[1:])))
    return np.float32(0.05) * n


def noise(tag: str, index: int, shape: tuple[int, ...]) -> torch.Tensor:
    """The goldens' noise, of one clip."""
    seed = zlib.crc32(f"noise/ladiffcodec/{tag}/{index}".encode())
    rows = np.random.Generator(np.random.PCG64(seed)).standard_normal((1, *shape), dtype=np.float32)
    return torch.from_numpy(rows[0])


def uniform(tag: str, index: int, shape: tuple[int, ...]) -> torch.Tensor:
    """The goldens' uniform numbers, of one clip."""
    seed = zlib.crc32(f"uniform/ladiffcodec/{tag}/{index}".encode())
    return torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).random((1, *shape), dtype=np.float32)[0])


def _layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def seanet(strides: tuple[int, ...]) -> Shapes:
    """Encoder and decoder with weight norm, 32 filters, one residual layer a stride, two layers of LSTM."""
    shapes: Shapes = {}

    def convolution(name: str, out: int, wide: int, kernel: int, kind: str = "conv") -> None:
        rows = (wide, out) if kind == "convtr" else (out, wide)
        shapes[f"{name}.{kind}.{kind}.bias"] = (out,)
        shapes[f"{name}.{kind}.{kind}.weight_g"] = (rows[0], 1, 1)
        shapes[f"{name}.{kind}.{kind}.weight_v"] = (*rows, kernel)

    def residual(name: str, wide: int) -> None:
        convolution(f"{name}.block.1", wide // 2, wide, 3)
        convolution(f"{name}.block.3", wide, wide // 2, 1)
        convolution(f"{name}.shortcut", wide, wide, 1)

    def lstm(name: str, wide: int) -> None:
        for layer in (0, 1):
            for part in ("ih", "hh"):
                shapes[f"{name}.lstm.weight_{part}_l{layer}"] = (4 * wide, wide)
                shapes[f"{name}.lstm.bias_{part}_l{layer}"] = (4 * wide,)

    wide, place = 32, 1
    convolution("encoder.model.0", 32, 1, 7)
    for stride in strides:
        residual(f"encoder.model.{place}", wide)
        convolution(f"encoder.model.{place + 2}", 2 * wide, wide, 2 * stride)
        wide, place = 2 * wide, place + 3
    lstm(f"encoder.model.{place}", wide)
    convolution(f"encoder.model.{place + 2}", 128, wide, 7)
    convolution("decoder.model.0", wide, 128, 7)
    lstm("decoder.model.1", wide)
    place = 3
    for stride in reversed(strides):
        convolution(f"decoder.model.{place}", wide // 2, wide, 2 * stride, "convtr")
        residual(f"decoder.model.{place + 1}", wide // 2)
        wide, place = wide // 2, place + 3
    convolution(f"decoder.model.{place}", 1, wide, 7)
    return shapes


def codec_shapes(books: int) -> Shapes:
    """``EnCodec_libri_*/model_best.amlt``."""
    shapes = seanet((2, 4, 5, 8))
    for layer in range(books):
        book = f"quantizer.vq.layers.{layer}._codebook"
        shapes |= {f"{book}.inited": (1,), f"{book}.cluster_size": (1024,)}
        shapes |= {f"{book}.embed": (1024, 128), f"{book}.embed_avg": (1024, 128)}
    return shapes


def unet_shapes(base: int, ratios: tuple[int, ...]) -> Shapes:
    """The 1-D U-Net with its upsampler of the condition."""
    shapes: Shapes = _layer("init_conv", base, 256, 7)
    shapes |= _layer("time_mlp.1", 4 * base, base) | _layer("time_mlp.3", 4 * base, 4 * base)

    def residual(name: str, wide: int, out: int) -> None:
        shapes.update(_layer(f"{name}.mlp.1", 2 * out, 4 * base))
        for block, seen in (("block1", wide), ("block2", out)):
            shapes.update(_layer(f"{name}.{block}.proj", out, seen, 3) | _layer(f"{name}.{block}.norm", out))
        if wide != out:
            shapes.update(_layer(f"{name}.res_conv", out, wide, 1))

    def attention(name: str, wide: int, linear: bool) -> None:
        shapes[f"{name}.fn.fn.to_qkv.weight"] = (384, wide, 1)
        shapes.update(_layer(f"{name}.fn.fn.to_out{'.0' if linear else ''}", wide, 128, 1))
        shapes[f"{name}.fn.norm.g"] = (1, wide, 1)
        if linear:
            shapes[f"{name}.fn.fn.to_out.1.g"] = (1, wide, 1)

    pairs = [(base, base), (base, 2 * base), (2 * base, 2 * base), (2 * base, 4 * base), (4 * base, 4 * base)]
    for level, (wide, out) in enumerate(pairs):
        residual(f"downs.{level}.0", wide, wide)
        residual(f"downs.{level}.1", wide, wide)
        attention(f"downs.{level}.2", wide, True)
        shapes |= _layer(f"downs.{level}.3", out, wide, 3 if level == 4 else 4)
    for level, (wide, out) in enumerate(reversed(pairs)):
        residual(f"ups.{level}.0", wide + out, out)
        residual(f"ups.{level}.1", wide + out, out)
        attention(f"ups.{level}.2", out, True)
        shapes |= _layer(f"ups.{level}.3" if level == 4 else f"ups.{level}.3.1", wide, out, 3)
    residual("mid_block1", 4 * base, 4 * base)
    attention("mid_attn", 4 * base, False)
    residual("mid_block2", 4 * base, 4 * base)
    residual("final_res_block", 2 * base, base)
    shapes |= _layer("final_conv", 128, base, 1)
    for layer, ratio in enumerate(ratios):
        shapes |= _layer(f"upsampling_layers.{layer}.convtr.convtr", 128, 128, 2 * ratio)
    return shapes


def latent_shapes(base: int, strides: tuple[int, ...] = (8,), ratios: tuple[int, ...] = (5, 4, 2)) -> Shapes:
    """``Ladiff_*/model_best.amlt``: the U-Net is stored twice."""
    shapes = seanet(strides)
    network = unet_shapes(base, ratios)
    for prefix in ("diff_model", "diffusion.model"):
        shapes |= {f"{prefix}.{key}": shape for key, shape in network.items()}
    return shapes | {f"diffusion.{name}": (1000,) for name in BUFFERS}


def cosine() -> np.ndarray:
    """The released schedule, ``alphas_cumprod``."""
    f = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - f[1:] / f[:-1], 0.999)).astype(np.float32)


def fill(shapes: Shapes) -> dict[str, torch.Tensor]:
    """A state dictionary of these names and shapes."""
    state = {}
    for key, shape in shapes.items():
        name = key.removeprefix("diffusion.")
        if name == "alphas_cumprod":
            value = cosine()
        elif name in BUFFERS or key.endswith((".inited", ".cluster_size", ".embed_avg")):
            value = np.zeros(shape, np.float32)
        else:
            value = drawn(key, shape)
        state[key] = torch.from_numpy(value)
    return state


@pytest.fixture(scope="session")
def official() -> SimpleNamespace:
    """The rule, the official names and shapes, and the goldens of the reference implementation."""
    with np.load(GOLDEN / "stages.npz") as archive:
        golden = dict(archive)
    return SimpleNamespace(
        fill=fill, codec=codec_shapes, latent=latent_shapes, noise=noise, uniform=uniform, golden=golden
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in the official layout, the codec in full size, the U-Net 32 channels wide."""
    root = tmp_path_factory.mktemp("ladiffcodec")
    codec = fill(codec_shapes(6))
    three = {key: value for key, value in codec.items() if key in codec_shapes(3)}
    latent = fill(latent_shapes(32))
    for name, state in (
        ("EnCodec_libri_3kb", codec), ("EnCodec_libri_1_5kb", three),
        ("Ladiff_3kb_8", latent), ("Ladiff_1_5kb_8", latent),
    ):  # fmt: skip
        (root / name).mkdir()
        torch.save(state, root / name / "model_best.amlt")
    return root


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread: other tests run beside these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
