"""How AudioLDM and AudioLDM 2 are sampled: the time steps of their authors, and guidance at any scale but 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ldmbench.errors import BenchError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ldmbench.systems.latent.v_diffusion import Predict

#: Whose time steps: the authors', or those that diffusers makes of the same number.
SPACINGS = ("released", "diffusers")

#: What a U-Net attends to: names of its arguments -> tensors ``[n, ...]``.
Conditions = Mapping[str, "Tensor"]


def time_steps(steps: int, spacing: str = "released", trained: int = 1000) -> list[int]:
    """Time steps of DDIM, falling, ``trained // steps`` apart and down to 1.

    The released code goes through all of ``trained``: where ``steps`` does not divide it, more than ``steps`` are
    taken, 167 for 150. diffusers takes ``steps`` of them from below, so that 150 begin at 895.

    Source: haoheliu/AudioLDM2, ``diffusionmodules/util.py``, ``make_ddim_timesteps``.

    Raises:
        BenchError: If the released code would need a time step that was not trained.
    """
    apart = trained // steps
    count = steps if spacing == "diffusers" else -(-trained // apart)
    times = [1 + apart * index for index in range(count)][::-1]
    if times[0] >= trained:
        raise BenchError(
            f"the released code cannot take {steps} steps",
            f"the first would be {times[0]} of {trained - 1}",
            "use a number that divides 1000, such as 200, 100, 50, 20, or spacing=diffusers",
        )
    return times


def guided(unet: Any, asked: Conditions, empty: Conditions, scale: float) -> Predict:
    """``e + scale * (a - e)`` of what ``unet`` predicts when ``asked`` and when told nothing, in one call.

    At a scale of 1 only ``asked`` is computed, at 0 only ``empty``. (diffusers guides above 1 only, and computes
    ``asked`` alone at 0.5.)

    Source: Ho & Salimans 2022 (arXiv:2207.12598); haoheliu/AudioLDM2, ``ddim.py``, ``p_sample_ddim``.
    """
    import torch

    single = {0.0: empty, 1.0: asked}.get(float(scale))
    both = {key: torch.cat([empty[key], value]) for key, value in asked.items()}
    seen = both if single is None else single
    # AudioLDM's U-Net is told by its time embedding alone, and attends to itself.
    conditions = {"encoder_hidden_states": None, **seen}

    def predict(latents: Tensor, time: int | torch.Tensor) -> Tensor:
        doubled = latents if single is not None else torch.cat([latents, latents])
        guess: Tensor = unet(doubled.to(unet.dtype), time, **conditions).sample.float()
        if single is not None:
            return guess
        without, told = guess.chunk(2)
        return without + scale * (told - without)

    return predict


def stacked(values: Sequence[Tensor]) -> Tensor:
    """Tensors ``[1, length, ...]`` as one ``[n, longest, ...]``, with zeros behind those that are shorter."""
    longest = max(value.shape[1] for value in values)
    total = values[0].new_zeros((len(values), longest, *values[0].shape[2:]))
    for row, value in zip(total, values, strict=True):
        row[: value.shape[1]] = value[0]
    return total
