"""Parts of latent diffusion systems: loaded from official folders with every key accounted for, or seeded at random."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from ldmbench.errors import BenchError
from ldmbench.weights.tensors import STORED_BEFORE, TIED, check_keys, not_ending, own_memory, seeded, short

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from torch import Tensor
    from torch.nn import Module
    from transformers import SpeechT5HifiGan

T = TypeVar("T")


def model_index(folder: Path, pipeline: str) -> dict[str, Any]:
    """``model_index.json`` of a diffusers folder.

    Raises:
        BenchError: If there is none, or it belongs to another pipeline.
    """
    path = folder / "model_index.json"
    index = read_json(path, f"{folder} is not a folder of {pipeline}")
    if index.get("_class_name") != pipeline:
        raise BenchError(
            f"{folder} is not a folder of {pipeline}",
            f"its model_index.json says {index.get('_class_name', 'nothing')}",
            "name the folder with the official files",
        )
    return index


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object; ``what`` begins the error's line.

    Raises:
        BenchError: If the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(what, f"no {path.name} in {path.parent}", "fetch it again or correct --weights") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BenchError(what, f"{path}: {error}", "fetch it again") from None
    if not isinstance(content, dict):
        raise BenchError(what, f"{path} holds a {type(content).__name__}", "fetch it again")
    return content


def load_part(kind: type[T], folder: Path, name: str, **config: object) -> T:
    """A model of class ``kind`` from ``folder/name`` (``config.json`` and safetensors or a tensors-only pickle).

    Entries of ``config`` replace those of the file.

    Raises:
        BenchError: If files are missing or damaged, or any key is missing, superfluous or of another shape.
    """
    part_folder, loader = folder / name, cast(Any, kind)
    read_json(part_folder / "config.json", f"{folder} lacks {name}")
    try:
        model, report = loader.from_pretrained(
            part_folder, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True, **config
        )
    except Exception as error:  # these libraries raise whatever their readers do
        raise BenchError(f"{name} in {folder} cannot be loaded", short(error), "fetch it again") from error
    lacking = not_ending(report["missing_keys"], (*STORED_BEFORE, *TIED))
    unexpected = not_ending(report["unexpected_keys"], STORED_BEFORE)
    mismatched = [str(item[0] if isinstance(item, tuple) else item) for item in report["mismatched_keys"]]
    check_keys(part_folder, lacking, unexpected, mismatched)
    return cast(T, model)


def load_scheduler(folder: Path) -> DDIMScheduler:
    """DDIM with the schedule in ``folder/scheduler``, as diffusers computes it.

    Raises:
        BenchError: If it is missing.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    config = read_json(folder / "scheduler" / "scheduler_config.json", f"{folder} lacks scheduler")
    scheduler: DDIMScheduler = DDIMScheduler.from_config(config)
    return scheduler


def load_alphas(folder: Path) -> tuple[list[float], str]:
    """``alphas_cumprod`` by the schedule in ``folder/scheduler``, and what the model predicts.

    Raises:
        BenchError: If it is missing.
    """
    config = read_json(folder / "scheduler" / "scheduler_config.json", f"{folder} lacks scheduler")
    return alphas(config), str(config.get("prediction_type", "epsilon"))


def alphas(config: Mapping[str, Any]) -> list[float]:
    """``alphas_cumprod`` of a DDIM schedule, to single precision, as the authors' checkpoints store it.

    diffusers sums in single precision, which is as much as 6e-7 away.

    Source: haoheliu/AudioLDM2, ``ddpm.py``, ``register_schedule``, and ``make_beta_schedule``.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    stock: DDIMScheduler = DDIMScheduler.from_config(config)
    schedule: Any = stock.config
    if schedule.beta_schedule != "scaled_linear" or schedule.trained_betas is not None:
        return [float(value) for value in stock.alphas_cumprod]
    betas = np.linspace(schedule.beta_start**0.5, schedule.beta_end**0.5, schedule.num_train_timesteps) ** 2
    return [float(value) for value in np.cumprod(1 - betas).astype(np.float32)]


def untrained_vocoder(config: Mapping[str, Any]) -> SpeechT5HifiGan:
    """A HiFi-GAN with seeded weights of unit gain: at its own initialisation the output is silence."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    def make() -> SpeechT5HifiGan:
        model = SpeechT5HifiGan(SpeechT5HifiGanConfig(**config))
        for value in model.parameters():
            if value.ndim > 1:
                value.data.normal_(0.0, math.prod(value.shape[1:]) ** -0.5)
        return model

    return seeded(make)


def parameters(models: Iterable[Module]) -> int:
    """Number of learned values in the models, each counted once."""
    sizes = {id(value): value.numel() for model in models for value in model.parameters()}
    return sum(sizes.values())


def for_inference(model: Module, device: str, precision: str = "float32") -> None:
    """Move ``model`` to ``device`` in ``precision``, with every ``GroupNorm`` exact; it can learn nothing any more.

    On a CPU it gets memory of its own, so that a file that was mapped for it can be let go.

    Args:
        model: A module.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: One of ``PRECISIONS``.
    """
    import torch

    model.requires_grad_(False).eval().to(device)
    if precision != "float32":
        model.to(getattr(torch, precision))
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.register_forward_pre_hook(_one_channel_after_the_other)
    if torch.device(device).type == "cpu":
        own_memory(model)


def _one_channel_after_the_other(_: Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The input of a ``GroupNorm``, copied where the channels of one position lie together.

    On such, torch 2.11 sums on a CPU in as many parts as there are threads and loses two digits. An autoencoder's
    attention returns them.
    """
    return (inputs[0].contiguous(),)
