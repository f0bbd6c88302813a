"""DDIM by the schedule of a checkpoint: a step after the other, guidance in one call, noise seeded per clip."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ldmbench.errors import BenchError
from ldmbench.host.steps import counted

if TYPE_CHECKING:
    import torch
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from torch import Tensor

#: ``noise(i, shape)``: the i-th draw of one clip (or window), standard normal; 0 is where sampling starts from.
Noise: TypeAlias = "Callable[[int, tuple[int, ...]], Tensor]"
#: ``predict(x, t)``: v of ``x`` ``[n, ...]`` at time step ``t``.
Predict: TypeAlias = "Callable[[Tensor, int], Tensor]"
#: ``evaluate(x, t, condition)``: v of ``x`` ``[n, ...]`` at time steps ``t`` ``[n]`` under ``condition`` ``[n, ...]``.
Evaluate: TypeAlias = "Callable[[Tensor, Tensor, Tensor], Tensor]"
#: ``watch(t, x, x0)`` sees every step: the time step, the new latent, and the predicted clean one.
Watch: TypeAlias = "Callable[[int, Tensor, Tensor], None]"

#: The most ``eta`` that is computed with. A step from pure noise (t = 999 of 500 steps) keeps nothing of the latent at
#: ``eta`` 1: what is left under the root is zero, and rounding could make it negative. Moves a sample by 4e-8 there.
_MOST_ETA = 1 - 2**-50


def check_steps(steps: int, trained: int = 1000) -> None:
    """Raise ``BenchError`` unless DDIM can take ``steps`` of ``trained`` steps at ``1, 1 + c, 1 + 2c, ...``.

    Source: haoheliu/SemantiCodec-inference and haoheliu/versatile_audio_super_resolution, ``ddim.py``.

    Raises:
        BenchError: If ``steps`` does not divide ``trained``: the reference then takes another number of steps, or
            one that does not exist.
    """
    if not 1 <= steps < trained or trained % steps:
        allowed = ", ".join(str(count) for count in range(1, trained) if trained % count == 0)
        raise BenchError(
            f"DDIM cannot take {steps} steps", f"{trained} trained ones are spaced evenly", f"use {allowed}"
        )


def cosine_alphas(trained: int = 1000) -> list[float]:
    """``alphas_cumprod`` of the cosine schedule with zero terminal signal-to-noise ratio, betas unclipped.

    For systems without a checkpoint; official ones carry theirs.

    Source: Nichol & Dhariwal 2021 (arXiv:2102.09672), eq. 17.
    """
    shares = [math.cos((index / trained + 0.008) / 1.008 * math.pi / 2) ** 2 for index in range(trained + 1)]
    return [share / shares[0] for share in shares[1:-1]] + [0.0]


def scheduler(alphas_cumprod: Sequence[float], predicts: str = "v_prediction") -> DDIMScheduler:
    """The sampler of the reference implementations: time steps from 1 on, the last step to ``alphas_cumprod[0]``.

    It computes its factors in double precision from ``alphas_cumprod`` as it is; from betas in single precision, as it
    would be given by the configuration, 50 steps come out 2e-5 to 8e-5 away.
    """
    import torch
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    made: DDIMScheduler = DDIMScheduler(
        num_train_timesteps=len(alphas_cumprod), prediction_type=predicts, timestep_spacing="leading",
        steps_offset=1, set_alpha_to_one=False, clip_sample=False,
    )  # fmt: skip
    made.alphas_cumprod = torch.tensor(alphas_cumprod, dtype=torch.float64)
    made.final_alpha_cumprod = made.alphas_cumprod[0]
    return made


def ddim(
    predict: Predict,
    alphas_cumprod: Sequence[float],
    noises: Sequence[Noise],
    shape: tuple[int, ...],
    steps: int,
    eta: float,
    device: torch.device | str = "cpu",
    watch: Watch | None = None,
) -> Tensor:
    """Latents ``[n, *shape]`` in float32, one for every member of ``noises``.

    Draw 0 of each is where it starts, draw ``i`` is the fresh noise of step ``i``; with ``eta`` 0 the steps draw
    nothing.

    Args:
        predict: The model, already guided.
        alphas_cumprod: Share of signal power left after each trained step, as the checkpoint stores it.
        noises: Where each latent's noise comes from.
        shape: Of one latent.
        steps: How many; see ``check_steps``.
        eta: 0 is deterministic, 1 has the variance of the ancestral sampler.
        device: Where to compute.
        watch: Called after each step.

    Source: Song et al. 2021 (arXiv:2010.02502), eq. 12 and 16; Salimans & Ho 2022 (arXiv:2202.00512), appendix D.

    Raises:
        BenchError: If ``steps`` cannot be taken.
    """
    import torch

    def draw(index: int) -> Tensor:
        return torch.stack([noise(index, shape) for noise in noises]).to(device)

    check_steps(steps, len(alphas_cumprod))
    sampler = scheduler(alphas_cumprod)
    sampler.set_timesteps(steps)
    return walk(sampler, sampler.timesteps.tolist(), predict, draw(0), lambda index: draw(index + 1), eta, watch)


def walk(
    sampler: DDIMScheduler,
    times: Sequence[int],
    predict: Predict,
    latents: Tensor,
    draw: Callable[[int], Tensor],
    eta: float,
    watch: Watch | None = None,
    before: Callable[[int, Tensor], Tensor] | None = None,
) -> Tensor:
    """The steps of DDIM from ``latents`` ``[n, ...]`` at ``times[0]`` through all ``times``, in float32.

    Args:
        sampler: See ``scheduler``; the number of steps is set.
        times: Time steps, falling.
        predict: The model, already guided.
        latents: Where it starts.
        draw: Fresh noise ``[n, ...]`` of the step of an index; not asked where ``eta`` is 0.
        eta: Share of fresh noise.
        watch: Called after each step.
        before: What becomes of the latents ahead of the step of an index.
    """
    for index, time in enumerate(counted(times, "step")):
        if before:
            latents = before(index, latents)
        guess = predict(latents, time).float()
        fresh = draw(index) if eta else None
        stepped = sampler.step(guess, time, latents, eta=min(eta, _MOST_ETA), variance_noise=fresh)
        latents, clean = stepped[0], stepped[1]
        if watch:
            watch(time, latents, clean)
    return latents


def guided(evaluate: Evaluate, conditional: Tensor, unconditional: Tensor, scale: float) -> Predict:
    """Classifier-free guidance, ``u + scale * (c - u)``, with both halves in one call of the model.

    At ``scale`` 1 and 0 only the half that counts is computed.

    Args:
        evaluate: The model.
        conditional: Conditions ``[n, ...]``.
        unconditional: The same without information ``[n, ...]``.
        scale: Guidance scale.

    Source: Ho & Salimans 2022 (arXiv:2207.12598), eq. 6 in the form of Stable Diffusion.
    """
    import torch

    # Put together once: the conditions stay the same through all steps.
    single = {0.0: unconditional, 1.0: conditional}.get(float(scale))
    both = torch.cat([unconditional, conditional]) if single is None else single

    def predict(latents: Tensor, time: int) -> Tensor:
        seen = torch.cat([latents, latents]) if single is None else latents
        times = torch.full((len(seen),), time, dtype=torch.long, device=seen.device)
        velocity = evaluate(seen, times, both)
        if single is not None:
            return velocity
        without, with_condition = velocity.float().chunk(2)
        return without + scale * (with_condition - without)

    return predict


def seeded_noise(seed: int, *labels: int | str) -> Noise:
    """Draws from a generator of their own for every seed, labels (a window's number, ...) and index.

    They are made on the CPU, and neither the order in which they are asked for nor their batch changes them.
    """
    import torch

    def noise(index: int, shape: tuple[int, ...]) -> Tensor:
        name = "/".join(str(part) for part in (seed, *labels, index))
        digest = hashlib.sha256(name.encode()).digest()
        generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        return torch.randn(shape, generator=generator)

    return noise
