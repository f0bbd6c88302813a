"""LaDiffCodec's official files: names, keys and shapes; the models filled from them, or with seeded random weights."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldmbench.errors import BenchError
from ldmbench.systems.ladiffcodec import seanet as seanet
from ldmbench.systems.ladiffcodec import unet as unet
from ldmbench.systems.ladiffcodec.sampling import SCHEDULES, betas
from ldmbench.systems.latent import keys as keys
from ldmbench.systems.latent.drawn import deviation_of_gain, draw_weights
from ldmbench.weights.tensors import fit, fitted, read_tensors, seeded

if TYPE_CHECKING:
    from torch import Tensor

#: What follows from ``diffusion.alphas_cumprod``.
LATENT_UNUSED = (
    r"^diffusion\.(betas|alphas_cumprod_prev|sqrt_(one_minus_|recip_|recipm1_)?alphas_cumprod)$",
    r"^diffusion\.(log_one_minus_alphas_cumprod|posterior_variance|posterior_log_variance_clipped)$",
    r"^diffusion\.(posterior_mean_coef1|posterior_mean_coef2|p2_loss_weight)$",
)

#: Bookkeeping of training codebooks.
CODEC_UNUSED = (r"^quantizer\.vq\.layers\.\d+\._codebook\.(inited|cluster_size|embed_avg)$",)

#: The U-Net a second time, as a part of the diffusion around it.
_AGAIN = "diffusion.model."
_FIX = "use the official file"


@dataclass(frozen=True)
class Shape:
    """What the sizes of the networks depend on.

    Attributes:
        books: Codebooks of the discrete codec: 2, 3 or 6 at 1, 1.5 and 3 kbps.
        strides: Of the continuous autoencoder's encoder, in its order.
        base: Width of the U-Net's first level.
        causal: Whether both autoencoders look back only.
    """

    books: int
    strides: tuple[int, ...]
    base: int
    causal: bool

    @property
    def hop(self) -> int:
        """Samples a frame of the continuous latent stands for."""
        return math.prod(self.strides)

    @property
    def ratios(self) -> tuple[int, ...]:
        """Upsampling of the condition from the codec's frames: its strides that the continuous encoder lacks."""
        return tuple(stride for stride in reversed(seanet.STRIDES) if stride not in self.strides)

    @property
    def block(self) -> int:
        """Samples that inputs are padded to a multiple of: whole frames of the codec and of the U-Net's last level."""
        return math.lcm(math.prod(seanet.STRIDES), self.hop * unet.SHRINK)

    @property
    def files(self) -> tuple[str, str]:
        """Names of the discrete codec's and the latent diffusion's file below the weights folder."""
        rate = {2: "1kb", 3: "1_5kb", 6: "3kb"}[self.books]
        strides = "_".join(str(stride) for stride in self.strides)
        return f"EnCodec_libri_{rate}/model_best.amlt", f"Ladiff_{rate}_{strides}/model_best.amlt"


@dataclass(frozen=True, eq=False)
class Models:
    """The three networks: discrete codec, continuous autoencoder, and the U-Net between them."""

    codec: seanet.DiscreteCodec
    continuous: seanet.Autoencoder
    unet: unet.UNet


def read_models(folder: Path, shape: Shape, schedule: str) -> Models:
    """The networks with the weights of the official files, whose schedule has to be ``schedule``.

    Raises:
        BenchError: If a file is missing, damaged, holds more than tensors, or belongs to another variant.
    """
    codec, latent = (folder / name for name in shape.files)
    return Models(read_codec(codec, shape), *read_latent(latent, shape, schedule))


def read_codec(path: Path, shape: Shape) -> seanet.DiscreteCodec:
    """The discrete codec of its official file.

    Raises:
        BenchError: As ``read_models``.
    """
    import torch

    prefixes = ("encoder.model.", "decoder.model.", "quantizer.vq.layers.")
    (encoder, decoder, books), _ = keys.parts(_read(path), prefixes, (), CODEC_UNUSED, path)
    stock = _autoencoder(encoder, decoder)
    tables = [books.pop(name) for name in sorted(books, key=_number) if re.fullmatch(r"\d+\._codebook\.embed", name)]
    if len({table.shape for table in tables}) == 1:
        stock["codebooks"] = torch.stack(tables)
    stock |= {f"quantizer.vq.layers.{name}": value for name, value in books.items()}
    codec = seeded(lambda: seanet.DiscreteCodec(shape.books, shape.causal))
    fit(codec, stock, path, assign=True)
    return codec.eval()


def read_latent(path: Path, shape: Shape, schedule: str) -> tuple[seanet.Autoencoder, unet.UNet]:
    """The continuous autoencoder and the U-Net of their official file.

    Raises:
        BenchError: As ``read_models``; also if the file's schedule is not ``schedule``.
    """
    state = _read(path)
    # The same network under a second name.
    again = {key.removeprefix(_AGAIN): state.pop(key) for key in list(state) if key.startswith(_AGAIN)}
    prefixes, wanted = ("encoder.model.", "decoder.model.", "diff_model."), ("diffusion.alphas_cumprod",)
    (encoder, decoder, network), single = keys.parts(state, prefixes, wanted, LATENT_UNUSED, path)
    for name, value in again.items():
        if name not in network or not value.equal(network[name]):
            raise BenchError(f"the weights in {path} do not fit", f"{_AGAIN}{name} is not diff_model.{name}", _FIX)
    _check_schedule(single["diffusion.alphas_cumprod"], schedule, path)
    continuous = seeded(lambda: seanet.Autoencoder(shape.strides, shape.causal))
    fit(continuous, _autoencoder(encoder, decoder), path, assign=True)
    network = unet.stock_names(network)
    return continuous.eval(), fitted(lambda: unet.UNet(shape.base, shape.ratios), network, path)


def untrained_models(shape: Shape) -> Models:
    """The networks in full size with seeded weights under which codes vary and sound is heard."""
    import torch

    with torch.device("meta"):
        network = unet.UNet(shape.base, shape.ratios)
    return Models(
        draw_weights(seeded(lambda: seanet.DiscreteCodec(shape.books, shape.causal)), _deviation),
        draw_weights(seeded(lambda: seanet.Autoencoder(shape.strides, shape.causal)), _deviation),
        draw_weights(network.to_empty(device="cpu")),
    )


def _deviation(name: str, value: Tensor) -> float | None:
    if name == "codebooks":
        return 0.15
    return deviation_of_gain(value, 4.0) if "weight_ih_l" in name else None


def _read(path: Path) -> dict[str, Tensor]:
    """A state dictionary without the prefix that training on several GPUs leaves."""
    return {key.removeprefix("module."): value for key, value in read_tensors(path).items()}


def _autoencoder(encoder: dict[str, Tensor], decoder: dict[str, Tensor]) -> dict[str, Tensor]:
    sides: Sequence[tuple[str, dict[str, Tensor]]] = (("encoder", encoder), ("decoder", decoder))
    return seanet.stock_names({f"{side}.model.{key}": value for side, state in sides for key, value in state.items()})


def _number(name: str) -> int:
    return int(name.partition(".")[0]) if name.partition(".")[0].isdigit() else -1


def _check_schedule(stored: Tensor, schedule: str, path: Path) -> None:
    """Raise unless the schedule that a model was trained with is the one asked for.

    Raises:
        BenchError: Naming the one that is in the file.
    """
    curves = {name: np.cumprod(1 - betas(name)) for name in SCHEDULES}
    held = stored.double().numpy()
    same = [name for name, curve in curves.items() if held.shape == curve.shape and np.allclose(held, curve, atol=1e-6)]
    if schedule not in same:
        fix = f"use schedule={same[0]}" if same else _FIX
        raise BenchError(
            f"the weights in {path} were not trained with the schedule {schedule}",
            f"theirs is {same[0] if same else 'none that is supported'}",
            fix,
        )
