"""OpenL3's weights: a network under Keras' names, official files of Keras read by h5py, and random ones."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.weights.record import CheckpointError
from ldmbench.weights.tensors import seeded

#: Channels of the convolutions, and the layers after which resolution is halved.
WIDTHS, HALVED = (64, 64, 128, 128, 256, 256, 512, 512), (1, 3, 5)

#: Keras' epsilon of a batch normalisation.
_EPSILON = 1e-3

#: What Keras calls the arrays of its layers -> what torch does.
_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "kernel": "weight",
    "bias": "bias",
}

#: Weight-bearing layers in their order: each convolution follows a normalisation.
LAYERS = tuple(f"{kind}{index}" for index in range(len(WIDTHS)) for kind in ("norm", "conv"))

_FIX = "use the official file openl3_audio_mel256_CONTENT, as published or as pip install openl3 unpacks it"

State = Mapping[str, NDArray[np.float32]]


def build() -> Any:
    """A ``torch.nn.Module`` with OpenL3's layers, ``norm0`` and ``conv0`` to ``conv7``, of uninitialised weights."""
    from torch import nn

    module = nn.Module()
    before = 1
    for index, width in enumerate(WIDTHS):
        module.add_module(f"norm{index}", nn.BatchNorm2d(before, eps=_EPSILON))
        module.add_module(f"conv{index}", nn.Conv2d(before, width, 3, padding=1))
        before = width
    return module.requires_grad_(False).eval()


def to_torch(state: State) -> dict[str, Any]:
    """``state`` for ``build``: Keras keeps kernels as ``[height, width, in, out]``."""
    import torch

    tensors = {}
    for key, array in state.items():
        layer, _, name = key.partition(".")
        turned = array.transpose(3, 2, 0, 1) if name == "kernel" and array.ndim == 4 else array
        tensors[f"{layer}.{_NAMES.get(name, name)}"] = torch.from_numpy(np.array(turned, np.float32, order="C"))
    return tensors


def read_official(path: Path) -> State:
    """``layer.array`` -> values of a file of Keras, compressed by gzip or not.

    Keras matches by order: layers are renamed in ours, ``norm0`` the first.

    Raises:
        CheckpointError: If it is no such file, or has other layers.
    """
    import h5py

    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        with h5py.File(io.BytesIO(content), "r") as file:
            layers = list(_layers(file))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} lacks {path.name}", fix="fetch it again or correct --weights") from None
    except (OSError, EOFError, KeyError, zlib.error) as error:
        raise CheckpointError(f"{path} cannot be read as a file of Keras", str(error), _FIX) from error
    if len(layers) != len(LAYERS):
        raise CheckpointError(f"{path} is not OpenL3", f"{len(layers)} layers with weights, not {len(LAYERS)}", _FIX)
    return {f"{name}.{key}": value for name, layer in zip(LAYERS, layers, strict=True) for key, value in layer.items()}


def _layers(file: Any) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The arrays of each layer that has some, by Keras' name of the array."""
    group = file["model_weights"] if "layer_names" not in file.attrs and "model_weights" in file else file
    for layer in group.attrs["layer_names"]:
        names = [_text(name) for name in group[_text(layer)].attrs["weight_names"]]
        if names:
            yield {
                name.rpartition("/")[2].partition(":")[0]: np.asarray(group[_text(layer)][name], np.float32)
                for name in names
            }


def random_state(seed: int = 0) -> State:
    """Seeded random weights in the official layout, which keep the variance of what they are given."""
    import torch

    def fill() -> dict[str, NDArray[np.float32]]:
        state: dict[str, NDArray[np.float32]] = {}
        before = 1
        for index, width in enumerate(WIDTHS):
            norm = {"gamma": (1.0, 0.1), "beta": (0.0, 0.1), "moving_mean": (0.0, 0.1), "moving_variance": (1.0, 0.0)}
            for name, (mean, deviation) in norm.items():
                state[f"norm{index}.{name}"] = (mean + deviation * torch.randn(before)).numpy()
            kernel = torch.randn(3, 3, before, width) * (2 / (9 * before)) ** 0.5
            state[f"conv{index}.kernel"] = kernel.numpy()
            state[f"conv{index}.bias"] = (0.1 * torch.randn(width)).numpy()
            before = width
        # Decibels below the loudest of a second come in.
        state["norm0.moving_mean"][:], state["norm0.moving_variance"][:] = -40.0, 400.0
        return state

    return seeded(fill, seed)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
